"""How wide an interval must be to hold, told by schedules that nothing was learned from.

    half = factor sqrt(unsure² + floor²)

`unsure` is what the runs learned from leave open at a schedule, `floor` how well a mean over the
pictures is known, and the factor the least with which four schedules in five that were measured
for this lie inside, one more counted as outside (split conformal prediction, Papadopoulos et al.
2002, Lei et al. 2018). Forecasts come out further from their predictions than reuse does, so
schedules that forecast have a larger factor, by how much further they came out in the root mean
square.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caching.errors import ScheduleError

SURE = 0.8
"""Share of schedules that an interval is to hold."""
FEWEST = 8
"""Schedules of a sort that tell how far that sort comes out."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Width:
    """Of the intervals of one prediction.

    Attributes:
        plain: factor for schedules that forecast nothing.
        forecast: factor for those that do.
        floor_db: standard deviation of what is measured, at the least.
        pictures: what lies inside is a mean over so many.
    """

    plain: float
    forecast: float
    floor_db: float
    pictures: int

    def half_db(self, unsure_db: float, *, forecasts: bool) -> float:
        factor = self.forecast if forecasts else self.plain
        return factor * math.hypot(unsure_db, self.floor_db)


@dataclass(frozen=True, eq=False)
class Judged:
    """Schedules that nothing was learned from, as measured.

    Attributes:
        psnr_db: (T, n, 4) of n schedules in T turns on four pictures each.
        groups: int (T, n) which four.
    """

    psnr_db: Array
    groups: NDArray[np.integer]

    def __post_init__(self) -> None:
        shape = self.psnr_db.shape
        if len(shape) != 3 or self.groups.shape != shape[:2] or not np.isfinite(self.psnr_db).all():
            raise ScheduleError(
                f"judged runs of shapes {shape} and {self.groups.shape} were given: expected "
                "finite numbers (T, n, P) and groups (T, n)"
            )


def width_of(
    missed: Array, unsure: Array, forecasts: NDArray[np.bool_], *, floor_db: float, pictures: int
) -> Width:
    """From schedules that nothing was learned from.

    Args:
        missed: (n,) measured minus predicted, dB.
        unsure: (n,) what was left open at each, dB.
        forecasts: (n,) whether it forecasts.
        floor_db: standard error of what was measured.
        pictures: each was measured on.

    Raises:
        ScheduleError: too few of them for an interval to hold them.
    """
    far = np.abs(missed) / np.hypot(unsure, floor_db)
    larger = 1.0
    if min(forecasts.sum(), (~forecasts).sum()) >= FEWEST:
        larger = max(1.0, float(_size(far[forecasts]) / _size(far[~forecasts])))
    factor = conformal(far / np.where(forecasts, larger, 1.0), SURE)
    return Width(factor, factor * larger, floor_db, pictures)


def conformal(far: Array, share: float) -> float:
    """The least that holds the share of n numbers and one more that may be anything."""
    at = math.ceil((len(far) + 1) * share)
    if at > len(far):
        raise ScheduleError(
            f"{len(far)} schedules were measured to set how wide intervals are: expected at least "
            f"{math.ceil(share / (1 - share) - 1e-9)}"
        )
    return float(np.sort(far)[at - 1])


def _size(far: Array) -> float:
    return math.sqrt(float(np.mean(far**2)))
