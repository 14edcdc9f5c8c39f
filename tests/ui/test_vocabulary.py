"""Every brush, whole-step action and policy in the whole app: paint, run, save, undo, reopen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from caching.actions import ACTIONS
from caching.formats.native import dumps, load_schedule_file
from caching.predictors import PREDICTORS
from caching.schedule import Schedule
from tests.ui.test_app import app, choose, rows, run, without_auto_run
from viz.grid.encode import DIGITS

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser
__all__ = ["app"]  # a fixture

STEPS, BLOCKS = 5 + len(ACTIONS), 12
GRID = "document.querySelector('#grid .cb-grid').cbGrid"


def grid(page: Any, call: str) -> Any:
    return page.evaluate(f"{GRID}.{call}")


def take(page: Any, target: str, number: int) -> None:
    """Take brush `number` of the cells or of the whole steps."""
    name = "Brush for cells" if target == "cells" else "Brush for whole steps"
    page.get_by_role("radiogroup", name=name).get_by_role("radio").nth(number).click()


def click(page: Any, row: int | str, step: int) -> None:
    page.locator(f'#grid [data-row="{row}"][data-step="{step}"]').click()


def upload(page: Any, path: Path) -> None:
    page.locator("#open").locator("xpath=..").locator("input[type=file]").set_input_files(path)


def save(page: Any, path: Path) -> Schedule:
    with page.expect_download() as waiting:
        page.locator("#save").click()
    waiting.value.save_as(path)
    return load_schedule_file(path)


def settled(page: Any) -> None:
    page.wait_for_function(f"{GRID}.state().pending === 0")


def test_every_brush_and_action_is_painted_run_saved_undone_and_reopened(
    app: Callable[..., Any], tmp_path: Path
) -> None:
    plain = Schedule.full(STEPS, BLOCKS)
    for action in ACTIONS.values():
        plain = plain.paint_steps([], action())
    for predictor in PREDICTORS.values():
        plain = plain.paint([], predictor())
    legend, actions = plain.legend, plain.step_legend
    assert len(legend) == len(PREDICTORS) and len(actions) == len(ACTIONS)
    start = tmp_path / "start.json"
    start.write_text(dumps(plain), encoding="utf-8")
    page = app()
    without_auto_run(page)
    upload(page, start)
    page.wait_for_function(f"{GRID}.rows()[0].length === {STEPS}")
    assert len(grid(page, "legend('cells')")) == 1 + len(legend)

    for k in range(1, len(legend) + 1):
        take(page, "cells", k)
        click(page, k, 3)
        assert rows(page)[k][3] == DIGITS[k], legend[k - 1]
    for k in range(1, len(actions) + 1):
        take(page, "steps", k)
        click(page, "whole", 4 + k)
        assert grid(page, "steps()")[4 + k] == DIGITS[k], actions[k - 1]
    settled(page)
    painted, whole = rows(page), grid(page, "steps()")

    run(page)
    executed = grid(page, "executed()")
    for k, predictor in enumerate(legend, 1):
        # A forecast with one or two steps behind it runs at the order it can, and is marked so.
        low = predictor.needs > 3
        assert (executed[k][3] == DIGITS[k]) != low, (predictor, executed[k])
    assert grid(page, "executedSteps()")[:5] == "00000"
    assert 0 not in [len(row) for row in executed]

    saved = tmp_path / "schedule.json"
    file = save(page, saved)
    assert {str(p) for p in file.legend} == {str(p) for p in legend}
    assert {str(a) for a in file.step_legend} == {str(a) for a in actions}
    page.locator('#grid [data-row="0"][data-step="5"]').focus()
    for _ in range(len(legend) + len(actions)):
        page.keyboard.press("Control+z")
    page.wait_for_function(f"{GRID}.rows().every(r => /^0+$/.test(r))")
    page.wait_for_function(f"/^0+$/.test({GRID}.steps())")
    upload(page, saved)
    page.wait_for_function(f"!{GRID}.rows().every(r => /^0+$/.test(r))")
    settled(page)
    again = save(page, tmp_path / "again.json")
    assert again.diff(file).changed == 0 and not again.diff(file).steps
    assert [len(painted), len(whole)] == [2 * BLOCKS, STEPS]


def test_a_policy_decides_live_and_bakes(app: Callable[..., Any], tmp_path: Path) -> None:
    page = app()
    without_auto_run(page)
    before = rows(page)
    choose(page, "method", "◐ FBCache")
    run(page, "#decide")
    decided = grid(page, "executedSteps()")
    assert "0" in decided and len(set(decided)) == 2
    assert rows(page) == before and set(grid(page, "steps()")) == {"0"}
    expect(page.get_by_test_id("verdict")).to_contain_text("Bake paints it")
    page.locator("#bake").click()
    page.wait_for_function(f"{GRID}.steps() === '{decided}'")
    file = save(page, tmp_path / "baked.json")
    assert file.step_legend[0].name == "residual" and not file.actions.any()
    page.locator('#grid [data-row="0"][data-step="5"]').focus()
    page.keyboard.press("Control+z")
    page.wait_for_function(f"/^0+$/.test({GRID}.steps())")
    assert rows(page) == before


def test_editing_the_last_quarter_runs_only_that(
    app: Callable[..., Any], record_property: Callable[[str, object], None]
) -> None:
    """How long until the new final picture is there is reported, not asserted."""
    page = app()
    without_auto_run(page)
    before = rows(page)
    choose(page, "method", "● FORA")
    page.wait_for_function(f"p => {GRID}.rows().join() !== p.join()", arg=before)
    expect(page.locator('.cb-about[data-method="fora"]')).to_be_visible()
    field = page.locator("#steps input[type=number]")
    field.fill("50")
    field.press("Enter")
    field.blur()
    page.wait_for_function(f"{GRID}.rows()[0].length === 50")
    settled(page)
    run(page)
    full_ms = page.get_by_test_id("full-time").inner_text()
    page.evaluate(
        """() => {
          window.phases = [];
          setInterval(() => {
            const words = document.querySelector('[data-testid="notice"]')?.innerText || '';
            if (words !== window.phases.at(-1)?.[0]) window.phases.push([words, performance.now()]);
          }, 10);
        }"""
    )
    take(page, "cells", 0)
    click(page, 0, 38)
    settled(page)
    began = page.evaluate("performance.now()")
    run(page)
    ended = page.evaluate("performance.now()")
    phases = page.evaluate("window.phases")
    # The picture is final with the last of the schedule's own steps, or when something else runs.
    after = [
        at
        for words, at in phases
        if at > began and words and ("50 of 50" in words or not words.startswith("Running your"))
    ]
    shown_ms = min([*after, ended]) - began  # so short a run may never be seen running
    record_property("last_quarter_shown_ms", shown_ms)
    record_property("full_run", full_ms)
    print(f"\nnew final picture after {shown_ms:.0f} ms; the full run takes {full_ms}")
    assert grid(page, "executed()") == rows(page)
