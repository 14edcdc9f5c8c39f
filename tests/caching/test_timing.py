"""Timing: what is measured and how it is put together, on a clock that the test turns itself."""

import numpy as np
import pytest
import torch

from caching import Schedule
from caching.actions.residual import Residual
from caching.engine import run as engine
from caching.measure import timing
from caching.measure.timing import BranchTimes, Timing, measure_branches, setting_of, time_runs
from caching.measure.timing_fit import Parts, counts_of, drawn_steps, fit_parts
from caching.predictors.reuse import Reuse
from caching.predictors.taylor import Taylor
from tests.caching import tiny
from tests.caching.spy import Spy, own, spied

ATTN_MS, MLP_MS, ADD_MS, HEAD_MS, BUSY_MS, START_MS = 3.0, 5.0, 0.5, 7.0, 2.0, 11.0
LEGEND, STEP = (Reuse(), Taylor()), (Residual(),)


class Clockwork(Spy):
    """A family whose parts take exactly as long as they are told to."""

    seconds, busy, started = 0.0, -1, -1

    def condition(self, timesteps, labels):
        self.started = self.busy = -1
        return self.family.condition(timesteps, labels)

    def branch(self, x, given, s, block, r):
        if s != self.busy:
            self.seconds, self.busy = self.seconds + BUSY_MS / 1e3, s
        if self.started < 0:
            self.seconds, self.started = self.seconds + START_MS / 1e3, s
        self.seconds += (ATTN_MS, MLP_MS)[r] / 1e3
        return super().branch(x, given, s, block, r)

    def add(self, x, out, given, s, block, r, *, own=False):
        self.seconds += ADD_MS / 1e3
        return super().add(x, out, given, s, block, r, own=own)

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
    monkeypatch.setattr(engine, "now", lambda device: family.seconds)
    return watched


@pytest.mark.parametrize("passes", [1, 2])
def test_parts_of_a_step_are_found_from_whole_steps(clockwork, passes):
    times = measure_branches(clockwork, passes=passes, repeats=6, budget_s=60)
    assert times.compute_ms.shape == times.reuse_ms.shape == (3, 2)
    assert times.fixed_ms == pytest.approx(HEAD_MS)
    assert times.reuse_ms == pytest.approx(np.full((3, 2), ADD_MS))
    assert times.compute_ms[:, 0] == pytest.approx(ATTN_MS + ADD_MS)
    assert times.compute_ms[:, 1] == pytest.approx(MLP_MS + ADD_MS)
    assert times.busy_ms == pytest.approx(BUSY_MS)
    assert times.start_ms == pytest.approx(START_MS)
    assert times.forecast_ms == pytest.approx(0, abs=1e-9)  # its sums take nothing on this clock
    assert {len(x) for x in clockwork.family.inputs} == {passes}
    assert times.source.endswith(f"{setting_of(clockwork)}, from 6 runs")


def test_an_anchor_keeps_the_proportions():
    of_cells = np.array([[4.0, 8.0]]), np.array([[0.5, 0.25]])
    times = BranchTimes(2.0, *of_cells, "x", 0.125, busy_ms=1.0, start_ms=3.0)
    twice = times.anchored(2 * (3 + 4 * 15), steps=4)
    assert (twice.fixed_ms, twice.forecast_ms, twice.source) == (4.0, 0.25, "x")
    assert (twice.busy_ms, twice.start_ms) == (2.0, 6.0)
    assert twice.compute_ms.tolist() == [[8.0, 16.0]] and twice.reuse_ms.tolist() == [[1.0, 0.5]]
    assert times.anchored(0.0, 4).compute_ms.tolist() == [[4.0, 8.0]]


def test_every_run_has_every_kind_of_step_and_the_first_only_warms_up(clockwork):
    measure_branches(clockwork, repeats=2, budget_s=60)
    # Two and one step all computed, each branch alone, one step with nothing computed but a head
    # under the delta of all blocks, two reused or forecast, five scattered.
    assert len(clockwork.family.outputs) == (1 + 2) * (3 + 2 + 1 + 2 + 5)
    plan = drawn_steps(1, 3, ("attn", "mlp"))
    computed = plan.computed.sum(axis=(1, 2))
    assert sorted(computed[2:])[:3] == [0, 0, 0] and (computed == 6).sum() >= 3
    assert plan.covered.all(axis=(1, 2)).sum() == 1
    drawn = {drawn_steps(seed, 3, ("attn", "mlp")) for seed in range(4)}
    assert len(drawn) == 4


def test_the_parts_of_a_drawn_step_are_counted():
    plan = Schedule.from_rows(["CCRTC", "CRCTC"], legend=LEGEND, step_row="CCCCS", step_legend=STEP)
    # Computed attn and mlp, held, forecast, one, any computed, first.
    assert counts_of(plan).tolist() == [
        [1, 1, 0, 0, 1, 1, 1],
        [1, 0, 1, 0, 1, 1, 0],
        [0, 1, 1, 0, 1, 1, 0],
        [0, 0, 2, 2, 1, 0, 0],
        [0, 0, 0, 0, 1, 0, 0],
    ]


def test_what_disturbs_some_steps_and_slows_some_turns_moves_no_part():
    plans = [drawn_steps(seed, 4, ("attn", "mlp")) for seed in range(10)]
    counts = [counts_of(plan) for plan in plans]
    rng = np.random.default_rng(2)
    took = [c @ [3.0, 5.0, 0.5, 0.25, 2.0, 1.0, 6.0] for c in counts]
    slow = np.array([1.0, 1.3, 1.0, 1.0, 1.2, 0.9, 1.0, 1.1, 0.8, 1.0])  # median 1
    took = [t * f for t, f in zip(took, slow, strict=True)]
    for t in took:
        t[rng.choice(len(t), 2, replace=False)] *= 2
    turns = np.repeat(np.arange(10), [len(t) for t in took])
    parts = fit_parts(np.concatenate(counts), np.concatenate(took), turns)
    assert parts.compute_ms == pytest.approx([3.0, 5.0], rel=0.01)
    others = (parts.reuse_ms, parts.forecast_ms, parts.fixed_ms, parts.busy_ms, parts.start_ms)
    assert others == pytest.approx((0.5, 0.25, 2.0, 1.0, 6.0), rel=0.05)


def test_measuring_stops_when_its_time_is_up(clockwork):
    assert measure_branches(clockwork, repeats=50, budget_s=0).source.endswith("from 1 runs")


def test_noise_of_the_clock_never_makes_a_negative_time(model, monkeypatch):
    """A model so small that a full step may seem faster than a reused one."""
    ticks = iter(np.random.default_rng(0).normal(0, 1e-3, 10_000).cumsum())
    monkeypatch.setattr(engine, "now", lambda device: next(ticks))
    for _ in range(20):
        times = measure_branches(model, repeats=2, budget_s=60)
        assert times.fixed_ms >= 0
        assert (times.compute_ms >= times.reuse_ms).all()


def test_no_branch_is_free_because_its_time_was_fitted_to_another(model, monkeypatch):
    parts = Parts(np.array([0.0, 10.0]), 0.1, 0.0, 1.0, 0.0, 0.0)
    monkeypatch.setattr(timing, "fit_parts", lambda *args: parts)
    monkeypatch.setattr(timing, "branch_macs", lambda model: np.array([[5, 8], [5, 8], [5, 8]]))
    times = measure_branches(model, repeats=1)
    # A fifth of ten milliseconds times 5 / 13.
    assert times.compute_ms[:, 0] == pytest.approx(10 / 13)
    assert times.compute_ms[:, 1] == pytest.approx(10.0)


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
    full = START_MS + 4 * (HEAD_MS + BUSY_MS + 6 * ADD_MS + 3 * (ATTN_MS + MLP_MS))
    half = full - 2 * (BUSY_MS + 3 * (ATTN_MS + MLP_MS))
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
