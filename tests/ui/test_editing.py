"""Editing in a real Chromium: selection, clipboard, locks, history, pins, palette, keys, touch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from caching import reshape
from caching.schedule import Schedule
from tests.ui.painter import BLOCKS, EVERY_3RD, FULL, STEPS, Painter, count
from tests.ui.test_app import app, rows, without_auto_run
from viz.grid import rows_from_actions

pytestmark = pytest.mark.browser
__all__ = ["app"]  # a fixture


def select(painter: Painter, start: tuple[int, int], end: tuple[int, int]) -> None:
    painter.page.click(".cb-tools [data-id=select]")
    painter.drag(start, end)


def preset(painter: Painter) -> None:
    painter.page.click("#preset")
    painter.page.wait_for_function("document.querySelector('#saw textarea').value.includes('0110')")
    assert painter.settle() == EVERY_3RD


def state(painter: Painter, name: str) -> Any:
    return painter.js("g.state()[a]", name)


def test_a_selection_is_edited_and_every_edit_is_one_step(painter: Painter) -> None:
    preset(painter)
    select(painter, (4, 3), (5, 8))
    assert "12 cells selected, 2 rows by 6 steps" in painter.message()
    assert len(state(painter, "selected")) == 12
    for key, expected in (
        ("Shift+I", "100100"),  # steps 3 to 8 of every 3rd are 011011
        ("Control+z", "011011"),
        ("Shift+M", "110110"),
        ("Control+Shift+ArrowRight", "011011"),
        ("Control+Shift+ArrowLeft", "110110"),
        ("Delete", "000000"),
        ("Space", "111111"),
    ):
        painter.press(key)
        painter.page.wait_for_function(
            "a => document.querySelector('#grid .cb-grid').cbGrid.rows()[4].slice(3, 9) === a",
            arg=expected,
        )
        rows = painter.settle()
        assert [row[3:9] for row in rows[4:6]] == [expected] * 2
        assert rows[:4] == EVERY_3RD[:4] and rows[6:] == EVERY_3RD[6:]
    titles = painter.page.get_attribute(".cb-pair button", "title")
    assert titles is not None and "fill, " in titles


def test_copy_paste_cut_and_move_by_keys_and_by_dragging(painter: Painter) -> None:
    painter.drag((2, 4), (2, 6))
    select(painter, (2, 4), (3, 6))
    painter.press("Control+c")
    assert "6 cells copied" in painter.message()
    painter.press("Escape", "PageDown", "Control+v")  # the focus: row 2 or 3, step 4 or 6
    row = painter.settle()
    assert count(row, "1") == 6
    select(painter, (2, 4), (3, 6))
    painter.press("Control+x")
    assert painter.settle()[2] == FULL[0]
    painter.press("Control+z")
    painter.page.wait_for_function(
        "document.querySelector('#grid .cb-grid').cbGrid.rows()[2].includes('111')"
    )
    painter.press("Control+ArrowRight", "Control+ArrowUp")
    rows = painter.settle()
    assert (rows[1], rows[2]) == ("0" * 5 + "111" + "0" * 12, FULL[0])
    painter.drag((1, 6), (9, 12))  # from inside of what is selected: it moves along
    rows = painter.settle()
    assert (rows[1], rows[9]) == (FULL[0], "0" * 11 + "111" + "0" * 6)
    select(painter, (9, 1), (9, 19))
    painter.press("Control+ArrowLeft")
    assert "no room" in painter.message() and painter.rows() == rows


def test_rows_steps_same_state_all_and_none_without_a_mouse(painter: Painter) -> None:
    preset(painter)
    painter.page.focus(".cb-table [tabindex='0']")
    painter.press("Shift+S", "Shift+ArrowRight", "Shift+ArrowDown")
    assert state(painter, "selected") == [1, 2, 21, 22]
    painter.press("Shift+Y")
    assert len(state(painter, "selected")) == 2 * STEPS
    painter.press("Escape", "Shift+T")
    assert len(state(painter, "selected")) == 2 * BLOCKS
    painter.press("Shift+Q")
    assert len(state(painter, "selected")) == count(EVERY_3RD, "1")
    painter.press("Control+a")
    assert len(state(painter, "selected")) == STEPS * 2 * BLOCKS
    painter.press("Escape")
    assert state(painter, "selected") == []
    painter.press("Shift+G", "Shift+G", "Shift+ArrowRight")  # by whole blocks now
    assert state(painter, "grain") in ("step", "block")
    assert (
        painter.page.evaluate("document.querySelectorAll('.cb-table [tabindex=\"0\"]').length") == 1
    )


def test_strokes_by_step_and_by_block(painter: Painter) -> None:
    painter.page.click(".cb-grains [data-id=step]")
    painter.drag((9, 3), (9, 5))
    assert painter.settle() == ["00011100000000000000"] * 24
    painter.page.click(".cb-grains [data-id=block]")
    painter.drag((3, 8), (3, 9))
    rows = painter.settle()
    assert rows[2] == rows[3] == "00011100110000000000" and rows[4][8] == "0"


def test_locked_cells_stay_whatever_comes(painter: Painter) -> None:
    page = painter.page
    page.click(".cb-tools [data-id=lock]")
    painter.drag((4, 2), (4, 7))
    assert state(painter, "locks") == list(range(82, 88))
    painter.settle()
    page.wait_for_selector(".cb-cell[data-row='4'][data-step='3'][aria-label*='locked']")
    page.click(".cb-tools [data-id=paint]")
    painter.drag((4, 1), (4, 9))
    assert painter.rows()[4] == "01000000110000000000" and "Locked" in painter.message()
    page.click("#preset")
    page.wait_for_function(
        "row => document.querySelector('#saw textarea').value.split('\\n')[5] === row",
        arg=EVERY_3RD[0],
    )
    rows = painter.settle()
    assert rows[4] == "01000000" + EVERY_3RD[0][8:] and rows[5] == EVERY_3RD[0]
    assert "4 locked cells kept" in painter.message()
    select(painter, (4, 1), (5, 19))
    painter.press("Delete")
    painter.press("Shift+I")
    assert painter.settle()[4] == "01000000" + "1" * 12
    painter.press("Shift+L")  # some are locked: then all
    assert len(state(painter, "locks")) == 38
    painter.press("Shift+L")
    assert state(painter, "locks") == []
    painter.settle()
    painter.press("Control+z", "Control+z")
    painter.page.wait_for_function(
        "document.querySelector('#grid .cb-grid').cbGrid.state().locks.length === 6"
    )


def test_the_history_goes_anywhere_and_looks_aside(painter: Painter) -> None:
    page = painter.page
    painter.drag((0, 1), (0, 5))
    painter.settle()
    preset(painter)
    page.focus(".cb-table [tabindex='0']")
    page.keyboard.down(".")
    assert count(painter.rows(), "1") == 5 and "Before" in painter.message()
    assert state(painter, "peek") == "previous"
    page.keyboard.up(".")
    assert painter.rows() == EVERY_3RD == painter.settle()
    painter.press("Shift+A", "Shift+H")
    box = page.get_by_test_id("history")
    names = box.locator("[role=option] .cb-entry-name").all_inner_texts()
    assert names == ["Every 3rd step", "Paint reuse on 5 cells", "Start"]
    painter.press("End", "Enter")  # the oldest
    page.wait_for_function(
        "document.querySelector('#grid .cb-grid').cbGrid.rows().join('').indexOf('1') < 0"
    )
    assert painter.settle() == FULL
    assert box.locator("[role=option]").count() == 3  # what was undone is still there
    box.locator(".cb-diffs [data-id=A]").click()
    assert f"{count(EVERY_3RD, '1')} differ" in box.inner_text()
    assert len(state(painter, "differ")) == count(EVERY_3RD, "1")
    page.wait_for_function("document.querySelector('.cb-over-diff').getAttribute('d') !== ''")
    box.get_by_role("button", name="Show A").click()
    assert painter.rows() == EVERY_3RD
    painter.press("Escape")  # ends the look aside, the next one closes the panel
    assert painter.rows() == FULL == painter.settle()
    assert box.get_by_role("button", name="Show A").evaluate("n => n === document.activeElement")
    painter.press("Escape")
    assert box.count() == 0
    assert page.evaluate("document.activeElement.classList.contains('cb-history-button')")


def test_the_palette_finds_asks_and_gives_the_focus_back(painter: Painter) -> None:
    page = painter.page
    select(painter, (0, 1), (9, 10))
    focus = "['row', 'step'].map(name => document.activeElement.dataset[name]).join()"
    before = page.evaluate(focus)
    painter.press("Control+k")
    page.keyboard.type("rndom")  # letters in order are enough
    first = page.locator("[data-testid=palette] [role=option]").first
    assert "Randomise" in first.inner_text() and first.get_attribute("aria-selected") == "true"
    painter.press("Enter")
    page.fill("[data-testid=palette] [name=share]", "101")
    painter.press("Enter")
    assert "0 to 100" in page.inner_text("[data-testid=palette] [role=alert]")
    page.fill("[data-testid=palette] [name=share]", "30")
    page.fill("[data-testid=palette] [name=seed]", "7")
    painter.press("Enter")
    rows = painter.settle()
    assert count(rows, "1") == 30  # of 100 cells
    flat = np.zeros((24, STEPS), bool)
    flat[0:10, 1:11] = True
    mask = flat.reshape(BLOCKS, 2, STEPS).transpose(2, 0, 1)
    same = reshape.randomise(Schedule.full(STEPS, BLOCKS), mask, 0.3, 7)
    assert rows == rows_from_actions(same.actions)
    assert page.evaluate(focus) == before
    painter.press("Control+k", "ArrowUp", "Escape")
    expect(page.locator("dialog")).to_have_count(0)
    assert page.evaluate(focus) == before


def test_keys_are_one_table_and_the_sheet_shows_it(painter: Painter) -> None:
    page = painter.page
    commands = painter.js("g.commands()")
    keys = [key for _, some in commands for key in some]
    assert len(keys) == len(set(keys)) >= 30
    page.locator("#slow input").focus()
    painter.press("?")  # somebody types
    expect(page.locator("dialog")).to_have_count(0)
    page.focus(".cb-table [tabindex='0']")
    painter.press("?")
    sheet = page.get_by_test_id("keys-sheet")
    text = sheet.inner_text()
    for words in (
        "Command palette",
        "Lock or unlock",
        "Mirror over blocks",
        "Ctrl + K",
        "Two fingers",
    ):
        assert words in text
    painter.press("?")
    expect(page.locator("dialog")).to_have_count(0)
    assert page.evaluate("document.activeElement.getAttribute('role')") == "gridcell"
    title = page.get_attribute("[data-command=mirror]", "title")
    assert title == "Mirror in time (Shift + M)"


def test_edits_are_those_of_python(painter: Painter) -> None:
    """The browser works an edit out by itself, and so does caching.reshape."""
    rng = np.random.default_rng(4)
    cells = (rng.random((STEPS, BLOCKS, 2)) < 0.5).astype(np.uint8)
    cells[0] = 0
    rows = rows_from_actions(cells)[:6]
    for row, line in enumerate(rows):  # painted by hand, so that the page holds the same grid
        for run in [k for k in range(1, STEPS) if line[k] == "1" and line[k - 1] != "1"]:
            end = run
            while end + 1 < STEPS and line[end + 1] == "1":
                end += 1
            painter.drag((row, run), (row, end), samples=2)
    held = painter.settle()
    now = Schedule(
        np.array([[int(c) for c in line] for line in held], np.uint8)
        .reshape(BLOCKS, 2, STEPS)
        .transpose(2, 0, 1)
    )
    flat = rng.random((24, STEPS)) < 0.4
    mask = flat.reshape(BLOCKS, 2, STEPS).transpose(2, 0, 1)
    chosen = np.flatnonzero(flat).tolist()
    inner = np.zeros((24, STEPS), bool)
    inner[2:6, 4:9] = True
    box = inner.reshape(BLOCKS, 2, STEPS).transpose(2, 0, 1)
    boxed = np.flatnonzero(inner).tolist()
    cases: list[tuple[Schedule, list[Any]]] = [
        (reshape.mirror(now, mask), ["mirrored", chosen, "time"]),
        (reshape.mirror(now, mask, "blocks"), ["mirrored", chosen, "blocks"]),
        (reshape.rotate(now, mask, 3), ["rotated", chosen, "time", 3]),
        (reshape.rotate(now, mask, -2, "blocks"), ["rotated", chosen, "blocks", -2]),
        (reshape.every(now, mask, 3, offset=1), ["everyNth", chosen, 3, 1, 1]),
        (reshape.randomise(now, mask, 0.37, 99), ["randomised", chosen, 0.37, 99, 1]),
        (reshape.invert(now, mask), ["inverted", chosen, 1]),
        (reshape.keep_ends(now, mask, 2, 3), ["keptEnds", chosen, 2, 3]),
        (reshape.move(now, box, rows=2, steps=-3), ["moved", boxed, 2, -3]),
    ]
    for expected, given in cases:
        assert painter.js("g.reshape(...a)", given) == rows_from_actions(expected.actions), given[0]


def test_the_palette_reaches_the_page_and_a_key_shows_the_result_before(
    app: Callable[..., Any],
) -> None:
    page = app()
    page.get_by_text("Studio", exact=True).first.click()
    without_auto_run(page)
    before = rows(page)
    page.focus(".cb-table [tabindex='0']")
    page.keyboard.press("Control+k")
    page.keyboard.type("fora")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#method input').value.includes('FORA')")
    page.wait_for_selector("#numbers .cb-stale")
    painted = rows(page)
    assert painted != before
    assert page.evaluate("document.activeElement.getAttribute('role')") == "gridcell"
    page.keyboard.down(".")
    page.wait_for_selector("#numbers table:not(.cb-stale table)")  # what was measured before
    assert rows(page) == before
    page.keyboard.up(".")
    page.wait_for_selector("#numbers .cb-stale")
    assert rows(page) == painted
    page.keyboard.press("Shift+H")
    ran = page.locator("[data-testid=history] [role=option]").last
    assert "Start" in ran.inner_text() and "dB" in ran.inner_text()
    ran.click()  # and its result is there, without a run
    page.wait_for_selector("#numbers table:not(.cb-stale table)")
    assert rows(page) == before


def test_two_fingers_scroll_while_one_paints(
    serve: Callable[..., str], open_page: Callable[..., Any]
) -> None:
    page = open_page(
        serve("tests.ui.grid_demo"),
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True,
    )  # fmt: skip
    painter = Painter(page)
    page.click(".cb-tools [data-id=paint]")
    x, y = painter.at(6, 3)
    touch = page.context.new_cdp_session(page)

    def fingers(kind: str, *points: tuple[float, float]) -> None:
        found = [{"x": px, "y": py, "id": n} for n, (px, py) in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": found})

    left = "document.querySelector('.cb-scroll').scrollLeft"
    before = page.evaluate(left)
    fingers("touchStart", (x, y))
    fingers("touchMove", (x + 4, y))
    fingers("touchStart", (x + 4, y), (x + 60, y))
    for k in range(1, 5):
        fingers("touchMove", (x + 4 - 20 * k, y), (x + 60 - 20 * k, y))
    fingers("touchEnd")
    assert page.evaluate(left) > before + 30
    assert painter.rows() == FULL and painter.js("g.state().stroke") is False
    x, y = painter.at(6, 8)
    fingers("touchStart", (x, y))
    fingers("touchMove", (x + 40, y))
    fingers("touchEnd")
    rows = painter.settle()
    assert count(rows, "1") >= 2 and rows[6].count("1") == count(rows, "1")
    wide = "document.documentElement.scrollWidth <= innerWidth"
    page.click(".cb-tools [data-id=select]")
    assert page.evaluate(wide)
    page.click(".cb-history-button")
    assert page.get_by_test_id("history").is_visible() and page.evaluate(wide)
