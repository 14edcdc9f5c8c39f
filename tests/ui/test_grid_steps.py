"""The step row in a real Chromium: painted by mouse, keys and touch; what it covers; live marks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.ui.painter import FULL, HEAD, WHOLE, Painter

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser


@pytest.fixture
def stepped(painter: Painter) -> Painter:
    """A page with a residual that leaves blocks 1 to 10 out, and the conditional half."""
    painter.add_brush("residual", "steps", first=1, last=1)
    painter.add_brush("cond_only", "steps")
    painter.choose(1, "steps")
    return painter


def test_without_actions_the_row_is_slim_and_offers_one(painter: Painter) -> None:
    row = painter.page.get_by_test_id("step-row")
    assert row.bounding_box()["height"] <= 30 and row.locator(".cb-whole").count() == 0
    assert "Action for whole steps" in row.inner_text()
    painter.add_brush("hidden", "steps")
    assert painter.legend("steps") == ["Run blocks", "Final hidden state"]
    assert row.locator(".cb-whole").count() == 20
    head = painter.js("g.cell(-1, 7).getBoundingClientRect().x")
    cell = painter.js("g.cell(5, 7).getBoundingClientRect().x")
    assert painter.js("g.cell(-2, 7).getBoundingClientRect().x") == cell  # on the same axis
    assert abs(head - cell) < 1
    painter.press("Control+z")
    expect(row.locator(".cb-slim-add")).to_be_visible()


def test_the_mouse_paints_erases_and_is_refused_at_step_zero(stepped: Painter) -> None:
    stepped.drag((WHOLE, 3), (WHOLE, 6))
    assert stepped.steps() == "0001111" + "0" * 13
    assert "Block residual (1, 1): 4 steps." in stepped.message()
    stepped.drag((WHOLE, 5), (WHOLE, 6))  # starts on its own brush: erases
    stepped.choose(2, "steps")
    stepped.drag((WHOLE, 4), (WHOLE, 4))
    stepped.drag((WHOLE, 3), (WHOLE, 3), button="right")
    assert stepped.steps() == "00002" + "0" * 15
    stepped.drag((WHOLE, 0), (WHOLE, 0))
    assert "Step 0 always computes" in stepped.message()
    stepped.drag((WHOLE, 2), (WHOLE, 0))
    assert stepped.steps() == "02202" + "0" * 15 and "Step 0 stays computed" in stepped.message()
    stepped.page.click(".cb-whole-label")
    assert stepped.steps() == "0" + "2" * 19
    assert stepped.settle() == FULL  # what Python holds, step row included, is what is on screen
    for _ in range(2):
        stepped.press("Control+z")
    stepped.settle()
    assert stepped.steps() == "00002" + "0" * 15
    stepped.press("Control+Shift+z")
    stepped.settle()
    assert stepped.steps() == "02202" + "0" * 15


def test_a_brush_that_may_stand_at_step_zero_is_not_refused_there(painter: Painter) -> None:
    painter.add_brush("scale", "steps")
    painter.drag((WHOLE, 0), (WHOLE, 1))
    assert painter.steps() == "11" + "0" * 18
    assert painter.settle() == FULL and painter.steps() == "11" + "0" * 18


def test_covered_cells_look_covered_and_cost_nothing(stepped: Painter) -> None:
    page = stepped.page
    before = stepped.js("g.predict()")
    stepped.drag((WHOLE, 5), (WHOLE, 5))
    expect(page.locator(".cb-cell.cb-covered")).to_have_count(20)
    covered = page.eval_on_selector_all(
        ".cb-cell.cb-covered", "all => all.map(n => [+n.dataset.row, +n.dataset.step])"
    )
    assert covered == [[row, 5] for row in range(2, 22)]  # blocks 1 to 10 of 12
    cell = page.locator(".cb-cell[data-row='2'][data-step='5']")
    ink = page.locator(".cb-cell[data-row='1'][data-step='5']")
    look = "node => getComputedStyle(node).background"
    assert cell.evaluate(look) != ink.evaluate(look)
    assert "not run, the step does block residual (1, 1)" in cell.get_attribute("aria-label")
    after = stepped.js("g.predict()")
    assert after["covered"] == 20 and after["standing"] == 0
    # Two computed blocks of 12 are left of the step: 200 of 240 cells' work in 20 steps is gone.
    assert before["macs"] - after["macs"] == 10 * (9_000_000 + 12_000_000)
    assert "20" in stepped.readout("cells")
    assert "not run: an action of the whole step" in page.inner_text("[data-testid=grid-key]")
    page.mouse.move(*stepped.at(2, 5))
    assert "Not run: the whole step does block residual (1, 1)." in page.inner_text(".cb-tip")
    stepped.choose(1)
    stepped.drag((1, 5), (3, 5))  # painting beneath is allowed and said
    assert "2 cells of them will not run" in stepped.message()
    page.mouse.move(*stepped.at(WHOLE, 5))
    assert "Blocks 1 to 10 do not run." in page.inner_text(".cb-tip")


def test_the_keyboard_alone_paints_steps(stepped: Painter) -> None:
    page = stepped.page
    page.focus(".cb-table [tabindex='0']")
    stepped.press("Home", "ArrowRight", "ArrowUp")
    active = "document.activeElement.dataset.row"
    assert page.evaluate(active) == "whole"
    stepped.press("1", "Space", "Shift+ArrowRight", "Shift+ArrowRight", "ArrowRight", "g", "Space")
    assert stepped.js("[g.state().stepBrush, g.state().brush]") == [2, 1]
    assert stepped.steps() == "01112" + "0" * 15
    assert stepped.settle() == FULL
    stepped.press("Delete", "ArrowDown")
    assert page.evaluate(active) == "0"
    stepped.press("1")  # down here a digit means the cells again
    assert stepped.js("[g.state().stepBrush, g.state().brush]") == [2, 1]
    stepped.press("ArrowUp", "ArrowUp")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "columnheader"
    stepped.press("ArrowDown", "Home", "ArrowLeft")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "rowheader"
    assert page.evaluate("document.querySelectorAll('.cb-table [tabindex=\"0\"]').length") == 1
    assert stepped.settle() == FULL and stepped.steps() == "0111" + "0" * 16
    label = page.locator(".cb-whole[data-step='2']").get_attribute("aria-label")
    assert label == "whole step 2, t 899: block residual (1, 1)"


def test_fingers_paint_steps(serve: Callable[..., str], open_page: Callable[..., Any]) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    painter = Painter(open_page(serve("tests.ui.grid_demo"), **phone))
    page = painter.page
    painter.add_brush("residual", "steps")
    page.tap(".cb-tools [data-id=paint]")
    page.evaluate("document.querySelector('.cb-scroll').scrollIntoView()")
    page.evaluate("document.querySelector('.cb-scroll').scrollLeft = 0")
    page.wait_for_timeout(100)
    client = page.context.new_cdp_session(page)
    points = [painter.at(WHOLE, step) for step in (1, 2, 3, 4)]
    for n, (x, y) in enumerate(points):
        kind = "touchMove" if n else "touchStart"
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        page.wait_for_timeout(16)
    client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_timeout(100)
    assert painter.steps() == "01111" + "0" * 15
    assert painter.settle() == FULL


def test_a_run_marks_steps_covered_cells_and_lower_orders(stepped: Painter) -> None:
    page = stepped.page
    stepped.drag((WHOLE, 8), (WHOLE, 9))
    stepped.add_brush("taylor", order=2)
    stepped.drag((4, 2), (4, 2))
    stepped.drag((4, 12), (4, 12))
    stepped.settle()
    page.click("#run")
    page.wait_for_function("document.querySelectorAll('.cb-cell[data-ran]').length === 480")
    assert page.locator(".cb-whole[data-ran=done]").count() == 20
    assert page.locator(".cb-cell.cb-covered[data-ran=done]").count() == 40
    lowered = page.locator(".cb-cell[data-ran=lowered]")  # two outputs stored where three are asked
    assert lowered.evaluate_all("all => all.map(n => [+n.dataset.row, +n.dataset.step])") == [
        [4, 2]
    ]
    assert stepped.js("g.executed()")[4][2] == "B" and stepped.js("g.executed()")[4][12] == "2"
    assert stepped.js("g.executed()")[4][8] == "#" and stepped.js("g.executedSteps()")[8] == "1"
    assert "1 cell ran at a lower order (marked ↓)" in stepped.message()
    key = page.get_by_test_id("grid-key")
    expect(key).to_contain_text("ran at a lower order: too little history")
    done = page.locator(".cb-cell[data-ran=done].cb-look-forecast")
    look = "node => getComputedStyle(node).backgroundImage"
    assert lowered.evaluate(look) != done.evaluate(look)
    # Brushes move: the marks stay with what they were made for.
    stepped.choose(1)
    form = stepped.open_form(edit=True)
    form.get_by_role("button", name="Remove").click()
    form.wait_for(state="detached")
    assert stepped.settle()[4][2] == "1" and lowered.count() == 1
    assert page.locator(".cb-cell[data-ran=done]").count() == 479
    # Under another action the cells were not asked to do what they did.
    stepped.choose(2, "steps")
    stepped.drag((WHOLE, 9), (WHOLE, 9))
    assert page.locator(".cb-cell[data-step='9'][data-ran]").count() == 4  # blocks 0 and 11


def test_a_policy_shows_what_it_decides_and_bake_makes_paint_of_it(painter: Painter) -> None:
    page = painter.page
    painter.drag((3, 4), (3, 6))
    painted = painter.settle()
    page.click("#decide")
    decided = page.get_by_test_id("grid-decided")
    expect(decided).to_contain_text("TestCache is deciding")
    assert painter.js("g.state().view") == "ran"
    expect(decided).to_contain_text("TestCache decided: 12 of 20 steps not computed")
    assert painter.rows() == painted  # it shows what ran and has painted nothing
    assert painter.js("g.executedSteps()") == "00111010" + "11101011" + "1010"
    assert page.locator(".cb-cell.cb-covered").count() == 12 * 24
    assert page.locator(".cb-score:not([hidden])").count() == 18
    crossed = page.locator(".cb-score.cb-over:not([hidden])").evaluate_all(
        "all => all.map(n => +n.parentNode.dataset.step)"
    )
    assert crossed == [5, 7, 11, 13, 17, 19]
    assert "40.3 %" in painter.readout("work")  # of what is shown
    page.mouse.move(*painter.at(WHOLE, 3))
    assert "score 0.0259 < limit 0.05: reused" in page.inner_text(".cb-tip")
    page.mouse.move(*painter.at(WHOLE, 5))
    assert "> limit 0.05: computed" in page.inner_text(".cb-tip")
    words = "ran block residual (0, 0), score 0.0259 < limit 0.05: reused"
    expect(page.locator(".cb-whole[data-step='3']")).to_have_attribute(
        "aria-label", re.compile(re.escape(words) + "$")
    )
    page.click(".cb-views [data-id=plan]")
    assert page.locator(".cb-cell.cb-covered").count() == 0
    assert page.locator(".cb-cell.cb-look-reuse").count() == 3
    page.click("#bake")
    page.wait_for_function("document.querySelectorAll('.cb-cell.cb-covered').length === 288")
    painter.settle()
    assert painter.steps() == "00111010" + "11101011" + "1010"
    expect(decided).to_be_hidden()  # paint and run are the same now
    painter.press("Control+z")
    assert painter.settle() == painted


def test_painting_leaves_the_view_of_what_ran(painter: Painter) -> None:
    page = painter.page
    page.click("#decide")
    expect(page.get_by_test_id("grid-decided")).to_contain_text("decided")
    painter.drag((2, 3), (2, 5))
    assert painter.js("g.state().view") == "plan"
    assert painter.settle()[2] == "000111" + "0" * 14
    page.click("#run")  # a run of the schedule itself is marked on the plan
    page.wait_for_function("document.querySelectorAll('.cb-cell[data-ran=done]').length === 480")
    expect(page.get_by_test_id("grid-decided")).to_be_hidden()
    page.click(".cb-views [data-id=ran]")
    assert page.locator(".cb-cell.cb-look-reuse").count() == 3


def test_headings_and_rows_work_as_before_with_an_open_step_row(stepped: Painter) -> None:
    stepped.drag((HEAD, 7), (HEAD, 8))
    assert all(row == "0000000" + "11" + "0" * 11 for row in stepped.rows())
    assert stepped.steps() == "0" * 20
    stepped.page.click(".cb-zooms [data-id='150']")
    stepped.page.evaluate("document.querySelector('.cb-scroll').scrollTop = 200")
    stepped.drag((WHOLE, 3), (WHOLE, 4))  # it stays in sight
    assert stepped.steps() == "00011" + "0" * 15
    assert stepped.settle() == stepped.rows()
