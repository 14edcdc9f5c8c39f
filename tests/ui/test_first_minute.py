"""The first minute of a visitor, at both sizes and in both themes, through every view.

Open, paint, see the numbers, run, compare, copy the link, open it elsewhere: the same state. One
page is light and the one that opens its link dark, and each walks through all views.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.ui.test_access import SIZES, VIEWS, switch, too_wide
from tests.ui.test_app import READY_MS, RUN_MS, app, notice, rows
from tests.ui.test_methods import other_than
from viz.pages.lessons import shipped

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser
__all__ = ["app"]  # a fixture

# What a view shows, and what it does not.
SHOWN = {
    "demo": ("#demo-box", "#grid", "#compare", "#preset"),
    "lessons": ("#lesson-box", "#grid", "#compare"),
    "studio": ("#method", "#grid", "#compare", "#numbers", "#seed"),
}
HIDDEN = {
    "demo": ("#method", "#lesson-box", "#numbers"),
    "lessons": ("#method", "#demo-box"),
    "studio": ("#demo-box", "#lesson-box"),
}


def looks(page: Any, view: str, theme: str) -> None:
    """A view shows its own parts in its theme, and nothing sticks out."""
    for selector in SHOWN[view]:
        expect(page.locator(selector)).to_be_visible()
    for selector in HIDDEN[view]:
        expect(page.locator(selector)).not_to_be_visible()
    assert too_wide(page) <= 0, view
    red, green, blue = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)"
    )[:3]
    assert (red + green + blue > 600) == (theme == "light"), (view, theme)


def shows(page: Any, rows: list[str]) -> None:
    """Wait for a page, which may still be opening, to show these rows."""
    grid = "document.querySelector('#grid .cb-grid')?.cbGrid?.rows().join()"
    page.wait_for_function(f"rows => {grid} === rows.join()", arg=rows)


def minute(page: Any, theme: str, step: int) -> list[str]:
    """From a stroke on a step to the link, and through all views; what is then painted."""
    # A stroke moves the predicted numbers; releasing it runs.
    before, work = rows(page), page.get_by_test_id("readout-work").inner_text()
    button = "right" if before[0][step] == "1" else "left"
    page.locator(f'#grid [data-row="0"][data-step="{step}"]').click(button=button)
    expect(page.get_by_test_id("readout-work")).not_to_have_text(work)
    mine = other_than(page, before)
    expect(page.get_by_test_id("notice")).to_contain_text("Done", timeout=RUN_MS)
    answers = page.get_by_test_id("answers")
    expect(answers).to_contain_text("measured on")
    looks(page, "demo", theme)
    page.locator("#compare").get_by_text("Difference").click()
    page.wait_for_function(
        "document.querySelector('#compare .cb-compare').cbCompare.state().mode === 'difference'"
    )
    # The same state in every view, with nothing lost.
    switch(page, "lessons")
    looks(page, "lessons", theme)
    switch(page, "studio")
    looks(page, "studio", theme)
    expect(page.get_by_test_id("numbers")).to_have_attribute("data-source", "live")
    assert rows(page) == mine
    switch(page, "demo")
    hash_before = page.evaluate("location.hash")
    page.locator("#share").click()
    page.wait_for_function(
        "was => location.hash.length > 20 && location.hash !== was", arg=hash_before
    )
    return mine


@pytest.mark.parametrize("size", SIZES)
def test_the_first_minute(
    app: Callable[..., Any], open_page: Callable[..., Any], size: str
) -> None:
    width, height = SIZES[size]
    sized = {"viewport": {"width": width, "height": height}}
    page = app(view="", ready=False, color_scheme="light", **sized)  # no word of a view
    answers = page.get_by_test_id("answers")
    expect(answers).to_contain_text("Is it faster?")
    expect(answers).to_contain_text("recorded on")
    assert {c for row in rows(page) for c in row} == {"0", "1"}
    looks(page, "demo", "light")
    notice(page, "ready", READY_MS)
    mine = minute(page, "light", 10)
    address = page.url
    page.locator("#preset").get_by_text("Bold").click()  # paints and runs by itself
    expect(answers).to_contain_text("57%", timeout=RUN_MS)  # 1 - 0.434 of the work

    other = open_page(address, color_scheme="dark", **sized)
    other.wait_for_selector('.cb-grid [role="gridcell"]')
    shows(other, mine)
    notice(other, "ready", READY_MS)
    theirs = minute(other, "dark", 12)  # taking the first stroke back would leave nothing to run
    assert theirs != mine
    # And back: a link over the address of an open page opens it anew.
    other.evaluate("to => { location.href = to }", address)
    shows(other, mine)
    # A lesson opens over it, in this theme too.
    switch(other, "lessons")
    lesson = shipped()[2]
    other.locator("#lessons").get_by_text(lesson.title).click()
    expect(other.locator(f'#lesson [data-lesson="{lesson.name}"]')).to_be_visible()
    looks(other, "lessons", "dark")
    assert set(VIEWS) == set(SHOWN)
