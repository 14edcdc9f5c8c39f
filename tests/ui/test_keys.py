"""Every key and gesture of the keys sheet is used, and what it changes is looked at.

The cases are held to the sheet's own table: a key that is added there without a case here fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.ui.painter import FULL, HEAD, STEPS, Painter, count
from tests.ui.test_app import RUN_MS, app, without_auto_run
from tests.ui.test_app import rows as rows_of
from tests.ui.test_editing import test_two_fingers_scroll_while_one_paints as two_fingers
from viz.grid import rows_from_actions
from viz.pages.views import presets

pytestmark = pytest.mark.browser
__all__ = ["app"]  # a fixture

# Reuse on steps 3 and 4 of row 4, and blocks 2 and 3 of steps 3 to 8 selected: 24 cells.
BASE = [*FULL[:4], "00011" + "0" * 15, *FULL[5:]]
TOP, FIRST, BOTTOM, LAST = 4, 3, 7, 8
PAINTED = [TOP * STEPS + 3, TOP * STEPS + 4]


def row(number: int, text: str) -> list[str]:
    """A full grid but for steps 3 to 8 of one row."""
    return [f"000{text}{'0' * 11}" if k == number else full for k, full in enumerate(FULL)]


def box(text: str) -> list[str]:
    """A full grid but for steps 3 to 8 of the selected rows."""
    line = f"000{text}{'0' * 11}"
    return [line if TOP <= k <= BOTTOM else full for k, full in enumerate(FULL)]


@dataclass(frozen=True)
class Case:
    """What happens with a key: what comes before it, what is then seen, and what tidies up."""

    seen: Callable[[Painter], bool]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def state(p: Painter, name: str) -> Any:
    return p.js("g.state()[a]", name)


def shows(rows: list[str]) -> Callable[[Painter], bool]:
    return lambda p: p.rows() == rows


def is_open(test_id: str) -> Callable[[Painter], bool]:
    return lambda p: bool(p.page.get_by_test_id(test_id).is_visible())


def has(name: str, value: Any) -> Callable[[Painter], bool]:
    return lambda p: state(p, name) == value


def selected(cells: int) -> Callable[[Painter], bool]:
    return lambda p: len(state(p, "selected")) == cells


def pinned(slot: str, name: str) -> Callable[[Painter], bool]:
    def look(p: Painter) -> bool:
        p.press("Shift+H")
        found = p.page.locator(f"[data-pin={slot}] .cb-entry-name").inner_text()
        p.press("Escape")
        return bool(found == name)

    return look


def asked(rows: Callable[[list[str]], bool]) -> Callable[[Painter], bool]:
    """A command that asks for numbers first, and takes those that stand there."""

    def look(p: Painter) -> bool:
        if not p.page.get_by_test_id("palette").is_visible():
            return False
        p.press("Enter")
        return rows(p.rows())

    return look


def copied(p: Painter) -> bool:
    told = "24 cells copied" in p.message()
    return told and p.page.is_enabled("[data-command=paste]")


CASES: dict[str, dict[str, Case]] = {
    "palette": {"Mod+K": Case(is_open("palette"), after=("Escape",))},
    "help": {"?": Case(is_open("keys-sheet"), after=("?",))},
    "undo": {"Mod+Z": Case(shows(BASE), before=("Delete",))},
    "redo": {
        "Mod+Shift+Z": Case(shows(FULL), before=("Delete", "Control+z")),
        "Mod+Y": Case(shows(FULL), before=("Delete", "Control+z")),
    },
    "history": {"Shift+H": Case(is_open("history"), after=("Escape",))},
    "previous": {".": Case(shows(BASE), before=("Delete",))},
    "pin-a": {
        "Shift+A": Case(pinned("A", "Clear, 2 cells"), before=("Delete",)),
        "P": Case(pinned("A", "Invert, 24 cells"), before=("Shift+I",)),
    },
    "pin-b": {"Shift+B": Case(pinned("B", "Clear, 2 cells"), before=("Delete",))},
    "diff": {"Shift+D": Case(has("differ", PAINTED), before=("Delete",), after=("Shift+D",) * 4)},
    "tool-paint": {"Shift+P": Case(has("tool", "paint"))},
    "tool-box": {"Shift+X": Case(has("tool", "box"))},
    "tool-select": {"Shift+S": Case(has("tool", "select"), before=("Shift+P",))},
    "tool-lock": {"Shift+K": Case(has("tool", "lock"))},
    "tool-pan": {"Shift+O": Case(has("tool", "pan"))},
    "grain": {"Shift+G": Case(has("grain", "step"), after=("Shift+G", "Shift+G"))},
    "copy": {"Mod+C": Case(copied)},
    "cut": {"Mod+X": Case(shows(FULL))},
    "paste": {
        "Mod+V": Case(
            shows([*BASE[:6], BASE[4], *BASE[7:]]),
            before=("Control+c", "Escape", "ArrowDown", "ArrowDown"),
        )
    },
    "fill": {"Space": Case(shows(box("111111")))},
    "clear": {"Delete": Case(shows(FULL))},
    "invert": {
        "Shift+I": Case(
            lambda p: p.rows() == [*box("111111")[:4], "000001111" + "0" * 11, *box("111111")[5:]]
        )
    },
    "every": {"Shift+N": Case(asked(lambda rows: rows == box("011011")))},
    "random": {"Shift+R": Case(asked(lambda rows: rows != BASE and count(rows, "1") == 12))},
    "ends": {"Shift+E": Case(asked(lambda rows: rows == FULL))},
    "mirror": {"Shift+M": Case(shows(row(4, "000011")))},
    "flip": {"Shift+F": Case(shows(row(6, "110000")))},
    "rotate-left": {"Mod+Shift+ArrowLeft": Case(shows(row(4, "100001")))},
    "rotate-right": {"Mod+Shift+ArrowRight": Case(shows(row(4, "011000")))},
    "rotate-up": {"Mod+Shift+ArrowUp": Case(shows(row(6, "110000")))},
    "rotate-down": {"Mod+Shift+ArrowDown": Case(shows(row(6, "110000")))},
    "move-left": {"Mod+ArrowLeft": Case(shows([*FULL[:4], "0011" + "0" * 16, *FULL[5:]]))},
    "move-right": {"Mod+ArrowRight": Case(shows(row(4, "011000")))},
    "move-up": {"Mod+ArrowUp": Case(shows(row(3, "110000")))},
    "move-down": {"Mod+ArrowDown": Case(shows(row(5, "110000")))},
    "lock": {"Shift+L": Case(lambda p: len(state(p, "locks")) == 24, after=("Shift+L",))},
    "select-all": {"Mod+A": Case(selected(480))},
    "select-rows": {"Shift+Y": Case(selected(4 * STEPS))},
    "select-steps": {"Shift+T": Case(selected(6 * 24))},
    "select-same": {"Shift+Q": Case(has("selected", PAINTED), before=("Escape",))},
    "select-none": {"Escape": Case(selected(0))},
}
PAGE = {
    "run": ("Enter", "Mod+Enter"),
    "link": ("L",),
    "scrub-back": ("[",),
    "scrub-on": ("]",),
    **{f"preset-{n}": (f"Alt+{n}",) for n in range(1, 5)},
}


def pressed(key: str) -> str:
    """A key of the table as the browser's driver calls it."""
    return key.replace("Mod", "Control")


def begin(p: Painter, key: str) -> None:
    """The base on the grid, its selection, and nothing else open or chosen."""
    p.page.focus(".cb-table [tabindex='0']")
    p.press("Escape", "Shift+S")
    if p.rows() != BASE:
        p.press("Control+a", "Delete", "Escape")
        p.drag((TOP, FIRST), (TOP, FIRST + 1))
        p.press("Space")
    p.press("Escape")
    p.drag((TOP, FIRST), (BOTTOM, LAST))
    assert p.rows() == BASE and state(p, "focus") == [TOP, FIRST], key
    assert len(state(p, "selected")) == 24


def waited(p: Painter, seen: Callable[[Painter], bool]) -> bool:
    """Whether something is seen, at once or when the server has answered."""
    if seen(p):
        return True
    p.settle()
    return seen(p)


def test_every_key_of_the_sheet_does_what_it_says(painter: Painter) -> None:
    table = {name: set(keys) for name, keys in painter.js("g.commands()") if keys}
    ours = {name: set(keys) for name, keys in {**CASES, **PAGE}.items()}
    assert ours == table, "a key of the sheet has no case, or a case has no key"
    wrong = []
    painter.page.click(".cb-tools [data-id=select]")
    for name, cases in CASES.items():
        for key, case in cases.items():
            begin(painter, key)
            painter.press(*case.before)
            if case.before:
                painter.settle()
            if waited_already(painter, case):
                wrong.append(f"{name}: seen before {key} was pressed")
            painter.page.keyboard.down(".") if key == "." else painter.press(pressed(key))
            if not waited(painter, case.seen):
                wrong.append(f"{name}: {key} did nothing of what it says: {painter.message()}")
            if key == ".":
                painter.page.keyboard.up(".")
                assert painter.rows() == FULL
            painter.press(*case.after)
    assert wrong == []
    begin(painter, "m")
    painter.press("m")  # a letter alone, as long as no brush has it
    assert painter.rows() == row(4, "000011")
    painter.settle()


def waited_already(p: Painter, case: Case) -> bool:
    """Whether what a key is to bring about is there before it; of what it opens, that is plain."""
    return case.seen.__qualname__.startswith(("shows", "has", "selected")) and case.seen(p)


def at(p: Painter) -> list[int]:
    found: list[int] = state(p, "focus")
    return found


def test_every_gesture_of_the_sheet_does_what_it_says(painter: Painter) -> None:
    p, page = painter, painter.page

    def drag() -> None:
        p.drag((2, 3), (2, 5))
        assert p.rows()[2] == "000111" + "0" * 14
        p.drag((2, 4), (2, 5))  # starts on its own brush
        assert p.rows()[2] == "0001" + "0" * 16

    def shift_drag() -> None:
        page.keyboard.down("Shift")
        p.drag((8, 3), (9, 4))
        page.keyboard.up("Shift")
        assert [line[3:5] for line in p.rows()[8:10]] == ["11", "11"]

    def right_button() -> None:
        p.drag((8, 3), (9, 3), button="right")
        assert [line[3:5] for line in p.rows()[8:10]] == ["01", "01"]

    def headings() -> None:
        p.drag((HEAD, 12), (HEAD, 13))
        assert all(line[12:14] == "11" for line in p.rows())

    def drag_selection() -> None:
        p.press("Shift+S")
        p.drag((8, 4), (9, 4))
        p.drag((8, 4), (8, 6))
        assert [line[4:7] for line in p.rows()[8:10]] == ["001", "001"]
        p.press("Escape", "Shift+P")

    def arrows() -> None:
        p.press("Control+Home")
        assert at(p) == [0, 0]
        for key, place in (
            ("ArrowRight", [0, 1]), ("ArrowDown", [1, 1]), ("ArrowLeft", [1, 0]),
            ("ArrowUp", [0, 0]), ("End", [0, 19]), ("PageDown", [8, 19]), ("Home", [8, 0]),
            ("PageUp", [0, 0]), ("Control+End", [23, 19]), ("ArrowLeft", [23, 18]),
        ):  # fmt: skip
            p.press(key)
            assert at(p) == place, key

    def space() -> None:
        p.press("Space")
        assert p.rows()[23][18] == "1"
        p.press("Space")
        assert p.rows()[23][18] == "0"

    def shift_arrows() -> None:
        p.press("Shift+ArrowLeft")
        assert p.rows()[23][17:19] == "11"
        p.press("Shift+S", "Shift+ArrowLeft")
        assert state(p, "selected") == [23 * 20 + 16, 23 * 20 + 17]
        p.press("Escape", "Shift+P")

    def digits() -> None:
        for key, brush in (("2", 2), ("1", 1), ("0", 0), ("r", 1), ("c", 0), ("t", 2)):
            p.press(key)
            assert state(p, "brush") == brush, key

    def escape() -> None:
        before = p.rows()
        p.drag((15, 3), (15, 9), release=False)
        assert p.rows() != before
        p.press("Escape")
        assert p.rows() == before and "cancelled" in p.message()
        page.mouse.up()

    p.add_brush("taylor", order=1)
    p.choose(1)
    ways: dict[str, Callable[..., None]] = {
        "Drag": drag,
        "Shift + drag": shift_drag,
        "Right button": right_button,
        "Click or drag headings": headings,
        "Drag the selection": drag_selection,
        "Two fingers": two_fingers,  # by touch, in a test of its own
        "Arrows, Home, End, PgUp, PgDn": arrows,
        "Space": space,
        "Shift + arrows": shift_arrows,
        "0–9 or its letter": digits,
        "Esc": escape,
    }
    assert list(ways) == p.js("g.gestures()"), "a gesture of the sheet has no case, or the reverse"
    for way in ways.values():
        if way is not two_fingers:
            way()
    p.settle()


def test_every_key_for_the_page_around_the_painter(app: Callable[..., Any]) -> None:
    page = app()
    without_auto_run(page)

    def press(name: str) -> None:
        for key in PAGE[name]:
            page.keyboard.press(pressed(key))

    def shown(rows: list[str]) -> None:
        page.wait_for_function(
            "p => document.querySelector('#grid .cb-grid').cbGrid.rows().join() === p.join()",
            arg=rows,
        )

    page.focus("#run")
    found = [rows_from_actions(one.schedule.actions) for one in presets()]
    assert len(found) == 4
    for n, rows in enumerate(found, 1):
        press(f"preset-{n}")
        shown(rows)
    # Presets run by themselves: the last one has run before anything else is looked at.
    page.wait_for_function(
        "p => document.querySelector('#grid .cb-grid').cbGrid.executed()?.join() === p.join()",
        arg=found[-1],
        timeout=RUN_MS,
    )
    done = page.get_by_test_id("notice")
    expect(done).to_contain_text("Done", timeout=RUN_MS)
    track = page.locator("#compare .cbc-track")
    last = int(track.get_attribute("aria-valuemax"))  # as many pictures as were kept, 2 or more
    assert last >= 1
    expect(track).to_have_attribute("aria-valuenow", str(last))
    press("scrub-back")
    expect(track).to_have_attribute("aria-valuenow", str(last - 1))
    press("scrub-on")
    expect(track).to_have_attribute("aria-valuenow", str(last))

    page.locator("#grid .cb-table [tabindex='0']").focus()
    press("link")
    page.wait_for_function("location.hash.length > 20")
    page.evaluate(
        """() => {
          window.runs = 0;
          document.querySelector('#run').addEventListener('click', () => { window.runs++; });
        }"""
    )
    enter, anywhere = PAGE["run"]
    page.keyboard.press(pressed(enter))
    assert page.evaluate("window.runs") == 1
    page.focus("#seed input")  # from anywhere, but not while somebody types
    page.keyboard.press(pressed(anywhere))
    assert page.evaluate("window.runs") == 1
    page.focus("#stop")
    page.keyboard.press(pressed(anywhere))
    assert page.evaluate("window.runs") == 2
    expect(done).to_contain_text("Done", timeout=RUN_MS)
    assert rows_of(page) == found[-1]
