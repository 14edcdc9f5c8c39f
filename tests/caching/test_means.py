"""Schedules told from pictures: a made-up table of runs with gaps, and a tiny model's own runs."""

import numpy as np
import pytest

from caching.engine.run import sample
from caching.models.model import Model
from caching.predict.calibration import psnr_db
from caching.predict.means import groups, means, measured
from caching.schedule import Schedule
from tests.caching import tiny


def test_groups_by_hand():
    found = groups(20, 2, 1)
    # Twenty schedules are three rounds of kinds; neighbours share a group, then every third.
    assert found[0].tolist() == [0] * 8 + [1] * 8 + [2] * 4
    assert found[1].tolist() == [3 + n % 3 for n in range(20)]
    assert found[2].tolist() == [6] * 20


def made_up(noise, *, count=48, turns=6, spread=3.0):
    rng = np.random.default_rng(4)
    which = groups(count, turns, 1)
    truth, levels = rng.uniform(20, 50, count), rng.normal(0, spread, (int(which.max()) + 1, 4))
    levels -= levels.mean()
    psnr = truth[:, None] + levels[which] + rng.normal(0, noise, (*which.shape, 4))
    return psnr, which, truth, levels


def test_without_noise_every_level_is_found():
    psnr, which, truth, levels = made_up(1e-6)
    found = means(psnr, which)
    assert found.db == pytest.approx(truth, abs=1e-3)
    assert found.levels == pytest.approx(levels.ravel(), abs=0.01)
    assert found.pictures.tolist() == list(range(levels.size))


def test_it_is_as_far_off_as_it_says():
    psnr, which, truth, _ = made_up(2.0)
    psnr[1, ::5] = np.nan  # not measured
    found, plain = means(psnr, which), np.nanmean(psnr, axis=(0, 2))
    miss = found.db - truth
    assert found.noise_db == pytest.approx(2.0, abs=0.15)
    assert np.std(miss) == pytest.approx(np.median(found.unsure), rel=0.3)
    assert np.std(miss) < 0.8 * np.std(plain - truth)
    # Of 24 or 28 pictures each, whose own noise is 2 dB.
    assert np.median(found.alone) == pytest.approx(2.0 / 28**0.5, rel=0.2)


def test_runs_are_measured_once_each_against_the_full_run_of_their_pictures():
    model = Model.from_modules(tiny.dit(blocks=2), scheduler=tiny.V)
    plans = [Schedule.every(4, 2, n) for n in (2, 3)]
    which, known = np.array([[0, 1], [2, 2]]), np.full((2, 2, 4), np.nan)
    known[0, 0] = 7.0

    def asked(at):
        return {"label": [i % 3 for i in at], "seed": list(at), "steps": 4, "cfg_scale": 1.0}

    runs = list(measured(model, plans, which, known, asked))
    found = {(turn, n): db for turn, n, db in runs}
    assert found.keys() == {(0, 1), (1, 0), (1, 1)} and len(runs) == 3
    assert np.isnan(known[1]).all(), "what is known is the caller's"
    full, run = (sample(model, s, **asked(range(8, 12))) for s in (None, plans[0]))
    assert found[1, 0] == pytest.approx(psnr_db(run, full), abs=0.01)
