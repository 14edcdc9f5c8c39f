"""The Pareto box: its points, their colours, restoring with undo, pins and what cells are worth."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from caching.policies.interval import every
from caching.predict.picture import Level
from caching.predictors import Reuse
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule
from tests.viz.visits import JUNK, refused
from viz import palette, pareto, pins
from viz.figures.pareto import COSTS, QUALITIES, Point
from viz.figures.pareto import pareto as figure
from viz.grid.ops import Undo
from viz.images import decode_uri
from viz.pages.handlers import Handlers
from viz.pages.pareto import Pareto, shown
from viz.pages.studies import recorded
from viz.pages.visit import Visit
from viz.ran import MAX_RUNS, THUMB_PX, Better, History, grid_thumbnail, thumbnail
from viz.state import Entry, PinEntry, Repaint, Settings


@pytest.fixture
def box(handlers: Handlers) -> Pareto:
    return Pareto(handlers)


def second_run(visit: Visit, **changes: Any) -> None:
    """Another run of this visit's own, of every second step."""
    schedule = every(20, 12, 2)
    result = dataclasses.replace(visit.result, schedule=schedule, recorded=None, **changes)
    visit.history.note(result, visit.state)
    visit.kept.keep(result)


def act(box: Pareto, visit: Visit, do: str, of: str) -> dict[str, Any]:
    return box.act({"do": do, "of": of}, "psnr", "time", visit)


# -- runs made small -----------------------------------------------------------------------


def test_thumbnails_are_small_and_say_what_cells_do() -> None:
    uri = thumbnail(np.full((256, 256, 3), 90, np.uint8))
    assert len(uri) < 4000 and decode_uri(uri).shape == (THUMB_PX, THUMB_PX, 3)
    schedule = Schedule.from_rows(["CRT", "CCC"], legend=(Reuse(), Taylor(1)))
    cells = decode_uri(grid_thumbnail(schedule))
    assert cells.shape == (2, 3, 3)  # a pixel per cell, rows over steps
    computed = palette.rgb(palette.LIGHT["compute"])
    assert (cells == computed).all(-1).tolist() == [[True, False, False], [True, True, True]]
    assert len({tuple(c) for c in cells[0].tolist()}) == 3, "each brush has a look of its own"


def test_a_history_is_bounded_and_counts_on(visit: Visit) -> None:
    history = History()
    for _ in range(MAX_RUNS + 3):
        history.note(visit.result, visit.state)
    assert [history.runs[0].number, history.runs[-1].number] == [4, MAX_RUNS + 3]
    assert history.run(1) is None and history.run(4) is history.runs[0]


# -- the figure ----------------------------------------------------------------------------


def point(name: str, series: Any, speedup: float | None, db: float, **more: Any) -> Point:
    return Point(name, series, f"{name} <b>", speedup, 2.0, db, 0.9, 0.1, **more)


def test_a_series_has_one_colour_whatever_the_axes() -> None:
    points = [
        point("r1", "cached", 1.5, 40.0),
        point("p1", "fewer", 1.4, 38.0),
        point("r2", "cached", None, math.inf, here=False),
        point("s1", "study", 1.2, 30.0),
    ]
    for quality in QUALITIES:
        for cost in COSTS:
            found = figure(points, quality=quality, cost=cost, current="r1", pins={"p1": "A"})
            by_name = {t.name: t for t in found.data if t.customdata is not None}
            assert {t.line.color for n, t in by_name.items() if "plain" not in n} == {"#1F83C6"}
            assert by_name["plain steps, measured here"].line.color == "#D9661F"
            ids = [row[0] for row in by_name["your runs"].customdata]
            # Without a measured time there is no place on that axis.
            assert ids == (["r1"] if cost == "time" else ["r1", "r2"])
            assert by_name["plain steps, measured here"].text == ("A",)
            assert "&lt;b&gt;" in by_name["your runs"].customdata[0][1]
    high = figure(points, quality="psnr", cost="macs").data
    assert max(max(t.y) for t in high if t.y) == 60.0, "identical pictures stand at the top"


def test_the_line_to_beat_joins_this_picture_s_own_plain_runs_in_order() -> None:
    points = [
        dataclasses.replace(point("p1", "fewer", 2.0, 33.0), name="10 plain steps"),
        dataclasses.replace(point("p2", "fewer", 1.2, 40.0), name="16 plain steps"),
        dataclasses.replace(point("p3", "fewer", 2.4, 33.0), name="10 plain steps"),
        dataclasses.replace(point("p4", "fewer", 1.6, 36.0, here=False), name="13 plain steps"),
    ]
    (line,) = [t for t in figure(points).data if t.mode == "lines"]
    assert (list(line.x), list(line.y)) == ([1.2, 2.2], [40.0, 33.0])


def test_every_run_and_rival_and_row_of_the_study_is_a_point(visit: Visit) -> None:
    second_run(visit)
    points = pareto.points_of(visit.history, visit.state, recorded(), (), None, Level())
    by_id = {p.id: p for p in points}
    figures = visit.result.figures
    assert by_id["r2"].psnr_db == figures["cached"].psnr_db
    assert by_id["p2"].speedup == figures["fewer"].speedup
    assert by_id["r2"].macs == pytest.approx(1 / figures["cached"].work)
    assert by_id["r2"].here and not by_id["r1"].here and "recorded on" in by_id["r1"].note
    study = recorded()
    assert study is not None
    row = study.rows[5]
    assert (by_id["s5"].speedup, by_id["s5"].macs) == (row.ms_speedup, row.speedup)
    assert by_id["s5"].note.startswith("recorded on ") and by_id["s5"].psnr_db == row.psnr_db.mean


def test_the_table_holds_every_point_escaped_and_with_its_buttons(visit: Visit) -> None:
    second_run(visit)
    visit.session.dispatch(Repaint("<script>", every(20, 12, 2)))
    visit.history.note(dataclasses.replace(visit.result, schedule=every(20, 12, 2)), visit.state)
    page = shown("psnr", "macs", visit)["pareto_table"]
    for name in ("r1", "p1", "r2", "p2", "r3"):
        assert page.count(f'<tr data-point="{name}"') == 1
        assert f'data-do="restore" data-of="{name}"' in page
    assert page.count("<img") == 3 * 3 and "<script>" not in page


def test_a_long_visit_s_table_stays_light(visit: Visit) -> None:
    for _ in range(pareto.PICTURED + 40):
        visit.history.note(visit.result, visit.state)
    page = shown("psnr", "time", visit)["pareto_table"]
    assert page.count("<img") == 3 * pareto.PICTURED and len(page) < 400_000
    assert page.count("<tr data-point") == 2 * len(visit.history.runs)


# -- restoring -----------------------------------------------------------------------------


def test_a_click_brings_schedule_settings_and_result_back_and_undo_what_was_there(
    box: Pareto, handlers: Handlers, visit: Visit
) -> None:
    first, old = visit.state, visit.result
    second_run(visit, label=3, seed=99)
    other = visit.history.runs[-1]
    parts = act(box, visit, "restore", "r2")
    assert visit.state.schedule == other.schedule
    assert visit.state.settings == Settings(3, 99, old.cfg_scale, old.sampler)
    assert visit.result.seed == 99 and "Restored" in parts["notice"]
    assert (parts["label"]["value"], parts["seed"]["value"]) == (3, 99)
    assert parts["numbers"] == visit.numbers() and "cb-stale" not in parts["numbers"]
    back = handlers.strokes((Undo(1),), visit)
    assert visit.state.schedule == first.schedule and visit.state.settings == first.settings
    assert visit.result is old and back["seed"]["value"] == first.settings.seed
    assert "label" not in handlers.strokes((), visit), "nothing else moves the controls"


def test_a_rival_belongs_to_its_run(box: Pareto, visit: Visit) -> None:
    second_run(visit)
    act(box, visit, "restore", "p2")
    assert visit.state.schedule == visit.history.runs[-1].schedule


def test_a_row_of_the_study_is_painted(box: Pareto, visit: Visit) -> None:
    study = recorded()
    assert study is not None
    number = next(k for k, row in enumerate(study.rows) if row.method == "fora")
    parts = act(box, visit, "restore", f"s{number}")
    assert visit.method is not None and visit.method.name == "fora" and not parts["notice"]


def test_a_run_of_another_model_is_refused(box: Pareto, visit: Visit) -> None:
    visit.history.note(dataclasses.replace(visit.result, model="another"), visit.state)
    before = visit.state
    refused(act(box, visit, "restore", "r2"), "another")
    assert visit.state is before


@pytest.mark.parametrize("of", ["r9", "q0", "f0", "s99999", "b1.1", "x1", "r1;", "r" + "9" * 30])
def test_what_is_not_there_is_refused(box: Pareto, visit: Visit, of: str) -> None:
    before = visit.state
    refused(act(box, visit, "restore", of))
    assert visit.state is before


@pytest.mark.parametrize("junk", [*JUNK, {"do": []}, {"do": "A", "of": {}}, {"do": "clear"}])
def test_junk_is_refused(box: Pareto, visit: Visit, junk: Any) -> None:
    before = visit.state
    refused(box.act(junk, junk, junk, visit))
    assert visit.state is before


# -- pins ----------------------------------------------------------------------------------


class Halves:
    """A prediction that knows two things: 40 dB less 1 per reused cell of step 1, 2 elsewhere."""

    class response:
        open = np.zeros((1, 3, 2, 1, 2))

    def predict(self, schedule: Schedule) -> Any:
        reused = ~schedule.computed
        db = 40.0 - reused[1].sum() - 2.0 * reused[2:].sum()
        return type("Estimate", (), {"db": float(db)})()


A = Schedule.from_rows(["CRC", "CCC"], branches=("attn",))
B = Schedule.from_rows(["CCR", "CRR"], branches=("attn",))


def test_each_difference_is_worth_what_taking_it_over_changes() -> None:
    found = pins.difference(A, B, Halves(), None)  # type: ignore[arg-type]
    assert found is not None and found.cells == 4
    # A: 39 dB. B: one reused cell at step 1 and two at step 2: 35 dB.
    assert found.whole.db == pytest.approx(35 - 39)
    worth = {w.where: (w.cells, w.db) for w in (*found.rows, *found.steps)}
    # Row 0: step 1 computed (+1), step 2 reused (-2). Row 1: both reused (-1 - 2).
    assert worth == {
        "block 0 attn": (2, -1.0), "block 1 attn": (2, -3.0),
        "step 1": (2, 0.0), "step 2": (2, -4.0),
    }  # fmt: skip
    assert [w.where for w in found.rows] == ["block 1 attn", "block 0 attn"], "most first"
    page = pins.pins_html(Entry("<i>", A), Entry("b", B), Halves(), None)  # type: ignore[arg-type]
    assert page.count("<rect") == 1 + 4 and "−4.00 dB" in page and "<i>" not in page


def test_what_the_prediction_never_learned_is_not_valued() -> None:
    odd = dataclasses.replace(B, legend=(Taylor(1),))
    assert pins.difference(A, odd, Halves(), None).whole.db is not None  # type: ignore
    shorter = type("K", (), {"response": type("R", (), {"open": np.zeros((1, 9, 2, 1, 2))})})()
    assert pins.difference(A, B, shorter, None).whole.db is None  # type: ignore
    assert pins.difference(A, every(3, 2, 2), None, None) is None


def test_runs_are_pinned_compared_and_unpinned(box: Pareto, visit: Visit) -> None:
    second_run(visit)
    assert "nothing pinned" in shown("psnr", "time", visit)["pareto_pins"]
    act(box, visit, "A", "r1")
    parts = act(box, visit, "B", "r2")
    assert visit.state.pin_a is not None and visit.state.pin_b is not None
    assert visit.state.pin_b.schedule == visit.history.runs[-1].schedule
    assert "From A to B" in parts["pareto_pins"] and "cb-difference" in parts["pareto_pins"]
    assert parts["pareto_table"].count('class="cb-pin"') == 2
    assert "nothing pinned" in act(box, visit, "clear", "A")["pareto_pins"]
    assert visit.state.pin_a is None


def test_a_pin_of_other_steps_is_said_so(box: Pareto, visit: Visit) -> None:
    second_run(visit)
    visit.session.dispatch(PinEntry("A", Entry("short", every(8, 12, 2))))
    assert "different shapes" in act(box, visit, "B", "r2")["pareto_pins"]


def test_finds_of_an_improvement_are_restored_too(box: Pareto, visit: Visit) -> None:
    state, schedule = visit.state, every(20, 12, 3)
    visit.history.note_better(
        Better(1, 7, state.model.name, state.settings, schedule, "psnr", 41.5, 8, 0.35, "")
    )
    table = shown("psnr", "macs", visit)["pareto_table"]
    assert "Improve 1, trial 7" in table and "41.5 dB" in table
    act(box, visit, "restore", "b1.7")
    assert visit.state.schedule == schedule
