"""Locks in schedule files: they travel with a grid, older files open, and bad ones are refused."""

import json

import numpy as np
import pytest

from caching.errors import ScheduleError
from caching.formats.importers import import_schedule
from caching.formats.native import dumps, from_json, load_schedule_file, locks_of, to_json
from caching.formats.picture import png_of
from caching.schedule import Schedule

GRID = Schedule.from_rows(["CRRC", "CCRC", "CCCC", "CRCR"])
# Steps 1 and 2 of block 0's attention, step 3 of block 1's feed-forward.
LOCKS = np.zeros((4, 2, 2), bool)
LOCKS[1:3, 0, 0] = LOCKS[3, 1, 1] = True


def test_locks_are_rows_of_signs_and_only_those_that_have_any():
    value = to_json(GRID, LOCKS)
    assert value["locks"] == {"block 0 attn": "-##-", "block 1 mlp": "---#"}
    assert from_json(value) == GRID
    assert np.array_equal(locks_of(value, GRID), LOCKS)
    assert '    "block 0 attn": "-##-"' in dumps(GRID, LOCKS)


def test_nothing_locked_is_the_file_of_before_and_such_a_file_says_nothing():
    assert dumps(GRID, np.zeros((4, 2, 2), bool)) == dumps(GRID)
    assert "locks" not in to_json(GRID)
    assert locks_of(to_json(GRID), GRID) is None
    assert load_schedule_file(dumps(GRID).encode()) == GRID


def test_a_file_that_counts_upwards_has_its_locks_turned_round_too():
    value = to_json(GRID, LOCKS)
    turned = {
        **value,
        "step_order": "timestep ascending",
        "rows": {name: row[::-1] for name, row in value["rows"].items()},
        "locks": {"block 0 attn": "-##-", "block 1 mlp": "#---"},
    }
    assert from_json(turned) == GRID
    assert np.array_equal(locks_of(turned, GRID), LOCKS)


def test_opened_files_and_pictures_bring_their_locks():
    found = import_schedule(dumps(GRID, LOCKS).encode(), blocks=2)
    assert found.schedule == GRID and np.array_equal(found.locks, LOCKS)
    assert import_schedule(dumps(GRID).encode(), blocks=2).locks is None
    pixels = np.zeros((2, 2, 3), np.uint8)
    picture = import_schedule(png_of(pixels, GRID, {}, locks=LOCKS), blocks=2)
    assert picture.schedule == GRID and np.array_equal(picture.locks, LOCKS)
    assert import_schedule(png_of(pixels, GRID, {}), blocks=2).locks is None


@pytest.mark.parametrize(
    ("locks", "words"),
    [
        ([], "object of rows"),
        (None, "object of rows"),
        ({"block 9 attn": "-##-"}, "object of rows"),
        ({"block 0 attn": "-##"}, "expected 4 signs"),
        ({"block 0 attn": "-##--"}, "expected 4 signs"),
        ({"block 0 attn": "-RR-"}, "expected 4 signs"),
        ({"block 0 attn": [0, 1, 1, 0]}, "expected 4 signs"),
        ({"block 0 attn": "#---"}, "step 0 always computes"),
    ],
)
def test_bad_locks_make_a_bad_file_for_everybody(locks, words):
    value = {**to_json(GRID), "locks": locks}
    with pytest.raises(ScheduleError, match=words):
        load_schedule_file(json.dumps(value).encode())
    with pytest.raises(ScheduleError, match=words):
        import_schedule(json.dumps(value).encode(), blocks=2)


@pytest.mark.parametrize("locks", [np.ones((4, 2, 2), bool), np.ones((3, 2, 2), bool)])
def test_locks_that_no_grid_of_this_shape_has_are_not_written(locks):
    with pytest.raises(ScheduleError, match="none at step 0"):
        dumps(GRID, locks)
