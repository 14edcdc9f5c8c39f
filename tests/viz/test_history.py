"""The history as a list, pins, looking aside, and results that come back with their schedule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from caching.measure.result import Pictures, Result
from caching.predictors import Reuse
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule
from viz.grid.ops import Op, Paint, Peek, Pin, Put, Travel, Undo
from viz.grid.show import MAX_NAMES, value_of
from viz.pages.handlers import Handlers
from viz.pages.kept import Kept, size_mib
from viz.pages.visit import Visit, start_visit
from viz.reducer import update
from viz.state import Entry, ModelFacts, Settings, Strokes, UseModel, ViewState

S, L = 6, 2
SETTINGS = Settings(0, 7, 2.0, "ddim")


def start() -> ViewState:
    facts = ModelFacts("tiny", L, ("attn", "mlp"), ("ball",))
    return ViewState(facts, SETTINGS, Entry("start", Schedule.full(S, L)))


def after(state: ViewState, *ops: Op) -> ViewState:
    return update(state, Strokes(ops))


def three() -> ViewState:
    return after(start(), *(Paint(n, 1, ((n, 1),)) for n in (1, 2, 3)))


@pytest.mark.parametrize("to", [0, 1, 2, 3])
def test_any_entry_can_be_reached_and_nothing_is_lost_by_it(to: int) -> None:
    state = three()
    gone = after(state, Travel(4, to))
    assert gone.timeline == state.timeline and len(gone.past) == to
    assert int((gone.schedule.actions != 0).sum()) == to
    assert after(gone, Travel(5, 3)).now == state.now


def test_travel_beyond_the_end_is_refused_and_a_new_edit_forgets_the_future() -> None:
    state = three()
    lost = after(state, Travel(4, 4))
    assert lost.refused is not None and "has 4" in lost.refused.words
    forked = after(state, Travel(4, 1), Paint(5, 1, ((9, 1),)))
    assert [e.what for e in forked.timeline] == ["start", *["paint reuse on 1 cell"] * 2]


def test_an_edit_of_a_selection_is_one_step_with_its_name_and_finds_moved_brushes() -> None:
    taylor = '{"predictor":"taylor","order":1}'
    state = replace(
        start(), now=Entry("start", replace(Schedule.full(S, L), legend=(Taylor(1), Reuse())))
    )
    now = after(state, Put(1, "mirror", ((1, 2), (8, 1)), bytes([2, 0, 2]), 24, ((2, taylor),)))
    assert now.undo_label == "mirror in time, 3 cells" and len(now.past) == 1
    assert np.argwhere(now.schedule.actions == 1).tolist() == [[1, 0, 0], [2, 0, 1]]
    gone = after(state, Put(1, "mirror", ((1, 1),), bytes([3]), 24, ((3, '{"predictor":"x"}'),)))
    assert gone.refused is not None and "choose it again" in gone.refused.words


def test_pins_stay_through_edits_and_leave_with_the_model() -> None:
    state = after(three(), Pin(4, "A"), Travel(5, 0), Pin(6, "B"))
    assert state.pin_a == three().now and state.pin_b is not None and state.pin_b.what == "start"
    assert after(state, Pin(7, "A", clear=True)).pin_a is None
    facts = ModelFacts("other", 3, ("attn", "mlp"), ("a",))
    assert update(state, UseModel(facts, SETTINGS, Schedule.full(S, 3))).pin_a is None


def test_looking_aside_changes_nothing_and_ends_with_any_edit() -> None:
    state = three()
    aside = after(state, Peek(4, "previous"))
    assert (aside.peek, aside.now) == ("previous", state.now)
    assert after(aside, Paint(5, 0, ((1, 1),))).peek is None
    empty = after(state, Peek(4, "B"))
    assert empty.peek is None and empty.refused is not None and "B is empty" in empty.refused.words


def test_the_page_is_told_names_pins_and_what_was_measured() -> None:
    state = after(three(), Pin(4, "A"), Undo(5))
    value = value_of(state, measured=lambda entry: "31 dB" if entry.what == "start" else None)
    told = value["history"]
    assert told["names"] == ["start", *["paint reuse on 1 cell"] * 3]
    assert (told["at"], told["first"], told["total"]) == (2, 0, 4)
    assert told["measured"] == {"0": "31 dB"}
    assert value["others"]["A"]["rows"][0] == "011100"
    assert value["others"]["previous"]["rows"][0] == "010000" and "B" not in value["others"]


def test_a_long_history_is_told_around_the_present() -> None:
    ops = [Paint(n, n % 2, ((1, 1),)) for n in range(1, 2 * MAX_NAMES)]
    told = value_of(after(start(), *ops))["history"]
    assert len(told["names"]) == MAX_NAMES >= 200
    assert told["first"] + MAX_NAMES == told["total"] == told["at"] + 1


def result_of(visit: Visit, schedule: Schedule, **changes: Any) -> Result:
    return replace(visit.result, schedule=schedule, recorded=None, **changes)


def test_a_result_comes_back_with_its_schedule(handlers: Handlers) -> None:
    visit = start_visit()
    first = visit.result
    handlers.strokes((Paint(1, 0, ((1, 3),)),), visit)
    assert "stale" in visit.numbers()
    second = result_of(visit, visit.state.schedule)
    visit.result = second
    visit.kept.keep(second)
    parts = handlers.strokes((Undo(2),), visit)
    assert visit.result is first and "compare" in parts and "run before" in parts["notice"]
    assert "live" in parts["grid"] and "stale" not in parts["numbers"]
    told = parts["grid"]["value"]["history"]["measured"]
    assert set(told) == {"0", "1"} and all(words.endswith("×") for words in told.values())
    handlers.strokes((Travel(3, 1),), visit)
    assert visit.result is second
    parts = handlers.strokes((Peek(4, "previous"),), visit)
    assert visit.shown is first and visit.result is second and "compare" in parts
    assert "stale" not in parts["numbers"]
    parts = handlers.strokes((Peek(5, None),), visit)
    assert visit.shown is second and "compare" in parts


def test_the_result_on_show_is_not_old_while_its_own_schedule_is_shown(
    handlers: Handlers,
) -> None:
    visit = start_visit()
    handlers.strokes((Paint(1, 0, ((1, 3),)),), visit)
    assert "stale" in visit.numbers()  # the only result is of the schedule before
    handlers.strokes((Peek(2, "previous"),), visit)
    assert visit.shown is visit.result and "stale" not in visit.numbers()
    handlers.strokes((Peek(3, None),), visit)
    assert "stale" in visit.numbers()


def test_a_result_is_known_by_what_its_cells_do(handlers: Handlers) -> None:
    visit, kept = start_visit(), Kept()
    paint = visit.state.schedule
    kept.keep(result_of(visit, paint))
    other = replace(paint, legend=(Taylor(1), *paint.legend), actions=(paint.actions != 0) * 2)
    state = replace(visit.state, now=Entry("same", other))
    assert kept.find(state) is not None
    assert kept.find(replace(state, settings=replace(state.settings, seed=1))) is None
    assert (
        kept.find(replace(state, now=Entry("x", replace(other, legend=(Reuse(), Taylor(1))))))
        is None
    )
    assert Kept().find(state) is None


def test_what_a_policy_decided_is_not_kept() -> None:
    visit, kept = start_visit(), Kept()
    kept.keep(result_of(visit, visit.state.schedule, policy="TeaCache"))
    assert len(kept) == 0


def test_the_oldest_results_go_first_when_memory_is_short() -> None:
    visit = start_visit()
    mib = size_mib(visit.result)
    kept = Kept(max_mib=2.5 * mib)
    schedules = [Schedule.every(20, 12, n) for n in (2, 3, 4)]
    for schedule in schedules:
        kept.keep(result_of(visit, schedule))
    states = [replace(visit.state, now=Entry("x", s)) for s in schedules]
    assert [kept.find(s) is not None for s in states] == [False, True, True]
    frames = {"cached": Pictures(np.zeros((1, 1024, 1024, 3), np.uint8), (0,))}
    huge = result_of(visit, Schedule.every(20, 12, 5), pictures=frames)
    assert size_mib(huge) == 6  # 3 MiB, and as much again made ready to send
    Kept(max_mib=1).keep(huge)
