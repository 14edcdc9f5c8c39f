"""The reducer: every event, what it changes, what it refuses, and that nothing is lost."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

from caching.errors import ScheduleError
from caching.predictors import Reuse
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule
from viz.brushes import hues_of
from viz.grid.ops import (
    AddBrush,
    Op,
    Paint,
    PaintSteps,
    Recolour,
    Redo,
    RemoveBrush,
    ReplaceBrush,
    Undo,
)
from viz.reducer import MAX_HISTORY, update
from viz.session import Refused, Session
from viz.state import (
    Configure,
    Entry,
    ModelFacts,
    Refuse,
    Repaint,
    Resteps,
    Settings,
    Strokes,
    UseModel,
    ViewState,
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
    "preset of another model": Repaint("other", Schedule.full(S, L + 1)),
    "class that does not exist": Configure(replace(SETTINGS, label=2)),
    "no steps": Resteps(0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_events_raise_and_lose_nothing(state: ViewState, name: str) -> None:
    session = Session(update(state, Strokes((stroke(1, 0, 1, 1),))))
    before = session.state
    with pytest.raises(ValueError):
        session.dispatch(REFUSED[name])
    assert session.state is before


REFUSED_OPS: dict[str, tuple[Op, str]] = {
    "another grid": (Paint(2, 1, ((1, 1),), of=5), "grid of 5 cells"),
    "action not in the legend": (stroke(2, 0, 1, 1, to=9), "action 9 does not exist"),
    "cell beyond the grid": (Paint(2, 1, ((S * L * R, 1),)), "cell 24 does not exist"),
    "step action not in the legend": (PaintSteps(2, 1, ((1, 1),)), "legend ends at 0"),
    "brush in use": (RemoveBrush(2, "cells", 1), "reuse is painted on 1 cell"),
    "brush twice": (AddBrush(2, "cells", {"predictor": "reuse"}), "already"),
    "brush out of limits": (
        AddBrush(2, "cells", {"predictor": "taylor", "order": 99}),
        "from 0 to 6",
    ),
    "no such brush": (Recolour(2, "cells", 2, 1), "brush 2 does not exist"),
}


@pytest.mark.parametrize("name", REFUSED_OPS)
def test_a_refused_operation_is_noted_and_costs_none_of_its_neighbours(
    state: ViewState, name: str
) -> None:
    op, words = REFUSED_OPS[name]
    session = Session(update(state, Strokes((stroke(1, 0, 1, 1),))))
    before = session.state
    with pytest.raises(Refused, match=words):
        session.dispatch(Strokes((op, stroke(3, 1, 2, 1))))
    now = session.state
    assert painted(now) == [(1, 0, 0), (2, 0, 1)] and now.ack == 3
    assert now.refused is not None and now.refused.rev == 2 and words in now.refused.words
    assert len(now.past) == len(before.past) + 1
    # The page sends it again because the answer was lost: nothing new, and the reason stays.
    session.dispatch(Strokes((op, stroke(3, 1, 2, 1))))
    assert session.state == now
    assert session.dispatch(Strokes((stroke(4, 1, 3, 1),))).refused is None


TAYLOR = {"predictor": "taylor", "order": 2}
RESIDUAL = {"action": "residual", "first": 0, "last": 0}


def test_every_edit_of_brushes_and_steps_is_undone_and_redone(state: ViewState) -> None:
    ops: tuple[Op, ...] = (
        AddBrush(1, "cells", TAYLOR),
        stroke(2, 0, 1, 2, to=2),
        ReplaceBrush(3, "cells", 2, {**TAYLOR, "order": 3}),
        Recolour(4, "cells", 2, 6),
        AddBrush(5, "steps", RESIDUAL),
        PaintSteps(6, 1, ((3, 2),), of=S),
        AddBrush(7, "cells", {"predictor": "skip"}),
        RemoveBrush(8, "cells", 3),
        Recolour(9, "steps", 1, 2),
    )
    seen = [state]
    for op in ops:
        seen.append(update(seen[-1], Strokes((op,))))
    assert [s.undo_label for s in seen[1:]] == [
        "add brush Taylor (2)", "paint Taylor (2) on 2 cells", "Taylor (2) to Taylor (3)",
        "recolour Taylor (3)", "add brush block residual (0, 0)",
        "paint block residual (0, 0) on 2 steps", "add brush skip", "remove brush skip",
        "recolour block residual (0, 0)",
    ]  # fmt: skip
    last = seen[-1]
    assert last.schedule.legend == (Reuse(), Taylor(3))
    assert last.schedule.step_row() == "CCCSSC" and hues_of(last.now.canvas) == ((None, 6), (2,))
    back = last
    for n, was in enumerate(reversed(seen[:-1])):
        back = update(back, Strokes((Undo(20 + n),)))
        assert back.now.canvas == was.now.canvas
    for n, was in enumerate(seen[1:]):
        back = update(back, Strokes((Redo(40 + n),)))
        assert back.now.canvas == was.now.canvas


def test_strokes_keep_what_the_step_row_says_and_presets_keep_colours(state: ViewState) -> None:
    state = update(
        state,
        Strokes((
            AddBrush(1, "steps", RESIDUAL), PaintSteps(2, 1, ((2, 1),)), Recolour(3, "cells", 1, 4),
            stroke(4, 0, 1, 1),
        )),
    )  # fmt: skip
    assert state.schedule.step_row() == "CCSCCC"
    assert hues_of(update(state, Repaint("full", Schedule.full(S, L))).now.canvas)[0] == (4,)


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


def test_later_states_of_a_session_can_be_told_from_earlier_ones_and_from_other_sessions(
    state: ViewState,
) -> None:
    session = Session(state)
    session.dispatch(Strokes((stroke(1, 0, 1, 1),)))
    assert session.dispatch(Strokes(())).age == session.state.age == 1  # nothing changed
    session.dispatch(Strokes((Undo(2),)))
    assert session.state.age == 2 and session.state == update(session.state, Strokes(()))
    assert copy.deepcopy(session).name != session.name


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
