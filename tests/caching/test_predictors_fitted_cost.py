"""What fitted predictors cost: products as counted, memory as held, numbers by hand."""

import numpy as np
import pytest
import torch

from caching import Schedule, cost_of, sample
from caching.actions.corrected import Corrected
from caching.engine.fits import Fits
from caching.predictors import Reuse
from caching.predictors.affine import Affine
from caching.predictors.donor import Donor
from caching.predictors.linear import Linear
from caching.predictors.lowrank import LowRank
from caching.predictors.quantised import Quantised
from caching.predictors.scored import Scored
from caching.predictors.taylor import Taylor
from tests.caching import tiny
from tests.caching.calibration import FITTED, asked, every
from tests.caching.spy import own
from tests.caching.test_cost import counted_macs, held_bytes


@pytest.fixture(scope="module")
def small():
    return own(tiny.dit(blocks=3), tiny.V)


PAINTED = {
    "affine": every(2, Affine()),
    "linear": every(3, Linear()),
    "low rank": every(3, LowRank(3)),
    "low rank, ca": every(2, LowRank(2, "ca-svd")),
    "low rank, no saving": every(3, LowRank(16)),
    "two ranks": every(3, LowRank(2), LowRank(5)),
    "two ranks of one step": Schedule(
        np.tile(np.array([0, 1, 2, 0, 2, 1], np.uint8)[:, None, None], (1, 3, 2)),
        (LowRank(2), LowRank(5)),
    ),
    "all of them": every(4, *FITTED.values(), Reuse(), steps=9),
    "corrected": Schedule.from_rows(
        ["CCRCCC"] * 6, step_row="CACCAA", step_legend=(Corrected(1, 0),)
    ),
    "scored": every(3, Scored(0.3)),
    "scored and others": every(4, Scored(0.3), Reuse(), Affine(), Scored(0.6), steps=9),
    "donor": every(3, Donor()),
    # Later steps look at the quantised ones, the low rank ones at the computed ones still.
    "quantised": Schedule.from_rows(
        ["CQTQQRQI", "CTQTTCQA", "CIQLCQLR"] * 2,
        legend=(Quantised(), Taylor(2), Reuse(), Affine(), LowRank(3), Scored(0.5)),
    ),
    "corrected and low rank": Schedule.from_rows(
        ["CCIICI"] * 6, legend=(LowRank(3),), step_row="CCCACA", step_legend=(Corrected(),)
    ),
}


@pytest.mark.parametrize("name", PAINTED)
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_macs_are_those_the_engine_executes(name, guidance):
    model, schedule = own(tiny.dit(blocks=3), tiny.V), PAINTED[name]
    fits = Fits(pictures=1)
    fits.of(model, schedule, asked(model, schedule, cfg_scale=guidance))
    counted = counted_macs(lambda: sample(model, schedule, label=1, cfg_scale=guidance, fits=fits))
    full = counted_macs(lambda: sample(model, label=1, cfg_scale=guidance, steps=schedule.steps))
    cost = cost_of(model, schedule, passes=2 if guidance > 1 else 1)
    # Of the difference, because what every step does anyway is checked in test_cost.
    assert full - counted == cost.macs_full - cost.macs
    assert full != counted


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", PAINTED)
def test_cache_memory_is_what_is_held(name, dtype, monkeypatch):
    model, schedule = own(tiny.dit(blocks=3).to(dtype=dtype), tiny.V), PAINTED[name]
    for request in ({"cfg_scale": 1.0}, {"cfg_scale": 3.0}, {"label": [1, 2]}):
        peak, run = held_bytes(model, schedule, monkeypatch, fits=Fits(pictures=1), **request)
        if name in ("linear", "donor"):
            assert run.cost.cache_mib == peak == 0
        else:
            assert run.cost.cache_mib == peak / 2**20 > 0


def test_numbers_of_a_low_rank_stand_in_by_hand(small):
    # 16 tokens of width 16, 64 inside: rank 3 of q, k, v and out is 3 (16 + 16) each.
    p, family = LowRank(3), small.family
    assert family.tokens == 16 and family.width == 16
    assert p.macs(family, 0, 0) == 16 * 4 * 3 * 32 + 2 * 16 * 16 * 16
    assert p.macs(family, 0, 1) == 16 * 2 * 3 * (16 + 64)
    assert p.memo_elements(family, 0, 0) == 4 * 16 * 16
    assert p.memo_elements(family, 0, 1) == 5 * 16 * 16
    # Rank 12 of 16 x 16 would cost more than the matrix, of 64 x 16 it does not.
    assert LowRank(12).macs(family, 0, 0) == family.branch_macs(0, 0)
    assert LowRank(12).macs(family, 0, 1) == 16 * 2 * 12 * 80 < family.branch_macs(0, 1)
    assert LowRank(999).macs(family, 0, 1) == family.branch_macs(0, 1)
    assert Linear().macs(family, 0, 0) == 16 * 16 * 16
    assert Affine().macs(family, 0, 0) == 0
