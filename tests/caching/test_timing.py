"""Timing: what is measured and how it is put together, on a clock that the test turns itself."""

import numpy as np
import pytest
import torch

from caching import Schedule
from caching.engine import run as engine
from caching.measure import timing
from caching.measure.timing import BranchTimes, Timing, measure_branches, setting_of, time_runs
from tests.caching import tiny
from tests.caching.spy import Spy, own, spied

ATTN_MS, MLP_MS, ADD_MS, HEAD_MS = 3.0, 5.0, 0.5, 7.0


class Clockwork(Spy):
    """A family whose parts take exactly as long as they are told to."""

    seconds = 0.0

    def branch(self, x, given, s, block, r):
        self.seconds += (ATTN_MS, MLP_MS)[r] / 1e3
        return super().branch(x, given, s, block, r)

    def add(self, x, out, given, s, block, r):
        self.seconds += ADD_MS / 1e3
        return super().add(x, out, given, s, block, r)

    def head(self, x, given, s):
        self.seconds += HEAD_MS / 1e3
        return super().head(x, given, s)


@pytest.fixture
def model():
    return own(tiny.dit(blocks=3), tiny.V)


@pytest.fixture
def clockwork(model, monkeypatch):
    watched, _ = spied(model)
    family = Clockwork(model.family)
    object.__setattr__(watched, "family", family)
    for module in (timing, engine):
        monkeypatch.setattr(module, "now", lambda device: family.seconds)
    return watched


@pytest.mark.parametrize("passes", [1, 2])
def test_parts_of_a_step_are_found_from_whole_steps(clockwork, passes):
    times = measure_branches(clockwork, passes=passes, repeats=3, budget_s=60)
    assert times.compute_ms.shape == times.reuse_ms.shape == (3, 2)
    assert times.fixed_ms == pytest.approx(HEAD_MS)
    assert times.reuse_ms == pytest.approx(np.full((3, 2), ADD_MS))
    assert times.compute_ms[:, 0] == pytest.approx(ATTN_MS + ADD_MS)
    assert times.compute_ms[:, 1] == pytest.approx(MLP_MS + ADD_MS)
    assert times.forecast_ms == pytest.approx(0)  # its sums take nothing on this clock
    assert {len(x) for x in clockwork.family.inputs} == {passes}
    assert times.source.endswith(f"{setting_of(clockwork)}, median of 3")


def test_an_anchor_keeps_the_proportions():
    times = BranchTimes(2.0, np.array([[4.0, 8.0]]), np.array([[0.5, 0.25]]), "x", 0.125)
    twice = times.anchored(28.0)
    assert (twice.fixed_ms, twice.forecast_ms, twice.source) == (4.0, 0.25, "x")
    assert twice.compute_ms.tolist() == [[8.0, 16.0]] and twice.reuse_ms.tolist() == [[1.0, 0.5]]
    assert times.anchored(0.0).compute_ms.tolist() == [[4.0, 8.0]]


def test_kinds_are_interleaved_and_the_first_turn_only_warms_up(clockwork):
    measure_branches(clockwork, repeats=2, budget_s=60)
    # Per turn: all reused, attention alone, feed-forward alone, all computed, all forecast, two
    # steps of each and one before them that fills the cache; for a forecast two.
    assert len(clockwork.family.outputs) == (1 + 2) * (5 * 3 + 1)
    assert clockwork.family.calls["branch"] == 3 * (6 * 6 + 2 * (0 + 3 + 3 + 6 + 0))


def test_measuring_stops_when_its_time_is_up(clockwork):
    assert measure_branches(clockwork, repeats=50, budget_s=0).source.endswith("median of 1")


def test_noise_of_the_clock_never_makes_a_negative_time(model, monkeypatch):
    """A model so small that a full step may seem faster than a reused one."""
    ticks = iter(np.random.default_rng(0).normal(0, 1e-3, 10_000).cumsum())
    monkeypatch.setattr(timing, "now", lambda device: next(ticks))
    for _ in range(20):
        times = measure_branches(model, repeats=2, budget_s=60)
        assert times.fixed_ms >= 0
        assert (times.compute_ms >= times.reuse_ms).all()


def test_a_real_measurement_has_the_shape_of_the_model(model):
    times = measure_branches(model, repeats=1)
    assert times.compute_ms.shape == (3, 2)
    assert np.isfinite(times.compute_ms).all()
    assert times.fixed_ms >= 0
    assert times.source.startswith("measured on ")


def test_the_setting_names_threads_and_dtype(model, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert setting_of(model).endswith(", 1 thread, float32")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    half = own(tiny.dit(blocks=1).bfloat16(), tiny.V)
    assert setting_of(half).endswith(", 3 threads, bfloat16")


REQUEST = {"label": 1, "seed": 2, "cfg_scale": 2.0, "sampler": "ddim"}


def test_runs_are_timed_in_turn_and_all_kept(clockwork):
    schedules = {"full": Schedule.full(4, 3), "half": Schedule.from_steps([True, False] * 2, 3)}
    result = time_runs(clockwork, schedules, **REQUEST, repeats=3)
    full = 4 * (HEAD_MS + 6 * ADD_MS + 3 * (ATTN_MS + MLP_MS))
    half = full - 2 * 3 * (ATTN_MS + MLP_MS)
    assert result.names == ("full", "half")
    assert result.total_ms[0] == pytest.approx((full,) * 3)
    assert result.total_ms[1] == pytest.approx((half,) * 3)
    assert result.median_ms("half") == pytest.approx(half)
    assert result.speedup("half", "full") == pytest.approx(full / half)
    # In turn: the second and fourth runs of four steps are the ones that reused.
    computed = [s for s in range(24) if (s // 4) % 2 == 0 or s % 2 == 0]
    assert clockwork.family.calls["branch"] == 6 * len(computed)
    assert result.setting == setting_of(clockwork)


def test_timing_stops_when_told(model):
    polls = iter(range(10**6))
    schedules = {"full": Schedule.full(4, 3)}
    stop = {"stopped": lambda: next(polls) > 30}
    assert time_runs(model, schedules, **REQUEST, repeats=5, **stop) is None
    assert next(polls) < 40


def test_speedup_is_the_median_of_ratios_of_neighbours():
    timed = Timing(("a", "b"), ((10.0, 30.0, 20.0), (5.0, 10.0, 20.0)), "here")
    assert timed.speedup("b", "a") == 2.0  # of 2, 3 and 1; the ratio of medians is 2 as well
    drifting = Timing(("a", "b"), ((10.0, 100.0, 90.0), (10.0, 50.0, 30.0)), "here")
    assert drifting.speedup("b", "a") == 2.0  # of 1, 2 and 3
    assert drifting.median_ms("a") == 90.0
