"""LowRank: by hand, against numpy's SVD, ICC in diffusers' own module, and COMPUTE."""

import copy

import numpy as np
import pytest
import torch

from caching import Schedule, load_model, sample
from caching.engine.fits import Fits, calibrate
from caching.predictors.lowrank import LowRank, channel_scale, factored
from tests.caching import reference, tiny
from tests.caching.calibration import (
    STEPS,
    Recorder,
    asked,
    close,
    every,
    fitted,
)
from tests.caching.spy import own, relative, spied


@pytest.fixture(scope="module")
def small():
    return own(tiny.dit(blocks=3), tiny.V)


@pytest.fixture(scope="module")
def recorded(small):
    """What two calibration runs of `small` show."""
    recorder = Recorder(small.family)
    calibrate(small, asked(small, Schedule.full(STEPS, 3)), [recorder], pictures=2)
    return recorder


@pytest.fixture(scope="module")
def shipped():
    return load_model()


def product(factors):
    inner, outer = factors
    return (outer @ inner).numpy()


def test_low_rank_weights_worked_out_by_hand():
    diagonal = torch.diag(torch.tensor([3.0, 2.0, 1.0]))
    assert np.allclose(product(factored(diagonal, 2, None, None)), np.diag([3, 2, 0]))
    # A rank-1 matrix is itself at rank 1.
    one = torch.outer(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 0.0, -1.0]))
    assert np.allclose(product(factored(one, 1, None, None)), one)
    # Weighted by its inputs, diag(3, 2) is diag(3, 8), and the second entry is the one to keep.
    pair, ones = torch.diag(torch.tensor([3.0, 2.0])).double(), torch.ones(2).double()
    weights = torch.tensor([1.0, 4.0]).double()
    assert np.allclose(product(factored(pair, 1, ones, weights)), np.diag([0, 2]))
    assert np.allclose(product(factored(pair, 1, weights, ones)), np.diag([0, 2]))
    assert np.allclose(product(factored(pair, 1, ones, ones)), np.diag([3, 0]))


def weighted_svd(weight, rank, left, right):
    """D_l^-1 SVD_r(D_l W D_r) D_r^-1, by numpy's own SVD."""
    u, values, v = np.linalg.svd(np.diag(left) @ weight @ np.diag(right), full_matrices=False)
    low = u[:, :rank] @ np.diag(values[:rank]) @ v[:rank]
    return np.diag(1 / left) @ low @ np.diag(1 / right)


@pytest.mark.parametrize("shape", [(7, 7), (12, 5), (5, 12)])
@pytest.mark.parametrize("rank", [1, 3, 5, 100])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_low_rank_weights_are_numpys(shape, rank, is_weighted):
    rng = np.random.default_rng(rank)
    weight = rng.normal(size=shape)
    left, right = np.ones(shape[0]), np.ones(shape[1])
    if is_weighted:
        left, right = (np.exp(3 * rng.normal(size=n)) for n in shape)
    inner, outer = factored(*map(torch.tensor, (weight, rank, left, right)))
    expected = weighted_svd(weight, min(rank, *shape), left, right)
    assert inner.shape == (min(rank, *shape), shape[1])
    assert np.allclose(outer @ inner, expected, rtol=1e-7, atol=1e-9)


def magnitude(samples):
    """The reference's mean magnitude: over tokens, to 0..1 over channels, then over rows."""
    m = np.abs(samples).mean(1)
    low, high = m.min(1, keepdims=True), m.max(1, keepdims=True)
    return ((m - low + 1e-6) / (high - low + 1e-6)).mean(0)


def test_channel_aware_weights_are_numpys(small, recorded):
    found = fitted(small, every(2, LowRank(3, "ca-svd")))
    for block in range(3):
        for r in range(2):
            for name, (weight, _) in small.family.linears(block, r).items():
                left, right = (
                    np.sqrt(magnitude(recorded.linears[block, r, name, side]))
                    for side in ("out", "in")
                )
                left, right = (np.maximum(d, d.max() / 1000) for d in (left, right))
                expected = weighted_svd(weight.detach().double().numpy(), 3, left, right)
                got = found[block, r][name]
                close(got[-1] @ got[0] if len(got) == 2 else got[0], expected, 1e-4)
    plain = fitted(small, every(2, LowRank(3)))
    gap = plain[0, 0]["q"][1] @ plain[0, 0]["q"][0] - found[0, 0]["q"][1] @ found[0, 0]["q"][0]
    assert gap.abs().max() > 1e-3


def test_weights_of_dead_channels_are_held_up():
    scale = channel_scale(torch.tensor([4.0, 1.0, 1e-9, 0.0]))
    assert scale.tolist() == pytest.approx([2.0, 1.0, 0.002, 0.002])


class Increments:
    """ICC on diffusers' own module: every linear is y_c + L (x - x_c) where the cell stands in."""

    def __init__(self, module, actions, rank):
        self.actions, self.step, self.stored = actions, 0, {}
        for i, block in enumerate(module.transformer_blocks):
            attn, ff = block.attn1, block.ff.net
            for r, linears in enumerate(
                [(attn.to_q, attn.to_k, attn.to_v, attn.to_out[0]), (ff[0].proj, ff[2])]
            ):
                for linear in linears:
                    linear.register_forward_hook(self.hook(i, r, linear, rank))

    def hook(self, block, r, linear, rank):
        weight = linear.weight.detach().double().numpy()
        ones = [np.ones(n) for n in weight.shape]
        low = torch.tensor(weighted_svd(weight, rank, *ones)).float()

        def after(module, inputs, output):
            if not self.actions[self.step, block, r]:
                self.stored[linear] = inputs[0].clone(), output.clone()
                return output
            x, y = self.stored[linear]
            return y + (inputs[0] - x) @ low.T

        return after


@pytest.mark.parametrize("shape", ["3 blocks, patch 2", "2 blocks, no biases, gated, affine norms"])
@pytest.mark.parametrize("rank", [1, 4, 7])
def test_low_rank_is_the_papers_formula_in_diffusers_module(shape, rank):
    module = tiny.dit(**tiny.SHAPES[shape])
    model = own(module, tiny.EPSILON)
    schedule = every(3, LowRank(rank), blocks=model.blocks)
    latents = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    watched, spy = spied(model)
    run = sample(watched, schedule, label=2, latents=latents, cfg_scale=3.0, fits=Fits())
    module = copy.deepcopy(module)
    increments = Increments(module, schedule.actions, rank)
    x, times = latents, reference.timesteps(STEPS)
    for s, t in enumerate(times):
        increments.step = s
        with torch.no_grad():
            labels = torch.tensor([2, 10])
            both = torch.cat([x, x])
            out = module(both, timestep=torch.full((2,), t), class_labels=labels).sample
        assert relative(spy.outputs[s], out) < 1e-4
        eps = out[1:] + 3.0 * (out[:1] - out[1:])
        x, _ = reference.ddim(eps, x, t, times[s + 1] if s + 1 < STEPS else None, "epsilon")
    assert relative(run.latents, x) < 1e-4
    # It would not be, were it plain reuse.
    reusing, other = spied(model)
    sample(reusing, Schedule(schedule.actions), label=2, latents=latents, cfg_scale=3.0)
    assert max(map(relative, other.outputs, spy.outputs)) > 1e-3


@pytest.mark.parametrize("shape", tiny.SHAPES)
@pytest.mark.parametrize("weights", ["svd", "ca-svd"])
def test_full_rank_is_compute(shape, weights):
    model = own(tiny.dit(**tiny.SHAPES[shape]), tiny.EPSILON)
    widest = max(max(w.shape) for r in range(2) for w, _ in model.family.linears(0, r).values())
    schedule = every(3, LowRank(widest, weights), blocks=model.blocks)
    watched, spy = spied(model)
    fits = Fits(pictures=1)
    fits.of(watched, schedule, asked(watched, schedule))
    spy.outputs.clear()
    run = sample(watched, schedule, label=3, seed=1, cfg_scale=3.0, fits=fits)
    full, plain = spied(model)
    expected = sample(full, label=3, seed=1, steps=STEPS, cfg_scale=3.0)
    assert len(spy.outputs) == STEPS
    assert max(map(relative, spy.outputs, plain.outputs)) < 1e-4
    assert relative(run.latents, expected.latents) < 1e-4


def test_full_rank_is_compute_on_the_shipped_model(shipped):
    schedule = every(3, LowRank(256), blocks=12)
    run = sample(shipped, schedule, label=3, seed=1)
    expected = sample(shipped, label=3, seed=1, steps=STEPS)
    assert relative(run.latents, expected.latents) < 1e-4
