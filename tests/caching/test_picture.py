"""One picture's own level: by hand, shrunken, each schedule once, and what it does to a range."""

import math

import pytest

from caching.predict.fit import Estimate
from caching.predict.picture import Level, at_picture, level_of

# With 2.7 dB between pictures and 2.0 within: 2.0² / 2.7² = 0.548697, 1 / 2.7² = 0.137174.
SHRUNK = 0.548697


@pytest.mark.parametrize(
    ("residuals", "level", "sd"),
    [
        ([], 0.0, 2.7),
        ([3.0], 3.0 / 1.548697, 1 / math.sqrt(0.137174 + 0.25)),  # 1.9371, 1.6071
        ([1.0, 2.0, 3.0], 6.0 / 3.548697, 1 / math.sqrt(0.137174 + 0.75)),  # 1.6908, 1.0617
        ([-4.0, 4.0], 0.0, 1 / math.sqrt(0.137174 + 0.5)),
    ],
)
def test_the_level_is_a_shrunken_mean_with_what_is_left_unsure(residuals, level, sd):
    found = level_of((k, 35.0 + r, 35.0) for k, r in enumerate(residuals))
    assert found.runs == len(residuals)
    assert found.db == pytest.approx(level, abs=1e-5)
    assert found.sd_db == pytest.approx(sd, abs=1e-5)


def test_many_runs_leave_the_level_sure():
    found = level_of((k, 31.0, 34.0) for k in range(400))
    assert found.db == pytest.approx(-3.0, abs=0.01) and found.sd_db == pytest.approx(0.1, abs=1e-3)


def test_a_schedule_counts_once_and_what_says_nothing_does_not():
    runs = [("a", 30.0, 33.0), ("a", 36.0, 34.0), ("b", 60.0, 50.0), ("c", math.inf, 40.0)]
    runs += [("d", 50.0, 60.0), ("e", math.nan, 30.0)]
    found = level_of(runs)
    assert (found.runs, found.db) == (1, pytest.approx(2.0 / (1 + SHRUNK), abs=1e-5))


def test_a_range_grows_by_the_level_and_by_what_schedules_do_to_one_picture():
    mean = Estimate(36.9, 35.9, 37.9)
    found = at_picture(mean, Level(1.2, 1.5, 1))
    # 1.2816 sqrt(2² + 1.5²) = 3.204, with the mean's own 1: sqrt(3.204² + 1) = 3.3564
    assert found.db == pytest.approx(38.1)
    assert found.db - found.low_db == pytest.approx(3.3564, abs=1e-4)
    assert found.high_db - found.db == pytest.approx(3.3564, abs=1e-4)


def test_beyond_60_db_rounding_decides():
    assert at_picture(Estimate(59.0, 57.0, 60.0), Level(3.0, 1.0, 2)).db == 60.0
    assert at_picture(Estimate(59.0, 57.0, 60.0), Level(3.0, 1.0, 2)).high_db == 60.0
