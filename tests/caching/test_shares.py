"""Shares of a branch: from a model as the exact cost has them, and from tables alone."""

import dataclasses

import numpy as np
import pytest

from caching.measure.cost import cost_of
from caching.measure.result import tables_of
from caching.measure.timing import BranchTimes
from caching.predict.proxy import predict
from caching.predict.shares import with_shares
from caching.predictors import PREDICTORS
from caching.schedule import Schedule
from tests.caching import tiny
from tests.caching.spy import own

ALL = tuple(cls() for cls in PREDICTORS.values())
STEPS = 4


def of(**shape):
    return own(tiny.dit(**shape), tiny.EPSILON)


@pytest.fixture(scope="module")
def model():
    return of(blocks=3)


@pytest.fixture(scope="module")
def tables(model):
    return measured(model)


def measured(model):
    shape = (model.blocks, len(model.branches))
    times = BranchTimes(1.0, np.ones(shape), np.full(shape, 0.1), "invented")
    return tables_of(model, times, np.zeros((STEPS, *shape, 1)))


def unknown(tables):
    return {p.name for p in ALL if p not in tables.shares}


def test_shapes_read_back_from_tables_give_the_models_own_shares(model, tables):
    guessed, known = with_shares(tables, ALL), with_shares(tables, ALL, model.family)
    # How many heads an attention has is in no table.
    assert unknown(guessed) == {"narrow"}
    for predictor in guessed.shares:
        np.testing.assert_array_equal(guessed.shares[predictor], known.shares[predictor])
    assert any(share.any() for share in known.shares.values())


@pytest.mark.parametrize("predictor", ALL, ids=lambda p: p.name)
def test_predicted_work_is_the_exact_work(model, tables, predictor):
    """But for what a predictor notes where branches are computed, which the prediction says."""
    actions = np.zeros((STEPS, model.blocks, len(model.branches)), np.uint8)
    actions[2:, 1:] = 1
    schedule = Schedule(actions, (predictor,))
    got = predict(schedule, with_shares(tables, (predictor,), model.family)).work
    exact = cost_of(model, schedule).work
    if predictor.computes or predictor.watches:
        assert got <= exact
    else:
        assert got == pytest.approx(exact, rel=1e-12)


GATED = "2 blocks, no biases, gated, affine norms"


@pytest.mark.parametrize("what", ["odd numbers", "gated feed-forward", "no feed-forward"])
def test_tables_of_something_else_leave_it_unknown(tables, what):
    other = dataclasses.replace(tables, compute_macs=tables.compute_macs + 1)
    if what == "gated feed-forward":
        other = measured(of(**tiny.SHAPES[GATED]))
    if what == "no feed-forward":
        other = dataclasses.replace(tables, compute_macs=tables.compute_macs * [1, 0])
    assert unknown(with_shares(other, ALL)) == {
        *("clusters", "linear", "lowrank", "narrow", "quantised", "sampled", "scored", "tokens")
    }


def test_shares_that_are_known_stay_when_brushes_come(model, tables):
    first, second = ALL[1], ALL[5]
    one = with_shares(tables, (first,), model.family)
    both = with_shares(one, (second,))
    assert set(both.shares) == {first, second} and set(one.shares) == {first}
    with pytest.raises(ValueError, match="read-only"):
        both.shares[second][...] = 0
