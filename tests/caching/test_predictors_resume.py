"""Predictors with a history or notes: runs that go on from snapshots, and under policies."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from caching import Schedule, sample
from caching.dynamic.base import Choice, Decider, Policy
from caching.engine.states import States
from caching.marks import COVERED, LOWERED
from caching.predictors.base import Predictor
from caching.predictors.hermite import Hermite
from caching.predictors.reuse import Reuse
from caching.predictors.trend import Trend
from tests.caching.predictor_cases import BLOCKS, EVERY, STEPS, double_pair, painted


@pytest.fixture(scope="module")
def pair():
    return double_pair()


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), edits=st.integers(1, 3), halves=st.sampled_from([0.0, 0.2]))
def test_an_edited_run_that_goes_on_is_the_run_from_the_start(pair, seed, edits, halves):
    model, _ = pair
    rng = np.random.default_rng(seed)
    states = States(budget_mib=64)
    schedule = painted(seed, EVERY, halves=halves)
    sample(model, schedule, label=1, states=states)
    for _ in range(edits):
        cells = schedule.actions.copy()
        start = int(rng.integers(1, STEPS))
        where = rng.random(cells.shape) < 0.3
        where[:start] = False
        cells[where] = rng.integers(0, len(EVERY) + 1, int(where.sum()))
        schedule = dataclasses.replace(schedule, actions=cells).compact()
        schedule = dataclasses.replace(
            schedule, legend=(*schedule.legend, *(p for p in EVERY if p not in schedule.legend))
        )
        run = sample(model, schedule, label=1, states=states)
        fresh = sample(model, schedule, label=1)
        assert torch.equal(run.latents, fresh.latents)
        assert np.array_equal(run.executed, fresh.executed)


@pytest.mark.parametrize("predictor", EVERY[1:], ids=lambda p: p.title)
def test_a_predictor_painted_later_finds_what_it_needs(pair, predictor):
    """Its first use comes long after steps in which nothing was noted for it."""
    model, _ = pair
    states = States(budget_mib=64)
    legend = (Reuse(), predictor)
    cells = np.zeros((STEPS, BLOCKS, 2), np.uint8)
    cells[2:4] = 1
    sample(model, Schedule(cells, legend), label=1, states=states)
    cells[5:] = 2
    schedule = Schedule(cells, legend)
    run = sample(model, schedule, label=1, states=states)
    assert torch.equal(run.latents, sample(model, schedule, label=1).latents)
    # And once more with the last step alone, which now goes on from a snapshot.
    cells[6] = 1
    run = sample(model, Schedule(cells, legend), label=1, states=states)
    assert torch.equal(run.latents, sample(model, Schedule(cells, legend), label=1).latents)


def test_estimates_of_an_earlier_run_are_not_taken_for_computed_outputs(pair):
    """A run that stored estimates is gone on from by one that would not have."""
    model, _ = pair
    states = States(budget_mib=64)
    legend = (Hermite(2, 0.5), Trend())
    before = Schedule.from_rows(["CCCHHGH"] * 4, legend=legend)
    after = Schedule.from_rows(["CCCHHHH"] * 4, legend=legend[:1])
    sample(model, before, label=1, states=states)
    run = sample(model, after, label=1, states=states)
    assert run.resumed_from == 5
    assert torch.equal(run.latents, sample(model, after, label=1).latents)


@dataclass(frozen=True)
class Alternating(Policy):
    """A policy of the test: every other step is what it was given."""

    cells: Predictor = EVERY[0]

    name: ClassVar[str] = "alternating"
    label: ClassVar[str] = "alternating"

    @property
    def legend(self):
        return (self.cells,)

    def begin(self, facts):
        chosen = self.cells

        class Every2nd(Decider):
            def decide(self, view):
                return Choice(cells=chosen) if view.s in (2, 3, 5, 6) else Choice()

        return Every2nd()


@pytest.mark.parametrize("predictor", EVERY, ids=lambda p: p.title)
def test_a_policy_may_choose_any_and_the_baked_run_is_the_same(pair, predictor):
    model, _ = pair
    run = sample(model, label=1, steps=STEPS, policy=Alternating(predictor))
    assert (run.executed[[2, 3, 5, 6]] & ~np.uint8(LOWERED) == 1).all()
    assert not run.executed[[0, 1, 4]].any()
    baked = sample(model, run.baked, label=1)
    assert torch.equal(run.latents, baked.latents)
    assert np.array_equal(run.executed, baked.executed)
    assert not (run.executed == COVERED).any()
