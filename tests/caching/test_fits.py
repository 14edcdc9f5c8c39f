"""Fits: once per setting, from noise no run starts from, the same whatever was fitted before."""

import dataclasses
import gc

import numpy as np
import pytest
import torch

from caching import Schedule, sample
from caching.engine import fits as fits_module
from caching.engine.fits import NOISE_SEED, Fits, calibrate, calibration_noise
from caching.engine.request import noise_of
from caching.engine.states import States
from caching.predictors import Reuse
from caching.predictors.affine import Affine
from caching.predictors.base import Fitter
from caching.predictors.linear import Linear
from caching.predictors.lowrank import LowRank
from tests.caching import tiny
from tests.caching.calibration import FITTED, STEPS, asked, painted, same
from tests.caching.spy import own, spied


@pytest.fixture
def small():
    return own(tiny.dit(blocks=3), tiny.V)


@pytest.fixture
def calibrations(monkeypatch):
    """A list that grows by the number of fitters whenever full runs are made for them."""
    made = []

    def noted(model, request, fitters, **rest):
        made.append(len(fitters))
        calibrate(model, request, fitters, **rest)

    monkeypatch.setattr(fits_module, "calibrate", noted)
    return made


# -- once --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FITTED)
def test_fitted_once_and_reused(name, small, calibrations):
    fits, p = Fits(pictures=2), FITTED[name]
    schedule = painted(p)
    first = fits.of(small, schedule, asked(small, schedule))
    runs = int(p.calibrates)
    assert calibrations == [1] * runs
    # Another label, seed or place in the legend is no other setting.
    again = fits.of(small, schedule, asked(small, schedule, label=5, seed=99))
    moved = Schedule(np.where(schedule.actions, 2, 0), (Reuse(), p))
    once_more = fits.of(small, moved, asked(small, moved))
    assert calibrations == [1] * runs
    assert same(first[p], again[p]) and same(first[p], once_more[p])


def test_nothing_runs_for_what_needs_no_fit(small, calibrations):
    fits = Fits()
    schedule = painted(Reuse())
    assert fits.of(small, schedule, asked(small, schedule)) == {}
    # A brush that lies in the legend unused is not fitted either.
    unused = Schedule(schedule.actions, (Reuse(), Affine()))
    assert fits.of(small, unused, asked(small, unused)) == {}
    assert calibrations == [] and fits.held_mib == 0


CHANGES = {
    "steps": ({"steps": STEPS + 1}, {}),
    "sampler": ({"sampler": "euler"}, {}),
    "guidance": ({"cfg_scale": 2.0}, {}),
    "passes": ({"cfg_scale": 1.0}, {}),
    "noise schedule": ({}, {"noise": tiny.EPSILON}),
    "class names": ({}, {"class_names": ("one", "two")}),
}


@pytest.mark.parametrize("name", ["affine", "linear", "ca-svd", "svd"])
@pytest.mark.parametrize("change", CHANGES)
def test_another_setting_is_fitted_anew(name, change, small, calibrations):
    fits, p = Fits(pictures=1), FITTED[name]
    asks, of_model = CHANGES[change]
    before = painted(p)
    first = fits.of(small, before, asked(small, before))[p]
    asks = dict(asks)
    after = painted(p, steps=asks.pop("steps", STEPS))
    model = dataclasses.replace(small, **of_model)
    request = asked(model, after, **asks)
    second = fits.of(model, after, request)[p]
    assert same(second, Fits(pictures=1).of(model, after, request)[p])
    if name == "svd":
        # The weights are all it looks at, and they are the same.
        assert calibrations == [] and set(first) & set(second)
        assert all(same({0: first[k]}, {0: second[k]}) for k in set(first) & set(second))
    else:
        assert calibrations == [1, 1, 1]
        shared = sorted(set(first) & set(second))
        assert shared
        # With two names the one picture is still of class 0.
        if change != "class names":
            assert not all(same({0: first[k]}, {0: second[k]}) for k in shared)


def test_other_weights_of_the_same_shape_are_another_model(small):
    fits, schedule = Fits(pictures=1), painted(LowRank(2), Affine())
    other = own(tiny.dit(blocks=3, seed=8), tiny.V)
    assert other.config_hash == small.config_hash
    request = asked(small, schedule)
    mine, others = (fits.of(m, schedule, request) for m in (small, other))
    for p in schedule.legend:
        assert mine[p].keys() == others[p].keys() and not same(mine[p], others[p])
        assert same(others[p], Fits(pictures=1).of(other, schedule, request)[p])


def test_a_model_that_is_gone_leaves_nothing():
    fits = Fits(pictures=1)
    for seed in range(3):
        model = own(tiny.dit(blocks=3, seed=seed), tiny.V)
        schedule = painted(LowRank(2), Linear(), Affine())
        fits.of(model, schedule, asked(model, schedule))
        assert fits.held_mib > 0
        del model
        gc.collect()
        assert fits.held_mib == 0


def test_two_schedules_share_the_parts_they_have_in_common(small, calibrations):
    fits, p = Fits(pictures=1), Affine()
    rows = ["CAACA", "CCAAC"]
    one = Schedule.from_rows(rows, legend=(p,), branches=("attn", "mlp"))
    model = own(tiny.dit(blocks=1), tiny.V)
    first = fits.of(model, one, asked(model, one))[p]
    assert set(first) == {(1, 0, 0, 0), (2, 0, 0, 0), (4, 3, 0, 0), (2, 1, 0, 1), (3, 1, 0, 1)}
    fewer = Schedule.from_rows(["CACCA", "CCAAC"], legend=(p,))
    second = fits.of(model, fewer, asked(model, fewer))[p]
    assert calibrations == [1] and len(second) == 4
    # Step 4 of the feed-forward now stands on step 0: a fit of its own, beside what was kept.
    more = Schedule.from_rows(["CAACA", "CAAAA"], legend=(p,))
    third = fits.of(model, more, asked(model, more))[p]
    assert calibrations == [1, 1]
    assert {(1, 0, 0, 1), (4, 0, 0, 1)} < set(third) and (2, 1, 0, 1) not in third
    assert all(third[k] is first[k] for k in set(first) & set(third))
    assert same(third, Fits(pictures=1).of(model, more, asked(model, more))[p])


# -- what it is fitted on ----------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, NOISE_SEED, NOISE_SEED + 2**32, NOISE_SEED + 1, 2**63 - 1])
def test_no_seed_starts_from_calibration_noise(small, seed):
    mine, (theirs,) = calibration_noise(small, 4), noise_of(small, [seed])
    # Not the same and not a shifted part of the same stream either.
    shared = set(mine.reshape(-1).tolist()) & set(theirs.reshape(-1).tolist())
    assert len(shared) < 5


def test_seeds_above_32_bits_are_why():
    # Were this to change, calibration could simply have seeds of its own.
    a, b = (torch.Generator().manual_seed(s) for s in (7, 7 + 2**32))
    assert torch.equal(torch.randn(9, generator=a), torch.randn(9, generator=b))


@pytest.mark.parametrize("sampler", ["ddim", "euler"])
def test_runs_are_full_and_of_their_own_noise_and_labels(small, sampler):
    model, spy = spied(small)
    labels = []
    condition = spy.family.condition
    spy.condition = lambda times, y: (labels.append(y.tolist()), condition(times, y))[1]
    schedule = painted(Affine())
    request = asked(model, schedule, sampler=sampler)
    Fits(pictures=3).of(model, schedule, request)
    assert labels == [[0, 10], [3, 10], [6, 10]]
    assert spy.calls["branch"] == 3 * STEPS * 3 * 2
    scale = spy.inputs[0][0].std() / calibration_noise(model, 3)[0].std()
    for picture, noise in enumerate(calibration_noise(model, 3)):
        start = spy.inputs[picture * STEPS]
        torch.testing.assert_close(start, torch.stack([noise, noise]) * scale)
    assert len({tuple(i.reshape(-1)[:3].tolist()) for i in spy.inputs}) == 3 * STEPS


def test_fitters_see_what_the_full_run_of_that_noise_is(small):
    class Recorder(Fitter):
        seen, steps, ended = {}, {}, 0

        def see(self, s, block, r, x, out, given):
            again = small.family.branch(x, given, s, block, r)
            assert torch.equal(out, again)
            self.seen[self.ended, s, block, r] = out

        def see_step(self, s, before, after):
            self.steps[self.ended, s] = after - before

        def next_run(self):
            self.ended += 1

        def solve(self, part):
            raise AssertionError

    recorder = Recorder()
    request = asked(small, Schedule.full(STEPS, 3))
    calibrate(small, request, [recorder], pictures=2)
    assert recorder.ended == 2
    model, spy = spied(small)
    noise = calibration_noise(small, 2)[1:2]
    sample(model, label=5, latents=noise, steps=STEPS, cfg_scale=3.0)
    assert len(spy.cells) == STEPS * 3 * 2
    for (s, block, r), out in spy.cells.items():
        assert torch.equal(recorder.seen[1, s, block, r], out)
    assert len(recorder.steps) == 2 * STEPS


# -- the same whatever ran before --------------------------------------------------------


@pytest.mark.parametrize("name", FITTED)
def test_fits_do_not_depend_on_what_else_is_fitted(name, small):
    p = FITTED[name]
    alone = painted(p, seed=3)
    request = asked(small, alone)
    expected = Fits(pictures=2).of(small, alone, request)[p]
    # The last step's computed cells feed nothing, so others there leave p's parts as they are.
    others = [q for q in FITTED.values() if q != p]
    actions = np.array(alone.actions)
    block, r = np.nonzero(actions[-1] == 0)
    assert len(block) > 1
    actions[-1, block, r] = 2 + np.arange(len(block)) % len(others)
    together = Fits(pictures=2).of(small, Schedule(actions, (p, *others)), request)
    assert len(together) > 2 and same(together[p], expected)


@pytest.mark.parametrize("name", FITTED)
def test_a_run_never_depends_on_what_ran_before_it(name, small):
    schedule, used = painted(FITTED[name]), Fits(pictures=2)
    expected = sample(small, schedule, label=3, seed=4, fits=Fits(pictures=2)).latents
    for seed in range(3):
        other = painted(*FITTED.values(), seed=seed)
        sample(small, other, label=seed, seed=seed, cfg_scale=4.0, fits=used)
    for _ in range(2):
        got = sample(small, schedule, label=3, seed=4, fits=used).latents
        assert torch.equal(got, expected)


@pytest.mark.parametrize("name", FITTED)
def test_a_resumed_run_is_the_whole_run(name, small):
    states, fits = States(budget_mib=64), Fits(pictures=2)
    p = FITTED[name]
    first = painted(p)
    sample(small, first, label=3, seed=4, fits=fits, states=states)
    last = np.zeros(first.actions.shape, bool)
    last[-1] = True
    edited = first.paint(last, p)
    edited = edited.paint(np.array([[STEPS - 2, 0, 0], [STEPS - 2, 1, 1]]), 0)
    assert edited != first
    resumed = sample(small, edited, label=3, seed=4, fits=fits, states=states)
    assert resumed.resumed_from >= STEPS - 3
    whole = sample(small, edited, label=3, seed=4, fits=Fits(pictures=2), states=States())
    assert whole.resumed_from == 0
    assert torch.equal(resumed.latents, whole.latents)
