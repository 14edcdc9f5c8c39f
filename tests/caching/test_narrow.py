"""Narrow branches: their limits, products, ranking and fit, against plain loops and numpy."""

import numpy as np
import pytest
import torch
from torch.nn.functional import gelu

from caching import Schedule, sample
from caching.engine.fits import Fits, calibrate
from caching.errors import ScheduleError
from caching.models.dit import DiT
from caching.predictors import from_json, to_json
from caching.predictors.base import Cell
from caching.predictors.narrow import RIDGE, Narrow, units
from tests.caching import tiny
from tests.caching.calibration import Recorder, asked, fitted
from tests.caching.spy import own, relative
from tests.caching.test_cost import counted_macs

STEPS, BLOCKS = 5, 3
HEADS, CHANNELS, SIZE = 2, 64, 8
SHAPES = {
    "gelu": {},
    "gated, no biases": {"activation_fn": "geglu", "attention_bias": False},
}


def everywhere(predictor, steps=STEPS):
    cells = np.ones((steps, BLOCKS, 2), np.uint8)
    cells[0] = 0
    return Schedule(cells, (predictor,))


@pytest.fixture(scope="module", params=SHAPES, ids=str)
def model(request):
    return own(tiny.dit(blocks=BLOCKS, **SHAPES[request.param]), tiny.V)


@pytest.fixture(scope="module")
def plain():
    return own(tiny.dit(blocks=BLOCKS), tiny.V)


@pytest.fixture(scope="module")
def runs(plain):
    """What the first calibration run shows, and what the two behind it do."""
    request = asked(plain, Schedule.full(STEPS, BLOCKS))

    class Split(Recorder):
        def next_run(self):
            kept.append((self.linears, self.out))
            self.linears, self.out = {}, {}

    kept = []
    calibrate(plain, request, [Split(plain.family)], pictures=3)
    return kept


# -- limits --------------------------------------------------------------------------------


def test_all_of_it_is_the_branch(model):
    run = sample(model, everywhere(Narrow(1, 1)), label=1)
    full = sample(model, steps=STEPS, label=1)
    assert relative(run.latents, full.latents) < 1e-4
    assert (run.executed[1:] == 1).all()
    assert run.cost.macs == run.cost.macs_full


@pytest.mark.parametrize("heads, channels", [(0, 0), (0.5, 0.25), (0.7, 1.0), (0.2, 0.99)])
def test_products_are_those_that_are_done(heads, channels):
    # In float64, where every product is one that torch's counter knows.
    double = own(tiny.dit(blocks=BLOCKS).double(), tiny.V)
    full = counted_macs(lambda: sample(double, steps=STEPS, label=1))
    fits, schedule = Fits(pictures=1), everywhere(Narrow(heads, channels))
    run = sample(double, schedule, label=1, fits=fits)  # fits, and keeps them
    less = counted_macs(lambda: sample(double, schedule, label=1, fits=fits))
    assert full - less == run.cost.macs_full - run.cost.macs


@pytest.mark.parametrize(
    "share, heads, channels",
    # At least one; a half is rounded up: 64 x 0.0079 = 0.51.
    [(0, 1, 1), (0.0077, 1, 1), (0.25, 1, 16), (0.5, 1, 32), (0.75, 2, 48), (0.03, 1, 2)],
)
def test_how_many_are_kept_worked_out_by_hand(plain, share, heads, channels):
    narrow = Narrow(share, share)
    assert narrow.count(plain.family, 0, 0) == heads
    assert narrow.count(plain.family, 0, 1) == channels
    # A branch of width 16 with 16 tokens: 4 x 16 x 16 x 16 + 2 x 16 x 16 x 16, half for each head,
    # and 2 x 16 x 16 for each hidden channel.
    assert narrow.macs(plain.family, 0, 0) == heads * (4 * 4096 + 2 * 4096) // 2
    assert narrow.macs(plain.family, 0, 1) == channels * 512


def test_heads_and_channels_of_both_activations(model):
    family = model.family
    assert isinstance(family, DiT) and family.heads == HEADS
    assert [units(family, 1, r) for r in (0, 1)] == [HEADS, CHANNELS]


# -- what is computed ----------------------------------------------------------------------


def by_hand(block, r, kept, last, h):
    """Branch of a diffusers block from its modulated input h (T, D), with some units alone."""
    if r == 1:
        up = block.ff.net[0].proj(h)
        if up.shape[1] == 2 * CHANNELS:
            value, gate = up.chunk(2, dim=1)
            inner = value * gelu(gate)
        else:
            inner = gelu(up, approximate="tanh")
        inner = inner[:, kept]
    else:
        attn, found = block.attn1, []
        for head in kept:
            at = slice(SIZE * head, SIZE * head + SIZE)
            q, k, v = (m(h)[:, at] for m in (attn.to_q, attn.to_k, attn.to_v))
            found.append((q @ k.T / SIZE**0.5).softmax(1) @ v)
        inner = torch.cat(found, 1)
    weight, *bias = last
    return inner @ weight.T + (bias[0] if bias else 0)


@pytest.mark.parametrize("narrow", [Narrow(0.5, 0.25), Narrow(1, 1)], ids=str)
@pytest.mark.parametrize("r", [0, 1])
def test_a_narrow_branch_is_that_of_its_units(model, narrow, r):
    family = model.family
    fitter = narrow.fitter(family, [(1, r)])
    schedule = everywhere(narrow)
    calibrate(model, asked(model, schedule), [fitter], pictures=2)
    linears = fitter.solve((1, r))
    kept = fitter.kept[1, r].tolist()
    assert kept == sorted(set(kept)) and len(kept) == narrow.count(family, 1, r)
    x = torch.randn(2, 16, 16, generator=torch.Generator().manual_seed(1))
    *_, last = linears.values()
    with torch.no_grad():
        given = family.condition(torch.tensor([900.0, 500.0]), torch.tensor([1, 10]))
        cell = Cell(family, given, x, 1, 1, r, fitted={(1, r): linears})
        got = narrow.stand_in(cell)
        h = family.modulated(x, given, 1, 1, r)
        block = family.module.transformer_blocks[1]
        expected = torch.stack([by_hand(block, r, kept, last, row) for row in h])
        if narrow == Narrow(1, 1):
            assert relative(got, family.branch(x, given, 1, 1, r)) < 1e-5
    assert relative(got, expected) < 1e-5


# -- what is fitted ------------------------------------------------------------------------


def ins(linears, block, r):
    """What the last linear of a branch reads over a run, float64 (rows, channels)."""
    return linears[block, r, "down" if r else "out", "in"].reshape(-1, CHANNELS if r else 16)


@pytest.mark.parametrize("r", [0, 1])
def test_units_are_ranked_by_their_part_in_the_output(plain, runs, r):
    narrow = Narrow(0.5, 0.25)
    fitter = narrow.fitter(plain.family, [(b, r) for b in range(BLOCKS)])
    calibrate(plain, asked(plain, everywhere(narrow)), [fitter], pictures=1)
    for block in range(BLOCKS):
        a = ins(runs[0][0], block, r)
        *_, (weight, _) = plain.family.linears(block, r).values()
        w = weight.detach().double().numpy()
        size = 1 if r else SIZE
        spread = []
        for unit in range(a.shape[1] // size):
            at = slice(unit * size, unit * size + size)
            part = a[:, at] @ w[:, at].T
            spread.append(((part - part.mean(0)) ** 2).sum(1).mean())
        found = fitter.importance((block, r)).numpy()
        assert np.allclose(found, spread, rtol=1e-4)
        best = np.argsort(spread)[::-1][: narrow.count(plain.family, block, r)]
        assert fitter.kept[block, r].tolist() == sorted(best)


@pytest.mark.parametrize("r", [0, 1])
def test_the_last_linear_is_ridge_regression_towards_its_own_columns(plain, runs, r):
    found = fitted(plain, everywhere(Narrow(0.5, 0.25)), pictures=3)
    fitter = Narrow(0.5, 0.25).fitter(plain.family, [(2, r)])
    calibrate(plain, asked(plain, everywhere(Narrow())), [fitter], pictures=3)
    size = 1 if r else SIZE
    columns = [k * size + i for k in fitter.kept[2, r].tolist() for i in range(size)]
    seen = np.concatenate([ins(linears, 2, r) for linears, _ in runs[1:]])[:, columns]
    out = np.concatenate([_steps(outputs, r) for _, outputs in runs[1:]])
    *_, (weight, _) = plain.family.linears(2, r).values()
    own_columns = weight.detach().double().numpy()[:, columns]
    # Least squares of what they leave, with rows that pull each coefficient to zero.
    a, y = seen - seen.mean(0), out - out.mean(0)
    pull = np.sqrt(RIDGE * (a**2).sum(0).mean()) * np.eye(len(columns))
    left = y - a @ own_columns.T
    step, *_ = np.linalg.lstsq(
        np.vstack([a, pull]), np.vstack([left, np.zeros((len(columns), 16))]), rcond=None
    )
    expected = own_columns + step.T
    *_, (got, bias) = found[2, r].values()
    assert np.abs(got.numpy() - expected).max() < 1e-4 * np.abs(expected).max()
    shift = out.mean(0) - expected @ seen.mean(0)
    assert np.abs(bias.numpy() - shift).max() < 1e-4 * np.abs(shift).max()


def _steps(outputs, r):
    """The outputs of block 2, steps after one another as `ins` has them."""
    return np.concatenate([outputs[s, 2, r].reshape(-1, 16) for s in range(STEPS)])


def test_one_run_folds_the_mean_of_what_is_left_out(plain, runs):
    found = fitted(plain, everywhere(Narrow(0.5, 0.25)), pictures=1)
    fitter = Narrow(0.5, 0.25).fitter(plain.family, [(0, 1)])
    calibrate(plain, asked(plain, everywhere(Narrow())), [fitter], pictures=1)
    kept = fitter.kept[0, 1].tolist()
    mean = ins(runs[0][0], 0, 1).mean(0)
    mean[kept] = 0
    *_, (weight, bias) = plain.family.linears(0, 1).values()
    *_, (got, shift) = found[0, 1].values()
    assert torch.equal(got, weight.detach()[:, kept])
    expected = bias.detach().double().numpy() + weight.detach().double().numpy() @ mean
    assert np.abs(shift.numpy() - expected).max() < 1e-5


def test_files_and_wrong_shares():
    narrow = Narrow(0.5, 0.25)
    assert to_json(narrow) == {"predictor": "narrow", "heads": 0.5, "channels": 0.25}
    assert from_json(to_json(narrow)) == narrow
    for wrong in ((-0.1, 1), (1, 1.1), ("a", 1), (1, float("nan"))):
        with pytest.raises(ScheduleError, match=r"narrow: .* expected a number from 0 to 1"):
            Narrow(*wrong)
