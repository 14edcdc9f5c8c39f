"""A phone, a keyboard and a reload, with everything moving as visitors have it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.ui.test_app import RUN_MS, app, notice, rows, without_auto_run
from tests.ui.test_methods import other_than

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser
__all__ = ["app"]  # a fixture

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
# Of the demo: all that is tapped, but for words within a text.
TAPPED = ".cb-top button, .cb-main button, #view label, #preset label"
SMALL = """names => [...document.querySelectorAll(names)]
  .filter(e => e.offsetWidth && !e.closest('[role=grid]') && !e.classList.contains('cb-term'))
  .map(e => [e.innerText || e.title || e.ariaLabel, e.offsetWidth, e.offsetHeight])
  .filter(([, width, height]) => Math.min(width, height) < 40)"""
TOP = "selector => document.querySelector(selector).getBoundingClientRect().top"


def test_a_visitor_with_a_phone_sees_the_question_and_what_a_tap_does(
    app: Callable[..., Any],
) -> None:
    page = app(view="demo", reduced_motion="no-preference", **PHONE)
    assert page.evaluate(SMALL, TAPPED) == []
    places = [
        page.evaluate(TOP, selector)
        for selector in ("#demo h2", "#compare", "#preset", "#demo dl", "#grid")
    ]
    assert places == sorted(places) and places[2] < 844  # the presets begin on the first screen
    page.evaluate("scrollTo(0, 300)")
    page.locator("#preset").get_by_text("Bold").tap()
    expect(page.get_by_test_id("answers")).to_contain_text("57%", timeout=RUN_MS)
    page.evaluate("scrollTo(0, 900)")
    assert 0 <= page.evaluate(TOP, "#notices") < 10  # in sight wherever one is
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_sliders_are_heard_by_keyboard_and_a_draft_after_a_link_survives(
    app: Callable[..., Any],
) -> None:
    page = app(view="studio")
    without_auto_run(page)
    verdict = page.get_by_test_id("verdict")
    page.locator("#guidance input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    expect(verdict).to_contain_text("Measured before")
    typed = page.locator("#guidance input[type=number]")
    typed.fill("2")
    typed.press("Enter")
    expect(verdict).not_to_contain_text("Measured before")
    page.locator("#share").click()
    page.wait_for_function("location.hash.length > 20")
    linked = rows(page)
    page.locator('#grid [data-row="6"][data-step="7"]').click(
        button="right" if linked[6][7] == "1" else "left"
    )
    mine = other_than(page, linked)
    page.wait_for_function("link => localStorage['cachebrush-draft:scenes-dit']?.includes(link)",
                           arg=page.url.split("#")[1])  # fmt: skip
    shown = "document.querySelector('#grid .cb-grid')?.cbGrid?.rows().join()"
    page.reload()  # this tab has gone on from the link
    page.wait_for_function(f"mine => {shown} === mine.join()", arg=mine)
    notice(page, "ready")
    page.evaluate("sessionStorage.clear()")  # as another tab, where the link comes first
    page.reload()
    notice(page, "ready")
    assert rows(page) == linked
    page.locator("#restore-draft").click()
    assert other_than(page, linked) == mine
