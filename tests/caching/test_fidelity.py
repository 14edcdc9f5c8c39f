"""Fidelity: PSNR, SSIM and drift on paper, and runs that must not be compared are refused."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from caching import RequestError, Schedule, fidelity, sample
from caching.measure.fidelity import picture_fidelity
from tests.caching import tiny
from tests.caching.spy import own

STEPS = 5


@pytest.fixture(scope="module")
def model():
    return own(tiny.dit(blocks=2, side=16), tiny.V)


@pytest.fixture(scope="module")
def full(model):
    return sample(model, label=1, seed=3, steps=STEPS)


@pytest.fixture(scope="module")
def cached(model):
    return sample(model, Schedule.every(STEPS, 2, 2), label=1, seed=3)


def pictures(seed=0):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 256, (32, 24, 3), dtype=np.uint8)
    return a, np.clip(a.astype(int) + rng.integers(-9, 10, a.shape), 0, 255).astype(np.uint8)


def test_psnr_is_the_formula():
    a, b = pictures()
    mse = ((a.astype(float) - b) ** 2).mean()
    psnr, ssim = picture_fidelity(a, b)
    assert psnr == pytest.approx(10 * math.log10(255**2 / mse), rel=1e-5)
    assert 0.9 < ssim < 1
    assert picture_fidelity(b, a)[0] == pytest.approx(psnr)


@pytest.mark.parametrize(("x", "y"), [(0, 3), (100, 110), (200, 40)])
def test_ssim_of_flat_pictures_is_the_formula(x, y):
    a, b = (np.full((24, 24, 3), v, np.uint8) for v in (x, y))
    c = (0.01 * 255) ** 2
    expected = (2.0 * x * y + c) / (x * x + y * y + c)
    assert picture_fidelity(a, b)[1] == pytest.approx(expected, abs=5e-4)


def test_equal_pictures_are_infinitely_close(full):
    assert picture_fidelity(full.image, full.image.copy()) == (math.inf, 1.0)
    itself = fidelity(full, full)
    assert (itself.psnr_db, itself.ssim, itself.latent_rel_l2) == (math.inf, 1.0, 0.0)
    assert itself.drift.tolist() == [0.0] * STEPS


def test_pictures_of_other_sizes_are_refused():
    a, b = pictures()
    with pytest.raises(RequestError, match=r"\(32, 24, 3\) and \(30, 24, 3\).*one size"):
        picture_fidelity(a, b[:30])


def test_a_cached_run_is_measured_against_the_full_one(cached, full):
    result = fidelity(cached, full)
    assert (result.psnr_db, result.ssim) == picture_fidelity(cached.image, full.image)
    assert math.isfinite(result.psnr_db)
    mine, other = cached.latents.double(), full.latents.double()
    assert result.latent_rel_l2 == pytest.approx(
        float((mine - other).square().sum().sqrt() / other.square().sum().sqrt()), rel=1e-4
    )
    assert result.drift.shape == (STEPS,)
    for s in range(STEPS):
        gap = (cached.clean[s] - full.clean[s]).double()
        expected = float(gap.square().sum().sqrt() / full.clean[s].double().square().sum().sqrt())
        assert result.drift[s] == pytest.approx(expected, rel=1e-6)
    # Step 0 is computed in both, so nothing has drifted yet.
    assert result.drift[0] == 0
    assert result.drift[-1] > 0


def test_fewer_steps_are_compared_without_drift(model, full):
    result = fidelity(sample(model, label=1, seed=3, steps=3), full)
    assert math.isfinite(result.psnr_db)
    assert result.drift.shape == (3,)
    assert np.isnan(result.drift).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "another"),
        ("config_hash", "0" * 16),
        ("labels", (2,)),
        ("seeds", (4,)),
        ("cfg_scale", 2.0),
        ("sampler", "euler"),
        ("dtype", "bfloat16"),
        ("latents_hash", "0" * 16),
    ],
)
def test_runs_that_differ_in_more_than_the_schedule_are_refused(cached, full, field, value):
    other = dataclasses.replace(
        cached, request=dataclasses.replace(cached.request, **{field: value})
    )
    with pytest.raises(RequestError, match=f"differ in {field}; fidelity compares schedules"):
        fidelity(other, full)
    fidelity(cached, full)


def test_runs_of_another_dtype_are_refused(full):
    half = own(tiny.dit(blocks=2, side=16).bfloat16(), tiny.V)
    with pytest.raises(RequestError, match=r"differ in dtype.*dtype 'bfloat16' against 'float32'"):
        fidelity(sample(half, label=1, seed=3, steps=STEPS), full)


def test_runs_from_other_given_latents_are_refused(model):
    noise = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    first, same = (sample(model, label=1, latents=noise.clone(), steps=3) for _ in range(2))
    other = sample(model, label=1, latents=noise + 1, steps=3)
    assert fidelity(first, same).psnr_db == math.inf
    with pytest.raises(RequestError, match="differ in latents_hash"):
        fidelity(other, first)
    with pytest.raises(RequestError, match="differ in seeds, latents_hash"):
        fidelity(sample(model, label=1, seed=0, steps=3), first)
