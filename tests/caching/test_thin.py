"""Fewer runs stand for all: exactly where they repeat each other, nearly elsewhere."""

import numpy as np
import pytest

from caching.errors import RequestError
from caching.predict.thin import thinned


def nearness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """1 / sqrt(1 + |a - b|² / F) of all pairs, term by term."""
    return np.array([[1 / (1 + ((x - y) ** 2).mean()) ** 0.5 for y in b] for x in a])


def regression(z: np.ndarray, y: np.ndarray, noise: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Mean and variance at `at` of a regression on all runs, by the textbook."""
    inverse = np.linalg.inv(nearness(z, z) + np.diag(noise))
    near = nearness(at, z)
    return np.stack([near @ inverse @ y, 1 - np.einsum("an,nm,am->a", near, inverse, near)])


def test_repeated_runs_become_one_of_less_noise() -> None:
    rng = np.random.default_rng(0)
    own, at = rng.normal(size=(7, 3)), rng.normal(size=(5, 3))
    times = [1, 2, 1, 3, 1, 1, 4]
    z = np.repeat(own, times, axis=0)
    y, noise = rng.normal(size=len(z)), rng.uniform(0.5, 2.0, len(z))
    wanted = regression(z, y, noise, at)
    bends = np.linalg.inv(nearness(z, z) + np.diag(noise)) @ y
    found = thinned(nearness(z, z), bends, noise, 7)
    assert len(found.which) == 7
    assert len({tuple(z[i]) for i in found.which}) == 7
    near = nearness(at, z[found.which])
    np.testing.assert_allclose(near @ found.bends, wanted[0], atol=1e-3)
    inverse = np.linalg.inv(nearness(z[found.which], z[found.which]) + np.diag(found.noise))
    variance = 1 - np.einsum("an,nm,am->a", near, inverse, near)
    np.testing.assert_allclose(variance, wanted[1], atol=1e-9)


def test_noise_by_hand() -> None:
    # Runs 0 and 1 are one place, 2 is far: 1 / (1/2 + 1/4) = 4/3, and what was 3 stays 3.
    z = np.array([[0.0], [0.0], [50.0]])
    found = thinned(nearness(z, z), np.array([0.25, 0.5, 1.0]), np.array([2.0, 4.0, 3.0]), 2)
    assert found.which.tolist() in ([0, 2], [1, 2])
    np.testing.assert_allclose(found.noise, [4 / 3, 3.0])
    np.testing.assert_allclose(found.bends, [0.75, 1.0], atol=1e-3)


def test_few_runs_stay_as_they_are() -> None:
    z = np.random.default_rng(1).normal(size=(6, 2))
    bends, noise = np.arange(6.0), np.ones(6)
    found = thinned(nearness(z, z), bends, noise, 6)
    assert found.which.tolist() == list(range(6))
    np.testing.assert_array_equal(found.bends, bends)
    np.testing.assert_array_equal(found.noise, noise)


def test_half_of_many_runs_says_nearly_the_same() -> None:
    rng = np.random.default_rng(2)
    z, at = rng.normal(size=(200, 2)), rng.normal(size=(40, 2))
    bends = rng.normal(size=200)
    found = thinned(nearness(z, z), bends, np.ones(200), 100)
    wanted, got = nearness(at, z) @ bends, nearness(at, z[found.which]) @ found.bends
    assert np.abs(got - wanted).max() < 0.02 * np.abs(wanted).max()


def test_none_can_not_stand_for_all() -> None:
    with pytest.raises(RequestError, match="0 runs"):
        thinned(np.eye(3), np.ones(3), np.ones(3), 0)
