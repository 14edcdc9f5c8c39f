"""Likeness: changes and paths against outputs made by hand and against a plain PCA."""

import numpy as np
import pytest
import torch

from caching import sample
from caching.measure.likeness import Gatherer, Likeness
from tests.caching import tiny
from tests.caching.spy import own


def gathered(outputs, **options) -> Likeness:
    """From (S, rows, numbers)."""
    gatherer = Gatherer(len(outputs), **options)
    for step in outputs:
        gatherer.add(torch.as_tensor(np.asarray(step), dtype=torch.float32))
    return gatherer.likeness(1, len(outputs[0]))


def test_changes_are_what_reuse_would_be_off_by():
    likeness = gathered([[[3.0, 4.0]], [[3.0, 0.0]], [[0.0, 0.0]]])
    # |y1 - y0| = 4, |y1| = 3; |y0| = 5; the last output is zero.
    assert likeness.change(0, 0) == pytest.approx(
        np.array([[0, 4 / 5, 1], [4 / 3, 0, 1], [np.inf, np.inf, 0]])
    )


def test_the_path_is_the_pca_of_the_outputs():
    outputs = np.random.default_rng(0).normal(size=(7, 2, 40)).cumsum(0)
    likeness = gathered(outputs)
    for row in range(2):
        centred = outputs[:, row] - outputs[:, row].mean(0)
        u, values, _ = np.linalg.svd(centred, full_matrices=False)
        path = likeness.path(0, row)
        assert np.abs(path.points) == pytest.approx(np.abs(u[:, :2] * values[:2]), abs=1e-3)
        assert path.explained == pytest.approx(values[:2] ** 2 / (values**2).sum(), abs=1e-4)
        assert (path.points[-1] >= path.points[0]).all()


def test_a_branch_that_never_changes_stands_still():
    path = gathered(np.ones((4, 1, 3))).path(0, 0)
    assert path.points == pytest.approx(np.zeros((4, 2)), abs=1e-3)


@pytest.mark.parametrize(("memory_mib", "taken"), [(128.0, 1.0), (6 * 64 * 4 / 2**20 / 2, 1 / 3)])
def test_short_memory_takes_every_nth_number_and_says_so(memory_mib, taken):
    outputs = np.random.default_rng(1).normal(size=(6, 1, 64))
    likeness = gathered(outputs, memory_mib=memory_mib)
    every = round(1 / taken)
    part = outputs[:, 0, ::every]
    assert likeness.share == pytest.approx(taken)
    assert likeness.products[0, 0] == pytest.approx(part @ part.T, rel=1e-4, abs=1e-4)


def test_a_traced_run_gathers_what_its_trace_says():
    model = own(tiny.dit(blocks=3), tiny.V)
    trace = sample(model, label=1, seed=5, steps=6, cfg_scale=3.0, lags=4).trace
    assert trace.likeness.products.shape == (3, 2, 6, 6)
    for block, branch in np.ndindex(3, 2):
        change = trace.likeness.change(block, branch)
        for s in range(1, 6):
            assert change[s, s - 1] == pytest.approx(trace.rel_l2[s, block, branch, 0], rel=2e-3)
