"""Settings in the history of a real page: undo brings a control back, and its result at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.ui.test_app import app, choose, rows, without_auto_run
from tests.ui.test_methods import set_number, set_steps

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser
__all__ = ["app"]  # a fixture


def test_undo_brings_settings_back_one_by_one_and_the_result_without_a_run(
    app: Callable[..., Any],
) -> None:
    page = app()
    without_auto_run(page)
    before = rows(page)
    shown = page.get_by_test_id("cached-psnr").inner_text()
    undo = page.locator(".cb-pair button").first

    def undoes(what: str) -> None:
        expect(undo).to_have_attribute("aria-label", f"Undo: {what}")

    # One after the other: two requests at once may arrive in either order.
    set_number(page, "seed", "31")
    page.wait_for_selector("#numbers .cb-stale")
    undoes("seed 31")
    choose(page, "label", "cube")
    undoes("class cube")
    choose(page, "sampler", "Euler")
    undoes("sampler euler")
    set_steps(page, 9)
    page.locator("#grid .cb-table [tabindex='0']").focus()
    seed, label, sampler, steps = (
        page.locator(f"#{one} input").first for one in ("seed", "label", "sampler", "steps")
    )
    for what, control, value in (
        ("9 steps", steps, "20"),
        ("sampler euler", sampler, "DDIM (papers' spacing)"),
        ("class cube", label, "mushroom"),
        ("seed 31", seed, "7"),
    ):
        undoes(what)
        page.keyboard.press("Control+z")
        expect(control).to_have_value(value)
    # All as it was, and so is the result, which nothing had to be run for.
    page.wait_for_selector("#numbers table:not(.cb-stale table)")
    assert page.get_by_test_id("cached-psnr").inner_text() == shown and rows(page) == before
    expect(page.get_by_test_id("grid-message")).to_contain_text("Undone: seed 31")
    expect(undo).to_be_disabled()
    page.keyboard.press("Control+y")
    expect(seed).to_have_value("31")
    page.wait_for_selector("#numbers .cb-stale")
