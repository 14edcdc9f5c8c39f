"""The trace: changes of branch outputs against the formulas on outputs hooked out of diffusers."""

import numpy as np
import pytest
import torch

from caching import RequestError, Schedule, iter_sample, sample
from caching.measure.trace import Recorder
from tests.caching import reference, tiny
from tests.caching.spy import own

STEPS, BLOCKS, LAGS = 6, 3, 4


@pytest.fixture(scope="module")
def module():
    return tiny.dit(blocks=BLOCKS)


@pytest.fixture(scope="module")
def model(module):
    return own(module, tiny.V)


@pytest.fixture(scope="module")
def trace(model):
    return sample(model, label=1, seed=5, steps=STEPS, cfg_scale=3.0, lags=LAGS).trace


def by_hand(cells, s, block, branch, k):
    """Relative L1, relative L2 and cosine in float64, over the whole doubled batch."""
    now = cells[s, block, branch].double().numpy().ravel()
    then = cells[s - k, block, branch].double().numpy().ravel()
    return (
        np.abs(now - then).sum() / np.abs(now).sum(),
        np.sqrt(((now - then) ** 2).sum()) / np.sqrt((now**2).sum()),
        (now @ then) / np.sqrt((now @ now) * (then @ then)),
    )


def test_values_are_the_formulas_on_diffusers_own_outputs(module, trace):
    noise = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(5))
    plain = reference.run(
        module,
        np.zeros((STEPS, BLOCKS, 2), bool),
        noise,
        [1],
        guidance=3.0,
        null=10,
        kind="v_prediction",
    )
    for measure in (trace.rel_l1, trace.rel_l2, trace.cosine):
        assert measure.shape == (STEPS, BLOCKS, 2, LAGS)
        assert measure.dtype == np.float32
    for s, block, branch, k in np.ndindex(STEPS, BLOCKS, 2, LAGS):
        got = [m[s, block, branch, k] for m in (trace.rel_l1, trace.rel_l2, trace.cosine)]
        if s < k + 1:
            assert np.isnan(got).all()
        else:
            assert got == pytest.approx(by_hand(plain.cells, s, block, branch, k + 1), rel=2e-4)


def test_timesteps_are_those_of_the_run(model, trace):
    assert trace.timesteps == sample(model, label=1, steps=STEPS).timesteps


def test_the_change_is_over_the_current_output():
    """What is divided by is the output that a cached one would have stood in for."""
    recorder = Recorder((2.0, 1.0), 1, 1, lags=1, memory_mib=1)
    for value in (1.0, 4.0):
        recorder.watch(0, 0, 0, None, torch.full((1, 2, 2), value))
        recorder.finish_step()
    trace = recorder.trace()
    assert trace.rel_l1[1, 0, 0, 0] == pytest.approx(3 / 4)
    assert trace.rel_l2[1, 0, 0, 0] == pytest.approx(3 / 4)
    assert trace.cosine[1, 0, 0, 0] == pytest.approx(1)


def test_lags_beyond_the_run_are_nan(model):
    trace = sample(model, label=1, steps=3, lags=5).trace
    assert trace.rel_l1.shape[3] == 5
    assert np.isnan(trace.rel_l1[..., 2:]).all()
    assert np.isfinite(trace.rel_l1[2, ..., :2]).all()


def test_a_batch_is_measured_as_a_whole(model):
    """The sums run over both pictures: a batch of one picture twice changes as the one does."""
    twice = sample(model, label=[1, 1], seed=[5, 5], steps=STEPS, cfg_scale=3.0, lags=2).trace
    once = sample(model, label=1, seed=5, steps=STEPS, cfg_scale=3.0, lags=2).trace
    other = sample(model, label=[1, 4], seed=[5, 8], steps=STEPS, cfg_scale=3.0, lags=2).trace
    assert np.allclose(twice.rel_l1[2:], once.rel_l1[2:], rtol=1e-4)
    assert not np.allclose(other.rel_l1[2:], once.rel_l1[2:], rtol=1e-3)


# One step's outputs: 3 blocks x 2 branches x 2 rows x 16 tokens x 16 wide, in float32.
STEP_MIB = 3 * 2 * 2 * 16 * 16 * 4 / 2**20


@pytest.mark.parametrize(
    ("mib", "lags"),
    [(STEP_MIB * 100, LAGS), (STEP_MIB * 3.5, 3), (STEP_MIB * 2, 2), (STEP_MIB * 0.1, 1)],
)
def test_short_memory_lowers_the_lags_and_nothing_else(model, trace, mib, lags):
    *_, run = iter_sample(
        model, label=1, seed=5, steps=STEPS, cfg_scale=3.0, lags=LAGS, trace_mib=mib
    )
    for name in ("rel_l1", "rel_l2", "cosine"):
        got = getattr(run.trace, name)
        assert got.shape[3] == lags
        assert np.array_equal(got, getattr(trace, name)[..., :lags], equal_nan=True)


def test_no_more_outputs_are_kept_than_lags():
    recorder = Recorder(tuple(range(9, 0, -1)), 1, 2, lags=2, memory_mib=1)
    for _ in range(9):
        for r in range(2):
            recorder.watch(0, 0, r, None, torch.randn(2, 4, 4))
        recorder.finish_step()
        assert len(recorder.past) <= 2
        assert not recorder.now


def test_lags_with_a_schedule_that_reuses_are_refused(model):
    with pytest.raises(RequestError, match=r"2 lags.*reuses cells.*full run"):
        iter_sample(model, Schedule.every(STEPS, BLOCKS, 2), label=1, lags=2)
    assert sample(model, Schedule.full(STEPS, BLOCKS), label=1, lags=2).trace is not None


def test_bfloat16_outputs_are_compared_in_float32(module, trace):
    half = own(tiny.dit(blocks=BLOCKS).bfloat16(), tiny.V)
    got = sample(half, label=1, seed=5, steps=STEPS, cfg_scale=3.0, lags=LAGS).trace
    assert got.rel_l1.dtype == np.float32
    known = np.isfinite(trace.rel_l1)
    assert np.allclose(got.rel_l1[known], trace.rel_l1[known], rtol=0.2, atol=0.02)
