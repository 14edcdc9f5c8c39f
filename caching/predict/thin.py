"""Fewer runs that say the same: a long calibration in what a page can add up at every move.

The bend of a prediction is a sum over all runs it learned from, and how sure it is takes a matrix
of all of them. Runs whose features are alike say alike, so a part of them can stand for all
(inducing points, Quiñonero-Candela & Rasmussen 2005): those that leave least unexplained, found by
a pivoted Cholesky factorisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caching.errors import RequestError

RIDGE = 1e-7
"""Of the covariance's own scale, so that runs much alike share their weight."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Thinned:
    """The runs that stay.

    Attributes:
        which: int64 (M,) their numbers, rising.
        bends: (M,) weights with which they sum to what all N did.
        noise: (M,) in dB²: of a run and of those nearest to it, taken as one measurement.
    """

    which: NDArray[np.int64]
    bends: Array
    noise: Array


def thinned(near: Array, bends: Array, noise: Array, most: int) -> Thinned:
    """At most `most` of N runs in the place of all.

    Args:
        near: (N, N) how near runs are to each other, 1 with themselves.
        bends: (N,) weights of all.
        noise: (N,) dB² of each.

    Raises:
        RequestError: fewer than one run is to stay.
    """
    if most < 1:
        raise RequestError(f"{most} runs are to stay, expected 1 or more.")
    count = len(near)
    if count <= most:
        return Thinned(np.arange(count), bends, noise)
    which = np.sort(_pivots(near, most))
    kept = near[:, which]  # (N, M)
    # The weights that give what all gave, at all of them.
    square = kept.T @ kept + RIDGE * np.eye(len(which))
    weights = np.linalg.solve(square, kept.T @ (near @ bends))
    # Two measurements of one thing are one of less noise.
    nearest = kept.argmax(axis=1)
    nearest[which] = np.arange(len(which))
    told = np.bincount(nearest, 1 / noise, len(which))
    return Thinned(which, np.asarray(weights), 1 / told)


def _pivots(near: Array, most: int) -> NDArray[np.int64]:
    """The runs that explain most of the others, fewer than `most` where these explain all."""
    left = np.diag(near).copy()
    factor = np.zeros((len(near), most))
    found: list[int] = []
    for m in range(most):
        one = int(np.argmax(left))
        if left[one] < 1e-9:
            break
        column = near[:, one] - factor[:, :m] @ factor[one, :m]
        factor[:, m] = column / left[one] ** 0.5
        left = left - factor[:, m] ** 2
        found.append(one)
        left[found] = -1.0
    return np.array(found, np.int64)
