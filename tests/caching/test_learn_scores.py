"""TokenCache's scores, trained ahead: what they are, what they explain, and which runs get them."""

import dataclasses

import numpy as np
import pytest
import torch

from caching import Schedule
from caching.engine.fits import Fits, calibrate
from caching.errors import RequestError
from caching.learn import scores
from caching.learn.scores import learn_scores, trained_scores
from caching.learn.store import load_learned, save_learned
from caching.predictors.scored import Scored, ScoreFitter
from tests.caching import tiny
from tests.caching.calibration import STEPS, asked, every
from tests.caching.spy import own

BLOCKS = 2
PARTS = [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.fixture(scope="module")
def small():
    return own(tiny.dit(blocks=BLOCKS), tiny.V)


@pytest.fixture(scope="module")
def learned(small):
    request = asked(small, every(3, Scored(0.3), blocks=BLOCKS))
    return learn_scores(
        small, steps=STEPS, cfg_scale=request.cfg_scale, runs=3, command="as called"
    )


def request_of(small, **changes):
    return dataclasses.replace(asked(small, every(3, Scored(0.3), blocks=BLOCKS)), **changes)


def test_scores_are_the_fit_on_as_many_runs(small, learned):
    fitter = ScoreFitter(small.family, PARTS)
    calibrate(small, asked(small, Schedule.full(STEPS, BLOCKS)), [fitter], pictures=3)
    for part in PARTS:
        close = np.allclose(learned.values["scores"][part], fitter.solve(part)[0], rtol=1e-4)
        assert close, part
    assert (learned.method, learned.steps, learned.iterations) == ("tokencache", STEPS, 3)
    assert learned.command == "as called" and "image-free" in learned.data


def test_what_a_score_misses_by_hand(small):
    fitter = ScoreFitter(small.family, [(0, 0)])
    # Two tokens: z = (1, 0) and (0, 2), y = 3 and 4; w = (3, 1) misses 0 and 2 of 25.
    squares = torch.tensor([[1.0, 0], [0, 4]]).double()
    fitter.sums[0, 0] = (squares, torch.tensor([3.0, 8.0]).double(), torch.tensor(25.0).double(), 2)
    assert fitter.missed((0, 0), torch.tensor([[3.0, 1.0]])) == pytest.approx(4 / 25)
    assert fitter.missed((0, 0), torch.zeros(1, 2)) == 1
    fitter.take(fitter)
    assert fitter.sums[0, 0][3] == 4 and fitter.sums[0, 0][1].tolist() == [6, 16]


def test_the_curve_says_what_scores_of_runs_before_missed(learned):
    assert learned.curve["iteration"] == (1, 2, 3)
    assert learned.curve["loss"][0] == 1 and all(np.isfinite(learned.curve["loss"]))


def test_files_keep_them(learned, tmp_path):
    kept = load_learned(save_learned(learned, tmp_path))
    assert (kept.values["scores"] == learned.values["scores"]).all()


def test_runs_of_the_same_setting_get_them(small, learned):
    found = trained_scores(small, request_of(small), [learned])
    assert set(found) == set(PARTS)
    assert torch.equal(found[1, 0], torch.from_numpy(learned.values["scores"][1, 0])[None])


@pytest.mark.parametrize(
    "change",
    [{"steps": STEPS + 1}, {"cfg_scale": 3.5}, {"sampler": "euler"}, {"cfg_scale": 1.0}],
)
def test_runs_of_other_settings_do_not(small, learned, change):
    assert trained_scores(small, request_of(small, **change), [learned]) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"weights_hash": "another"},
        {"values": {}},
        {"values": {"scores": np.zeros((BLOCKS, 2, 3))}},
        {"values": {"scores": np.zeros((BLOCKS, 2, 16), int)}},
    ],
)
def test_scores_of_other_models_are_left(small, learned, change):
    other = dataclasses.replace(learned, **change)
    assert trained_scores(small, request_of(small), [other]) == {}


def test_fits_ask_for_them_unless_a_number_of_pictures_is_asked_for(small, monkeypatch):
    ones = {part: torch.ones(1, 16) for part in PARTS}
    monkeypatch.setattr(scores, "trained_scores", lambda model, request: ones)
    schedule, request = every(3, Scored(0.3), blocks=BLOCKS), request_of(small)
    item = Scored(0.3)
    assert Fits().of(small, schedule, request)[item].keys() == ones.keys()
    assert all((w == 1).all() for w in Fits().of(small, schedule, request)[item].values())
    assert not any(
        (w == 1).all() for w in Fits(pictures=1).of(small, schedule, request)[item].values()
    )


def test_one_step_is_refused(small):
    with pytest.raises(RequestError, match="1 steps were given, expected at least 2"):
        learn_scores(small, steps=1, cfg_scale=2.0)
