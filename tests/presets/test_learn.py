"""Learned files: renders as the autoencoder has them, several prices in one file, what ships."""

import dataclasses

import numpy as np
import pytest
import torch

from caching import load_model
from caching.engine.fits import Fits
from caching.engine.request import prepare
from caching.learn.store import Learned, shipped
from caching.measure.cost import cost_of
from caching.methods import METHODS, method_of
from caching.methods.setting import ModelSetting
from caching.predictors.scored import Scored
from presets import learn
from presets.train.data import pictures

ROUTERS = ("l2c", "harmonica")


@pytest.fixture(scope="module")
def model():
    return load_model()


def setting(model, steps=20):
    return ModelSetting(model, steps=steps, cfg_scale=2.0, sampler="ddim", may_run=False)


def test_renders_are_encoded_as_the_model_reads_them(model):
    data = learn.rendered(model, 6, seed=9)
    assert data.latents.shape == (6, *model.family.latent_shape)
    assert not data.latents.is_inference()
    images, labels = pictures(9, 6)
    assert torch.equal(data.labels, labels)
    error = model.decode(data.latents).permute(0, 3, 1, 2).float() - images
    # The autoencoder gives back what it was given, so scale, shift and order are right.
    assert float(error.square().mean()) < 255**2 / 10**2.5


def learned(weight, iterations=4, **changes):
    made = Learned(
        method="l2c",
        model="m",
        weights_hash="h",
        steps=2,
        cfg_scale=1.0,
        sampler="ddim",
        data="d",
        command=f"learn {weight}",
        seed=0,
        iterations=iterations,
        seconds=1.5,
        setting="CPU",
        options={"weight": weight},
        curve={"iteration": (1.0, 2.0), "loss": (weight, 0.0), "share": (0.0, 0.5)},
        values={"logits": np.full((1, 2, 1, 1), weight), "weights": np.array([weight])},
    )
    return dataclasses.replace(made, **changes)


def test_trainings_of_several_prices_lie_in_one_file_by_price():
    joined = learn.together([learned(0.3), learned(0.1), learned(0.2)])
    assert joined.values["weights"].tolist() == [0.1, 0.2, 0.3]
    assert joined.values["logits"][:, 0, 0, 0].tolist() == [0.1, 0.2, 0.3]
    assert joined.command == "learn 0.1; learn 0.2; learn 0.3"
    assert (joined.iterations, joined.seconds) == (12, 4.5)
    assert joined.curve["loss"] == (0.1, 0.0) and joined.curve["loss at 0.3"] == (0.3, 0.0)
    assert joined.options["weight"] == [0.1, 0.2, 0.3]


@pytest.mark.parametrize("change", [{"seed": 1}, {"weights_hash": "x"}, {"steps": 3}])
def test_trainings_that_differ_otherwise_are_not_joined(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        learn.together([learned(0.1), learned(0.2, **change)])


# -- what ships ------------------------------------------------------------------------------


def test_everything_learned_belongs_to_the_shipped_weights_and_to_a_method(model):
    files = {(one.method, one.steps): one for one in shipped()}
    assert {(name, 20) for name in ROUTERS} <= set(files)
    for (name, steps), one in files.items():
        assert f"--steps {steps}" in one.command, name
        assert one.weights_hash == model.weights_hash, name
        # TokenCache can do without: four full runs fit its scores on the spot.
        assert METHODS[name].needs == ("calibration" if name == "tokencache" else "training"), name
        assert one.command.startswith("python -m presets.learn"), name
        assert one.curve["loss"] and np.isfinite(one.curve["loss"]).all(), name


def test_every_trained_method_has_what_it_needs(model):
    needy = {name for name, kind in METHODS.items() if kind.needs == "training"}
    assert needy <= {one.method for one in shipped()}


def test_shipped_scores_are_those_of_the_default_run_and_nothing_is_fitted_for_it(model):
    run = {"label": 0, "cfg_scale": 2.0}
    schedule = method_of("tokencache").plan(setting(model)).schedule
    request, _, _ = prepare(model, schedule, **run)
    asked = []
    found = Fits().of(model, schedule, request, stopped=lambda: bool(asked.append(1)))
    ((item, parts),) = found.items()
    assert isinstance(item, Scored) and not asked
    scores = next(one for one in shipped() if one.method == "tokencache").values["scores"]
    assert scores.shape == (model.blocks, 2, model.family.width)
    assert all(np.array_equal(parts[b, r][0].numpy(), scores[b, r]) for b, r in parts)
    assert len(parts) == 2 * model.blocks
    # What the runs before them missed in the last ones, against the four of a fit on the spot.
    loss = next(one for one in shipped() if one.method == "tokencache").curve["loss"]
    assert np.mean(loss[-8:]) < 0.8 * loss[4 - 1]


@pytest.mark.parametrize(
    ("name", "steps"), [(one.method, one.steps) for one in shipped() if one.method in ROUTERS]
)
def test_shipped_routers_reach_the_work_of_the_study(model, name, steps):
    found = setting(model, steps)
    rungs = method_of(name).ladder(found)
    speeds = [1 / cost_of(model, rung.plan(found).schedule).work for rung in rungs]
    assert speeds == sorted(speeds)
    for wanted in (1.3, 1.5):
        # Trained at one price for 50 steps, at two for 20.
        assert min(abs(speed - wanted) for speed in speeds) < (0.04 if steps == 20 else 0.07)
