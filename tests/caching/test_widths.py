"""Intervals that hold what they say: by hand, over made-up schedules, and those that ship."""

import dataclasses

import numpy as np
import pytest

from caching.errors import ScheduleError
from caching.predict.kept import SHIPPED, Kept
from caching.predict.widths import SURE, Judged, Width, conformal, width_of
from presets.predict import widened


def test_a_width_by_hand():
    width = Width(plain=1.5, forecast=2.0, floor_db=0.3, pictures=40)
    assert width.half_db(0.4, forecasts=False) == pytest.approx(0.75)  # 1.5 sqrt(0.16 + 0.09)
    assert width.half_db(0.4, forecasts=True) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("count", "at"), [(4, 4), (9, 8), (10, 9), (99, 80)]
)  # four fifths of one more than there are, rounded up
def test_one_more_than_measured_counts_as_outside(count, at):
    shuffled = np.random.default_rng(0).permutation(np.arange(1.0, count + 1))
    assert conformal(shuffled, SURE) == at


def test_too_few_schedules_set_no_width():
    with pytest.raises(ScheduleError, match=r"3 schedules were measured.*at least 4"):
        conformal(np.ones(3), 0.8)


def test_forecasts_that_come_out_twice_as_far_have_intervals_twice_as_wide():
    far = np.arange(1.0, 11)
    missed = np.r_[0.5 * far, -1.0 * far]  # sqrt(0.3² + 0.4²) = 0.5 is left open at each
    forecasts = np.arange(20) >= 10
    found = width_of(missed, np.full(20, 0.3), forecasts, floor_db=0.4, pictures=12)
    # The 17th of 1, 1, 2, 2 ... 10, 10.
    assert found == Width(9.0, 18.0, 0.4, 12)
    # Seven tell nothing of their own, and forecasts are never narrower.
    few = width_of(missed[:17], np.full(17, 0.3), forecasts[:17], floor_db=0.4, pictures=12)
    assert few.forecast == few.plain == 10.0  # the 15th of 1, 2, 2, 3 ... 10, 10, 12, 14
    turned = width_of(missed, np.full(20, 0.3), ~forecasts, floor_db=0.4, pictures=12)
    assert turned.forecast == turned.plain


def test_a_fresh_schedule_lies_inside_four_times_in_five():
    """However wide the truth is, and wherever it is known worse: 300 sets of 40 schedules."""
    rng, inside = np.random.default_rng(1), []
    for _ in range(300):
        unsure, forecasts = rng.uniform(0.2, 2, 41), rng.random(41) < 0.3
        missed = rng.standard_t(4, 41) * unsure * np.where(forecasts, 3.0, 0.7)
        found = width_of(missed[1:], unsure[1:], forecasts[1:], floor_db=0.1, pictures=1)
        inside.append(abs(missed[0]) <= found.half_db(unsure[0], forecasts=bool(forecasts[0])))
    assert 0.75 < np.mean(inside) < 0.87


def test_what_ships_has_the_width_that_its_own_rows_ask_for():
    (path,) = SHIPPED.glob("*-20.npz")
    kept = Kept.from_bytes(path.read_bytes())
    assert kept.judged is not None and kept.judged.psnr_db.shape[1] >= 80
    made = widened(kept, kept.judged, ("attn", "mlp"))
    expected, width = kept.estimator.width, made.estimator.width
    assert made.source == kept.source and width.pictures == kept.judged.psnr_db[:, 0].size
    assert dataclasses.astuple(width) == pytest.approx(dataclasses.astuple(expected), rel=1e-3)
    np.testing.assert_array_equal(made.estimator.bends, kept.estimator.bends)


@pytest.mark.parametrize(
    ("psnr", "groups"),
    [((2, 3), (2, 3)), ((2, 3, 4), (3, 2)), ((2, 3, 4), (2, 3, 4))],
)
def test_rows_that_are_no_rows(psnr, groups):
    with pytest.raises(ScheduleError, match="expected finite numbers"):
        Judged(np.zeros(psnr), np.zeros(groups, np.int64))
    with pytest.raises(ScheduleError):
        Judged(np.full((2, 3, 4), np.nan), np.zeros((2, 3), np.int64))
