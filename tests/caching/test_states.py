"""Resume: whatever was run before, the result is that of a full rerun, to the last bit."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from caching import RequestError, Reuse, Run, Schedule, sample
from caching.actions.residual import Residual
from caching.engine.run import iter_sample
from caching.engine.states import States, free_mib
from caching.predictors.taylor import Taylor
from tests.caching import tiny
from tests.caching.spy import own, spied

STEPS, BLOCKS = 7, 3
LEGEND = (Reuse(), Taylor(1), Taylor(3))
STEP_LEGEND = (Residual(), Residual(1, 1))


@pytest.fixture(scope="module")
def model():
    return own(tiny.dit(blocks=BLOCKS), tiny.EPSILON)


def same(a: Run, b: Run) -> bool:
    return (
        torch.equal(a.latents, b.latents)
        and torch.equal(a.clean, b.clean)
        and np.array_equal(a.executed, b.executed)
        and np.array_equal(a.executed_actions, b.executed_actions)
        and np.array_equal(a.images, b.images)
        and a.cost == b.cost
    )


@st.composite
def edits(draw):
    """Up to five schedules, each a few changes away from the one before."""
    actions = np.zeros((STEPS, BLOCKS, 2), np.uint8)
    steps = np.zeros(STEPS, np.uint8)
    made = []
    for _ in range(draw(st.integers(2, 5))):
        actions, steps = actions.copy(), steps.copy()
        for _ in range(draw(st.integers(0, 6))):
            s = draw(st.integers(1, STEPS - 1))
            if draw(st.integers(0, 4)) == 0:
                steps[s] = draw(st.integers(0, len(STEP_LEGEND)))
            else:
                where = (s, draw(st.integers(0, BLOCKS - 1)), draw(st.integers(0, 1)))
                actions[where] = draw(st.integers(0, len(LEGEND)))
        order = draw(st.permutations(range(len(LEGEND))))
        legend = tuple(LEGEND[i] for i in order)
        table = np.array([0, *(order.index(i) + 1 for i in range(len(LEGEND)))], np.uint8)
        made.append(Schedule(table[actions], legend, step_actions=steps, step_legend=STEP_LEGEND))
    return made


@settings(max_examples=40, deadline=None)
@given(made=edits(), budget_mib=st.sampled_from([0.0, 0.05, 0.2, 100.0]), offload=st.booleans())
def test_any_edits_resumed_equal_a_full_rerun(model, made, budget_mib, offload):
    states = States(budget_mib=budget_mib, offload=offload)
    for schedule in made:
        resumed = sample(model, schedule, label=1, cfg_scale=3.0, states=states)
        assert states.held_mib <= budget_mib
        assert same(resumed, sample(model, schedule, label=1, cfg_scale=3.0))


@pytest.mark.parametrize("sampler", ["ddim", "ddim-diffusers", "dpmsolver++", "euler", "ddpm"])
@pytest.mark.filterwarnings("ignore::caching.StochasticSamplerWarning")
def test_samplers_with_a_memory_go_on_from_it(model, sampler):
    states = States(budget_mib=100)
    first = Schedule.every(STEPS, BLOCKS, 2)
    sample(model, first, label=1, sampler=sampler, states=states)
    edited = first.paint([[5, 0, 0], [6, 1, 1]], 0)
    resumed = sample(model, edited, label=1, sampler=sampler, states=states)
    assert resumed.resumed_from >= 3
    assert same(resumed, sample(model, edited, label=1, sampler=sampler))


def test_only_what_changed_runs_again(model):
    states = States(budget_mib=100)
    base = Schedule.full(STEPS, BLOCKS)
    watched, spy = spied(model)
    sample(watched, base, label=1, states=states)
    assert spy.calls["branch"] == STEPS * BLOCKS * 2
    # The changed cell reads what step 4 left, which the snapshot before step 5 holds.
    edited = base.paint([[5, 2, 1]], 1)
    resumed = sample(watched, edited, label=1, states=states)
    assert resumed.resumed_from == 5
    assert spy.calls["branch"] == STEPS * BLOCKS * 2 + 2 * BLOCKS * 2 - 1
    # Nothing changed: no branch runs.
    again = sample(watched, edited, label=1, states=states)
    assert again.resumed_from == STEPS - 1 and same(again, resumed)


def test_a_forecast_goes_back_as_far_as_its_history(model):
    states = States(budget_mib=100)
    base = Schedule.full(STEPS, BLOCKS)
    sample(model, base, label=1, states=states)
    edited = base.paint([[5, 0, 0]], Taylor(2))
    resumed = sample(model, edited, label=1, states=states)
    # A snapshot of the full run holds one output a cell, and three have to be there at step 5.
    assert resumed.resumed_from == 3
    assert same(resumed, sample(model, edited, label=1))


@pytest.mark.parametrize(
    "change", [{"label": 2}, {"seed": 9}, {"cfg_scale": 2.0}, {"sampler": "euler"}], ids=str
)
def test_another_request_starts_from_nothing(model, change):
    states = States(budget_mib=100)
    schedule = Schedule.every(STEPS, BLOCKS, 2)
    request = {"label": 1, "seed": 3, "cfg_scale": 3.0, "sampler": "ddim"}
    sample(model, schedule, states=states, **request)
    other = sample(model, schedule, states=states, **{**request, **change})
    assert other.resumed_from == 0
    assert same(other, sample(model, schedule, **{**request, **change}))


def test_a_run_cut_short_leaves_a_sound_beginning(model):
    states = States(budget_mib=100)
    schedule = Schedule.every(STEPS, BLOCKS, 2)
    events = iter_sample(model, schedule, label=1, states=states)
    for _ in range(4):
        next(events)
    events.close()
    resumed = sample(model, schedule, label=1, states=states)
    assert resumed.resumed_from == 3
    assert same(resumed, sample(model, schedule, label=1))


def test_events_say_which_steps_did_not_run_again(model):
    states = States(budget_mib=100)
    schedule = Schedule.full(STEPS, BLOCKS)
    first = [*iter_sample(model, schedule, label=1, states=states)]
    second = [*iter_sample(model, schedule.paint([[4, 0, 0]], 1), label=1, states=states)]
    assert [e.resumed for e in second[:-1]] == [True] * 4 + [False] * 3
    assert [e.ms for e in second[:4]] == [e.ms for e in first[:4]]


def test_the_oldest_steps_go_first(model):
    states = States(budget_mib=100)
    sample(model, Schedule.full(STEPS, BLOCKS), label=1, states=states)
    assert sorted(states.snapshots) == list(range(STEPS))
    small = States(budget_mib=states.held_mib / 2)
    sample(model, Schedule.full(STEPS, BLOCKS), label=1, states=small)
    kept = sorted(small.snapshots)
    assert 0 < len(kept) < STEPS and kept == list(range(STEPS - len(kept), STEPS))
    small.clear()
    assert small.held_mib == 0


def test_what_is_held_is_counted_once(model):
    states = States(budget_mib=100)
    sample(model, Schedule.full(STEPS, BLOCKS), label=1, states=states)
    tensors = {}
    for snapshot in states.snapshots.values():
        tensors |= snapshot.state.tensors()
        tensors[snapshot.latents.untyped_storage().data_ptr()] = snapshot.latents
    held = sum(t.untyped_storage().nbytes() for t in tensors.values())
    assert states.held_mib == held / 2**20 > 0


def test_a_policy_or_a_trace_does_not_disturb_them(model):
    states = States(budget_mib=100)
    schedule = Schedule.every(STEPS, BLOCKS, 2)
    sample(model, schedule, label=1, states=states)
    sample(model, None, label=1, steps=STEPS, lags=2, states=states)
    assert sample(model, schedule, label=1, states=states).resumed_from == STEPS - 1


def test_free_memory_is_a_number_of_this_machine():
    assert 16 < free_mib() < 2**24


def test_a_schedule_is_compared_by_what_it_says(model):
    states = States(budget_mib=100)
    schedule = Schedule.every(STEPS, BLOCKS, 2)
    sample(model, schedule, label=1, states=states)
    renumbered = dataclasses.replace(
        schedule, legend=(Taylor(1), Reuse()), actions=schedule.actions * 2
    )
    assert sample(model, renumbered, label=1, states=states).resumed_from == STEPS - 1


@pytest.mark.parametrize("budget", [-1, float("nan"), "64", True, int])
def test_a_budget_that_is_no_number_is_refused(budget):
    with pytest.raises(RequestError, match=r"budget_mib .* was given, expected a number from 0"):
        States(budget_mib=budget)
