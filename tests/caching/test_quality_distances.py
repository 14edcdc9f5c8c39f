"""Distances to the data: on paper, by matrix square roots, and by torchmetrics' own subsets."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.image.kid import poly_mmd

from caching.quality.distances import (
    Manifolds,
    alike,
    frechet,
    inception_score,
    kernel,
    reach_of,
    root_of,
)
from caching.quality.draws import drawn_counts, frechet_response, kernel_of, mean_of, score_of

rng = np.random.default_rng


def moments(x):
    return x.mean(0), np.cov(x.T)


def test_frechet_of_gaussians_on_one_axis_is_the_formula():
    # Three pictures on a line: mean 2, variance 1. Data: mean 5, variance 4.
    x = np.array([[1.0], [2.0], [3.0]])
    found = frechet(x, np.array([5.0]), np.array([[4.0]]), 9)
    assert found == pytest.approx((2 - 5) ** 2 + (1 - 2) ** 2)


def test_frechet_of_turned_gaussians_is_the_matrix_square_root():
    x, y = rng(0).normal(size=(60, 5)), rng(1).normal(size=(80, 5)) @ rng(2).normal(size=(5, 5))
    (m1, c1), (m2, c2) = moments(x), moments(y)
    values, vectors = np.linalg.eig(c1 @ c2)  # not symmetric: no shortcut shared with the code
    root = vectors @ np.diag(np.sqrt(values.astype(complex))) @ np.linalg.inv(vectors)
    expected = ((m1 - m2) ** 2).sum() + np.trace(c1 + c2 - 2 * root.real)
    assert frechet(x, m2, c2, 80) == pytest.approx(expected, rel=1e-9)
    assert frechet(y, m2, c2, 80) == pytest.approx(0, abs=1e-8)


def test_the_root_of_a_covariance_gives_it_back():
    cov = np.cov(rng(3).normal(size=(4, 50)))
    root = root_of(cov)
    assert root @ root.T == pytest.approx(cov)


@pytest.mark.parametrize("picture", [0, 7, 31])
def test_frechet_answers_a_picture_s_weight_as_it_is_said_to(picture):
    """The response against a finite difference: one picture of 400 given a little more weight."""
    x = rng(4).normal(size=(400, 6)) * 1.3 + 0.2
    mean, cov = np.zeros(6), np.diag([1.0, 2, 3, 1, 1, 0.5])
    response = frechet_response(x, mean, root_of(cov))
    assert response.mean() == pytest.approx(0, abs=1e-12)

    def of(weights):
        m = weights @ x
        c = (x - m).T @ np.diag(weights) @ (x - m)
        root = np.linalg.eigvals(c @ cov)
        return (m**2).sum() + np.trace(c + cov) - 2 * np.sqrt(root.astype(complex)).real.sum()

    even = np.full(400, 1 / 400)
    step = 1e-5
    more = (1 - step) * even
    more[picture] += step
    assert (of(more) - of(even)) / step == pytest.approx(response[picture], rel=0.02, abs=0.01)


def test_kernel_distance_on_paper():
    # One feature: k(a, b) = (a b + 1)^3. x = 0, 1; y = 0, 2.
    x, y = np.array([[0.0], [1.0]]), np.array([[0.0], [2.0]])
    inside_x, inside_y = 1.0, 1.0  # k(0, 1) = k(0, 2) = 1
    across = (1 + 1 + 1 + 27) / 4
    assert kernel(x, y) == pytest.approx(inside_x + inside_y - 2 * across)


def test_kernel_distance_is_torchmetrics_own_for_sets_of_one_size():
    x, y = rng(0).normal(size=(30, 8)), rng(1).normal(0.3, 1, size=(30, 8))
    assert kernel(x, y) == pytest.approx(float(poly_mmd(torch.tensor(y), torch.tensor(x))))


def test_kernel_distance_of_one_distribution_is_around_zero_for_any_size():
    data = rng(9).normal(size=(200, 4))
    found = [kernel(rng(seed).normal(size=(12, 4)), data) for seed in range(60)]
    assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(60)


def test_precision_and_recall_on_a_line():
    # k = 1. Data 0, 1, 10: balls reach 1, 1, 9. Pictures 0.5, 30, 31: balls reach 29.5, 1, 1.
    data, x = np.array([[0.0], [1.0], [10.0]]), np.array([[0.5], [30.0], [31.0]])
    assert reach_of(data, 1).tolist() == [1, 1, 9]
    found = Manifolds(x, data, k=1)
    assert found.inside.tolist() == [True, False, False]
    assert found.precision == pytest.approx(1 / 3)
    assert found.recall == 1  # the ball of 0.5 holds all three
    # Without the outliers' neighbourhood: drawn 0, 2, 1 times, only 30 and 31 are there.
    assert found.recall_of(np.array([0, 2, 1])) == 0
    # 30 drawn twice is two neighbours of 31 but none of itself.
    two = Manifolds(x, data, k=2)
    assert two.recall_of(np.array([1, 2, 0])) == 1


def test_sets_too_small_for_neighbours_are_refused():
    with pytest.raises(ValueError, match="3 pictures, expected more than 3"):
        Manifolds(np.zeros((3, 2)), np.zeros((9, 2)))


def test_inception_score_on_paper():
    # Sure of another class each time: exp(log C). Never sure: 1.
    assert inception_score(np.eye(4) * 60) == pytest.approx(4)
    assert inception_score(np.zeros((4, 5))) == pytest.approx(1)


@pytest.mark.parametrize("name", ["kernel", "mean", "score", "recall"])
def test_a_draw_of_every_picture_once_is_the_measure_itself(name):
    x, y = rng(0).normal(size=(25, 6)), rng(1).normal(size=(40, 6))
    once = np.ones(25, np.int64)
    manifolds = Manifolds(x, y)
    measure, value = {
        "kernel": (kernel_of(x, y, alike(y)), kernel(x, y)),
        "mean": (mean_of(x[:, 0]), x[:, 0].mean()),
        "score": (score_of(x), inception_score(x)),
        "recall": (manifolds.recall_of, manifolds.recall),
    }[name]
    assert measure(once) == pytest.approx(value)


def test_a_picture_s_copy_is_no_pair_of_the_kernel():
    x, y = rng(0).normal(size=(4, 3)), rng(1).normal(size=(5, 3))
    measure = kernel_of(x, y, alike(y))
    gram = (x @ x.T / 3 + 1) ** 3
    counts = np.array([2, 1, 1, 0])
    pairs = [(i, j) for i in (0, 1, 2) for j in (0, 1, 2) if i != j]
    weights = {(i, j): counts[i] * counts[j] for i, j in pairs}
    inside = sum(w * gram[p] for p, w in weights.items()) / sum(weights.values())
    across = ((x @ y.T / 3 + 1) ** 3).mean(1) @ counts / 4
    assert measure(counts) == pytest.approx(inside + alike(y) - 2 * across)


def test_the_same_seed_draws_the_same_pictures():
    first, again = drawn_counts(10, 5), drawn_counts(10, 5)
    assert (first == again).all() and (first.sum(1) == 10).all()
    assert (drawn_counts(10, 5, seed=1) != first).any()
