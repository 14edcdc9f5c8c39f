"""Steps of the step row are selected, copied, moved and reshaped like cells, in a real Chromium."""

from __future__ import annotations

import pytest

from tests.ui.painter import FULL, WHOLE, Painter

pytestmark = pytest.mark.browser


@pytest.fixture
def stepped(painter: Painter) -> Painter:
    """A page with two brushes for steps, of which steps 3 to 5 have the first and 6 the second."""
    painter.add_brush("residual", "steps", first=1, last=1)
    painter.add_brush("cond_only", "steps")
    painter.drag((WHOLE, 6), (WHOLE, 6))
    painter.choose(1, "steps")
    painter.drag((WHOLE, 3), (WHOLE, 5))
    assert steps(painter) == "000" + "1112" + "0" * 13
    painter.page.click(".cb-tools [data-id=select]")
    return painter


def steps(painter: Painter) -> str:
    """The step row that Python holds, once it has seen everything."""
    assert painter.settle() == FULL
    return painter.steps()


def chosen(painter: Painter) -> list[int]:
    assert painter.js("g.state().selectedIn") == "steps"
    marked = painter.page.eval_on_selector_all(
        ".cb-whole[data-chosen=true]", "all => all.map(n => +n.dataset.step)"
    )
    found: list[int] = painter.js("g.state().selected")
    assert marked == found
    return found


def test_a_drag_selects_steps_and_every_edit_of_them_is_one_step_of_undo(stepped: Painter) -> None:
    stepped.drag((WHOLE, 3), (WHOLE, 8))
    assert "6 steps of the step row selected" in stepped.message()
    assert "6 steps selected" in stepped.page.inner_text(".cb-selected")
    stepped.page.wait_for_selector(".cb-whole[data-chosen=true]")
    assert chosen(stepped) == [3, 4, 5, 6, 7, 8]
    for key, expected in (
        ("Shift+M", "002111"),  # steps 3 to 8 are 111200
        ("Control+Shift+ArrowLeft", "021110"),
        ("Shift+I", "100001"),  # what ran its blocks gets the brush in hand
        ("Delete", "000000"),
        ("Space", "111111"),
    ):
        stepped.press(key)
        assert steps(stepped) == f"000{expected}{'0' * 11}", key
    for _ in range(5):
        stepped.press("Control+z")
    stepped.page.wait_for_function(
        "document.querySelector('#grid .cb-grid').cbGrid.steps() === '00011120000000000000'"
    )
    assert steps(stepped) == "000" + "1112" + "0" * 13


def test_steps_are_copied_moved_and_pasted_by_keys_and_by_dragging(stepped: Painter) -> None:
    stepped.page.focus(".cb-table [tabindex='0']")  # step 3, where the last stroke began
    stepped.press("ArrowRight", "ArrowRight", "Shift+ArrowRight")
    stepped.page.wait_for_selector(".cb-whole[data-chosen=true]")
    assert chosen(stepped) == [5, 6]
    stepped.press("Control+c")
    assert "2 steps copied" in stepped.message()
    stepped.press("Escape", *["ArrowRight"] * 4, "Control+v")
    assert steps(stepped) == "000" + "1112" + "000" + "12" + "0" * 8
    stepped.press("Control+ArrowRight")  # what was pasted is selected, and moves on
    assert steps(stepped) == "000" + "1112" + "0000" + "12" + "0" * 7
    stepped.press("Control+ArrowDown")
    assert "no room" in stepped.message()
    stepped.drag((WHOLE, 12), (WHOLE, 19))  # by 7, the last step there is
    assert steps(stepped) == "000" + "1112" + "0" * 11 + "12"
    stepped.press("Control+a")
    assert len(stepped.js("g.state().selected")) == 20
    stepped.press("Shift+T")  # the steps as columns of cells
    assert stepped.js("g.state().selectedIn") == "cells"
    assert len(stepped.js("g.state().selected")) == 480


def test_a_locked_cell_holds_the_step_that_would_leave_it_out(stepped: Painter) -> None:
    page = stepped.page
    page.click(".cb-tools [data-id=lock]")
    stepped.drag((4, 8), (4, 8))  # block 2, which the residual leaves out
    page.click(".cb-tools [data-id=select]")
    stepped.drag((WHOLE, 7), (WHOLE, 9))
    stepped.press("Space")
    assert "1 locked step kept" in stepped.message()
    assert steps(stepped) == "000" + "1112" + "1" + "0" + "1" + "0" * 10
    stepped.press("Shift+L")
    assert "Cells are locked, not whole steps" in stepped.message()
    assert stepped.js("g.state().locks") == [4 * 20 + 8]
