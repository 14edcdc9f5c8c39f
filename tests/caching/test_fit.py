"""From sums to dB: features by hand, leaving out by leaving out, and a calibration of its own."""

import dataclasses
import itertools

import numpy as np
import pytest

from caching.actions.residual import Residual
from caching.engine.executor import Stopped
from caching.engine.run import iter_sample, sample
from caching.errors import RequestError, ScheduleError
from caching.models.model import Model
from caching.predict import calibration as module
from caching.predict.calibration import Runs, calibrations, learned_from, psnr_db
from caching.predict.drawn import KINDS, drawn
from caching.predict.effort import Size, response_share, runs_of
from caching.predict.features import LEVELS, NAMES, features, stands_in
from caching.predict.fit import fit, predict_error, spearman
from caching.predict.response import scaled
from caching.predictors.reuse import Reuse
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule
from tests.caching import tiny

SHAPE = (8, 3, 2)


def response(steps=8, blocks=3, *, ages=5, directions=3, seed=0):
    rng = np.random.default_rng(seed)
    shape = (directions, steps, blocks, 2, ages)
    before = np.arange(steps)[:, None] < np.arange(1, ages + 1)
    effects = rng.normal(size=(2, *shape)) * ~before[:, None, None, :]
    change = np.abs(rng.normal(size=shape[1:])) * ~before[:, None, None, :]
    length = np.arange(steps + 1) - np.arange(steps)[:, None]
    known = (length > 0) & (length <= ages + 1)
    spans = np.where(known, rng.normal(size=(directions, *known.shape)), np.nan) * (length != 1)
    return scaled(*effects, spans, change, pictures=1, kind="gradients", source="made up")


# -- what stands in --------------------------------------------------------------------------


def test_reuse_stands_in_at_its_age():
    got = stands_in(Schedule.from_rows(["CRRC", "CCCR"]))
    cells = {
        (s, r): (a, w) for s, r, a, w in zip(got.step, got.row, got.age, got.weight, strict=True)
    }
    assert cells == {(1, 0): (1, 1.0), (2, 0): (2, 1.0), (3, 1): (1, 1.0)}
    assert not got.forecast.any()


def test_a_forecast_is_the_weighted_sum_that_it_is():
    """Order 1 from steps 2 and 0: the newest and its slope, half the difference, per step."""
    got = stands_in(Schedule.from_rows(["CRCTT"], legend=(Reuse(), Taylor(1)), branches=("attn",)))
    rows = sorted(zip(got.step, got.age, got.weight, got.forecast, strict=True))
    assert rows == [
        (1, 1, 1.0, False),
        (3, 1, 1.5, True),
        (3, 3, -0.5, True),
        (4, 2, 2.0, True),
        (4, 4, -1.0, True),
    ]


def test_a_covered_cell_counts_as_reuse():
    plain = Schedule.from_rows(["CCC", "CCC"])
    covered = plain.paint_steps([2], Residual())
    got = stands_in(covered)
    assert list(zip(got.step, got.row, got.age, strict=True)) == [(2, 0, 1), (2, 1, 1)]


# -- features --------------------------------------------------------------------------------


def test_features_by_hand():
    """Two cells of step 2: squared sums across directions, cells, steps and rows."""
    opened = np.zeros((2, 3, 1, 2, 2))
    opened[:, 2, 0, :, 0] = [[3.0, 1.0], [0.0, -2.0]]
    held = opened * 2
    spans = np.full((2, 3, 4), np.nan)
    spans[:, [0, 1, 2], [1, 2, 3]] = 0
    spans[:, 1, 3] = [6, 8]
    spans[:, 0, 2:] = 1
    change = np.zeros((3, 1, 2, 2))
    change[2, 0, :, 0] = [0.25, 0.75]
    made = scaled(opened, held, spans, change, pictures=1, kind="gradients", source="x")
    got = dict(zip(NAMES, features(Schedule.from_rows(["CCR", "CCR"]), made), strict=True))
    expected = {
        NAMES[0]: 4**2 + 2**2,
        NAMES[1]: 8**2 + 4**2,
        NAMES[2]: 9 + 1 + 4,
        NAMES[3]: 4 * 14,
        NAMES[4]: 4**2 + 2**2,
        NAMES[5]: 8**2 + 4**2,
        NAMES[6]: 9 + 1 + 4,
        NAMES[7]: 100,
        "fraction reused": 2 / 6,
        "sum of relative L1 changes at age": 1,
        "sum of their squares": 0.25**2 + 0.75**2,
        "largest age": 1,
        "mean age": 1,
        "mean age, weighted by additive response": 1,
        "largest share of a step's cells reused": 1,
        "share of steps with a reused cell": 1 / 3,
        "share of rows with a reused cell": 1,
        # Nothing later answers, in the step or after it: what the span says, 100 instead of 80.
        "response, answered by what is computed": 100,
        "the same, squared step by step": 100,
        "the same, squared row by row": (36 + 20) * 100 / 80,
        "the same, squared cell by cell": (36 + 20) * 100 / 80,
    }
    for name, value in expected.items():
        assert got[name] == pytest.approx(10 * np.log10(value), abs=0.02), name
    assert got["additive response in the first branch"] == pytest.approx(9 / 14, rel=1e-3)
    assert got["relative changes in the first branch"] == pytest.approx(0.25, rel=1e-3)
    assert got["additive response at age 1"] == 1
    assert len(got) == len(NAMES) and len(expected) == LEVELS
    # The first cell alone: the second is computed and answers, and half a step is as if not reused.
    one = dict(zip(NAMES, features(Schedule.from_rows(["CCR", "CCC"]), made), strict=True))
    left = 1 + ((100 / 80) ** 0.5 - 1) / 2
    for name in ("response, answered by what is computed", "the same, squared cell by cell"):
        assert one[name] == pytest.approx(10 * np.log10(3**2 * left**2), abs=0.02), name


def test_beyond_the_ages_known_effects_go_on_in_proportion():
    made = response(8, 1, ages=2)
    short, long = (Schedule.from_rows([row, "C" * 8]) for row in ("CCCCCRRC", "CCCCRRRC"))
    two, three = (features(s, made)[2] for s in (short, long))
    error = made.error[:, 0, 0]
    assert two == pytest.approx(10 * np.log10(error[5, 0] + error[6, 1]))
    expected = error[4, 0] + error[5, 1] + error[6, 1] * 1.5**2
    assert three == pytest.approx(10 * np.log10(expected))


def test_a_full_schedule_is_on_the_floor():
    got = features(Schedule.full(8, 3), response())
    assert np.isfinite(got).all() and (got[:LEVELS] == got[0]).all() and not got[LEVELS:].any()


def test_another_grid_is_refused():
    with pytest.raises(ScheduleError, match="build the response for this setting"):
        features(Schedule.full(7, 3), response())


# -- drawn schedules -------------------------------------------------------------------------


def test_drawn_schedules_are_of_every_kind_and_the_same_each_time():
    change = response().change.astype(float)
    first, again, other = (
        list(itertools.islice(drawn(seed, change, ("attn", "mlp")), 6 * len(KINDS)))
        for seed in (1, 1, 2)
    )
    assert first == again and first != other
    assert [kind for kind, _ in first[: len(KINDS)]] == list(KINDS)
    for kind, schedule in first:
        assert not schedule.is_full and schedule.actions.shape == SHAPE
        assert schedule.computed[0].all()
        if kind in ("steps",):
            assert (schedule.computed == schedule.computed[:, :1, :1]).all()
    assert any(isinstance(p, Taylor) for kind, s in first for p in s.compact().legend)
    assert len({s for _, s in first}) > 5 * len(KINDS)


def test_one_step_cannot_be_drawn():
    with pytest.raises(ScheduleError, match="one step"):
        next(drawn(0, np.zeros((1, 2, 2, 1)), ("attn", "mlp")))


def test_a_round_may_be_of_any_kinds():
    change = response().change.astype(float)
    got = itertools.islice(drawn(3, change, ("attn", "mlp"), ("mixed", "window", "mixed")), 4)
    assert [kind for kind, _ in got] == ["mixed", "window", "mixed", "mixed"]


def test_what_is_learned_from_begins_with_all_kinds_alike():
    change = response().change.astype(float)
    got = list(itertools.islice(learned_from(change, ("attn", "mlp")), 79 * 8 + 16))
    rest = itertools.islice(drawn(2, change, ("attn", "mlp")), 16, None)
    assert got[: 79 * 8] == list(itertools.islice(rest, 79 * 8))
    kinds = [kind for kind, _ in got[79 * 8 :]]
    assert kinds[:8] == kinds[8:] == list(module.HARD)


# -- the fit ---------------------------------------------------------------------------------


def made_up(count=160, pictures=4, *, seed=0, noise=0.3):
    """Features, and a PSNR that is bent in them, with pictures of other levels."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 6)) * [5, 4, 3, 2, 1, 1]
    truth = 30 - x[:, 0] - 0.5 * x[:, 1] + 2 * np.sin(x[:, 2] / 2)
    level = np.array([-3.0, 4.0, 0.5, -1.5, 2.0, -2.0])[: max(pictures, 6)]
    return x, truth, level, rng, noise


def test_it_learns_a_bent_function():
    x, truth, _, rng, noise = made_up()
    y = truth[:, None] + noise * rng.normal(size=(len(x), 4))
    got = fit(x[:120], y[:120])
    found = np.array([got.of(row).db for row in x[120:]])
    assert np.median(np.abs(found - truth[120:])) < 0.35
    assert spearman(found, truth[120:]) > 0.99
    inside = [
        e.low_db <= t <= e.high_db for e, t in zip(map(got.of, x[120:]), truth[120:], strict=True)
    ]
    assert 0.6 < np.mean(inside) <= 1


def test_pictures_of_other_levels_are_told_from_schedules():
    """Each schedule on two of six pictures: their levels must not pass for the schedule's."""
    x, truth, level, rng, noise = made_up(88)
    level = 3 * (level - level.mean())
    pictures = [(i // 3 % 3 * 2, i // 3 % 3 * 2 + 1) for i in range(48)]
    y = truth[:48, None] + level[np.array(pictures)] + noise * rng.normal(size=(48, 2))
    found = {}
    for name, which in (("told", pictures), ("not told", None)):
        got = fit(x[:48], y, pictures=which)
        found[name] = np.array([got.of(row).db for row in x[48:]])
    miss = {name: np.median(np.abs(db - truth[48:])) for name, db in found.items()}
    assert miss["told"] < 0.6 * miss["not told"], miss


def test_far_from_all_it_knows_it_is_less_sure():
    x, truth, _, rng, noise = made_up()
    got = fit(x, truth[:, None] + noise * rng.normal(size=(len(x), 2)))
    near, far = (got.of(row) for row in (x.mean(axis=0), x.mean(axis=0) + 60))
    assert far.high_db - far.low_db > 3 * (near.high_db - near.low_db)


def test_the_page_gets_the_same_formula():
    x, truth, _, rng, noise = made_up(60)
    got = fit(x, truth[:, None] + noise * rng.normal(size=(60, 2)))
    plain = got.to_json()
    z = (x[3] - plain["center"]) / plain["spread"]
    squares = ((np.array(plain["known"]) - z) ** 2).sum(1) / (len(z) * plain["length"] ** 2)
    db = plain["level_db"] + z @ plain["slopes"] + (1 + squares) ** -0.5 @ plain["bends"]
    assert db == pytest.approx(got.of(x[3]).db, abs=0.01)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.zeros((10, 3)), np.zeros((10, 1))),
        (np.zeros((30, 3)), np.zeros((29, 1))),
        (np.zeros((30, 3)), np.zeros(30)),
        (np.zeros((30, 3)), np.full((30, 1), np.inf)),
    ],
)
def test_what_cannot_be_fitted(x, y):
    with pytest.raises(ScheduleError):
        fit(x, y)


def test_spearman_by_hand():
    assert spearman(np.array([1.0, 2, 3, 4]), np.array([10.0, 20, 30, 25])) == pytest.approx(0.8)
    # Ranks 1.5 1.5 3 against 1 2 3.
    ties = spearman(np.array([5.0, 5, 7]), np.array([1.0, 2, 3]))
    assert ties == pytest.approx(3**0.5 / 2)


# -- a calibration of its own ----------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    return Model.from_modules(tiny.dit(blocks=2), scheduler=tiny.V)


def test_a_calibration_gets_surer_as_it_goes(model):
    told, got = [], []
    for one in calibrations(
        model,
        steps=4,
        cfg_scale=1.0,
        schedules=40,
        pool=8,
        progress=lambda part, words: told.append(part),
    ):
        got.append(one)
    assert [one.schedules for one in got] == [0, 32, 40]
    assert got[0].estimator is None and got[0].response is got[-1].response
    assert told == sorted(told) and told[-1] == 1
    estimator = got[-1].estimator
    assert estimator.runs == 160 and estimator.spearman > 0.7
    schedule = Schedule.from_rows(["CCCR", "CCCC", "CCRC", "CCCC"])
    estimate = predict_error(schedule, got[-1].response, estimator)
    run, full = (
        sample(model, s, label=3, seed=9, cfg_scale=1.0, steps=4) for s in (schedule, None)
    )
    assert estimate.low_db < estimate.db < estimate.high_db
    assert abs(estimate.db - psnr_db(run, full)[0]) < 15


def test_a_calibration_goes_on_from_what_was_measured(model, monkeypatch):
    """Rows known before are taken as they are, and nothing is run for them."""
    setting = {"steps": 4, "cfg_scale": 1.0, "pool": 8}
    *_, short = calibrations(model, schedules=33, **setting)
    known = Runs(short.runs.psnr_db[:32] + 1.0, short.runs.pictures[:32])
    ran = []

    def spy(*args, **kwargs):
        ran.append(args[1])
        return iter_sample(*args, **kwargs)

    monkeypatch.setattr(module, "iter_sample", spy)
    *_, got = calibrations(model, schedules=33, response=short.response, runs=known, **setting)
    np.testing.assert_array_equal(got.runs.psnr_db[:32], known.psnr_db)
    np.testing.assert_allclose(got.runs.psnr_db[32], short.runs.psnr_db[32], atol=0.01)
    assert len(ran) == 2 and ran[0] is None
    # All kinds go round on four pictures, then on the next four.
    np.testing.assert_array_equal(got.runs.pictures[[0, 7, 8, 15, 16]][:, 0], [0, 0, 4, 4, 0])


def test_a_quick_calibration_in_growing_rounds_stops_and_goes_on(model):
    """What a page makes: few pictures, an estimator where it is asked for, stopped between."""
    setting = {"steps": 4, "cfg_scale": 1.0, "schedules": 30, "rounds": (24, 28), "pool": 8}
    stream = calibrations(model, size=Size(2, 1, 0), **setting)
    first, half = next(stream), next(stream)
    assert first.response.pictures == 2 and len(first.response.open) == 2
    assert half.schedules == 24 and half.estimator is not None
    stream.close()
    again = list(calibrations(model, response=half.response, runs=half.runs, **setting))
    assert [one.schedules for one in again] == [0, 24, 28, 30]
    np.testing.assert_array_equal(again[1].runs.psnr_db, half.runs.psnr_db)
    assert again[-1].response is half.response


def test_what_a_calibration_takes_in_full_runs_by_hand():
    size = Size(3, 3, 1)  # three pictures of 8 + 4 * 2.3 full runs
    assert runs_of(size, 160) == pytest.approx(51.6 + 280)
    assert runs_of(None, 24) == pytest.approx(42)
    assert response_share(size, 160) == pytest.approx(51.6 / 331.6)


@pytest.mark.parametrize("shape", [(3, 5), (3,), (0,)])
def test_runs_are_on_four_pictures_each(shape):
    with pytest.raises(RequestError, match="expected"):
        Runs(np.zeros(shape), np.zeros(shape, np.int64))


def test_a_calibration_stops_when_told(model):
    calls = itertools.count()
    stream = calibrations(
        model, steps=4, cfg_scale=1.0, schedules=24, stopped=lambda: next(calls) > 300
    )
    with pytest.raises(Stopped):
        list(stream)


@pytest.mark.parametrize("changes", [{"schedules": 3}, {"pool": 6}, {"pool": 0}, {"rounds": (8,)}])
def test_what_cannot_be_calibrated(model, changes):
    with pytest.raises(RequestError):
        next(calibrations(model, steps=4, **changes))


def test_equal_pictures_count_as_sixty_db(model):
    full = sample(model, None, label=3, cfg_scale=1.0, steps=4)
    assert psnr_db(full, full) == pytest.approx([60])
    other = dataclasses.replace(full, images=(full.images ^ 1))
    assert psnr_db(other, full) == pytest.approx([20 * np.log10(255)])
