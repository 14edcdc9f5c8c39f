"""The reducer: every event, what it changes, what it refuses, and that nothing is lost."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

from caching.errors import ScheduleError
from caching.schedule import Schedule
from viz.grid.ops import Paint, Redo, Undo
from viz.state import (
    MAX_HISTORY,
    Configure,
    Entry,
    ModelFacts,
    Refuse,
    Repaint,
    Resteps,
    Session,
    Settings,
    Strokes,
    UseModel,
    ViewState,
    update,
)

S, L, R = 6, 2, 2
MODEL = ModelFacts("tiny", L, ("attn", "mlp"), ("ball", "cube"))
SETTINGS = Settings(0, 7, 2.0, "ddim")


@pytest.fixture
def state() -> ViewState:
    return ViewState(MODEL, SETTINGS, Entry("start", Schedule.full(S, L)))


def stroke(rev: int, row: int, first: int, length: int, to: int = 1) -> Paint:
    return Paint(rev, to, ((row * S + first, length),), of=S * L * R)


def painted(state: ViewState) -> list[tuple[int, int, int]]:
    return [tuple(map(int, cell)) for cell in np.argwhere(state.schedule.actions)]


def test_a_stroke_paints_exactly_its_cells_and_is_acknowledged(state: ViewState) -> None:
    after = update(state, Strokes((stroke(1, row=3, first=2, length=2),)))
    assert painted(after) == [(2, 1, 1), (3, 1, 1)]  # row 3 is block 1, mlp
    assert (after.ack, after.undo_label) == (1, "paint reuse on 2 cells")
    assert painted(state) == []


def test_operations_seen_before_are_not_applied_again(state: ViewState) -> None:
    once = update(state, Strokes((stroke(1, 0, 1, 1),)))
    undone = update(once, Strokes((stroke(1, 0, 1, 1), Undo(2))))
    assert (painted(undone), undone.ack, undone.redo_label) == ([], 2, "paint reuse on 1 cell")
    again = update(undone, Strokes((Undo(2), Redo(3))))
    assert (painted(again), again.ack) == ([(1, 0, 0)], 3)


def test_undo_and_redo_at_the_ends_change_nothing_but_are_acknowledged(state: ViewState) -> None:
    after = update(state, Strokes((Undo(1), Redo(2))))
    assert after == replace(state, ack=2)


def test_a_new_edit_forgets_what_was_undone(state: ViewState) -> None:
    after = update(state, Strokes((stroke(1, 0, 1, 1), Undo(2), stroke(3, 1, 1, 1))))
    assert after.redo_label is None
    assert painted(after) == [(1, 0, 1)]


def test_a_stroke_that_changes_nothing_is_no_step_of_undo(state: ViewState) -> None:
    after = update(state, Strokes((stroke(1, 0, 1, 1, to=0),)))
    assert after.undo_label is None and after.ack == 1


REFUSED = {
    "another grid": Strokes((Paint(1, 1, ((1, 1),), of=5),)),
    "action not in the legend": Strokes((stroke(1, 0, 1, 1, to=9),)),
    "cell beyond the grid": Strokes((Paint(1, 1, ((S * L * R, 1),)),)),
    "preset of another model": Repaint("other", Schedule.full(S, L + 1)),
    "class that does not exist": Configure(replace(SETTINGS, label=2)),
    "no steps": Resteps(0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_events_raise_and_lose_nothing(state: ViewState, name: str) -> None:
    session = Session(update(state, Strokes((stroke(1, 0, 1, 1),))))
    before = session.state
    event = REFUSED[name]
    if isinstance(event, Strokes):
        event = Strokes(tuple(replace(op, rev=2) for op in event.ops))
    with pytest.raises(ValueError):
        session.dispatch(event)
    assert session.state is before


def test_a_refused_stroke_can_be_acknowledged_so_that_the_page_stops_sending(
    state: ViewState,
) -> None:
    assert update(state, Refuse(5)).ack == 5
    assert update(replace(state, ack=9), Refuse(5)).ack == 9


def test_a_moving_slider_is_one_step_of_undo(state: ViewState) -> None:
    for n in (2, 3, 4):
        state = update(state, Repaint(f"every {n}", Schedule.every(S, L, n), "preset fora"))
    assert (state.undo_label, len(state.past)) == ("every 4", 1)
    state = update(state, Repaint("full", Schedule.full(S, L), "preset full"))
    assert len(state.past) == 2
    assert painted(update(state, Strokes((Undo(1), Undo(2))))) == []


def test_steps_resample_and_undo_brings_the_old_grid_back(state: ViewState) -> None:
    state = update(state, Strokes((stroke(1, 0, 3, 3),)))
    longer = update(state, Resteps(12))
    assert longer.schedule.steps == 12 and not longer.schedule.actions[0].any()
    assert longer.schedule.actions.any()
    back = update(longer, Strokes((Undo(2),)))
    assert back.schedule == state.schedule


def test_another_model_starts_anew(state: ViewState) -> None:
    state = update(state, Strokes((stroke(1, 0, 1, 1),)))
    other = ModelFacts("other", 3, ("attn", "mlp"), ("a", "b", "c"))
    after = update(state, UseModel(other, SETTINGS, Schedule.full(S, 3)))
    assert (after.model, after.past, after.future, after.ack) == (other, (), (), 1)


def test_history_is_bounded(state: ViewState) -> None:
    ops = tuple(stroke(i + 1, 0, 1, 1, to=(i + 1) % 2) for i in range(MAX_HISTORY + 20))
    assert len(update(state, Strokes(ops)).past) == MAX_HISTORY


def test_visitors_do_not_share_a_session(state: ViewState) -> None:
    mine = Session(state)
    yours = copy.deepcopy(mine)
    mine.dispatch(Strokes((stroke(1, 0, 1, 1),)))
    assert yours.state is state


def test_a_newer_run_takes_over_and_stop_ends_it(state: ViewState) -> None:
    session = Session(state)
    first = session.begin_run()
    assert not first()
    second = session.begin_run()
    assert first() and not second()
    session.end_runs()
    assert second()


def test_schedules_of_the_wrong_shape_say_what_was_expected(state: ViewState) -> None:
    with pytest.raises(ScheduleError, match=r"3 blocks and the model 2"):
        update(state, Repaint("other", Schedule.full(S, 3)))
