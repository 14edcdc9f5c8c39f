"""Locked cells: no stroke, edit, preset, method or other step count changes them; undo does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from caching.actions.residual import Residual
from caching.checks import MAX_LEGEND
from caching.errors import ScheduleError
from caching.predictors import Reuse
from caching.predictors.taylor import Taylor
from caching.predictors.tokens import Tokens
from caching.schedule import Schedule
from viz.grid.ops import AddBrush, Lock, Op, Paint, PaintSteps, Put, ReplaceBrush, Runs, Undo
from viz.locks import count, mask_of, merged, resampled, runs_of
from viz.reducer import update
from viz.state import Entry, ModelFacts, Repaint, Resteps, Settings, Strokes, ViewState

S, L, R = 6, 2, 2
ALL = ((0, S * L * R),)
# Row 3 is block 1, mlp; its steps 2 and 3.
LOCKED: Runs = ((3 * S + 2, 2),)


def start(schedule: Schedule | None = None) -> ViewState:
    facts = ModelFacts("tiny", L, ("attn", "mlp"), ("ball",))
    return ViewState(
        facts, Settings(0, 7, 2.0, "ddim"), Entry("start", schedule or Schedule.full(S, L))
    )


def after(state: ViewState, *ops: Op) -> ViewState:
    return update(state, Strokes(ops))


def locked(schedule: Schedule | None = None) -> ViewState:
    return after(start(schedule), Lock(1, True, LOCKED, S * L * R))


@pytest.mark.parametrize(
    ("runs", "kept"),
    [
        ((), ()),
        (LOCKED, LOCKED),
        (((0, 3),), ((1, 2),)),  # step 0 is never locked
        (((4, 4),), ((4, 2), (7, 1))),  # a run over the end of a row leaves step 0 of the next out
        (((0, 24),), ((1, 5), (7, 5), (13, 5), (19, 5))),
    ],
)
def test_runs_and_masks_are_the_same_cells(runs: Runs, kept: Runs) -> None:
    mask = mask_of(runs, Schedule.full(S, L))
    assert mask.shape == (S, L, R) and not mask[0].any()
    assert runs_of(mask) == kept and count(kept) == mask.sum()


def test_the_third_axis_of_a_mask_is_the_branch() -> None:
    assert [tuple(c) for c in np.argwhere(mask_of(LOCKED, Schedule.full(S, L)))] == [
        (2, 1, 1), (3, 1, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "op",
    [
        Paint(2, 1, ALL),
        Put(2, "fill", ALL, bytes([1]) * 24),
        Put(2, "mirror", ((3 * S, S),), bytes([0, 1, 1, 1, 1, 1])),
    ],
)
def test_no_edit_reaches_a_locked_cell(op: Op) -> None:
    now = after(locked(), op).schedule.actions
    assert now[2:4, 1, 1].tolist() == [0, 0] and now[4, 1, 1] == 1


def test_locking_and_unlocking_are_steps_of_undo_with_names() -> None:
    state = locked()
    assert (state.undo_label, state.now.locks) == ("lock 2 cells", LOCKED)
    assert after(state, Undo(2)).now.locks == ()
    half = after(state, Lock(2, False, ((3 * S + 3, 1),)))
    assert (half.undo_label, half.now.locks) == ("unlock 1 cell", ((3 * S + 2, 1),))
    assert after(half, Undo(3)).now.locks == LOCKED
    assert len(after(state, Lock(2, True, LOCKED)).past) == len(state.past)  # nothing new


def test_a_preset_keeps_locked_cells_and_says_how_many_it_would_have_changed() -> None:
    row = np.array([0, 1, 1, 0, 1, 1], np.uint8)  # of the locked steps 2 and 3, one is the same
    every = Schedule(np.broadcast_to(row[:, None, None], (S, L, R)).copy())
    now = update(locked(), Repaint("every 3", every))
    assert now.kept == 1 and now.now.locks == LOCKED
    expected = every.actions.copy()
    expected[2, 1, 1] = 0
    assert (now.schedule.actions == expected).all()
    assert after(now, Paint(9, 0, ((1, 1),))).kept == 0  # said once
    assert update(start(), Repaint("every 3", every)).kept == 0


def test_a_locked_cell_keeps_its_predictor_though_the_preset_has_none() -> None:
    mixed = Schedule.full(S, L).paint([[3, 1, 1]], Taylor(2))
    now = update(locked(mixed), Repaint("every 3", Schedule.every(S, L, 3)))
    number = int(now.schedule.actions[3, 1, 1])
    assert now.schedule.legend[number - 1] == Taylor(2)
    assert now.schedule.legend[0] == Reuse()


def test_a_full_legend_makes_room_for_what_is_locked() -> None:
    many = tuple(Tokens((n + 1) / 100) for n in range(MAX_LEGEND))
    mixed = Schedule.full(S, L).paint([[3, 1, 1]], Taylor(2))
    schedule, kept = merged(replace(Schedule.full(S, L), legend=many), mixed, LOCKED)
    assert kept == 1 and len(schedule.legend) <= MAX_LEGEND
    assert schedule.legend[int(schedule.actions[3, 1, 1]) - 1] == Taylor(2)


def test_a_step_action_may_not_leave_a_locked_cell_out() -> None:
    action = {"action": "residual", "first": 0, "last": 0}
    state = after(locked(), AddBrush(2, "steps", action), PaintSteps(3, 1, ((1, 5),)))
    assert state.schedule.step_actions.tolist() == [0, 1, 0, 0, 1, 1]
    put = Put(4, "fill", ((1, 5),), bytes([0, 1, 1, 1, 0]), S, (), "steps")
    assert after(state, put).schedule.step_actions.tolist() == [0, 0, 0, 0, 1, 0]
    covered = Schedule.full(S, L).paint_steps([2], Residual(0, 0))
    back = update(locked(covered), Repaint("full", Schedule.full(S, L)))
    assert back.schedule.covered[2].all() and not back.schedule.covered[1].any()


def test_other_parameters_of_a_brush_on_locked_cells_are_refused() -> None:
    mixed = Schedule.full(S, L).paint([[3, 1, 1]], Taylor(2))
    value = {"predictor": "taylor", "order": 3}
    now = after(locked(mixed), ReplaceBrush(2, "cells", 2, value))
    assert now.refused is not None and "1 locked cell" in now.refused.words
    assert now.schedule.legend[1] == Taylor(2)


def test_another_step_count_takes_the_locks_along() -> None:
    state = update(locked(), Resteps(2 * S))
    schedule = Schedule.full(S, L).paint([[2, 1, 1], [3, 1, 1]], 1)
    assert mask_of(state.now.locks, state.schedule)[..., 1].any(axis=0).tolist() == [False, True]
    assert (mask_of(state.now.locks, state.schedule) == (schedule.resample(12).actions != 0)).all()
    assert resampled((), schedule, 12) == ()


def test_what_brings_locks_of_its_own_replaces_cells_and_locks() -> None:
    other = Schedule.every(S, L, 2)
    now = update(locked(), Repaint("link", other, locks=((1, 1),)))
    assert now.schedule == other and now.now.locks == ((1, 1),) and now.kept == 0
    assert update(locked(), Repaint("link", other, locks=())).now.locks == ()


def test_locks_beyond_the_grid_are_refused_in_words() -> None:
    now = after(start(), Lock(1, True, ((23, 2),)))
    assert now.refused is not None and "cell 24 does not exist" in now.refused.words
    with pytest.raises(ValueError, match="the grid has 24"):
        mask_of(((23, 2),), Schedule.full(S, L))


def test_keeping_cells_needs_the_same_shape() -> None:
    with pytest.raises(ScheduleError, match="same steps, blocks"):
        Schedule.full(S, L).keep(Schedule.full(S, L + 1), np.zeros((S, L + 1, R), bool))
