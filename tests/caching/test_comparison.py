"""A comparison runs full, cached and the honest rival, and survives being written and read."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from caching import Model, RequestError, Schedule, ScheduleError, sample
from caching.engine.run import Run
from caching.measure import known as measure_known
from caching.measure.comparison import LAGS, Comparison, Progress, iter_compare
from caching.measure.cost import steps_of_same_work
from caching.measure.known import Known
from caching.measure.result import NAMES, load_result, result_of, save_result
from caching.measure.timing import measure_branches
from tests.caching import tiny
from tests.caching.spy import spied

STEPS = 8
REQUEST = {"label": 1, "seed": 4, "cfg_scale": 2.0, "sampler": "ddim"}
CACHED = Schedule.every(STEPS, 2, 2)


@pytest.fixture(scope="module")
def model():
    return Model.from_modules(
        tiny.dit(blocks=2, side=16), scheduler=tiny.V, class_names=("ball", "cube"), name="tiny"
    )


@pytest.fixture(scope="module")
def items(model):
    return list(iter_compare(model, CACHED, **REQUEST, repeats=3))


@pytest.fixture(scope="module")
def comparison(items):
    assert isinstance(items[-1], Comparison)
    return items[-1]


@pytest.fixture(scope="module")
def result(model, comparison):
    return result_of(model, comparison, measure_branches(model, repeats=1))


def test_progress_tells_every_step_of_every_run_and_every_timing(model, items):
    fewer = steps_of_same_work(model, CACHED)
    assert 1 < fewer < STEPS
    seen = [(p.which, p.done, p.total) for p in items[:-1]]
    assert all(isinstance(p, Progress) for p in items[:-1])
    expected = [("full", i + 1, STEPS) for i in range(STEPS)]
    expected += [("cached", i + 1, STEPS) for i in range(STEPS)]
    expected += [("fewer", i + 1, fewer) for i in range(fewer)]
    expected += [("timing", i, 3) for i in range(4)]
    assert seen == expected
    assert all(p.event.preview is not None for p in items[:-5])
    assert all(p.event is None for p in items[-5:-1])


def test_the_three_runs_are_those_of_the_request(model, comparison):
    c = comparison
    assert c.full.schedule == Schedule.full(STEPS, 2)
    assert c.cached.schedule is CACHED
    assert c.fewer.schedule == Schedule.full(steps_of_same_work(model, CACHED), 2)
    for run in (c.full, c.cached, c.fewer):
        plain = sample(model, run.schedule, **REQUEST)
        assert torch.equal(run.latents, plain.latents)
    assert c.full.trace.rel_l1.shape == (STEPS, 2, 2, min(LAGS, STEPS - 1))
    assert c.cached.trace is None
    assert c.timing.names == NAMES
    assert [len(t) for t in c.timing.total_ms] == [3, 3, 3]
    assert math.isfinite(c.cached_fidelity.psnr_db)
    assert np.isnan(c.fewer_fidelity.drift).all()


def test_full_runs_are_made_once_and_shared(model):
    known = Known()
    first = list(iter_compare(model, CACHED, **REQUEST, known=known, repeats=1))
    other = Schedule.every(STEPS, 2, 3)
    second = list(iter_compare(model, other, **REQUEST, known=known, repeats=1))
    assert {p.which for p in first[:-1]} == {"full", "cached", "fewer", "timing"}
    assert "full" not in {p.which for p in second[:-1]}
    assert second[-1].full is first[-1].full
    # The rival of the same size is a full run too.
    again = list(iter_compare(model, CACHED, **REQUEST, known=known, repeats=1))
    assert {p.which for p in again[:-1]} == {"cached", "timing"}
    assert again[-1].fewer is first[-1].fewer


@pytest.mark.parametrize(
    "changed", [{"seed": 5}, {"label": 0}, {"cfg_scale": 1.5}, {"sampler": "euler"}], ids=str
)
def test_another_request_shares_nothing(model, changed):
    known = Known()
    *_, first = iter_compare(model, CACHED, **REQUEST, known=known, repeats=0)
    *_, other = iter_compare(model, CACHED, **{**REQUEST, **changed}, known=known, repeats=0)
    assert other.full is not first.full
    *_, fresh = iter_compare(model, CACHED, **{**REQUEST, **changed}, repeats=0)
    for mine, anew in ((other.full, fresh.full), (other.cached, fresh.cached)):
        assert torch.equal(mine.latents, anew.latents)


def test_an_edited_schedule_runs_from_where_it_differs(model):
    known = Known()
    list(iter_compare(model, CACHED, **REQUEST, known=known, repeats=0))
    edited = CACHED.paint([[STEPS - 1, 1, 1]], 1)
    items = list(iter_compare(model, edited, **REQUEST, known=known, repeats=0))
    steps = [p.event for p in items[:-1] if p.which == "cached"]
    assert len(steps) == STEPS and sum(e.resumed for e in steps) == STEPS - 1
    assert torch.equal(items[-1].cached.latents, sample(model, edited, **REQUEST).latents)


def test_few_full_runs_are_kept(model, monkeypatch):
    monkeypatch.setattr(measure_known, "MAX_FULL_RUNS", 2)
    known = Known()
    runs = [sample(model, label=1, steps=2, seed=seed) for seed in (1, 2, 3)]
    for run in (runs[0], runs[1], runs[0], runs[2]):  # the first is used again, the second goes
        known.keep(run)
    assert [known.full(run.request) is run for run in runs] == [True, False, True]


def test_without_repeats_the_shown_runs_are_the_timing(model):
    *_, last = iter_compare(model, CACHED, **REQUEST, repeats=0)
    runs = (last.full, last.cached, last.fewer)
    assert last.timing.total_ms == tuple((float(r.step_ms.sum()),) for r in runs)
    assert last.timing.setting


@pytest.mark.parametrize("polls", [0, 5, 40, 90, 120, 150])
def test_stopping_ends_early_and_without_a_comparison(model, polls):
    """At any place: in the full, the cached and the fewer-steps run, and while timing."""
    watched, spy = spied(model)
    left = [polls]

    def stopped():
        left[0] -= 1
        return left[0] < 0

    items = list(iter_compare(watched, CACHED, **REQUEST, repeats=9, stopped=stopped))
    assert all(isinstance(item, Progress) for item in items)
    assert left[0] == -1  # asked once more after the last yes is one time too many
    assert len(spy.cells) <= polls


def test_closing_early_leaves_the_model_as_it_was(model, comparison):
    events = iter_compare(model, CACHED, **REQUEST)
    for _ in range(STEPS + 3):
        next(events)
    events.close()
    assert torch.equal(sample(model, CACHED, **REQUEST).latents, comparison.cached.latents)


def test_a_single_step_can_be_compared(model):
    *_, last = iter_compare(model, Schedule.full(1, 2), **REQUEST, repeats=0)
    shown = result_of(model, last, measure_branches(model, repeats=1))
    assert shown.tables.change.shape == (1, 2, 2, 1)
    assert shown.figures["fewer"].steps == 1


# -- as plain data -------------------------------------------------------------------------


def test_the_result_says_what_the_runs_did(model, comparison, result):
    assert set(result.figures) == set(result.pictures) == set(NAMES)
    assert (result.model, result.label, result.seed) == ("tiny", 1, 4)
    assert result.class_names == ("ball", "cube")
    assert result.schedule == CACHED
    assert np.array_equal(result.executed, CACHED.actions)
    full, cached, fewer = (result.figures[name] for name in NAMES)
    assert (full.work, full.speedup, full.psnr_db) == (1.0, 1.0, None)
    assert cached.work == pytest.approx(comparison.cached.cost.work)
    assert fewer.work == pytest.approx(fewer.steps / STEPS)
    assert cached.cache_mib > full.cache_mib == 0
    assert cached.nfe == full.nfe == 2 * STEPS
    assert fewer.nfe == 2 * fewer.steps
    assert cached.psnr_db == comparison.cached_fidelity.psnr_db
    assert cached.median_ms == comparison.timing.median_ms("cached")
    assert cached.speedup == comparison.timing.speedup("cached", "full")
    assert np.allclose(
        result.tables.change[1:, ..., 0],
        comparison.full.trace.rel_l1[1:, ..., 0],
        rtol=2e-3,
    )
    assert (result.tables.change[0] == 0).all()
    for name, run in zip(
        NAMES, (comparison.full, comparison.cached, comparison.fewer), strict=True
    ):
        shown = result.pictures[name]
        assert np.array_equal(shown.final, run.image)
        assert shown.steps[-1] == run.request.steps - 1
        for frame, step in zip(shown.frames[:-1], shown.steps[:-1], strict=True):
            assert np.array_equal(frame, model.decode(run.clean[step : step + 1])[0].numpy())


def test_a_slow_autoencoder_shows_fewer_frames(model, comparison, monkeypatch):
    monkeypatch.setattr("caching.measure.result.DECODE_BUDGET_S", 0.0)
    shown = result_of(model, comparison, measure_branches(model, repeats=1))
    for name, run in zip(
        NAMES, (comparison.full, comparison.cached, comparison.fewer), strict=True
    ):
        assert shown.pictures[name].steps == (0, run.request.steps - 1)
        assert len(shown.pictures[name].frames) == 2


def test_a_result_without_a_trace_is_refused(model, comparison):
    bare = dataclasses.replace(comparison, full=dataclasses.replace(comparison.full, trace=None))
    with pytest.raises(RequestError, match="no trace; run it with lags > 0"):
        result_of(model, bare, measure_branches(model, repeats=1))


def same(a, b):
    """Deep equality of dataclasses, arrays (with dtype) and plain values; NaN equals NaN."""
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    elif isinstance(a, Schedule):
        assert a == b
    elif dataclasses.is_dataclass(a):
        assert type(a) is type(b)
        for field in dataclasses.fields(a):
            same(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    else:
        assert type(a) is type(b)
        assert a == b


@pytest.mark.parametrize("recorded", [None, "recorded on a test, 2026-11-21"])
def test_a_result_is_read_as_it_was_written(result, recorded, tmp_path):
    result = dataclasses.replace(result, recorded=recorded)
    save_result(result, tmp_path / "new" / "folder")
    same(result, load_result(tmp_path / "new" / "folder"))


def test_an_infinite_psnr_survives(model, tmp_path):
    """A full schedule as the cached one: equal pictures, and JSON knows no infinity."""
    *_, last = iter_compare(model, Schedule.full(3, 2), **REQUEST, repeats=1)
    result = result_of(model, last, measure_branches(model, repeats=1))
    assert result.figures["cached"].psnr_db == math.inf
    save_result(result, tmp_path)
    assert "Infinity" not in (tmp_path / "result.json").read_text(encoding="utf-8")
    same(result, load_result(tmp_path))


def test_pickled_arrays_are_not_read(result, tmp_path):
    save_result(result, tmp_path)
    np.savez(tmp_path / "result.npz", executed=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        load_result(tmp_path)


def test_the_cached_run_is_a_run(comparison):
    assert isinstance(comparison.cached, Run)
    assert comparison.cached.executed.any()


def test_a_schedule_of_another_shape_is_refused_before_anything_runs(model):
    with pytest.raises(ScheduleError, match="3 blocks and the model 2"):
        next(iter_compare(model, Schedule.full(STEPS, 3), **REQUEST))
