"""Predictions while the pointer moves: PSNR, the effect of each cell, the budget's slider."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from importlib.resources import files
from itertools import islice
from typing import Any

import numpy as np
import pytest

from caching.actions.cond_only import CondOnly
from caching.predict.drawn import drawn
from caching.predict.kept import SHIPPED, Kept
from caching.predict.packed import Packed, pack
from caching.predict.picture import at_picture, level_of
from caching.predict.proxy import Tables, predict
from caching.predictors import Predictor, Reuse
from caching.predictors.skip import Skip
from caching.predictors.taylor import Taylor
from caching.predictors.tokens import Tokens
from caching.schedule import Schedule
from tests.ui.test_app import app, cell_centre, choose, rows, run, without_auto_run
from tests.ui.test_methods import chosen
from viz.brushes import key_of
from viz.grid import Brush, StepBrush, grid_spec, grid_value
from viz.grid.encode import Here

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser
__all__ = ["app"]  # a fixture

S, L, R = 20, 12, 2
BRANCHES = ("attn", "mlp")
GRID = "document.querySelector('#grid .cb-grid').cbGrid"
EFFECTS = "(b => given.cells.map(i => effectOf(b, i)))(makeBase({}, at(given), m))"
COSTS = re.compile(r": compute.*, reusing it costs [\d.]+ dB and saves [\d.]+ ms$")
WINS = re.compile(r": reuse, age \d.*, computing it wins [\d.]+ dB and takes [\d.]+ ms more$")
# The slider's last place has been painted: its own number says so.
SETTLED = """() => {
  const slider = document.querySelector('#control-0 input[type=range]');
  const store = window.cachebrushGrids.grid, grid = document.querySelector('#grid .cb-grid').cbGrid;
  const undo = document.querySelector('#grid [aria-label^="Undo: "]');
  return undo && undo.title.includes(Number(slider.value)) && store.value;
}"""
SCRIPTS = ("model.js", "predict.js", "stands.js", "quality.js", "marginal.js")
LEGEND: tuple[Predictor, ...] = (Reuse(), Taylor(1), Taylor(2), Taylor(4), Skip(), Tokens(0.5))


@pytest.fixture(scope="module")
def packed() -> Packed:
    (path,) = SHIPPED.glob("*-20.npz")
    return pack(Kept.from_bytes(path.read_bytes()))


@pytest.fixture(scope="module")
def tables(packed: Packed) -> Tables:
    rng = np.random.default_rng(4)
    macs = rng.integers(10, 99, (L, R))
    return Tables(
        3.0, rng.uniform(1, 2, (L, R)), rng.uniform(0, 0.2, (L, R)), 50, macs,
        packed.kept.response.change, "invented", forecast_ms=0.01, busy_ms=0.3, start_ms=7.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def formula(
    browser: sync_api.Browser, packed: Packed, tables: Tables
) -> Iterator[Callable[[str, Any], Any]]:
    """The page's formulas on an empty page: an expression in `q`, `m`, `at(rows)` and `given`."""
    folder = files("viz.grid")
    script = "\n".join((folder / name).read_text(encoding="utf-8") for name in SCRIPTS)
    spec = grid_spec(
        steps=S, blocks=L, branches=BRANCHES, tables=tables,
        legend=[Brush(p.name, p.kind, p.title, key=key_of(p)) for p in LEGEND],
        step_legend=[StepBrush("cond", "half", "Half", key=key_of(CondOnly()), half=True)],
    )  # fmt: skip
    page = browser.new_page()
    page.evaluate(
        """([script, spec, data]) => {
          const make = new Function("spec", "data", script + `
            const m = makeModel(spec), q = makeQuality(data, m);
            const at = x => ({cells: parseRows(x.rows, m), steps: parseSteps(x.steps, m)});
            return (expression, given) => eval(expression);`);
          window.formula = make(spec, data);
        }""",
        [script, spec, packed.data],
    )
    yield lambda expression, given: page.evaluate(
        "([e, given]) => formula(e, given)", [expression, given]
    )
    page.close()


def wire(schedule: Schedule) -> dict[str, Any]:
    """Rows and steps of a schedule in the numbers of `LEGEND`."""
    number = [0, *(LEGEND.index(p) + 1 for p in schedule.legend)]
    value = grid_value(
        np.array(number, np.uint8)[schedule.actions], step_actions=schedule.step_actions
    )
    return {"rows": value["rows"], "steps": value["steps"]}


def some(count: int, seed: int, packed: Packed) -> list[Schedule]:
    change = packed.kept.response.change.astype(np.float64)
    return [plan for _, plan in islice(drawn(seed, change, BRANCHES), count)]


def test_page_and_python_say_the_same_psnr_for_200_schedules(
    formula: Callable[[str, Any], Any], packed: Packed
) -> None:
    plans = some(192, 6, packed)
    rng = np.random.default_rng(0)
    for share in np.linspace(0.02, 0.9, 8):  # all brushes of the calibration, cell by cell
        actions = rng.integers(1, 5, (S, L, R)) * (rng.random((S, L, R)) < share)
        actions[0] = 0
        plans.append(Schedule(actions.astype(np.uint8), LEGEND[:4], BRANCHES))
    assert {type(p) for plan in plans for p in plan.compact().legend} == {Reuse, Taylor}
    found = formula("given.map(x => expectPsnr(q, at(x), m))", [wire(plan) for plan in plans])
    expected = [packed.kept.predict(plan) for plan in plans]
    assert max(e.high_db for e in expected) > min(e.low_db for e in expected) + 20
    for mine, theirs in zip(found, expected, strict=True):
        said = [mine["db"], mine["low"], mine["high"]]
        assert said == pytest.approx([theirs.db, theirs.low_db, theirs.high_db], abs=1e-6)
    # And for one picture, whose runs came out above or below what was predicted for them.
    for residuals in ([4.0], [-2.5, 1.0, -6.0]):
        level = level_of((k, 30 + r, 30.0) for k, r in enumerate(residuals))
        here = asdict(Here(level.db, level.sd_db, level.runs))
        moved = formula(
            "given.all.map(e => atPicture(e, given.here))", {"all": found, "here": here}
        )
        for mine, mean in zip(moved, expected, strict=True):
            theirs = at_picture(mean, level)
            said = [mine["db"], mine["low"], mine["high"]]
            assert said == pytest.approx([theirs.db, theirs.low_db, theirs.high_db], abs=1e-6)


def test_what_the_calibration_does_not_know_is_named(
    formula: Callable[[str, Any], Any],
) -> None:
    full = Schedule.full(S, L, branches=BRANCHES)
    odd = full.paint(np.array([[3, 1, 1]]), Tokens(0.5))
    halved = wire(full) | {"steps": "0" * 5 + "1" + "0" * 14}
    say = "given.map(x => expectPsnr(q, at(x), m)).map(e => e.equal || e.unknown.map(b => b.label))"
    assert formula(say, [wire(full), wire(odd), halved]) == [
        True, [Tokens(0.5).title], ["Half"],
    ]  # fmt: skip


def toggled(schedule: Schedule, i: int) -> Schedule:
    row, s = divmod(i, S)
    at = (s, row // R, row % R)
    actions = schedule.actions.copy()
    actions[at] = 0 if actions[at] else 1
    return replace(schedule, actions=actions)


def test_a_cells_effect_moves_the_prediction_as_far_as_the_response(
    formula: Callable[[str, Any], Any], packed: Packed, tables: Tables
) -> None:
    rng = np.random.default_rng(9)
    best, kept = packed.data["best_db"], packed.kept
    error = kept.response.error  # (S, L, R, A): squared, of one reused cell at each age

    def response(plan: Schedule) -> float:
        """Sum of the squared errors of all cells, which only reuse here."""
        age = plan.age().astype(int)
        at = np.nonzero(age)
        known = np.minimum(age[at], kept.response.ages)
        return float((error[(*at, known - 1)] * (age[at] / known) ** 2).sum())

    reuse_only = [plan for plan in some(9, 12, packed) if plan.legend == (Reuse(),)]
    assert len(reuse_only) >= 7
    for plan in reuse_only:
        cells = [int(i) for i in rng.integers(0, S * L * R, 12) if i % S]
        found = formula(EFFECTS.format("q"), wire(plan) | {"cells": cells})
        for i, mine in zip(cells, found, strict=True):
            other = toggled(plan, i)
            assert mine["kind"] == "psnr"
            more = bool(other.computed.sum() > plan.computed.sum())
            assert mine["to"] == ("compute" if more else "reuse")
            now = min(best, kept.predict(plan).db)
            then = min(best, now - 10 * np.log10(response(other) / response(plan)))
            assert [mine["now"], mine["change"]] == pytest.approx([now, then - now], abs=1e-6)
            saved = predict(other, tables).ms - predict(plan, tables).ms
            assert mine["ms"] == pytest.approx(saved, abs=1e-9)


def test_the_effect_on_a_full_grid_is_from_equal_pictures_and_back(
    formula: Callable[[str, Any], Any], packed: Packed
) -> None:
    full = replace(Schedule.full(S, L, branches=BRANCHES), legend=(Reuse(),))
    (mine,) = formula(EFFECTS.format("q"), wire(full) | {"cells": [25]})
    alone = min(60.0, packed.kept.predict(toggled(full, 25)).db)
    assert (mine["now"], mine["then"]) == (60, pytest.approx(alone, abs=1e-6))
    (back,) = formula(EFFECTS.format("q"), wire(toggled(full, 25)) | {"cells": [25]})
    assert (back["now"], back["then"]) == (pytest.approx(alone, abs=1e-6), 60)


def test_without_a_calibration_the_effect_is_of_the_drift(
    formula: Callable[[str, Any], Any], packed: Packed, tables: Tables
) -> None:
    rng = np.random.default_rng(3)
    actions = (rng.integers(1, 7, (S, L, R)) * (rng.random((S, L, R)) < 0.5)).astype(np.uint8)
    actions[0] = 0
    plan = Schedule(
        actions, LEGEND, BRANCHES,
        step_actions=np.array([0] * 7 + [1] + [0] * 12), step_legend=(CondOnly(),),
    )  # fmt: skip
    cells = [int(i) for i in rng.integers(0, S * L * R, 60) if i % S]
    base = "makeBase({}, at(given), m)"
    for known in ("q", "null"):  # a brush it does not know; no calibration at all
        found = formula(EFFECTS.format(known), wire(plan) | {"cells": cells})
        for i, mine in zip(cells, found, strict=True):
            other = toggled(plan, i)
            now, then = predict(plan, tables), predict(other, tables)
            assert mine["kind"] == "drift"
            assert mine["change"] == pytest.approx(then.drift - now.drift, abs=1e-12)
            assert mine["ms"] == pytest.approx(then.ms - now.ms, abs=1e-9)
    words = f"(b => effectTexts(effectOf(b, 5), b).join(' '))({base.format('q')})"
    said = formula(words, wire(plan))
    assert "drift (proxy)" in said and "no PSNR was calibrated for" in said and "dB" not in said
    locked = formula(f"[0, 20].map(i => effectOf({base.format('q')}, i))", wire(plan))
    assert locked == [None, None]


def psnr_tile(page: Any) -> str:
    return " ".join(page.get_by_test_id("readout-psnr").inner_text().split())


def predicts(page: Any) -> None:
    """Wait until the page has what it predicts PSNR with."""
    page.wait_for_function(f"{GRID}.quality() !== null")


def test_numbers_move_with_the_pointer_and_a_release_changes_nothing(
    app: Callable[..., Any],
) -> None:
    page = app()
    without_auto_run(page)
    predicts(page)
    before = psnr_tile(page)
    page.mouse.move(*cell_centre(page, 6, 7))
    page.mouse.down()
    page.mouse.move(*cell_centre(page, 9, 9), steps=4)
    during = psnr_tile(page)
    assert "dB" in during and during != before and "on release" not in during
    page.mouse.up()
    page.wait_for_function(f"{GRID}.state().pending === 0")
    page.wait_for_function("!window.cachebrushGrids.grid.value.late")  # with the rest of the page
    mine = page.evaluate(f"{GRID}.quality()")
    theirs = page.evaluate("window.cachebrushGrids.grid.value.expected")
    names = {"db": "db", "low": "low_db", "high": "high_db"}
    for name, other in names.items():
        assert mine[name] == pytest.approx(theirs[other], abs=1e-6)
    assert psnr_tile(page) == during
    # What the range is of, and how far a picture of which nothing is known may lie.
    said = page.locator("#grid .cb-hidden", has_text="in the mean over pictures").text_content()
    shown = "{:.0f}–{:.0f}".format(mine["low"], mine["high"])
    assert f"four schedules in five that mean lies within {shown} dB" in said
    within = 1.4 + 0.07 * min(max(mine["db"] - 27, 0), 20)
    half = math.hypot(mine["db"] - mine["low"], 1.2816 * math.hypot(within, 2.7))
    one = "{:.0f}–{:.0f}".format(mine["db"] - half, min(60, mine["db"] + half))
    assert f"A single picture varies more: four in five within {one} dB" in said

    # What each cell is worth: in its name and its tooltip, with the numbers filled in.
    page.locator("#grid [data-id=effect]").click()
    cell = page.locator('#grid .cb-cell[data-row="2"][data-step="5"]')
    expect(cell).to_have_attribute("aria-label", COSTS)
    assert "dB" in page.get_by_test_id("grid-scale").inner_text()
    page.mouse.move(*cell_centre(page, 2, 5))
    tip = page.locator(".cb-tip").inner_text()
    assert "PSNR if reused = PSNR now − 10 log₁₀(response if reused / response now) =" in tip
    assert f"{mine['db']:.2f} − 10 log₁₀(" in tip and "time if reused − time now =" in tip
    cell.click()
    expect(cell).to_have_attribute("aria-label", WINS)
    page.locator("#grid [data-id=plan]").click()

    choose(page, "method", "★ Full")
    expect(page.get_by_test_id("readout-psnr")).to_contain_text("equal")
    _dragging_the_budget_repaints_and_predicts_and_the_run_agrees(page)


def _dragging_the_budget_repaints_and_predicts_and_the_run_agrees(page: Any) -> None:
    choose(page, "method", "★ Budget")
    chosen(page, "budget")
    slider = page.locator("#control-0 input[type=range]")
    box = slider.bounding_box()
    seen = []
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + box["height"] / 2)
    page.mouse.down()
    for share in (0.15, 0.35, 0.6):  # 1.6, 2.4, 3.4 times as fast
        last = rows(page)
        page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2, steps=3)
        page.wait_for_function(f"p => {GRID}.rows().join() !== p.join()", arg=last)
        page.wait_for_function(SETTLED)
        seen.append(
            (rows(page), psnr_tile(page), page.get_by_test_id("readout-speedup").inner_text())
        )
    page.mouse.up()
    for some in zip(*seen, strict=True):
        assert len({str(one) for one in some}) == 3  # every part moved at every place
    predicted = page.evaluate(f"{GRID}.quality()")
    run(page)
    measured = float(page.get_by_test_id("cached-psnr").inner_text().split()[0])
    # The interval is of the mean over pictures; one picture differs from it by about 3 dB.
    assert predicted["low"] - 4 <= measured <= predicted["high"] + 4
    # From now on the page knows this picture, and says so while the pointer moves, too.
    psnr = page.get_by_test_id("readout-psnr")
    expect(psnr).to_contain_text("here")
    # All of it has room, the range too, beside the demo's pictures as well.
    page.locator("#view").get_by_text("Demo", exact=True).click()
    expect(page.locator("#preset")).to_be_visible()
    assert psnr.evaluate("tile => tile.scrollWidth <= tile.clientWidth")
    here = page.evaluate("window.cachebrushGrids.grid.value.expected.here")
    within = 1.4 + 0.07 * min(max(predicted["db"] - 27, 0), 20)
    level = (measured - predicted["db"]) / (1 + within**2 / 2.7**2)
    assert here["runs"] == 1 and here["level_db"] == pytest.approx(level, abs=0.06)
    page.mouse.move(*cell_centre(page, 6, 7))
    page.mouse.down()
    page.mouse.move(*cell_centre(page, 9, 9), steps=4)
    shown = float(psnr_tile(page).split(" dB")[0].split()[-1])
    mean = page.evaluate(f"{GRID}.quality()")["db"]
    assert shown == pytest.approx(min(60, mean + here["level_db"]), abs=0.06)
    page.mouse.up()
