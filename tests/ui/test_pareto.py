"""The Pareto box in a real browser: point, pin, restore, undo; Improve paints and is taken back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.ui.test_access import switch
from tests.ui.test_app import RUN_MS, app, rows, run, set_steps, without_auto_run

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser
__all__ = ["app"]  # a fixture

GRID = "document.querySelector('#grid .cb-grid').cbGrid"
# Where a point of the plot is on the screen.
PLACE = """of => {
  const plot = document.querySelector('#pareto .js-plotly-plot');
  const box = plot.getBoundingClientRect();
  for (const trace of plot.data) {
    const i = (trace.customdata || []).findIndex(c => c[0] === of);
    if (i < 0) continue;
    const {xaxis, yaxis} = plot._fullLayout;
    return [box.left + xaxis._offset + xaxis.d2p(trace.x[i]),
            box.top + yaxis._offset + yaxis.d2p(trace.y[i])];
  }
}"""


def button(page: Any, do: str, of: str) -> Any:
    return page.locator(f'#pareto-box button[data-do="{do}"][data-of="{of}"]')


def point_at(page: Any, of: str) -> Any:
    """Move onto a point until its card is there: the plot may be drawn anew under the pointer."""
    card = page.locator(".cb-pareto-card")
    end = time.monotonic() + 45
    while not card.is_visible():
        assert time.monotonic() < end, "no card came"
        page.mouse.move(5, 5)
        page.mouse.move(*page.evaluate(PLACE, of), steps=4)
        page.wait_for_timeout(100)
    return card


def painted(page: Any, expected: list[str]) -> None:
    page.wait_for_function(f"p => {GRID}.rows().join() === p.join()", arg=expected)


def undo(page: Any) -> None:
    page.locator('#grid [data-row="0"][data-step="3"]').focus()
    page.keyboard.press("Control+z")


def test_runs_are_pointed_at_pinned_restored_undone_and_improved(app: Callable[..., Any]) -> None:
    page = app(view="demo", figures=True)
    _a_figure_drawn_unseen_has_the_room_that_it_shows_in(page)
    without_auto_run(page)
    _runs_are_pointed_at_pinned_restored_and_undone(page)
    _improve_paints_what_is_better_until_stopped(page)
    page.locator("#rivals").click()
    expect(page.get_by_test_id("rivals")).to_contain_text("TaylorSeer")
    page.locator("#stop").click()


def _a_figure_drawn_unseen_has_the_room_that_it_shows_in(page: Any) -> None:
    page.locator("#pareto .main-svg").first.wait_for(state="attached")
    switch(page, "studio")
    for name in ("pareto", "curves"):
        figure = f"document.querySelector('#{name} .main-svg')"
        box = f"document.getElementById('{name}')"
        page.wait_for_function(f"Math.abs({figure}?.clientWidth - {box}.clientWidth) < 3")


def _runs_are_pointed_at_pinned_restored_and_undone(page: Any) -> None:
    first = rows(page)
    # The predicted front comes once the model is there; by keyboard, as everything in the table.
    page.locator("#pareto-table summary").focus()
    page.keyboard.press("Enter")
    button(page, "restore", "f10").press("Enter")  # focused first; the table may be drawn anew
    page.wait_for_function(f"p => {GRID}.rows().join() !== p.join()", arg=first)
    ahead = rows(page)
    expect(button(page, "restore", "f10")).to_be_focused()
    button(page, "A", "r1").click()
    button(page, "B", "f10").click()
    words = page.get_by_test_id("pins-words")
    expect(words).to_contain_text("dB")
    differ = sum(a != b for a, b in zip("".join(first), "".join(ahead), strict=True))
    expect(words).to_contain_text(f"{differ} cells")
    expect(page.locator(".cb-difference rect:not(.cb-same)")).to_have_count(differ)

    run(page)
    expect(page.locator('#pareto-table tr[data-point="r2"]')).to_be_visible(timeout=RUN_MS)
    page.wait_for_function(f"({PLACE})('r2')")
    page.locator("#pareto").scroll_into_view_if_needed()
    page.evaluate("document.querySelector('#pareto').scrollIntoView({block: 'center'})")
    page.wait_for_function("document.querySelector('#pareto .js-plotly-plot')?._ev")
    card = point_at(page, "r1")
    expect(card.locator("img")).to_have_count(2)
    page.mouse.down()
    page.mouse.up()
    painted(page, first)
    assert "recorded on" in page.get_by_test_id("source").inner_text()
    assert page.locator("#numbers .cb-stale").count() == 0
    undo(page)
    painted(page, ahead)
    expect(page.get_by_test_id("source")).to_contain_text("measured on")
    # Other axes: the same points in the same colours.
    page.locator("#pareto-cost").get_by_text("MACs").click()
    page.locator("#pareto-quality").get_by_text("Latent error").click()
    title = "document.querySelector('#pareto .js-plotly-plot')?.layout.yaxis.title.text"
    page.wait_for_function(f"{title}.includes('error')")
    assert page.evaluate(f"({PLACE})('r2')")
    undo(page)
    painted(page, first)  # which leaves more to improve than a schedule of the budget


def _improve_paints_what_is_better_until_stopped(page: Any) -> None:
    set_steps(page, 8)  # a search takes as long as its runs
    first = rows(page)
    page.locator("#improve-box > button").click()
    page.locator("#improve-pictures input").click()
    page.get_by_role("option", name="8", exact=True).click()
    page.locator("#improve").click()
    page.wait_for_function(f"p => {GRID}.rows().join() !== p.join()", arg=first, timeout=RUN_MS)
    page.locator("#stop-improving").click()
    expect(page.locator('[data-testid="improve"][data-done="true"]')).to_be_visible()
    assert sum(r.count("0") for r in rows(page)) <= sum(r.count("0") for r in first) + 24
    expect(page.locator('#pareto-table tr[data-series="better"]').first).to_be_attached()
    undo(page)
    painted(page, first)
