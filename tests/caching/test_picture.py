"""One picture's own level: by hand, shrunken, each schedule once, and what it does to a range."""

import math

import pytest

from caching.predict.fit import Estimate
from caching.predict.picture import WITHIN, Level, at_picture, level_of

# With 2.7 dB between pictures and, where 27 or 40 dB are expected, 1.4 or 1.4 + 0.91 dB within:
# 1 / 2.7² = 0.137174, 1 / 1.4² = 0.510204, 1 / 2.31² = 0.187403.
BETWEEN, LOW, HIGH = 0.137174, 0.510204, 0.187403


@pytest.mark.parametrize(
    ("runs", "level", "told"),
    [
        ([], 0.0, BETWEEN),
        ([(30.0, 27.0)], 3.0 * LOW / (BETWEEN + LOW), BETWEEN + LOW),
        ([(20.0, 20.0), (28.0, 26.0)], 2.0 * LOW / (BETWEEN + 2 * LOW), BETWEEN + 2 * LOW),
        # What is seen where pictures go their own ways counts less.
        (
            [(30.0, 27.0), (34.0, 40.0)],
            (3.0 * LOW - 6.0 * HIGH) / (BETWEEN + LOW + HIGH),
            BETWEEN + LOW + HIGH,
        ),
    ],
)
def test_the_level_is_a_shrunken_mean_with_what_is_left_unsure(runs, level, told):
    found = level_of((k, *both) for k, both in enumerate(runs))
    assert found.runs == len(runs)
    assert found.db == pytest.approx(level, abs=1e-5)
    assert found.sd_db == pytest.approx(told**-0.5, abs=1e-5)


@pytest.mark.parametrize(
    ("db", "within"), [(5, 1.4), (27, 1.4), (28, 1.47), (37, 2.1), (47, 2.8), (60, 2.8)]
)
def test_pictures_go_their_own_ways_where_little_is_done_to_them(db, within):
    assert WITHIN.at(db) == pytest.approx(within)


def test_many_runs_leave_the_level_sure():
    found = level_of((k, 23.0, 26.0) for k in range(400))
    assert found.db == pytest.approx(-3.0, abs=0.01) and found.sd_db == pytest.approx(
        0.07, abs=1e-3
    )


def test_a_schedule_counts_once_and_what_says_nothing_does_not():
    runs = [("a", 30.0, 33.0), ("a", 29.0, 27.0), ("b", 60.0, 50.0), ("c", math.inf, 40.0)]
    runs += [("d", 50.0, 60.0), ("e", math.nan, 30.0)]
    found = level_of(runs)
    assert (found.runs, found.db) == (1, pytest.approx(2.0 * LOW / (BETWEEN + LOW), abs=1e-5))


def test_a_range_grows_by_the_level_and_by_what_schedules_do_to_one_picture():
    mean = Estimate(36.9, 35.9, 37.9)
    found = at_picture(mean, Level(1.2, 1.5, 1))
    # 1.4 + 0.07 * 9.9 = 2.093; 1.2816 sqrt(2.093² + 1.5²) = 3.30013, with the mean's own 1:
    # sqrt(3.30013² + 1) = 3.44831
    assert found.db == pytest.approx(38.1)
    assert found.db - found.low_db == pytest.approx(3.4483, abs=1e-4)
    assert found.high_db - found.db == pytest.approx(3.4483, abs=1e-4)


def test_beyond_60_db_rounding_decides():
    assert at_picture(Estimate(59.0, 57.0, 60.0), Level(3.0, 1.0, 2)).db == 60.0
    assert at_picture(Estimate(59.0, 57.0, 60.0), Level(3.0, 1.0, 2)).high_db == 60.0
