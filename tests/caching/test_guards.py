"""No state survives a run, cancelling leaves nothing behind, and misfits are refused."""

import gc
import warnings
import weakref

import numpy as np
import pytest
import torch

import caching.engine.run as engine
from caching import (
    RequestError,
    Schedule,
    ScheduleError,
    StochasticSamplerWarning,
    iter_sample,
    sample,
)
from tests.caching import tiny
from tests.caching.spy import own, reuse_schedules, spied

STEPS = 6
SCHEDULE = reuse_schedules(STEPS, 3)["at random"]


@pytest.fixture(scope="module")
def model():
    return own(tiny.dit(blocks=3), tiny.V)


def abandoned(model):
    events = iter_sample(model, SCHEDULE, label=5, seed=9)
    next(events)
    next(events)
    events.close()


def stopped_inside(model):
    polls = iter(range(1000))
    assert not [*iter_sample(model, SCHEDULE, label=5, stopped=lambda: next(polls) > 3)]


def refused(model):
    with pytest.raises(RequestError):
        sample(model, SCHEDULE, label=1, cfg_scale=-1)


BETWEEN = {
    "nothing": lambda model: None,
    "a cancelled run": abandoned,
    "a run stopped inside a step": stopped_inside,
    "another step count": lambda model: sample(model, label=2, steps=9),
    "a batch": lambda model: sample(model, label=[1, 2, 3], steps=4),
    "no guidance": lambda model: sample(model, label=1, steps=4, cfg_scale=1.0),
    "another sampler": lambda model: sample(model, label=1, steps=4, sampler="euler"),
    "a traced run": lambda model: sample(model, label=1, steps=5, lags=3),
    "a refused run": refused,
    "a seeded generator": lambda model: torch.manual_seed(1),
}


@pytest.mark.parametrize("sampler", ["ddim", "dpmsolver++"])
@pytest.mark.parametrize("between", BETWEEN)
def test_the_second_image_equals_the_first(model, between, sampler):
    first = sample(model, SCHEDULE, label=1, seed=2, sampler=sampler)
    BETWEEN[between](model)
    second = sample(model, SCHEDULE, label=1, seed=2, sampler=sampler)
    assert np.array_equal(first.images, second.images)
    assert torch.equal(first.latents, second.latents)
    assert torch.equal(first.clean, second.clean)
    assert np.array_equal(first.executed, second.executed)


def test_traces_and_previews_do_not_change_the_picture(model):
    plain = sample(model, label=1, steps=STEPS)
    *_, watched = iter_sample(model, label=1, steps=STEPS, lags=3, preview_every=1)
    assert torch.equal(plain.latents, watched.latents)


def test_seeds_and_labels_matter(model):
    base = sample(model, label=1, seed=2, steps=STEPS).latents
    assert not torch.equal(base, sample(model, label=1, seed=3, steps=STEPS).latents)
    assert not torch.equal(base, sample(model, label=2, seed=2, steps=STEPS).latents)


# -- nothing is left behind ----------------------------------------------------------------


@pytest.fixture
def executors(monkeypatch):
    """Weak references to every executor made and to every output that was cached."""
    seen = []

    class Watched(engine.Executor):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            seen.append(weakref.ref(self))

        def finish(self, *args, **kwargs):
            result = super().finish(*args, **kwargs)
            seen.extend(weakref.ref(e.output) for past in self.state.cache.values() for e in past)
            return result

    monkeypatch.setattr(engine, "Executor", Watched)
    return seen


def alive(executors):
    return [ref() for ref in executors if ref() is not None]


def test_closing_the_iterator_frees_the_cache_at_once(model, executors):
    gc.disable()
    try:
        events = iter_sample(model, SCHEDULE, label=1, lags=0)
        for _ in range(3):
            next(events)
        assert alive(executors), "the run must hold something, or this shows nothing"
        events.close()
        assert not alive(executors)
    finally:
        gc.enable()


def test_dropping_the_iterator_frees_the_cache_at_once(model, executors):
    events = iter_sample(model, SCHEDULE, label=1)
    next(events)
    assert alive(executors)
    del events
    assert not alive(executors)


def test_stopped_ends_between_two_branches_and_frees_the_cache(model, executors):
    watched, spy = spied(model)
    polls = []

    def stopped():
        polls.append(None)
        return len(polls) > 6 + 3  # in the second step, after three of its branches

    events = iter_sample(watched, label=1, steps=STEPS, stopped=stopped)
    assert next(events).step == 0
    assert list(events) == []
    assert spy.calls["branch"] == 6 + 3
    assert executors
    assert not alive(executors)


def test_a_finished_run_keeps_no_cache(model, executors):
    run = sample(model, SCHEDULE, label=1)
    assert run.executed.any()
    assert len(executors) > 1
    assert not alive(executors)


def test_an_error_in_the_model_keeps_no_cache(model, executors):
    watched, spy = spied(model)
    events = iter_sample(watched, SCHEDULE, label=1)
    next(events)
    spy.family = None
    with pytest.raises(AttributeError):
        next(events)
    del events
    gc.collect()
    assert not alive(executors)


# -- misfits -------------------------------------------------------------------------------


def test_another_step_count_than_the_schedules_is_refused(model):
    with pytest.raises(ScheduleError, match=r"6 steps and the run 7.*resample\(7\)"):
        sample(model, SCHEDULE, label=1, steps=7)
    assert sample(model, SCHEDULE, label=1, steps=6).request.steps == 6


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (Schedule.full(4, 2), "2 blocks and the model 3"),
        (Schedule.full(4, 3, branches=("attn",)), "branches attn and the model attn, mlp"),
        (Schedule.full(4, 3, branches=("mlp", "attn")), "same order"),
    ],
)
def test_a_schedule_for_another_model_is_refused(model, schedule, words):
    with pytest.raises(ScheduleError, match=words):
        sample(model, schedule, label=1)


def test_refusals_come_before_anything_runs(model):
    watched, spy = spied(model)
    for wrong in ({"label": 99}, {"label": 1, "steps": 0}, {"label": 1, "sampler": "none"}):
        with pytest.raises(RequestError):
            iter_sample(watched, **wrong)
    assert not spy.inputs


def test_a_stochastic_sampler_warns_where_it_is_called(model):
    with pytest.warns(StochasticSamplerWarning, match="prefer ddim") as caught:
        iter_sample(model, label=1, steps=4, sampler="ddpm")
    assert caught[0].filename == __file__


def test_a_stochastic_run_still_repeats(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StochasticSamplerWarning)
        first, second, other = (
            sample(model, label=1, steps=4, sampler="ddpm", seed=s).latents for s in (1, 1, 2)
        )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("sampler", ["ddim", "ddim-diffusers", "dpmsolver++", "euler"])
def test_other_samplers_do_not_warn(model, sampler):
    assert sample(model, label=1, steps=4, sampler=sampler).latents.isfinite().all()
