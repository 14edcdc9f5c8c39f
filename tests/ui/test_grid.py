"""Painting in a real Chromium: strokes, keys, headings, and that nothing of it is ever lost."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.ui.painter import EVERY_3RD, FULL, Painter, count

pytestmark = pytest.mark.browser


def test_a_fast_drag_leaves_no_holes_and_python_gets_exactly_the_screen(painter: Painter) -> None:
    painter.drag((2, 1), (2, 19), release=False)
    painter.page.mouse.move(*painter.at(6, 1), steps=2)
    painter.page.mouse.move(*painter.at(6, 19), steps=2)
    painter.page.mouse.move(*painter.at(23, 19), steps=2)
    painter.page.mouse.up()
    rows = painter.rows()
    assert rows[2] == rows[6] == "0" + "1" * 19
    assert [row[19] for row in rows[6:]] == ["1"] * 18  # 19 + 19 + 17 cells, and the diagonal
    assert count(rows, "1") >= 60
    assert painter.settle() == rows


def test_readouts_move_while_the_pointer_is_down(painter: Painter) -> None:
    before = [painter.readout(name) for name in ("work", "speedup", "drift", "cells")]
    assert "100.0 %" in before[0] and "1.00×" in before[1] and "0 " in before[3]
    painter.drag((0, 1), (0, 19), release=False)
    during = [painter.readout(name) for name in ("work", "speedup", "drift", "cells")]
    assert all(a != b for a, b in zip(before, during, strict=True))
    assert "19" in during[3] and "of 480" in during[3] and "(proxy)" in during[2]
    assert painter.js("g.state().sent") == 0  # nothing is sent before the release
    painter.press("Escape")
    painter.page.mouse.up()
    assert [painter.readout(name) for name in ("work", "speedup", "drift", "cells")] == before
    assert painter.rows() == FULL and painter.js("g.state().sent") == 0


def test_readout_tooltips_fill_the_formula_in(painter: Painter) -> None:
    painter.page.hover("[data-testid=readout-work]")
    tip = painter.page.inner_text(".cb-tip")
    assert "24.0 M + 5.04 G" in tip and "100.0 %" in tip
    painter.page.hover("[data-testid=readout-drift]")
    tip = painter.page.inner_text(".cb-tip")
    assert "proxy" in tip and "K = 4" in tip and "Invented for this demo" in tip


def test_undo_and_redo_by_keys_reach_strokes_and_presets(painter: Painter) -> None:
    painter.drag((0, 1), (0, 5))
    painted = painter.settle()
    painter.page.click("#preset")
    painter.page.wait_for_function("document.querySelector('#saw textarea').value.includes('0110')")
    assert painter.settle() == EVERY_3RD
    assert "every 3rd step" in painter.page.locator(".cb-pair button").first.get_attribute("title")
    for keys, expected in (
        ("Control+z", painted),  # the focus is still on the preset button
        ("Control+z", FULL),
        ("Control+Shift+z", painted),
        ("Control+y", EVERY_3RD),
    ):
        painter.press(keys)
        painter.page.wait_for_function(
            "rows => document.querySelector('#grid .cb-grid').cbGrid.rows().join() === rows",
            arg=",".join(expected),
        )
        assert painter.settle() == expected
    painter.page.click(".cb-pair button:first-child")
    painter.page.wait_for_function(
        "rows => document.querySelector('#grid .cb-grid').cbGrid.rows().join() === rows",
        arg=",".join(painted),
    )
    assert painter.settle() == painted


def test_undo_leaves_typing_alone(painter: Painter) -> None:
    painter.drag((0, 1), (0, 5))
    painted = painter.settle()
    painter.page.fill("#slow input", "0")
    painter.page.focus("#slow input")
    before = painter.js("g.state().rev")
    painter.press("Control+z")
    assert painter.js("g.state().rev") == before  # no operation: an undo is one at once
    assert painter.rows() == painted


def test_boxes_erasing_and_the_right_button(painter: Painter) -> None:
    painter.page.click("[data-id=box]")
    painter.drag((10, 12), (4, 5))
    assert [row[5:13] for row in painter.rows()[4:11]] == ["1" * 8] * 7
    painter.page.click("[data-id=paint]")
    painter.page.keyboard.down("Shift")
    painter.drag((4, 5), (5, 6))  # starts on reuse: the box erases
    painter.page.keyboard.up("Shift")
    assert [row[5:7] for row in painter.rows()[4:6]] == ["00", "00"]
    painter.drag((10, 5), (10, 12), button="right")
    assert painter.rows()[10] == FULL[0]
    painter.drag((7, 5), (7, 12))  # a free stroke that starts on its own brush erases, too
    assert painter.rows()[7] == FULL[0]
    assert painter.settle() == painter.rows()


def test_headings_fill_rows_and_steps_and_toggle(painter: Painter) -> None:
    painter.page.click(".cb-label-cell[data-row='3']")
    assert painter.rows()[3] == "0" + "1" * 19
    painter.page.click(".cb-label-cell[data-row='3']")
    assert painter.rows()[3] == FULL[0]
    painter.drag((-1, 7), (-1, 9))
    assert all(row[6:11] == "01110" for row in painter.rows())
    painter.page.click(".cb-grains [data-id=block]")
    painter.page.click(".cb-label-cell[data-row='8']")
    assert painter.rows()[8] == painter.rows()[9] == "0" + "1" * 19
    assert painter.settle() == painter.rows()


def test_an_answer_that_was_overtaken_does_not_undo_strokes(painter: Painter) -> None:
    painter.drag((2, 3), (2, 5))
    painter.settle()
    late = painter.page.locator("#late_said textarea")
    painter.page.click("#late")  # holds what the server knows now, until it is let go
    expect(late).to_have_value("made")
    painter.drag((6, 3), (6, 9))
    painted = painter.settle()
    assert count(painted, "1") == 10
    painter.page.click("#answer")
    expect(late).to_have_value("told")
    assert painter.rows() == painted == painter.settle()


def test_step_zero_is_refused_with_words(painter: Painter) -> None:
    painter.drag((4, 0), (4, 0))
    assert painter.rows() == FULL
    assert "Step 0 always computes" in painter.message()
    assert painter.page.get_attribute(".cb-message", "aria-live") == "polite"
    painter.drag((4, 0), (4, 3))
    assert painter.rows()[4] == "0111" + "0" * 16
    assert "Step 0 stays computed" in painter.message()


def test_keyboard_alone(painter: Painter) -> None:
    page = painter.page
    assert page.evaluate("document.querySelectorAll('.cb-table [tabindex=\"0\"]').length") == 1
    page.focus(".cb-table [tabindex='0']")  # row 0, step 1
    with painter.in_a_row():
        painter.press("ArrowRight", "ArrowDown", "Space")
        assert painter.rows()[1] == "001" + "0" * 17
        painter.press("Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowDown")
        assert painter.rows()[1][2:5] == "111" and painter.rows()[2][4] == "1"
    assert painter.settle() == painter.rows()
    assert painter.js("g.state().sent") == 1  # gathered into one operation
    painter.press("c", "Space", "1", "End", "Space")
    assert painter.rows()[2][4] == "0" and painter.rows()[2][19] == "1"
    painter.press("Home", "ArrowLeft", "Space")  # the heading of the row
    assert painter.rows()[2] == "0" + "1" * 19
    assert page.evaluate("document.activeElement.getAttribute('role')") == "rowheader"
    painter.press("Control+Home", "Space")
    assert "Step 0 always computes" in painter.message()
    painter.press("Control+z")
    assert painter.settle() == painter.rows()
    assert page.evaluate("document.querySelectorAll('.cb-table [tabindex=\"0\"]').length") == 1


def test_cells_have_names_with_age_and_timestep(painter: Painter) -> None:
    painter.drag((14, 11), (14, 12))
    painter.settle()
    cell = painter.page.locator(".cb-cell[data-row='14'][data-step='12']")  # labels come after it
    expect(cell).to_have_attribute("aria-label", "block 7, attention, step 12, t 400: reuse, age 2")
    assert "Reuse: 2 cells" in painter.message()
    roles = painter.page.evaluate(
        "[...new Set([...document.querySelectorAll('.cb-table [role]')].map(n => n.role))].sort()"
    )
    assert roles == ["columnheader", "gridcell", "row", "rowgroup", "rowheader"]


def test_a_reset_to_the_same_rows_still_arrives(painter: Painter) -> None:
    painter.hold()
    painter.drag((0, 1), (0, 19))
    assert count(painter.rows(), "1") == 19
    painter.page.click("#reset")  # answers at once with the rows it always had
    painter.page.wait_for_function("document.querySelector('#saw textarea').value !== ''")
    assert count(painter.rows(), "1") == 19  # the stroke is still pending: kept on top
    painter.answer()
    painter.settle()
    painter.page.click("#reset")
    painter.page.wait_for_function(
        "document.querySelector('#grid .cb-grid').cbGrid.rows().join('').indexOf('1') < 0"
    )
    assert painter.settle() == FULL


def test_nothing_is_lost_when_events_are_dropped(painter: Painter) -> None:
    painter.hold()
    for row in range(10):
        painter.drag((row, 1), (row, 19), samples=2)
    rows = painter.rows()
    painter.answer()
    assert count(rows, "1") == 190
    assert painter.settle() == rows
    assert float(painter.page.input_value("#calls input")) < 10  # so events were dropped
    assert painter.js("g.state().retried") == 0  # and no timer had to help


def test_a_preset_in_mid_stroke_keeps_the_pen_in_hand(painter: Painter) -> None:
    painter.page.click("[data-id='0']")  # the compute brush
    painter.page.evaluate("setTimeout(() => document.querySelector('#preset').click(), 300)")
    painter.drag((0, 1), (0, 6), release=False)
    painter.page.wait_for_function(
        "document.querySelector('#grid .cb-grid').cbGrid.rows()[1].startsWith('0110')"
    )
    painter.page.mouse.move(*painter.at(0, 12), steps=2)
    painter.page.mouse.up()
    expected = ["0" * 13 + EVERY_3RD[0][13:], *EVERY_3RD[1:]]
    assert painter.rows() == expected
    assert painter.settle() == expected
