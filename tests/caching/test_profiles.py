"""Profiles of full runs: compared with what a spy saw of the same runs, number for number."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from caching import iter_sample, sample
from caching.engine.executor import Stopped
from caching.engine.fits import calibration_noise
from caching.measure.profiles import (
    Attention,
    Hidden,
    Pairs,
    Residuals,
    concentration,
    profiled,
)
from tests.caching import tiny
from tests.caching.spy import own, spied

STEPS, GUIDANCE = 7, 2.0


@pytest.fixture(scope="module")
def model():
    return own(tiny.dit(blocks=3, learned_sigma=True, channels=4), tiny.EPSILON)


@pytest.fixture(scope="module")
def seen(model):
    """Branch outputs, hidden states and latents of the first calibration run, by a spy."""
    watched, spy = spied(model)
    noise = calibration_noise(model, 4)[:1]
    for _ in iter_sample(watched, None, label=0, latents=noise, steps=STEPS, cfg_scale=GUIDANCE):
        pass
    return spy


def made(model, profile, **more):
    return profiled(
        model,
        profile,
        steps=STEPS,
        cfg_scale=GUIDANCE,
        sampler="ddim",
        pictures=1,
        **more,
    )


def test_pairs_compare_every_step_with_every_other(model, seen):
    similarity, error = made(model, Pairs)
    for block, r in ((0, 0), (2, 1)):
        outputs = [seen.cells[s, block, r].double().flatten().numpy() for s in range(STEPS)]
        for s in range(STEPS):
            for u in range(STEPS):
                a, b = outputs[s], outputs[u]
                cosine = a @ b / math.sqrt((a @ a) * (b @ b))
                assert similarity[s, u, block, r] == pytest.approx(cosine, abs=1e-5)
        far = [np.abs(a - b).mean() for a, b in combinations(outputs, 2)]
        assert error[block, r] == pytest.approx(np.mean(far), rel=1e-4)


def test_large_outputs_are_compared_by_numbers_at_even_distances(model, monkeypatch):
    exact, _ = made(model, Pairs)
    monkeypatch.setattr("caching.measure.profiles.WORK", 0)  # the least there is: 256 numbers
    near, _ = made(model, Pairs)
    assert not np.array_equal(near, exact) and np.abs(near - exact).max() < 0.2


def test_residuals_and_hidden_states_are_compared_as_said(model, seen):
    with torch.no_grad():
        times = torch.tensor(full_timesteps(model))
        labels = torch.tensor([0, model.family.classes])
        given = model.family.condition(times, labels)
        before, after = [], []
        for s in range(STEPS):
            x = model.family.embed(seen.inputs[s])
            states = [x]
            for block in range(model.blocks):
                for r in range(2):
                    x = model.family.add(x, seen.cells[s, block, r], given, s, block, r)
                states.append(x)
            before.append(states)
            after.append((states[-1] - states[0]).double())
    change = made(model, Residuals)
    for s, u in ((0, 3), (6, 1), (4, 4)):
        expected = float((after[s] - after[u]).abs().sum() / after[s].abs().sum())
        assert change[s, u] == pytest.approx(expected, rel=1e-3, abs=1e-6)
    moved = made(model, Hidden)
    assert np.isnan(moved[0]).all()
    for s, block in ((1, 0), (5, 2)):
        a, b = before[s][block].double(), before[s - 1][block].double()
        expected = float(((a - b) ** 2).sum() / (b**2).sum())
        assert moved[s, block] == pytest.approx(expected, rel=1e-3)


def full_timesteps(model):
    return sample(model, None, label=0, steps=STEPS, cfg_scale=GUIDANCE).timesteps


def test_attention_is_even_or_gathered():
    one = torch.zeros(1, 16)
    one[0, 3] = 1.0
    four = torch.zeros(1, 16)
    four[0, :4] = 0.25
    shares = torch.cat([torch.full((1, 16), 1 / 16), one, four])
    # Entropies log 16, 0 and log 4 = half of log 16.
    assert concentration(shares).tolist() == pytest.approx([0.0, 1.0, 0.5], abs=1e-6)
    assert concentration(torch.ones(2, 1)).tolist() == [0.0, 0.0]


def test_attention_of_a_model_is_a_share_for_every_block(model):
    found = made(model, Attention)
    assert found.shape == (3,) and (found > 0).all() and (found < 1).all()


def test_profiles_tell_how_far_they_are_and_stop(model):
    told = []
    made(model, Hidden, tell=lambda *said: told.append(said))
    assert told == [("full runs", k, STEPS) for k in range(1, STEPS + 1)]
    with pytest.raises(Stopped):
        made(model, Hidden, stopped=lambda: True)
