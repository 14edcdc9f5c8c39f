"""Requests out of range are refused with what was given, what was expected and what to do."""

import re

import numpy as np
import pytest
import torch

from caching import RequestError, iter_sample, sample
from tests.caching import tiny
from tests.caching.spy import own

NAMES = ("ball", "red cube", "blue cube", "ring")


@pytest.fixture(scope="module")
def model():
    base = own(tiny.dit(blocks=1), tiny.V)
    return type(base).from_modules(base.family.module, scheduler=tiny.V, class_names=NAMES)


def latents(**changes):
    values = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for where, value in changes.items():
        values[0, 0, 0, int(where[1:])] = value
    return values


WRONG = [
    # label
    ({"label": 4}, "label 4", "0 to 3"),
    ({"label": -1}, "label -1", "0 to 3"),
    ({"label": 10**30}, "label 1000000", "0 to 3"),
    ({"label": 1.0}, "label 1.0", "0 to 3"),
    ({"label": True}, "label True", "0 to 3"),
    ({"label": None}, "label None", "a class name"),
    ({"label": float("nan")}, "label nan", "0 to 3"),
    ({"label": "Cube"}, "class 'Cube'", "one of: red cube, blue cube."),
    ({"label": "dog"}, "class 'dog'", "one of: ball, red cube"),
    ({"label": ""}, "class ''", "one of: ball"),
    ({"label": []}, "no label", "a class number, a name, or several"),
    ({"label": [0, 9]}, "label 9", "0 to 3"),
    ({"label": ["ball", None]}, "label None", "0 to 3"),
    # steps
    ({"steps": 0}, "steps 0", "1 to 1000"),
    ({"steps": -3}, "steps -3", "1 to 1000"),
    ({"steps": 1001}, "steps 1001", "1 to 1000"),
    ({"steps": 20.0}, "steps 20.0", "whole number"),
    ({"steps": True}, "steps True", "whole number"),
    ({"steps": "20"}, "steps '20'", "whole number"),
    ({"steps": float("nan")}, "steps nan", "whole number"),
    # guidance
    ({"cfg_scale": -0.1}, "guidance -0.1", "0 to 100"),
    ({"cfg_scale": 100.1}, "guidance 100.1", "0 to 100"),
    ({"cfg_scale": float("nan")}, "guidance nan", "0 to 100"),
    ({"cfg_scale": float("inf")}, "guidance inf", "0 to 100"),
    ({"cfg_scale": "4"}, "guidance '4'", "a number from 0"),
    ({"cfg_scale": None}, "guidance None", "a number from 0"),
    ({"cfg_scale": True}, "guidance True", "a number from 0"),
    ({"cfg_scale": 10**400}, "guidance 1000", "0 to 100"),
    # seed
    ({"seed": -1}, "seed -1", "from 0"),
    ({"seed": 2**63}, f"seed {2**63}", f"to {2**63 - 1}"),
    ({"seed": 1.5}, "seed 1.5", "whole number"),
    ({"seed": True}, "seed True", "whole number"),
    ({"seed": None}, "seed None", "whole number"),
    ({"seed": "7"}, "seed '7'", "whole number"),
    ({"seed": [1, 2]}, "2 seeds", "one for each"),
    ({"seed": [1.5]}, "seed 1.5", "whole number"),
    ({"label": [0, 1], "seed": 2**63 - 1}, f"seed {2**63}", "whole number"),
    # sampler
    ({"sampler": "plms"}, "'plms'", "one of: ddim,"),
    ({"sampler": None}, "None", "one of: ddim,"),
    ({"sampler": ["ddim"]}, "['ddim']", "one of: ddim,"),
    # latents
    ({"latents": latents(x0=float("nan"))}, "NaN", "finite floats"),
    ({"latents": latents(x7=float("inf"))}, "infinity", "finite floats"),
    ({"latents": latents().double() * 1e300}, "infinity", "finite floats"),
    ({"latents": torch.ones(1, 3, 8, 8, dtype=torch.int64)}, "whole numbers", "finite floats"),
    ({"latents": latents() * 1j}, "complex numbers (torch.complex64)", "finite floats"),
    ({"latents": torch.zeros(3, 8, 8)}, "(3, 8, 8)", "(1, 3, 8, 8)"),
    ({"latents": torch.zeros(1, 4, 8, 8)}, "(1, 4, 8, 8)", "(1, 3, 8, 8)"),
    ({"latents": torch.zeros(2, 3, 8, 8)}, "(2, 3, 8, 8)", "(1, 3, 8, 8)"),
    ({"latents": np.zeros((1, 3, 8, 9))}, "(1, 3, 8, 9)", "(1, 3, 8, 8)"),
    ({"latents": "noise"}, "str", "array or tensor"),
    ({"latents": np.array(["a"])}, "ndarray", "array or tensor"),
    # what is recorded
    ({"lags": -1}, "lags -1", "0 to 64"),
    ({"lags": 65}, "lags 65", "0 to 64"),
    ({"lags": 1.5}, "lags 1.5", "whole number"),
    ({"preview_every": -1}, "preview_every -1", "0 to 1000"),
    ({"lags": 1, "trace_mib": 0}, "0 MiB", "more than 0"),
    ({"lags": 1, "trace_mib": float("nan")}, "trace_mib nan", "a number from 0"),
    ({"lags": 1, "trace_mib": "x"}, "trace_mib 'x'", "a number from 0"),
]


@pytest.mark.parametrize(("wrong", "given", "expected"), WRONG, ids=lambda v: str(v)[:40])
def test_out_of_range_is_refused_in_words(model, wrong, given, expected):
    with pytest.raises(RequestError, match=re.escape(given)) as caught:
        iter_sample(model, **{"label": 0, "steps": 3, **wrong})
    assert expected in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "fine",
    [
        {"label": "ring"},
        {"label": np.int64(3)},
        {"label": np.array([3])},
        {"label": ("ball", 3)},
        {"steps": np.int32(2)},
        {"steps": 1},
        {"cfg_scale": 0},
        {"cfg_scale": 100},
        {"cfg_scale": np.float32(2.5)},
        {"seed": 2**63 - 1},
        {"seed": np.uint8(7)},
        {"seed": (4,)},
        {"latents": latents()},
        {"latents": latents().half()},
    ],
    ids=str,
)
def test_the_edges_are_accepted(model, fine):
    run = sample(model, **{"label": 0, "steps": 2, **fine})
    assert run.latents.isfinite().all()


@pytest.mark.parametrize(
    ("instead", "schedule", "given", "expected"),
    [
        ("scenes-dit", None, "a str was given as the model", "load_model"),
        (None, None, "a NoneType was given as the model", "Model.from_modules"),
        (..., "mine.json", "a str was given as the schedule", "load_schedule"),
        (..., np.zeros((3, 1, 2), int), "a ndarray was given as the schedule", "a Schedule"),
    ],
)
def test_what_is_no_model_or_schedule_is_refused(model, instead, schedule, given, expected):
    with pytest.raises(RequestError, match=re.escape(given)) as caught:
        sample(model if instead is ... else instead, schedule, label=0, steps=3)
    assert expected in str(caught.value)


def test_given_latents_are_taken_as_they_are_at_the_call(model):
    noise = latents().requires_grad_()
    expected = sample(model, label=0, steps=3, latents=latents())
    events = iter_sample(model, label=0, steps=3, latents=noise)
    noise.data.zero_()
    *_, run = events
    assert torch.equal(run.latents, expected.latents)
    assert not run.latents.requires_grad
    assert run.request == expected.request


def test_a_label_by_name_is_the_label(model):
    named = sample(model, label="blue cube", steps=2)
    assert named.request.labels == (2,)
    assert torch.equal(named.latents, sample(model, label=2, steps=2).latents)


def test_more_steps_than_the_noise_schedule_has_is_refused(model):
    short = type(model).from_modules(
        model.family.module, scheduler={**tiny.V, "num_train_timesteps": 50}
    )
    assert sample(short, label=0, steps=50).timesteps == tuple(range(49, -1, -1))
    for sampler in ("ddim", "ddim-diffusers"):
        with pytest.raises(RequestError, match="51 steps were asked for, expected 1 to 50"):
            sample(short, label=0, steps=51, sampler=sampler)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"policy": "teacache"}, "policy is 'teacache', a str: expected a policy such as TeaCache"),
        ({"fits": 3}, r"fits is 3, a int: expected a Fits\(\) or None"),
        ({"states": []}, r"states is \[\], a list: expected a States\(\) or None"),
        ({"stopped": 5}, "stopped is 5, a int: expected a function without arguments or None"),
    ],
    ids=str,
)
def test_an_argument_of_another_kind_is_refused(model, asked, words):
    with pytest.raises(RequestError, match=words):
        iter_sample(model, label=1, **asked)  # before anything runs
