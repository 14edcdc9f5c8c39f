"""InvarDiff's books: what is reused where the rate of change is lowest, without or with ages.

Shapes: P pictures, S steps, K lags, C = L R + 1 features, the last of them the hidden state behind
the last block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caching.errors import ScheduleError

LEAST = 1e-12


@dataclass(frozen=True, eq=False)
class Books:
    """What is reused.

    Attributes:
        steps: bool (S,), the final hidden state of an earlier step goes through the final layer.
        cells: bool (S, L R), branch outputs; True too where `steps` is.
    """

    steps: NDArray[np.bool_]
    cells: NDArray[np.bool_]


def rates(distances: NDArray[np.floating], cached: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(S, C) mean over pictures of ||f_{s+1} - a||_1 / ||a - b||_1; 1 at the first and last step.

    a and b are f_s and f_{s-1} where nothing is cached. They move on with every step that is not
    `cached` and the first in a row that is; at the others they stay behind, so that the rate grows
    with age. That is the authors' "cache correction", which measures features of full runs.

    Args:
        distances: (P, S, K, C), [p, s, k - 1, c] = ||f_s - f_{s-k}||_1; where s - k is below 0 not
            read. Distances over more than K steps count as those over K.
        cached: bool (S, C).
    """
    _pictures, steps, lags, features = distances.shape
    found = np.ones((steps, features))
    c = np.arange(features)
    before, anchor = np.zeros(features, int), np.ones(features, int)
    held = np.zeros(features, bool)

    def distance(later: NDArray[np.int64], earlier: NDArray[np.int64]) -> NDArray[np.float64]:
        lag = np.minimum(later - earlier, lags)
        apart = distances[:, later, lag - 1, c].astype(np.float64)
        return np.maximum(apart, LEAST)

    for s in range(1, steps - 1):
        now = np.full(features, s + 1)
        found[s] = (distance(now, anchor) / distance(anchor, before)).mean(axis=0)
        moves = ~cached[s] | ~held
        before, anchor = np.where(moves, anchor, before), np.where(moves, now, anchor)
        held = cached[s]
    return found


def books(
    distances: NDArray[np.floating],
    branches: int,
    step: float,
    cell: tuple[float, ...],
    *,
    correct: bool = True,
) -> Books:
    """What InvarDiff (arXiv 2512.05134) reuses.

    A feature is reused at step s if its rate there, from s - 1, s and s + 1, is below a quantile of
    all rates of its kind; never at the first and last step. After a step that is reused whole all
    cells are computed.

    Args:
        distances: (P, S, K, C) as in `rates`.
        branches: R.
        step: quantile of the hidden state's rates.
        cell: quantile of each branch's, (R,).
        correct: whether a second pass measures rates with the first one's books.
    """
    steps, features = distances.shape[1], distances.shape[3]
    if len(cell) != branches or (features - 1) % branches:
        raise ScheduleError(
            f"{len(cell)} quantiles and {features} features were given for {branches} branches: "
            "expected one for each branch, and L R + 1 features"
        )
    kinds = [*(np.arange(r, features - 1, branches) for r in range(branches))]
    kinds.append(np.array([features - 1]))
    cached = np.zeros((steps, features), bool)
    if steps < 3:
        return Books(cached[:, -1], cached[:, :-1])
    for _ in range(1 + correct):
        rate = rates(distances, cached)
        inner = np.zeros_like(cached)
        inner[1:-1] = True
        cached = np.zeros_like(cached)
        for kind, share in zip(kinds, (*cell, step), strict=True):
            limit = np.quantile(rate[1:-1][:, kind], share)
            cached[:, kind] = rate[:, kind] < limit
        cached &= inner
    whole, cells = cached[:, -1], cached[:, :-1]
    for s in np.flatnonzero(whole):
        cells[s] = True
        cells[s + 1] = False
    return Books(whole, cells)
