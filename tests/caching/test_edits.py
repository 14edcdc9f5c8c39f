"""Edits and questions on whole schedules: age, paint, diff and resample."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from caching.context import Context
from caching.errors import ScheduleError
from caching.predictors import Reuse
from caching.schedule import Schedule
from tests.caching.strategies import Nudge, schedules

# -- age -----------------------------------------------------------------------------------


def test_age_counts_steps_since_the_last_compute():
    age = Schedule.from_rows(["CRRCRRR", "CCCCCCC"]).age()
    assert age.dtype == np.int16
    assert age[:, 0, 0].tolist() == [0, 1, 2, 0, 1, 2, 3]
    assert age[:, 0, 1].tolist() == [0] * 7


@given(schedules())
def test_age_is_zero_exactly_where_computed_and_points_at_a_computed_cell(schedule):
    age, computed = schedule.age(), schedule.computed
    assert ((age == 0) == computed).all()
    for step, block, branch in np.argwhere(~computed):
        back = age[step, block, branch]
        assert computed[step - back, block, branch]
        assert not computed[step - back + 1 : step + 1, block, branch].any()


# -- paint ---------------------------------------------------------------------------------


def test_paint_by_indices_changes_these_cells_only():
    before = Schedule.full(4, 2, context=Context(4, sampler="ddim"))
    after = before.paint([(1, 0, 0), (3, 1, 1)], 1)
    assert after.rows() == {
        "block 0 attn": "CRCC",
        "block 0 mlp": "CCCC",
        "block 1 attn": "CCCC",
        "block 1 mlp": "CCCR",
    }
    assert after.context == before.context
    assert before == Schedule.full(4, 2, context=Context(4, sampler="ddim"))


def test_a_new_predictor_joins_the_legend_and_a_known_one_keeps_its_number():
    once = Schedule.full(3, 1).paint([(1, 0, 0)], Nudge())
    assert once.legend == (Reuse(), Nudge())
    assert once.actions[1, 0, 0] == 2
    assert once.paint([(2, 0, 0)], Reuse()).actions[:, 0, 0].tolist() == [0, 2, 1]


def test_painting_a_whole_row_can_leave_step_0_computed():
    row = np.zeros((3, 1, 2), bool)
    row[:, 0, 1] = True
    with pytest.raises(ScheduleError, match="block 0, mlp, step 0: reuse given"):
        Schedule.full(3, 1).paint(row, 1)
    painted = Schedule.full(3, 1).paint(row, 1, keep_first_step=True)
    assert painted.rows() == {"block 0 attn": "CCC", "block 0 mlp": "CRR"}
    assert row[0, 0, 1], "the mask that was handed in is not written to"


@pytest.mark.parametrize(
    ("cells", "action", "message"),
    [
        ([(4, 0, 0)], 1, r"block 0, attn, step 4 is outside the grid: expected steps 0 to 3"),
        ([(1, -1, 0)], 1, r"block -1, attn, step 1 is outside"),
        ([(1, 0, 2)], 1, r"block 0, branch 2, step 1 is outside"),
        ([(1.0, 0.0, 0.0)], 1, r"cells given as float64 \(1, 3\)"),
        ([(1, 0)], 1, r"cells given as int64 \(1, 2\)"),
        (
            np.ones((4, 2, 1), bool),
            1,
            r"cells given as bool \(4, 2, 1\): expected bool \(4, 2, 2\)",
        ),
        ([(1, 0, 0)], 2, r"action is 2: expected a whole number from 0 to 1"),
        ([(1, 0, 0)], -1, r"action is -1"),
        ([(1, 0, 0)], True, r"action is True"),
    ],
)
def test_wrong_strokes_are_refused(cells, action, message):
    with pytest.raises(ScheduleError, match=message):
        Schedule.full(4, 2).paint(cells, action)


@given(schedules(), st.data())
def test_paint_sets_the_mask_and_nothing_else_and_can_be_undone(schedule, data):
    shape = schedule.actions.shape
    mask = data.draw(hnp.arrays(bool, shape))
    action = data.draw(st.integers(0, 2))
    painted = schedule.paint(mask, action, keep_first_step=True)
    inside = mask.copy()
    inside[0] = False
    assert (painted.actions[inside] == action).all()
    assert (painted.actions[~inside] == schedule.actions[~inside]).all()
    assert painted == schedule.paint(np.argwhere(mask), action, keep_first_step=True)
    changed = schedule.diff(painted).changed
    assert changed == (painted.actions != schedule.actions).sum()


# -- diff ----------------------------------------------------------------------------------


def test_diff_lists_the_cells_and_counts_the_rest():
    a = Schedule.from_rows(["CRCR", "CCRR"])
    b = Schedule.from_rows(["CCRR", "CCRR"])
    found = a.diff(b)
    assert found.only_a == ((2, 0, 0),)
    assert found.only_b == ((1, 0, 0),)
    assert found.other_predictor == ()
    assert (found.both, found.neither, found.changed) == (3, 3, 2)


def test_diff_compares_predictors_not_their_numbers():
    actions = np.array([0, 1, 2]).reshape(3, 1, 1)
    a = Schedule(actions, (Reuse(), Nudge()), ("attn",))
    b = Schedule(actions, (Nudge(), Reuse()), ("attn",))
    assert a.diff(b).other_predictor == ((1, 0, 0), (2, 0, 0))
    same = Schedule(np.array([0, 2, 1]).reshape(3, 1, 1), (Nudge(), Reuse()), ("attn",))
    assert a.diff(same).changed == 0


def test_fora_against_fora_is_a_mirror_image():
    """The two alignments called FORA agree nowhere between their ends (methods dossier 4.3)."""
    found = Schedule.every(30, 28, 2).diff(Schedule.every(30, 28, 2, align="start"))
    assert len(found.only_a) == len(found.only_b) == 14 * 56
    assert found.both == 2 * 56
    assert found.neither == 0


@pytest.mark.parametrize(
    "other", [Schedule.full(5, 2), Schedule.full(4, 3), Schedule.full(4, 2, branches=("a", "b"))]
)
def test_schedules_of_other_shapes_cannot_be_compared(other):
    with pytest.raises(ScheduleError, match=r"cannot be compared.*resample\(\)"):
        Schedule.full(4, 2).diff(other)


@given(schedules(), st.data())
def test_diff_is_antisymmetric_and_counts_every_cell(a, data):
    actions = data.draw(hnp.arrays(np.uint8, a.actions.shape, elements=st.integers(0, 2)))
    actions[0] = 0
    b = Schedule(actions, a.legend, a.branches)
    one, two = a.diff(b), b.diff(a)
    assert (one.only_a, one.only_b) == (two.only_b, two.only_a)
    assert one.changed + one.both + one.neither == a.actions.size
    assert (one.changed == 0) == (a == b)


# -- resample ------------------------------------------------------------------------------


def test_resample_takes_the_nearest_step_as_a_fraction_of_the_run():
    rows = Schedule.from_rows(["CCRRC", "CRCRC"]).resample(3).rows()
    assert rows == {"block 0 attn": "CRC", "block 0 mlp": "CCC"}
    rows = Schedule.from_rows(["CRC", "CRR"]).resample(5).rows()
    # Steps 1 and 3 lie half-way: the earlier step wins, and step 1 takes step 0.
    assert rows == {"block 0 attn": "CCRRC", "block 0 mlp": "CCRRR"}


def test_resample_goes_by_timestep_when_both_are_known():
    context = Context(3, timesteps=(999, 100, 0))
    before = Schedule.from_rows(["CRC", "CCR"], context=context)
    after = before.resample(4, timesteps=(999, 600, 90, 10))
    assert after.rows() == {"block 0 attn": "CCRC", "block 0 mlp": "CCCR"}
    assert after.context.timesteps == (999.0, 600.0, 90.0, 10.0)


def test_resample_computes_step_0_and_says_so_in_the_context():
    context = Context(2, sampler="ddim", timesteps=(999, 0), note="by hand")
    before = Schedule.from_rows(["CR", "CR"], context=context)
    after = before.resample(3, timesteps=(5, 3, 1))
    assert after.computed[0].all()
    assert after.context.sampler == "ddim"
    assert after.context.note.startswith("resampled from 2 to 3 steps, not judged at 3; by hand")
    assert Schedule.full(4, 1).resample(2).context == Context(
        2, note="resampled from 4 to 2 steps, not judged at 2"
    )


@pytest.mark.parametrize("steps", [4, 7, 11, 26, 50])
def test_a_step_half_way_always_takes_the_earlier_one(steps):
    """Going to 2 S - 1 steps puts every odd step half-way, where rounding must not decide."""
    actions = np.random.default_rng(0).integers(0, 2, (steps, 256, 2))
    actions[0] = 0
    after = Schedule(actions).resample(2 * steps - 1)
    assert (after.actions[::2] == actions).all()
    assert (after.actions[1::2] == actions[:-1]).all()


def test_resample_to_the_same_steps_is_the_same_schedule():
    schedule = Schedule.every(7, 2, 3, context=Context(7))
    assert schedule.resample(7) is schedule


def test_a_note_never_outgrows_its_bound():
    schedule = Schedule.full(2, 1)
    for steps in range(3, 30):
        schedule = schedule.resample(steps)
    assert len(schedule.context.note) == 300


@pytest.mark.parametrize(
    ("steps", "timesteps", "message"),
    [(0, None, "steps is 0"), (1001, None, "steps is 1001"), (3, (2, 1), "2 values for 3 steps")],
)
def test_a_wrong_resample_is_refused(steps, timesteps, message):
    with pytest.raises(ScheduleError, match=message):
        Schedule.full(4, 1).resample(steps, timesteps=timesteps)


@given(schedules(), st.integers(1, 12))
def test_resample_keeps_the_shape_of_a_row_and_invents_nothing(schedule, steps):
    after = schedule.resample(steps)
    assert after.actions.shape == (steps, *schedule.actions.shape[1:])
    assert after.computed[0].all()
    for row in after.actions[1:]:
        assert any((row == old).all() for old in schedule.actions)
