"""How the budget's bench reads a front at a rival's cost, and whose times it compares."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from tests.bench.equal import at_cost, rising
from tests.bench.rivals import Ring


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([1, 3, 2, 4], [1, 2.5, 2.5, 4]),
        ([4, 2, 0], [2, 2, 2]),
        ([1, 4, 3, 2, 5], [1, 3, 3, 3, 5]),
    ],
)
def test_rising_averages_neighbours_that_change_places(given, wanted):
    np.testing.assert_allclose(rising(given), wanted)


@pytest.mark.parametrize(
    ("cost", "wanted"),
    [(1.0, [30, 20]), (1.5, [32, 24]), (2.0, [34, 28]), (3.0, [37, 30]), (9.0, [40, 32])],
)
def test_between_two_schedules_it_is_in_proportion(cost, wanted):
    np.testing.assert_allclose(at_cost([1, 2, 4], [[30, 20], [34, 28], [40, 32]], cost), wanted)


def test_below_the_cheapest_there_is_nothing():
    assert at_cost([1, 2], [[30], [34]], 0.9) is None


@pytest.fixture
def times(tmp_path):
    """Who took how long, of rounds that are given."""

    def of(rounds, names):
        (tmp_path / "rounds-key.json").write_text(json.dumps({"rounds": rounds}))
        ledger = SimpleNamespace(conditions=SimpleNamespace(key="key"))
        ring = Ring(None, ledger, (None, ledger), None, tmp_path)
        return ring.times([SimpleNamespace(name=name) for name in names])

    return of


def test_only_rounds_that_timed_everyone_count(times):
    """b's 1 ms was taken in a round without a: it says nothing of the two."""
    rounds = [{"b": 1.0}, {"a": 4.0, "b": 6.0}, {"a": 9.0, "b": 8.0, "c": 2.0}]
    assert times(rounds, "ab")[1] == 2
    assert times(rounds[:2], "ab") == ({"a": 4.0, "b": 6.0}, 1)
    assert times(rounds, "abc") == ({"a": 9.0, "b": 8.0, "c": 2.0}, 1)
    assert times(rounds, "ad") == ({}, 0)


def test_a_slow_round_is_taken_for_a_slow_machine(times):
    """Medians 5, 6, 10; the second round is twice as slow, so a's 8 there are 4."""
    rounds = [dict(zip("abc", ms, strict=True)) for ms in ([4, 6, 10], [8, 12, 20], [5, 6, 10])]
    assert times(rounds, "abc") == ({"a": 4.0, "b": 6.0, "c": 10.0}, 3)
