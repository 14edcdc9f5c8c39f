"""How the budget's bench reads a front at a rival's cost."""

import numpy as np
import pytest

from tests.bench.equal import at_cost, rising


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
