"""Groups: steps parted where their features change least within a group (CacheQuant's DPS)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caching.errors import ScheduleError


def group_starts(distance: ArrayLike, groups: int, least: int, most: int) -> tuple[int, ...]:
    """First steps of the groups with the least sum of every step's distance to its group's start.

    By dynamic programming over steps: best[k][e], the least sum with which k groups cover the steps
    before e, is the least of best[k-1][start] + sum over start < i < e of distance[start, i] over
    all starts from e - most to e - least. Of equal sums the one with the earlier last start wins.

    Args:
        distance: (S, S), distance[start, i] of step i from step start; read where
            start < i < start + most alone.
        groups: K, how many.
        least, most: bounds of a group's length, in steps.

    Raises:
        ScheduleError: no table (S, S), or no K lengths within the bounds add up to S.
    """
    table = np.asarray(distance, np.float64)
    steps = len(table)
    if table.ndim != 2 or table.shape != (steps, steps) or not steps:
        raise ScheduleError(
            f"distances between steps have the shape {table.shape}: expected (steps, steps)"
        )
    if not 1 <= least <= most or not groups * least <= steps <= groups * most:
        raise ScheduleError(
            f"{steps} steps were to be parted into {groups} groups of {least} to {most}: expected "
            "that so many fit; choose another number of groups"
        )
    best = np.full((groups + 1, steps + 1), np.inf)
    back = np.zeros((groups + 1, steps + 1), np.int64)
    best[0, 0] = 0.0
    costs = [_sums(table[start, start + 1 : start + most]) for start in range(steps)]
    for k in range(1, groups + 1):
        for start in np.flatnonzero(np.isfinite(best[k - 1])).tolist():
            for end in range(start + least, min(steps, start + most) + 1):
                total = best[k - 1, start] + costs[start][end - start - 1]
                if total < best[k, end]:
                    best[k, end], back[k, end] = total, start
    starts, end = [], steps
    for k in range(groups, 0, -1):
        end = int(back[k, end])
        starts.append(end)
    return tuple(reversed(starts))


def _sums(row: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of the first 0, 1, … numbers."""
    return np.concatenate([[0.0], np.cumsum(row)])
