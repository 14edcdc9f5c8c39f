"""Evidence: its slope by differences, its errors by leaving out, features that count and do not."""

import numpy as np
import pytest

from caching.predict.evidence import BEND_DB, SLOPE_DB, _weighed, by_evidence, signal


def made_up(count=40, features=3, *, seed=0):
    """Runs in groups of four that share half their pictures; only the first feature matters."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(count, features))
    group = np.arange(count) // 4
    shared = 0.5 * (group[:, None] == group)
    y = 30 - 4 * z[:, 0] + np.sin(3 * z[:, 0]) + 0.3 * rng.normal(size=count)
    return z, y + rng.normal(0, 2, group.max() + 1)[group] * 0.5**0.5, shared


def covariance(a, b):
    """The formula of the module, pair by pair."""
    gap = ((a[:, None] - b[None]) ** 2).mean(axis=-1)
    return BEND_DB**2 / np.sqrt(1 + gap) + SLOPE_DB**2 * a @ b.T / a.shape[1]


def test_what_features_explain_is_the_formula():
    z = made_up()[0]
    np.testing.assert_allclose(signal(z), covariance(z, z), atol=1e-9)
    gap = ((z[:, None] - z[None]) ** 2).mean(axis=-1)
    longer = BEND_DB**2 / np.sqrt(1 + gap / 1.5**2) + SLOPE_DB**2 * z @ z.T / 3
    np.testing.assert_allclose(signal(z, 1.5), longer, atol=1e-9)


def test_the_slope_is_that_of_the_likelihood():
    z, y, shared = made_up()
    rise = y - y.mean()
    rng = np.random.default_rng(1)
    first = np.r_[np.zeros(3), -0.5, 0.5, 0.2, 0.0]
    at = first + rng.normal(0, 0.2, 7) * np.r_[np.ones(6), 0.1]
    _, slope = _weighed(z, y, shared, rise, at, first)
    for i in range(7):
        step = np.zeros(7)
        step[i] = 1e-5
        ends = [_weighed(z, y, shared, rise, at + e * step, first)[0].fitness for e in (1, -1)]
        assert -(ends[0] - ends[1]) / 2e-5 == pytest.approx(slope[i], rel=1e-3, abs=1e-3)


def test_its_errors_are_those_of_leaving_out():
    """Against predictions from the other rows alone, at the same units, noise and mean."""
    z, y, _ = made_up()
    found = by_evidence(z, y, np.zeros((40, 40)))
    u = z * found.units
    own = covariance(u, u)
    for row in (0, 17, 39):
        rest = np.arange(40) != row
        covered = own[rest][:, rest] + np.diag(found.noise[rest])
        expected = found.mean + own[row, rest] @ np.linalg.solve(covered, y[rest] - found.mean)
        assert y[row] - found.missed[row] == pytest.approx(expected, abs=1e-6)


def test_a_feature_that_explains_nothing_counts_little():
    z, y, shared = made_up(120)
    found = by_evidence(z, y, shared)
    assert found.units[0] > 2 * found.units[1:].max()


def test_levels_that_runs_share_are_no_noise():
    z, y, shared = made_up(160)
    told, not_told = (by_evidence(z, y, s) for s in (shared, np.zeros_like(shared)))
    assert told.fitness > not_told.fitness + 10
    assert np.abs(told.missed).mean() < 0.8 * np.abs(not_told.missed).mean()


def test_pictures_may_differ_in_their_own_way():
    """Groups whose every picture bends the same function differently."""
    rng = np.random.default_rng(5)
    z, group = rng.normal(size=(160, 1)), np.arange(160) // 16
    shared = (group[:, None] == group).astype(float)
    phase = rng.uniform(0, 6, group.max() + 1)[group]
    y = 30 + 4 * z[:, 0] + 2 * np.sin(2 * z[:, 0] + phase) + 0.1 * rng.normal(size=160)
    found = by_evidence(z, y, shared)
    z0 = np.linspace(-1, 1, 21)[:, None]
    u, v = z * found.units, z0 * found.units
    guess = found.mean + covariance(v, u) @ found.weights
    assert np.abs(guess - 30 - 4 * z0[:, 0]).mean() < 0.9
    assert np.abs(found.missed).mean() < 0.6


def test_noise_may_rise_with_psnr():
    rng = np.random.default_rng(3)
    z = rng.normal(size=(200, 1))
    y = 30 + 8 * z[:, 0]
    y += rng.normal(size=200) * np.exp(0.08 * (y - 30))
    noise = by_evidence(z, y, np.zeros((200, 200))).noise
    assert noise[y > 38].mean() > 4 * noise[y < 22].mean()
