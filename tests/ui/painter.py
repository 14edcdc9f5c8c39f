"""The words the painter tests are written in: one page, seen through pointer, keys and rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

STEPS, BLOCKS, ROWS = 20, 12, 24
HEAD, WHOLE = -1, -2  # in place of a row: the step numbers, the row of whole-step actions
KEY_PAUSE_MS = 250  # of viz/grid/keys.js
FULL = ["0" * STEPS] * ROWS
EVERY_3RD = ["01101101101101101101"] * ROWS


class Painter:
    """One page with the painter, in the words of the tests."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.wait_for_selector("#grid .cb-cell")
        page.wait_for_function("document.querySelector('#slow input') !== null")

    def afresh(self) -> None:
        """Make of a used page what a page just opened is: a new session and a new painter."""
        self.page.mouse.move(0, 0)
        self.page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        self.page.click("#hide")
        self.page.wait_for_selector("#grid .cb-cell", state="detached")
        self.page.evaluate("delete window.cachebrushGrids.grid")
        self.page.click("#afresh")
        self.page.wait_for_selector("#grid .cb-cell")
        self.page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")

    def hold(self) -> None:
        """Let the server answer no stroke before `answer`."""
        self.page.fill("#slow input", "-1")
        self.page.press("#slow input", "Tab")
        self.page.evaluate("scrollTo(0, 0)")  # back from the field to the grid
        self.page.evaluate("scrollTo(0, 0)")  # the field is far below the grid

    def answer(self) -> None:
        """Let it answer what it held, and from now on all at once."""
        self.page.fill("#slow input", "0")
        self.page.press("#slow input", "Tab")
        self.page.click("#answer")
        self.page.evaluate("scrollTo(0, 0)")

    def js(self, expression: str, argument: Any = None) -> Any:
        return self.page.evaluate(
            f"a => {{ const g = document.querySelector('#grid .cb-grid').cbGrid; "
            f"return {expression}; }}",
            argument,
        )

    def rows(self) -> list[str]:
        return self.js("g.rows()")

    def steps(self) -> str:
        return self.js("g.steps()")

    def settle(self) -> list[str]:
        """Wait until the server has seen everything; give the rows that Python holds."""
        self.page.wait_for_function(
            """() => {
              const grid = document.querySelector('#grid .cb-grid');
              const saw = document.querySelector('#saw textarea').value;
              const shows = [...grid.cbGrid.rows(), grid.cbGrid.steps()].join('\\n');
              return grid.cbGrid.state().pending === 0 && saw === shows;
            }"""
        )
        return self.page.input_value("#saw textarea").split("\n")[:-1]

    def at(self, row: int, step: int) -> tuple[float, float]:
        box = self.js("g.cell(a[0], a[1]).getBoundingClientRect().toJSON()", [row, step])
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(
        self,
        start: tuple[int, int],
        end: tuple[int, int],
        *,
        samples: int = 3,
        button: str = "left",
        release: bool = True,
    ) -> None:
        self.page.mouse.move(*self.at(*start))
        self.page.mouse.down(button=button)
        self.page.mouse.move(*self.at(*end), steps=samples)
        if release:
            self.page.mouse.up(button=button)

    def readout(self, name: str) -> str:
        return self.page.locator(f"[data-testid=readout-{name}]").inner_text()

    def message(self) -> str:
        return self.page.inner_text("[data-testid=grid-message]")

    def legend(self, target: str = "cells") -> list[str]:
        return self.js("g.legend(a)", target)

    def open_form(self, target: str = "cells", *, edit: bool = False) -> Any:
        """Open the popover that adds a brush, or the one of the brush in hand."""
        opener = f".cb-{'edit' if edit else 'add'}[data-target={target}]"
        if not edit and not self.page.locator(opener).count():
            opener = ".cb-slim-add"  # without a legend the step row offers its first brush itself
        self.page.click(opener)
        return self.page.get_by_test_id("brush-form")

    def fill(self, form: Any, **fields: Any) -> None:
        for name, value in fields.items():
            field = form.locator(f"[data-field={name}]")
            if field.evaluate("node => node.tagName") == "SELECT":
                field.select_option(str(value))
            else:
                field.fill(str(value))

    def add_brush(self, brush: str, target: str = "cells", **fields: Any) -> None:
        """Add a brush through the popover, and wait until it is the one in hand."""
        form = self.open_form(target)
        self.fill(form, brush=brush, **fields)
        form.get_by_role("button", name="Add").click()
        form.wait_for(state="detached")

    def choose(self, number: int, target: str = "cells") -> None:
        self.page.click(f".cb-brushes [data-id='{number if target == 'cells' else f's{number}'}']")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    @contextlib.contextmanager
    def in_a_row(self) -> Iterator[None]:
        """Keys pressed meanwhile have no pause between them, however slow this machine is."""
        self.page.evaluate(
            """pause => {
              const [after, never] = [setTimeout.bind(window), clearTimeout.bind(window)];
              const kept = [];
              window.setTimeout = (f, ms, ...given) =>
                ms === pause ? -kept.push(f) : after(f, ms, ...given);
              window.clearTimeout = id => id < 0 ? kept[-id - 1] = null : never(id);
              window.endOfRow = () => {
                Object.assign(window, {setTimeout: after, clearTimeout: never});
                for (const f of kept) if (f) f();
              };
            }""",
            KEY_PAUSE_MS,
        )
        yield
        self.page.evaluate("endOfRow()")


def count(rows: list[str], digit: str) -> int:
    return sum(row.count(digit) for row in rows)
