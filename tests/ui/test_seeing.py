"""Views that show why, in a real browser: the dragged threshold, lags, regions, linked views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.ui.test_access import faults
from tests.ui.test_app import RUN_MS, app, readouts, rows, without_auto_run

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser
__all__ = ["app"]  # a fixture

GRID = "document.querySelector('#grid .cb-grid').cbGrid"


def test_thresholds_regions_and_lags_are_seen_where_they_are_changed(
    app: Callable[..., Any],
) -> None:
    page = app(figures=True)
    without_auto_run(page)
    _the_threshold_is_dragged_and_the_grid_follows(page)
    _a_region_is_asked_for_measured_and_repaired(page)
    _lags_of_the_similarity_and_linked_views(page)


def _the_threshold_is_dragged_and_the_grid_follows(page: Any) -> None:
    before, numbers = rows(page), readouts(page)
    handle = page.locator(".cb-alpha-handle")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 25, steps=4)
    moving = rows(page)
    assert moving != before and len(set(moving[::2])) == 1  # one pattern for all blocks
    page.wait_for_function(
        "w => document.querySelector('[data-testid=readout-work]').innerText !== w",
        arg=numbers["work"],
    )
    page.keyboard.press("Escape")  # nothing has happened
    page.wait_for_function(f"p => {GRID}.rows().join() === p.join()", arg=before)
    page.mouse.up()
    assert page.locator(".cb-about[data-method]").count() == 0

    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 25, steps=4)
    page.mouse.up()
    expect(page.locator('.cb-about[data-method="smoothcache"]')).to_be_visible()
    page.wait_for_function(f"{GRID}.state().pending === 0")
    assert rows(page) == moving  # Python paints what the page had shown
    # By keyboard; the focus survives the figure being drawn anew.
    expect(handle).to_be_focused()
    value = float(handle.get_attribute("aria-valuenow"))
    page.keyboard.press("PageUp")
    field = page.locator("#control-0 input[type=number]")
    expect(field).to_have_value(f"{value + 0.05:.3f}".rstrip("0"))
    assert "reuses" in handle.get_attribute("aria-valuetext")
    page.locator('#grid [data-row="0"][data-step="3"]').focus()
    page.keyboard.press("Control+z")
    page.wait_for_function(f"p => {GRID}.rows().join() === p.join()", arg=before)


def _lags_of_the_similarity_and_linked_views(page: Any) -> None:
    page.locator("#grid .cb-views [data-id=layer]").click()
    lag = page.get_by_test_id("lag")
    assert lag.get_attribute("max") == "8"
    node = 'document.querySelector(\'#grid [data-row="5"][data-step="12"]\')'
    colour = f"getComputedStyle({node}).backgroundColor"
    first = page.evaluate(colour)
    lag.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(colour) != first
    assert lag.get_attribute("aria-valuetext") == "3 steps before"
    expect(lag).to_be_focused()
    # What the tooltip says is what the tables hold: no output has a lag beyond its step.
    page.locator('#grid [data-row="5"][data-step="12"]').hover()
    expect(page.locator(".cb-tip")).to_contain_text("change at lag 3 = ‖F₁₂ − F₉‖₁ / ‖F₁₂‖₁ = 0.")
    # Row 5 is the MLP of block 2: its curve, the point on it and the filmstrip's step light up.
    expect(page.locator("#curves .cb-loud")).to_have_count(1)
    expect(page.locator("#curves .cb-plot-ring")).to_have_count(1)
    mark = "document.querySelector('#compare .cb-compare').cbCompare.state().mark"
    assert page.evaluate(mark) == 12
    page.locator("#seeing-box > button").click()
    page.wait_for_function("document.querySelector('#seen .js-plotly-plot')?._ev")
    told = "d => dispatchEvent(new CustomEvent('cachebrush:hover', {detail: d}))"
    page.evaluate(told, {"block": 2, "branch": "mlp", "step": 7, "source": "grid"})
    expect(page.locator("#seen .cb-plot-ring")).to_have_count(1)  # on the drift after step 7
    page.locator("#seen-kind").get_by_text("Attention", exact=True).click()
    page.locator("#seen-measure").click()
    expect(page.locator(".cb-focus")).to_contain_text("of the tokens", timeout=RUN_MS)
    page.wait_for_function("document.querySelector('#seen .js-plotly-plot')?.layout?.meta?.link")
    page.evaluate(told, {"block": 2, "branch": "attn", "step": 7, "source": "grid"})
    expect(page.locator("#seen .cb-plot-ring")).to_have_count(1)
    page.evaluate(told, {"block": 2, "branch": "mlp", "step": 7, "source": "grid"})
    expect(page.locator("#seen .cb-plot-ring")).to_have_count(0)  # no attention there


def _a_region_is_asked_for_measured_and_repaired(page: Any) -> None:
    before = rows(page)
    page.locator("#compare").get_by_text("Difference", exact=True).click()
    page.locator(".cbc-difference").scroll_into_view_if_needed()
    box = page.locator(".cbc-difference").bounding_box()
    x, y, side = box["x"], box["y"], box["width"]
    page.mouse.move(x + 0.3 * side, y + 0.3 * side)
    page.mouse.down()
    page.mouse.move(x + 0.6 * side, y + 0.55 * side, steps=4)
    page.mouse.up()
    state = "document.querySelector('#compare .cb-compare').cbCompare.state()"
    assert page.evaluate(f"{state}.region") == pytest.approx([0.3, 0.3, 0.6, 0.55], abs=0.01)
    done = page.locator('[data-testid="why"][data-done="true"]')
    expect(done).to_contain_text("30–60 % across", timeout=RUN_MS)
    scale = page.get_by_test_id("grid-scale")
    expect(scale).to_contain_text("% of the region's error")
    # A cell of the list lights itself on the grid.
    cell = page.locator(".cb-cell-link").first
    block, branch, step = map(int, cell.get_attribute("data-cell").split(","))
    cell.focus()
    page.wait_for_function(
        "s => document.querySelector(`#grid .cb-step.cb-at`)?.dataset.step === s", arg=str(step)
    )
    assert before[2 * block + branch][step] == "1"
    assert not faults(page)  # of the rectangle, the list of cells and the coloured grid
    page.locator("#why-paint").click()
    page.wait_for_function(f"p => {GRID}.rows().join() !== p.join()", arg=before)
    after = "".join(rows(page))
    changed = [k for k, (a, b) in enumerate(zip("".join(before), after, strict=True)) if a != b]
    assert len(changed) == 12 and all(after[k] == "0" for k in changed)
    assert rows(page)[2 * block + branch][step] == "0"
    # By keyboard: the rectangle moves, with Shift it grows, Escape takes it away.
    frame = page.locator(".cbc-region")
    frame.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    assert page.evaluate(f"{state}.region") == pytest.approx([0.28, 0.3, 0.58, 0.57], abs=0.01)
    assert "28 to 58 percent across" in frame.get_attribute("aria-label")
    page.keyboard.press("Escape")
    expect(frame).to_be_hidden()
    # What was found goes with its picture, and the colours that were there come back.
    page.locator("#run").click()
    expect(page.locator('#pareto-table tr[data-point="r2"]')).to_be_attached(timeout=RUN_MS)
    expect(page.get_by_test_id("why")).to_have_count(0)
    assert page.locator("#grid .cb-grid").get_attribute("data-view") == "plan"
