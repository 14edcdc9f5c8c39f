"""Rungs of ladders: thresholds spaced by ratio, and pairs of interval and extent by work."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def geometric(least: float, most: float, count: int = 40) -> tuple[float, ...]:
    """0, then `count` values from `least` to `most`, each the same factor above the one before."""
    values = np.geomspace(least, most, count)
    return (0.0, *(round(float(v), 6) for v in values[:-1]), float(most))


def widening(
    extents: Sequence[int], intervals: Sequence[int], chosen: int
) -> tuple[tuple[int, int], ...]:
    """(interval, extent) from most work to least, for methods that reuse a part of the blocks.

    First the part grows at the shortest interval, then the interval grows at the chosen part, then
    the part grows on at the longest interval.

    Args:
        extents: how much is reused at other steps, least first.
        intervals: one step in so many runs whole, shortest first.
        chosen: one of the extents.
    """
    small = [e for e in extents if e <= chosen]
    large = [e for e in extents if e > chosen]
    return (
        *((intervals[0], e) for e in small),
        *((n, chosen) for n in intervals[1:]),
        *((intervals[-1], e) for e in large),
    )
