"""Updates: a row's steps chosen by dynamic programming, and unions that stop errors (BAC)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caching.errors import ScheduleError
from caching.policies.patterns import best_patterns


def best_updates(similarity: ArrayLike) -> NDArray[np.bool_]:
    """Bool (S, S, G), True = computed: at [n - 1] the n steps of every row that are best computed.

    BAC's adaptive caching scheduler (arXiv 2506.13456): of all choices of n steps, step 0 among
    them, the one that maximises the sum over the other steps of the similarity between what the
    step would have been and what was computed last before it. Exact, by dynamic programming.

    Args:
        similarity: (S, S, G), [s, u] between the outputs of steps s and u; read for s > u.
    """
    given = np.asarray(similarity, np.float64)
    if given.ndim != 3 or given.shape[0] != given.shape[1] or not np.isfinite(given).all():
        raise ScheduleError(
            f"similarity is {given.shape}: expected finite numbers (steps, steps, rows); measure "
            "it again"
        )
    steps, _, groups = given.shape
    # [i, j]: what reusing step i at all steps before j loses; j = S stands for the end.
    losses = np.full((steps, steps + 1, groups), np.inf)
    for i in range(steps):
        losses[i, i + 1] = 0.0
        losses[i, i + 2 :] = np.cumsum(1.0 - given[i + 1 :, i], axis=0)
    chosen: NDArray[np.bool_] = best_patterns(losses).computed.transpose(0, 2, 1)
    return chosen


def bubbling_union(
    computed: ArrayLike, error: ArrayLike, top: int, *, ff: int = -1
) -> NDArray[np.bool_]:
    """Bool (S, L, R): the rows of largest error computed wherever a feed-forward after them is.

    BAC's bubbling union algorithm: a feed-forward amplifies what is stale in its input, so each of
    the `top` rows of largest error takes over the steps of all feed-forwards downstream, those of
    its own block among them. Its code starts from two rows on; here one works as well.

    Args:
        computed: bool (S, L, R).
        error: (L, R) how much each row changes.
        top: how many rows, 0 to L R.
        ff: number of the feed-forward branch.
    """
    before, size = np.asarray(computed, bool), np.asarray(error, np.float64)
    if before.ndim != 3 or size.shape != before.shape[1:]:
        raise ScheduleError(
            f"cells are {before.shape} and errors {size.shape}: expected (steps, blocks, branches) "
            "and (blocks, branches)"
        )
    after = before.copy()
    for row in np.argsort(-size, axis=None, kind="stable")[:top]:
        block, branch = divmod(int(row), size.shape[1])
        # In a block the feed-forward comes last, so it is downstream of every branch there.
        after[:, block, branch] |= before[:, block:, ff].any(axis=1)
    return after
