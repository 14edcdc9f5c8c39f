"""Access in a real browser: axe in every view and theme, keyboard, glossary, width, reduced motion.

axe-core comes with the Python package axe-playwright-python; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest

from tests.ui.test_app import app

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser
__all__ = ["app"]  # a fixture

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
VIEWS = {"demo": "#demo-box", "lessons": "#lesson-box", "studio": "#method"}


def faults(page: Any) -> list[str]:
    """What axe finds that is serious or critical in light and, of colours, in dark; in words."""
    page.evaluate(AXE)
    found = _judged(page)
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector("body.dark, html.dark, .dark .gradio-container")
    page.wait_for_function("!document.getAnimations().some(a => a instanceof CSSTransition)")
    found += _judged(page, runOnly=["color-contrast"])
    page.emulate_media(color_scheme="light")
    page.wait_for_function("!document.querySelector('body.dark, html.dark')")
    return found


def _judged(page: Any, **options: Any) -> list[str]:
    given = {"resultTypes": ["violations"], **options}
    found = page.evaluate("given => axe.run(document, given)", given)["violations"]
    return [
        f"{one['impact']} {one['id']}: {node['target']} {node['html'][:120]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def switch(page: Any, view: str) -> None:
    """Another view, by its word in the switch."""
    page.locator("#view").get_by_text(view.capitalize(), exact=True).click()
    expect(page.locator(VIEWS[view])).to_be_visible()


def too_wide(page: Any) -> int:
    """Pixels that stick out sideways."""
    wide: int = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return wide


# Everything that can be opened, also what only then is there; the page needs a moment in between.
OPEN_ALL = """() => {
  const closed = [...document.querySelectorAll('button.label-wrap:not(.open)')];
  closed.forEach(one => one.click());
  return !closed.length;
}"""


@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing_serious_in_any_view(app: Callable[..., Any], size: str) -> None:
    width, height = SIZES[size]
    page = app(
        view="demo", viewport={"width": width, "height": height}, color_scheme="light",
        reduced_motion="reduce", figures=True,
    )  # fmt: skip
    expect(page.locator("#demo")).to_be_visible()
    assert too_wide(page) <= 0 and faults(page) == []
    switch(page, "lessons")
    assert too_wide(page) <= 0
    page.get_by_label("3. Paint a schedule").check()
    expect(page.locator('#lesson [data-lesson="paint"]')).to_be_visible()
    assert too_wide(page) <= 0 and faults(page) == []  # the numbers are of another grid by now
    switch(page, "studio")
    page.wait_for_function(OPEN_ALL, polling=500)
    expect(page.locator("#teach")).to_be_visible()
    assert too_wide(page) <= 0 and faults(page) == []


def test_the_switch_and_the_glossary_work_by_keyboard_alone_and_nothing_moves(
    app: Callable[..., Any],
) -> None:
    page = app(view="demo", viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    assert too_wide(page) <= 0
    tabs = page.locator("#view [role=tab]")
    stop = page.locator("#view [role=tablist] > [tabindex='0']")
    stop.focus()
    for key, view in (
        ("ArrowRight", "lessons"), ("ArrowRight", "studio"), ("ArrowRight", "demo"),
        ("ArrowLeft", "studio"), ("Home", "demo"), ("End", "studio"),
    ):  # fmt: skip
        page.keyboard.press(key)
        expect(page.locator(VIEWS[view])).to_be_visible()
        assert stop.count() == 1 and stop.get_attribute("id") == f"view-{view}", key
        assert page.evaluate("document.activeElement.id") == f"view-{view}"
        assert [tab.get_attribute("aria-selected") for tab in tabs.all()] == [
            str(one == view).lower() for one in VIEWS
        ]
        panel = page.locator(f"#{stop.get_attribute('aria-controls')}[role=tabpanel]")
        expect(panel).to_have_attribute("aria-labelledby", f"view-{view}")
    assert too_wide(page) <= 0
    frame = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(frame) == "solid"
    term = page.locator("#numbers [data-term='PSNR']")
    term.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("#cb-glossary")
    expect(dialog).to_be_visible()
    expect(dialog.locator("dt.cb-sought")).to_have_text("PSNR")
    assert page.evaluate("document.activeElement.dataset.name") == "PSNR"
    page.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    assert page.evaluate("document.activeElement.dataset.term") == "PSNR"
    _every_link_to_the_glossary_leads_somewhere(page)
    switch(page, "demo")
    _nothing_moves_for_those_who_ask_for_less_motion(page)


def _every_link_to_the_glossary_leads_somewhere(page: Any) -> None:
    sought = set(
        page.evaluate("[...document.querySelectorAll('[data-term]')].map(e => e.dataset.term)")
    )
    there = set(
        page.evaluate("[...document.querySelectorAll('dt[data-name]')].map(e => e.dataset.name)")
    )
    assert len(sought) > 15 and sought - {""} <= there


def _nothing_moves_for_those_who_ask_for_less_motion(page: Any) -> None:
    page.locator("#another").click()
    moving = page.evaluate(
        """document.getAnimations().filter(a => a.effect?.target?.closest?.('[class*="cb-"]'))
             .map(a => a.effect.target.className)"""
    )
    assert moving == []
