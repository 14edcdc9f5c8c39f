"""Means with confidence intervals, by drawing the judged pictures again and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

DRAWS = 4000
SHARE = 0.95
SEED = 64


class Interval(NamedTuple):
    """A mean over pictures, and the percentile interval of the means of drawn sets."""

    mean: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half its width, for a ± behind the mean."""
        return (self.high - self.low) / 2


def interval(
    values: Sequence[float] | np.ndarray,
    *,
    draws: int = DRAWS,
    share: float = SHARE,
    seed: int = SEED,
) -> Interval:
    """The mean of N values, and the middle `share` of the means of `draws` sets of N drawn from
    them with replacement. The same seed draws the same pictures, so rows meet the same sets."""
    given = np.asarray(values, np.float64)
    if given.ndim != 1 or not len(given):
        raise ValueError(f"an array of shape {given.shape} was given, expected at least one value.")
    picks = np.random.default_rng(seed).integers(0, len(given), (draws, len(given)))
    outside = (1 - share) / 2
    low, high = np.quantile(given[picks].mean(axis=1), [outside, 1 - outside])
    return Interval(float(given.mean()), float(low), float(high))
