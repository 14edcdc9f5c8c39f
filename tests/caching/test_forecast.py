"""Forecasts for a budget: effects by hand, the search against all there is, files that travel."""

from itertools import combinations

import numpy as np
import pytest

from caching.errors import RequestError, ScheduleError
from caching.policies.forecast import Forecasts, Steps, best_steps, even_steps
from caching.predict.fronts import SHIPPED, KnownFront, known_front
from caching.predict.kept import For
from caching.predict.response import response_of_changes, scaled
from caching.predictors.taylor import Taylor


def made(held, pictures=1):
    """A response of one block and branch, whose effects are `held` (G, S, A)."""
    table = np.asarray(held, float)[:, :, None, None]
    directions, steps = table.shape[:2]
    spans = np.zeros((directions, steps, steps + 1))
    change = np.ones(table.shape[1:])
    return scaled(
        table, table, spans, change, pictures=pictures, kind="gradients", source="by hand"
    )


HELD = np.zeros((1, 4, 3))
HELD[0, 2, :2] = 1.0, 1.5
HELD[0, 3] = 0.5, 2.0, 1.75


@pytest.mark.parametrize(
    ("computed", "order", "moved"),
    [
        ((0, 1), 0, 1.0 + 2.0),  # ages 1 and 2
        ((0, 1), 1, (2 * 1.0 - 1.5) + (3 * 2.0 - 2 * 1.75)),  # F + x (F - F'), x = 1 and 2
        ((0, 1, 3), 1, 2 * 1.0 - 1.5),
        ((0, 1, 2), 1, 2 * 0.5 - 2.0),  # of the two newest, ages 1 and 2
    ],
)
def test_a_forecast_moves_the_picture_by_the_weighted_sum_of_its_ages(computed, order, moved):
    db = Forecasts(made(HELD)).db(computed, order)
    assert db == pytest.approx(-10 * np.log10(moved**2), abs=0.01)


def test_spans_that_cancel_count_half():
    held = np.zeros((1, 4, 3))
    held[0, 1, 0], held[0, 3, 0] = 0.5, -0.5  # steps 1 and 3, computed 0 and 2
    # 0 if they cancel, 0.25 + 0.25 if they never do.
    assert Forecasts(made(held)).db((0, 2), 0) == pytest.approx(-10 * np.log10(0.25), abs=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_the_search_finds_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    steps = 8
    growing = (
        rng.normal(size=(4, steps, 1)) * np.arange(1, steps) * rng.uniform(0.5, 1.5, (1, 8, 7))
    )
    response = made(growing / 100, pictures=2)
    table = Forecasts(response)
    everything = max(
        (table.db((0, *rest), order), order)
        for rest in combinations(range(1, steps), 2)
        for order in (0, 1, 2)
    )
    found = best_steps(response, 3, orders=(0, 1, 2))
    assert found.db == pytest.approx(everything[0], abs=1e-9)
    assert found.db == table.db(found.computed, found.order)
    assert len(found.computed) == 3
    assert found.computed[0] == 0


def test_what_knows_changes_only_says_nothing_of_forecasts():
    response = response_of_changes(np.ones((4, 1, 1, 3)), pictures=1, source="changes")
    with pytest.raises(ScheduleError, match="calibrate"):
        best_steps(response, 2)


def test_even_steps_have_as_many_and_start_at_0():
    ways = list(even_steps(20, 6))
    assert (0, 3, 6, 10, 13, 16) in ways
    assert (0, 1, 5, 9, 13, 17) in ways  # TaylorSeer's, N 4
    assert all(len(w) == 6 and w[0] == 0 and max(w) < 20 for w in ways)


def test_as_a_grid():
    schedule = Steps((0, 2), 2, 30.0).schedule(4, 3)
    assert schedule.computed.all(axis=(1, 2)).tolist() == [True, False, True, False]
    assert schedule.legend == (Taylor(2),)


OF = For("abc", 3, 2.0, "ddim")


GOOD = Steps((0, 2), 1, 31.5, 8)


def front(steps=(GOOD,)):
    error = np.random.default_rng(1).uniform(0, 1, (3, 2, 2, 2)) ** 4
    spans = np.full((3, 4), np.nan)
    spans[0, 1:3] = 0, 0.5
    return KnownFront(OF, error, spans, steps, "a test")


def test_a_front_is_the_same_after_a_file():
    kept = front()
    again = KnownFront.from_bytes(kept.to_bytes())
    assert (again.of, again.steps, again.source) == (kept.of, kept.steps, kept.source)
    np.testing.assert_allclose(again.error, kept.error, rtol=2e-3, atol=1e-6)
    np.testing.assert_array_equal(again.span_error, kept.span_error)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a file",
        front((Steps((1, 2), 1, 31.5, 8),)).to_bytes(),
        front((Steps((0, 3), 1, 31.5, 8),)).to_bytes(),
        front((Steps((0, 2), 9, 31.5, 8),)).to_bytes(),
        front((Steps((0, 2), 1, float("nan"), 8),)).to_bytes(),
        front((Steps((0, 2), 1, 31.5, -1),)).to_bytes(),
    ],
)
def test_other_files_are_refused(data):
    with pytest.raises(RequestError, match="no front of the budget slider"):
        KnownFront.from_bytes(data)


def test_what_ships_is_read_by_its_setting(tmp_path):
    (tmp_path / "one.npz").write_bytes(front().to_bytes())
    assert known_front(OF, tmp_path).steps == front().steps
    assert known_front(For("abc", 4, 2.0, "ddim"), tmp_path) is None
    assert all(KnownFront.from_bytes(p.read_bytes()).steps for p in SHIPPED.glob("*.npz"))
