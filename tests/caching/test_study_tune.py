"""Tuning: the rung nearest above a target, on ladders whose speed-ups are known by hand."""

from dataclasses import dataclass

import numpy as np
import pytest

from caching.errors import CachebrushError, RequestError
from caching.methods.base import Method, Plan, number
from caching.study import rivals
from caching.study.tune import Tuner, matched, midway
from tests.caching.ladders import Broken, Decided, Late, Threshold, rows


def work_of(schedule):
    """Every step costs the same, and a reused one nothing."""
    return float(schedule.computed.all(axis=(1, 2)).mean())


def reused_by(plan):
    return int((~plan.schedule.computed.all(axis=(1, 2))).sum())


def cells_of(schedule):
    return float(schedule.computed.mean())


# 8 steps with n reused: 8 / (8 - n) times faster.
@pytest.mark.parametrize(
    ("target", "reused", "speedup"),
    [(1.1, 1, 8 / 7), (1.3, 2, 4 / 3), (1.5, 3, 1.6), (2, 4, 2.0), (3, 6, 4.0), (9, 7, 8.0)],
)
def test_a_schedule_gets_the_nearest_rung(target, reused, speedup):
    found = Tuner(Late(), None, lambda plan: 1 / work_of(plan.schedule)).find(target)
    assert (found.method, found.speedup) == (Late(reused), pytest.approx(speedup))


def test_a_ladder_that_does_not_rise_is_read_through():
    speedups = {0: 1.0, 1: 3.0, 2: 2.1, 3: 1.2, 4: 2.6, 5: 1.0, 6: 1.0, 7: 1.0}

    def speedup(plan):
        return speedups[reused_by(plan)]

    assert Tuner(Late(), None, speedup).find(2).method == Late(2)
    assert Tuner(Late(), None, speedup).find(2.5).method == Late(4)


def test_of_equals_the_mildest_is_taken():
    tuner = Tuner(Late(), None, lambda plan: 1 + min(reused_by(plan), 4) / 4)
    assert tuner.find(2).method == Late(4)  # 5, 6 and 7 are as fast


def test_a_little_too_slow_is_better_than_far_too_fast():
    speedups = {0: 1.0, 1: 2.9, 2: 4.8, 3: 6.3}
    tuner = Tuner(Late(), None, lambda plan: speedups.get(reused_by(plan), 8.0))
    assert tuner.find(5).method == Late(2)  # 6.3 is more than 1.25 times 5
    assert tuner.find(5.3).method == Late(3)
    assert tuner.find(4.5).method == Late(2)
    assert tuner.find(1.5).method == Late(1)  # nothing near: the least that is enough


# 41 rungs from 0 to 4 lie 0.1 apart, and 1 + level is the speed-up: 2.34 lies between two of them.
def test_numbers_are_looked_for_between_rungs():
    found = Tuner(Threshold(), None, lambda plan: 1 + float(plan.notes[0])).find(2.34)
    assert 2.34 <= found.speedup <= 1.02 * 2.34
    assert found.method.level == pytest.approx(found.speedup - 1)
    assert found.plan.notes == (f"{found.method.level:g}",)


def test_halving_goes_on_until_it_is_near():
    """A step from 1 to 3 at level 1.07: the first rung behind it is 1.1, and nothing is nearer."""
    tuner = Tuner(Threshold(), None, lambda plan: 3.0 if float(plan.notes[0]) >= 1.07 else 1.0)
    found = tuner.find(2)
    assert found.speedup == 3
    assert 1.07 <= found.method.level <= 1.071


def test_a_policy_is_tuned_with_few_runs():
    asked = []

    def speedup(plan):
        asked.append(float(plan.notes[0]))
        return 1 + asked[-1]

    tuner = Tuner(Decided(), None, speedup)
    for target in (1.3, 1.5, 2, 3, 4.9):
        assert target <= tuner.find(target).speedup <= 1.06 * target
    assert len(asked) == len(set(asked)) <= 24  # of 41 rungs
    assert tuner.find(7).speedup == 5  # its fastest


def test_where_near_is_enough_a_policy_is_tuned_with_fewer_runs():
    asked = []

    def speedup(plan):
        asked.append(float(plan.notes[0]))
        return 1 + asked[-1]

    tuner = Tuner(Decided(), None, speedup, near=1.2)
    # Of 41 rungs 0.1 apart: both ends, then 20, 10 and 5; 1.5 is within 1.2 times 1.3.
    assert tuner.find(1.3).speedup == 1.5 and len(asked) == 5
    assert tuner.find(2).speedup == 2 and len(asked) == 5  # 10 is known


def test_a_policy_that_is_fast_from_the_start_stays_there():
    found = Tuner(Decided(), None, lambda plan: 2.5 + float(plan.notes[0])).find(1.3)
    assert found.speedup == 2.5


def test_rungs_that_cannot_be_planned_are_left_out():
    @dataclass(frozen=True)
    class Half(Late):
        def plan(self, setting):
            if self.reused in (0, 4):
                raise RequestError("not this one.")
            return Plan(rows(self.reused))

    tuner = Tuner(Half(), None, lambda plan: 1 / work_of(plan.schedule))
    assert tuner.find(2).method.reused == 5
    with pytest.raises(CachebrushError, match="there is no plan"):
        Tuner(Broken(), None, lambda plan: 1.0).find(2)


@pytest.mark.parametrize(
    ("speedup", "fits"), [(1.9, True), (1.89, False), (2.5, True), (2.51, False)]
)
def test_what_counts_as_a_target(speedup, fits):
    assert matched(speedup, 2) is fits


def test_midway_changes_numbers_only():
    assert midway(Threshold(1.0), Threshold(2.0)) == Threshold(1.5)
    assert midway(Late(1), Late(5)) is None
    assert midway(Threshold(1.0), Threshold(1.0)) is None
    assert midway(Threshold(1.0001), Threshold(1.0002)) is None  # no four digits lie between


def test_two_controls_move_together():
    @dataclass(frozen=True)
    class Two(Method):
        a: float = number(0, 0, 9, "a")
        b: float = number(0, 0, 9, "b")
        name = "two"

        def plan(self, setting):
            return Plan(rows(0))

    assert midway(Two(1.0, 4.0), Two(2.0, 2.0)) == Two(1.5, 3.0)


# -- rivals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("work", "steps"),
    [(1.0, 8), (0.5, 4), (0.49, 3), (0.499, 4), (0.1, 1), (0.9999, 8)],
)
def test_plain_steps_cost_no_more(work, steps):
    """0.499 of 8 steps are 3.992: within the slack of one in a hundred they are 4."""
    assert rivals.plain_steps(8, work) == steps


def test_even_steps_spread_over_the_run():
    found = rivals.even(rows(0), 2, work_of)
    assert found.controls == {"computed": 4}
    # 0, 7/3, 14/3 and 7, rounded.
    computed = found.plan(3).schedule.computed.all(axis=(1, 2))
    assert np.flatnonzero(computed).tolist() == [0, 2, 5, 7]


@pytest.mark.parametrize("target", [1.3, 2, 3, 5])
def test_random_cells_meet_the_target_and_differ_from_batch_to_batch(target):
    found = rivals.random_cells(rows(0), target, cells_of)
    drawn = [found.plan(batch).schedule for batch in range(3)]
    for schedule in drawn:
        assert schedule.computed[0].all()
        # 32 cells: one more computed would cost more than the budget.
        assert cells_of(schedule) <= 1 / target < cells_of(schedule) + 1 / 32
    assert drawn[0] != drawn[1] != drawn[2]
    assert drawn[1] == found.plan(1).schedule
