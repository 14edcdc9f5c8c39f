"""Calibration of policies: against diffusers' own calibration and finite differences by hand."""

import ast
import copy

import numpy as np
import pytest
import torch
from diffusers.hooks import MagCacheConfig, apply_mag_cache

from caching import sample
from caching.dynamic import calibrate
from caching.dynamic.magcache import MagCache
from caching.dynamic.sencache import SenCache
from caching.dynamic.teacache import IDENTITY, TeaCache
from caching.engine.executor import Stopped
from caching.engine.fits import calibration_noise
from caching.errors import RequestError
from tests.caching import plain, reference, tiny
from tests.caching.spy import own

STEPS = 8


@pytest.fixture(scope="module")
def pair():
    module = tiny.dit(blocks=3, learned_sigma=True, channels=4)
    return own(module, tiny.EPSILON), module


def full_runs(pair, pictures, *, guidance=4.0, plan=plain.compute):
    """Kept steps of the runs that calibration makes, in the plain loop."""
    model, module = pair
    runs = []
    for i, noise in enumerate(calibration_noise(model, pictures)):
        kept = []

        def step_of(step, kept=kept):
            out = plan(step)
            kept[:] = step.kept
            return out

        label = i * 10 // pictures
        plain.loop(module, [step_of] * STEPS, noise[None], [label], guidance=guidance, null=10)
        runs.append((label, kept))
    return runs


def change(a, b):
    return float((a - b).abs().mean() / b.abs().mean())


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_ratios_are_those_diffusers_prints(pair, guidance, capsys):
    model, module = pair
    hooked = copy.deepcopy(module)
    apply_mag_cache(hooked, MagCacheConfig(num_inference_steps=STEPS, calibrate=True))

    def plan(step):
        return hooked(step.latents, timestep=step.t, class_labels=step.labels).sample

    full_runs(pair, 1, guidance=guidance, plan=plan)
    printed = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("[1.0"))
    got = calibrate.magcache_ratios(model, steps=STEPS, cfg_scale=guidance, pictures=1)
    assert got == pytest.approx(ast.literal_eval(printed), rel=1e-4)
    assert got[0] == 1.0 and len(got) == STEPS


def test_ratios_of_several_runs_are_averaged(pair):
    kept = [steps for _, steps in full_runs(pair, 3)]
    expected = []
    for s in range(1, STEPS):
        added = [[k.hidden[-1] - k.hidden[0] for k in run] for run in kept]
        ratios = [(run[s].norm(dim=-1) / run[s - 1].norm(dim=-1)).mean() for run in added]
        expected.append(float(np.mean(ratios)))
    got = calibrate.magcache_ratios(pair[0], steps=STEPS, pictures=3)
    assert got == pytest.approx((1.0, *expected), rel=1e-4)


def test_the_polynomial_is_the_least_squares_fit_of_output_to_input_changes(pair):
    model, module = pair
    x, y = [], []
    norm, times = module.transformer_blocks[0].norm1, reference.timesteps(STEPS)
    for label, kept in full_runs(pair, 2):
        labels = torch.tensor([label, 10])
        with torch.no_grad():
            inputs = [
                norm(k.hidden[0], torch.full((2,), t), labels, hidden_dtype=torch.float32)[0]
                for k, t in zip(kept, times, strict=True)
            ]
        for s in range(1, STEPS):
            x.append(change(inputs[s], inputs[s - 1]))
            y.append(change(kept[s].output[:, :4], kept[s - 1].output[:, :4]))
    got = calibrate.teacache_polynomial(model, steps=STEPS, pictures=2)
    x, y = np.array(x), np.array(y)
    # Least squares: what is left is orthogonal to every power, and no smaller with any other.
    left = np.polyval(got, x) - y
    assert np.abs(np.vander(x, 5).T @ left).max() < 1e-4
    assert (left**2).sum() <= ((np.polyval(np.polyfit(x, y, 3), x) - y) ** 2).sum()
    assert len(got) == 5 and (left**2).mean() < y.var()


def test_sensitivities_are_finite_differences_along_the_run(pair):
    model, module = pair
    times = reference.timesteps(STEPS)
    expected = np.zeros((STEPS - 1, 2))
    for label, kept in full_runs(pair, 2):
        y = torch.tensor([label])

        def f(x, s, y=y):
            t = torch.full((1,), times[s])
            with torch.no_grad():
                return module(x, timestep=t, class_labels=y).sample[:, :4]

        for s in range(STEPS - 1):
            here, there = kept[s].latents[:1], kept[s + 1].latents[:1]
            j_x = torch.dist(f(there, s), f(here, s)) / torch.dist(there, here)
            j_t = torch.dist(f(here, s + 1), f(here, s)) / (times[s] - times[s + 1])
            expected[s] += np.array([j_x, j_t]) / 2
    got = calibrate.sencache_tables(model, steps=STEPS, pictures=2)
    assert got[0] == tuple(map(float, times))
    for column, table in enumerate(got[1:]):
        assert table[:-1] == pytest.approx(expected[:, column], rel=1e-3)
        assert table[-1] == table[-2]


def test_without_guidance_and_with_other_samplers(pair):
    for sampler in ("ddim-diffusers", "euler", "dpmsolver++"):
        asked = {"steps": STEPS, "cfg_scale": 1.0, "sampler": sampler, "pictures": 1}
        times, j_x, j_t = calibrate.sencache_tables(pair[0], **asked)
        assert times == sample(pair[0], label=0, steps=STEPS, sampler=sampler).timesteps
        assert min(j_x) > 0 and min(j_t) > 0


def test_calibrated_policies_run(pair):
    asked = {"steps": STEPS, "pictures": 2}
    tea = TeaCache.calibrated(pair[0], threshold=0.4, **asked)
    mag = MagCache.calibrated(pair[0], threshold=0.5, most=2, retain=0.1, **asked)
    sen = SenCache.calibrated(pair[0], start=0.1, main=0.7, most=4, retain=1, **asked)
    assert (tea.threshold, tea.title) == (0.4, "TeaCache (0.4, calibrated)")
    assert tea.coefficients != IDENTITY and TeaCache().title == "TeaCache (0.25, uncalibrated)"
    assert (mag.threshold, mag.most, mag.retain, len(mag.ratios)) == (0.5, 2, 0.1, STEPS)
    assert (sen.start, sen.main, sen.most, sen.retain) == (0.1, 0.7, 4, 1)
    for policy in (tea, mag, sen):
        run = sample(pair[0], policy=policy, label=1, steps=STEPS)
        assert torch.equal(run.latents, sample(pair[0], run.baked, label=1).latents)
    # The same curves once more: nothing in calibration is drawn.
    assert MagCache.calibrated(pair[0], **asked).ratios == mag.ratios


def test_calibration_can_be_stopped(pair):
    with pytest.raises(Stopped):
        calibrate.magcache_ratios(pair[0], steps=STEPS, stopped=lambda: True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: calibrate.magcache_ratios(m, pictures=0), "pictures 0 was given"),
        (lambda m: calibrate.magcache_ratios(m, steps=0), "steps 0 was given"),
        (lambda m: calibrate.magcache_ratios(m, sampler="fast"), "sampler 'fast' is not known"),
        (lambda m: calibrate.sencache_tables(m, steps=1), "of 1 step were asked for"),
        (
            lambda m: calibrate.teacache_polynomial(m, steps=3, pictures=2),
            "4 pairs of steps were given for a polynomial of degree 4",
        ),
    ],
)
def test_what_cannot_be_calibrated_is_refused(pair, call, message):
    with pytest.raises(RequestError, match=message):
        call(pair[0])
