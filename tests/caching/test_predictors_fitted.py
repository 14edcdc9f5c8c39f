"""Affine, Linear and Corrected: by hand, and against numpy least squares in float64."""

import numpy as np
import pytest
import torch

from caching import Schedule, load_model, sample
from caching.actions.corrected import Corrected
from caching.actions.residual import Residual
from caching.engine.fits import Fits, calibrate
from caching.engine.request import prepare
from caching.errors import ScheduleError
from caching.fitting import Sums
from caching.predictors import Reuse, from_json, to_json
from caching.predictors.affine import Affine
from caching.predictors.base import Cell, Entry
from caching.predictors.linear import Linear
from caching.predictors.lowrank import LowRank
from tests.caching import tiny
from tests.caching.calibration import FITTED, STEPS, Recorder, asked, close, every, fitted
from tests.caching.spy import own, spied


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


# -- least squares by hand ---------------------------------------------------------------


def line(x, y, **how):
    """Slopes and shifts from two calls with half of the samples each; x, y are channels of 4."""
    sums = Sums()
    for half in (slice(0, 2), slice(2, 4)):
        sums.add(*(torch.tensor(v)[:, half].T[None] for v in (x, y)))
    return sums.line(**how).tolist()


def test_a_line_through_four_samples_worked_out_by_hand():
    # Channel 0: means 2 and 5, cov 10 / 4, var 10 / 4 with one sample off: a = 14 / 10.
    x = [[0.0, 1.0, 3.0, 4.0], [1.0, 1.0, 1.0, 1.0], [-1.0, 1.0, -1.0, 1.0]]
    y = [[2.0, 4.0, 6.0, 8.0], [5.0, 6.0, 7.0, 8.0], [1.0, -5.0, 1.0, -5.0]]
    # sum of (x - 2)(y - 5) = 6 + 1 + 1 + 6 = 14, of (x - 2)^2 = 4 + 1 + 1 + 4 = 10;
    # channel 1 does not vary, channel 2 is y = -3 x - 2.
    a, b = line(x, y, slopes=True, shifts=True)
    assert a == pytest.approx([1.4, 1.0, -3.0])
    assert b == pytest.approx([5 - 1.4 * 2, 0.0, -2.0])
    # One slope for all channels: (14 + 0 - 12) / (10 + 0 + 4), each channel its own mean.
    a, b = line(x, y, slopes=False, shifts=True)
    assert a == pytest.approx([1 / 7] * 3)
    assert b == pytest.approx([5 - 2 / 7, 6.5 - 1 / 7, -2.0])
    # One line for all twelve: sums of x 12, y 38, x x 26 + 4 + 4, x y 54 + 26 - 12.
    a, b = line(x, y, slopes=False, shifts=False)
    slope = (68 - 12 * 38 / 12) / (34 - 12 * 12 / 12)
    assert a == pytest.approx([slope] * 3)
    assert b == pytest.approx([(38 - slope * 12) / 12] * 3)


@pytest.mark.parametrize("value", [0.0, 1.0, 1e4, 0.1])
def test_a_channel_that_does_not_vary_stays_as_it_is(value):
    noise = 1e-7 * value * np.sin(np.arange(1000))
    x = torch.tensor(value + noise, dtype=torch.float32).reshape(1, -1, 1)
    y = torch.randn(1, 1000, 1, generator=torch.Generator().manual_seed(0))
    sums = Sums()
    sums.add(x, y)
    assert sums.line(slopes=True, shifts=True).tolist() == [[1.0], [0.0]]


def test_a_small_change_on_a_large_mean_is_found():
    x = 1000 + torch.randn(4, 64, 3, generator=torch.Generator().manual_seed(0))
    sums = Sums()
    for row in x:
        sums.add(row[None], 0.5 * row[None] - 7)
    a, b = sums.line(slopes=True, shifts=True)
    assert a.tolist() == pytest.approx([0.5] * 3, abs=1e-4)
    assert b.tolist() == pytest.approx([-7.0] * 3, abs=0.1)


# -- Affine ------------------------------------------------------------------------------


def test_affine_is_least_squares_of_every_channel(small, recorded):
    schedule = every(3, Affine())
    found = fitted(small, schedule)
    assert len(found) == 4 * 6 and (5, 3, 2, 1) in found
    for (s, source, block, r), (a, b) in found.items():
        x, y = (recorded.out[t, block, r].reshape(-1, 16) for t in (source, s))
        expected = [
            np.linalg.lstsq(np.stack([x[:, c], np.ones(len(x))], 1), y[:, c], rcond=None)[0]
            for c in range(16)
        ]
        close(torch.stack([a, b], 1), np.array(expected), 1e-5)


def test_affine_per_cell_is_one_line(small, recorded):
    found = fitted(small, every(3, Affine("cell")))
    for (s, source, block, r), (a, b) in found.items():
        x, y = (recorded.out[t, block, r].reshape(-1) for t in (source, s))
        (slope, shift), *_ = np.linalg.lstsq(np.stack([x, np.ones(len(x))], 1), y, rcond=None)
        assert set(a.tolist()) == {a[0].item()} and set(b.tolist()) == {b[0].item()}
        close(torch.stack([a[0], b[0]]), np.array([slope, shift]), 1e-5)


@pytest.mark.parametrize("per", ["channel", "cell"])
def test_affine_is_never_worse_than_reuse_on_what_it_was_fitted_on(per, small, recorded):
    better = 0
    for (s, source, block, r), (a, b) in fitted(small, every(3, Affine(per))).items():
        x, y = recorded.out[source, block, r], recorded.out[s, block, r]
        error = ((a.double().numpy() * x + b.double().numpy() - y) ** 2).sum()
        assert error <= ((x - y) ** 2).sum() * (1 + 1e-6)
        better += error < ((x - y) ** 2).sum() * 0.99
    assert better > 12


def test_affine_scales_and_shifts_the_newest_output(small):
    model, spy = spied(small)
    schedule, fits = every(3, Affine()), Fits(pictures=1)
    found = fits.of(model, schedule, asked(model, schedule))[Affine()]
    spy.cells.clear()
    sample(model, schedule, label=4, seed=9, cfg_scale=3.0, fits=fits)
    for (s, source, *cell), (a, b) in found.items():
        expected = a * spy.cells[(source, *cell)] + b
        torch.testing.assert_close(spy.cells[(s, *cell)], expected, rtol=1e-5, atol=1e-6)


# -- Linear ------------------------------------------------------------------------------


@pytest.mark.parametrize("ridge", [0.0, 0.1, 2.0])
def test_linear_is_ridge_regression(ridge, small, recorded):
    found = fitted(small, every(3, Linear(ridge)))
    assert set(found) == {(block, r) for block in range(3) for r in range(2)}
    for (block, r), (weight, bias) in found.items():
        x, y = (
            np.concatenate([table[s, block, r].reshape(-1, 16) for s in range(STEPS)])
            for table in (recorded.x, recorded.out)
        )
        # A penalty is as many more samples: rows of its root, which aim at zero, without a bias.
        root = np.sqrt(ridge * len(x) * x.var(0).mean())
        rows = np.concatenate([np.c_[x, np.ones(len(x))], np.c_[root * np.eye(16), np.zeros(16)]])
        aims = np.concatenate([y, np.zeros((16, 16))])
        expected = np.linalg.lstsq(rows, aims, rcond=None)[0]
        close(weight.T, expected[:-1], 1e-4)
        close(bias, expected[-1], 1e-4)


def test_linear_maps_the_hidden_state_and_needs_no_history(small):
    model, spy = spied(small)
    seen = {}
    add = spy.add

    def noted(x, out, *where, own):
        seen[where[1:]] = x.clone()
        return add(x, out, *where, own=own)

    spy.add = noted
    schedule, fits = every(3, Linear()), Fits(pictures=1)
    found = fits.of(model, schedule, asked(model, schedule))[Linear()]
    seen.clear()
    run = sample(model, schedule, label=4, seed=9, cfg_scale=3.0, fits=fits)
    assert (run.executed == schedule.actions).all()
    for s, block, r in np.argwhere(schedule.actions).tolist():
        weight, bias = found[block, r]
        expected = seen[s, block, r] @ weight.T + bias
        torch.testing.assert_close(spy.cells[s, block, r], expected, rtol=1e-4, atol=1e-5)


# -- Corrected ---------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "last"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_corrected_is_one_scale_and_shifts_by_least_squares(first, last, small, recorded):
    action = Corrected(first, last)
    schedule = Schedule.from_rows(["C" * STEPS] * 6, step_row="CAACAA", step_legend=(action,))
    found = fitted(small, schedule)
    assert set(found) == {(1, 0), (2, 0), (4, 3), (5, 3)}

    def residual(s):
        after = recorded.x[s, 3 - last, 0] if last else recorded.x[s, 0, 0] + recorded.steps[s]
        return (after - recorded.x[s, first, 0]).reshape(-1, 16)

    for (s, source), (a, b) in found.items():
        x, y = residual(source), residual(s)
        # Unknowns: one slope, and a shift for each of 16 channels.
        shifts = np.tile(np.eye(16), (len(x), 1))
        rows = np.c_[x.reshape(-1), shifts]
        slope, *expected = np.linalg.lstsq(rows, y.reshape(-1), rcond=None)[0]
        assert set(a.tolist()) == {a[0].item()}
        assert a[0].item() == pytest.approx(slope, rel=1e-5)
        close(b, np.array(expected), 1e-4)
        fixed = a.double().numpy() * x + b.double().numpy()
        assert ((fixed - y) ** 2).sum() <= ((x - y) ** 2).sum() * (1 + 1e-6)


def test_corrected_adds_the_fitted_residual(small):
    action, fits = Corrected(1, 1), Fits(pictures=1)
    schedule = Schedule.from_rows(["C" * 4] * 6, step_row="CCAC", step_legend=(action,))
    model, spy = spied(small)
    (a, b) = fits.of(model, schedule, asked(model, schedule))[action][2, 1]
    inputs = {}
    branch = spy.branch
    spy.branch = lambda x, given, s, *at: (
        inputs.__setitem__((s, *at), x.clone()),
        branch(x, given, s, *at),
    )[1]
    sample(model, schedule, label=4, seed=9, cfg_scale=3.0, fits=fits)
    delta = inputs[1, 2, 0] - inputs[1, 1, 0]
    with torch.no_grad():
        # Block 0 ran, block 1 is the range, block 2 runs on what the range is said to have added.
        before = inputs[2, 0, 0]
        given = small.family.condition(
            torch.tensor([999.0, 666.0, 333.0, 0.0]), torch.tensor([4, 10])
        )
        for r in range(2):
            out = small.family.branch(before, given, 2, 0, r)
            before = small.family.add(before, out, given, 2, 0, r)
    expected = before + a * delta + b
    torch.testing.assert_close(inputs[2, 2, 0], expected, rtol=1e-4, atol=1e-4)
    assert (2, 1, 0) not in inputs


# -- on the shipped model, on seeds it was not fitted on ---------------------------------


def features(model, steps, label, seed):
    """x and output of every cell of a full run, and the run's conditioning."""
    found, given = {}, []
    model, spy = spied(model)
    condition = spy.family.condition
    spy.condition = lambda *args: (given.append(condition(*args)), given[-1])[1]
    branch = spy.branch

    def noted(x, given, s, block, r):
        out = branch(x, given, s, block, r)
        found[s, block, r] = x.clone(), out
        return out

    spy.branch = noted
    sample(model, label=label, seed=seed, steps=steps)
    return found, given[0]


def test_fitted_predictors_beat_reuse_cell_by_cell_on_unseen_seeds(shipped):
    steps, legend = 6, (Affine(), LowRank(64), LowRank(64, "ca-svd"), Linear())
    actions = np.zeros((steps, 12, 2), np.uint8)
    actions[1::2, ::4] = 1
    schedule, where = Schedule(actions), np.argwhere(actions).tolist()
    fits, found = Fits(pictures=3), {}
    for p in legend:
        brushed = Schedule(schedule.actions, (p,))
        found[p] = fits.of(shipped, brushed, prepare(shipped, brushed, label=0)[0])[p]
    cells, given = features(shipped, steps, label=2, seed=123)
    errors = {p: [] for p in (Reuse(), *legend)}
    for s, block, r in where:
        x, out = cells[s, block, r]
        x_before, before = cells[s - 1, block, r]
        estimates = {Reuse(): before}
        for p in legend:
            rest = {"block": block, "r": r, "fitted": found[p]}
            then = Cell(shipped.family, given, x_before, s - 1, **rest)
            memo = p.compute(then)[1] if p.computes else None
            past = [Entry(s - 1, before, True)]
            now = Cell(shipped.family, given, x, s, past=past, memo=memo, **rest)
            with torch.no_grad():
                estimates[p] = p.stand_in(now)
        for p, estimate in estimates.items():
            errors[p].append(float((estimate - out).norm() / out.norm()))
    mean = {p: np.mean(e) for p, e in errors.items()}
    assert mean[Affine()] < mean[Reuse()]
    assert mean[LowRank(64, "ca-svd")] < mean[LowRank(64)] < mean[Reuse()]
    # One map for all steps knows no time: it beats only nothing at all.
    assert mean[Linear()] < 1.0


# -- as values ---------------------------------------------------------------------------


@pytest.mark.parametrize("p", FITTED.values(), ids=str)
def test_json_and_back(p):
    assert from_json(to_json(p)) == p


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Affine("token"), "affine: per is 'token'"),
        (lambda: Linear(-1), "linear: ridge is -1"),
        (lambda: Linear(float("nan")), "linear: ridge is nan"),
        (lambda: LowRank(0), "lowrank: rank is 0"),
        (lambda: LowRank(2.0), "lowrank: rank is 2.0"),
        (lambda: LowRank(2, "cd-svd"), "lowrank: weights is 'cd-svd'"),
        (lambda: Corrected(-1), "corrected: first is -1"),
    ],
)
def test_what_they_refuse(make, text):
    with pytest.raises(ScheduleError, match=text):
        make()


def test_corrected_is_not_its_parent():
    assert Corrected() != Residual()
    with pytest.raises(ScheduleError, match="corrected: the first 2 and last 1"):
        Corrected(2, 1).check(3)
