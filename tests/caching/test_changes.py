"""The mean change of full runs: against outputs hooked out of diffusers, labels and noise too."""

import numpy as np
import pytest

from caching.engine.executor import Stopped
from caching.engine.fits import calibration_noise
from caching.errors import RequestError
from caching.measure.changes import mean_change
from tests.caching import reference, tiny
from tests.caching.spy import own

STEPS, BLOCKS, LAGS = 5, 2, 3
ASKED = {"steps": STEPS, "cfg_scale": 3.0, "sampler": "ddim", "lags": LAGS}


@pytest.fixture(scope="module")
def pair():
    module = tiny.dit(blocks=BLOCKS)
    return own(module, tiny.EPSILON), module


def test_changes_are_those_of_diffusers_own_outputs_over_the_whole_batch(pair):
    model, module = pair
    told = []
    got = mean_change(model, **ASKED, pictures=2, tell=lambda *args: told.append(args))
    plain = reference.run(
        module,
        np.zeros((STEPS, BLOCKS, 2), bool),
        calibration_noise(model, 2),
        [0, 5],  # two labels spread over ten classes
        guidance=3.0,
        null=10,
        kind="epsilon",
    )
    assert got.shape == (STEPS, BLOCKS, 2, LAGS)
    for s, block, r, k in np.ndindex(*got.shape):
        if s < k + 1:
            assert np.isnan(got[s, block, r, k])
            continue
        now, then = (plain.cells[t, block, r].double().numpy() for t in (s, s - k - 1))
        assert len(now) == 4  # two pictures, two halves
        expected = np.abs(now - then).sum() / np.abs(now).sum()
        assert got[s, block, r, k] == pytest.approx(expected, rel=2e-4)
    assert told == [("full runs", n, STEPS) for n in range(1, STEPS + 1)]


def test_it_can_be_stopped_and_refuses_what_a_run_would(pair):
    with pytest.raises(Stopped):
        mean_change(pair[0], **ASKED, stopped=lambda: True)
    with pytest.raises(RequestError, match="sampler 'fast' is not known"):
        mean_change(pair[0], **{**ASKED, "sampler": "fast"})
