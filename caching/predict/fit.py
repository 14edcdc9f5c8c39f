"""From first-order sums to dB: a smooth function learned from runs, which says how sure it is.

    PSNR = m + sum over features f of w_f z_f + sum over runs i of c_i / sqrt(1 + |z - z_i|² / F l²)

z being the features in units of what each counts. Straight in the logs of the sums (ridge
regression), bent by what similar schedules did (Gaussian process regression, of which this is the
mean). The evidence chooses the units, see `evidence.py`. Leave-one-out errors set the interval, so
it is of a mean over as many pictures as each schedule ran on; `widths.py` sets it by fresh ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caching.errors import ScheduleError
from caching.predict.evidence import BEND_DB, BEST_DB, SLOPE_DB, by_evidence, signal
from caching.predict.features import NAMES, features
from caching.predict.response import Response
from caching.predict.thin import thinned
from caching.predict.widths import SURE, Width
from caching.schedule import Schedule

LEAST_RUNS = 24
MOST_RUNS = 640
"""That an estimator holds; of more it holds those that stand for the others, see `thin.py`."""
FORECASTS = NAMES.index("relative changes of forecasts") - len(NAMES)
"""Of the features, the one that is 0 where nothing is forecast; from the end."""


@dataclass(frozen=True)
class Estimate:
    """PSNR to expect in the mean over pictures, and an interval: the mean over `Width.pictures` of
    them lies inside for four schedules in five."""

    db: float
    low_db: float
    high_db: float


@dataclass(frozen=True, eq=False)
class Estimator:
    """A fitted prediction; arrays are read-only.

    Attributes:
        center: (F,) means of the features it learned from.
        spread: (F,) a unit of each, smaller the more it counts.
        known: (M, F) those features about the center, in these units, of the runs that it holds.
        bends: (M,) c_i.
        slopes: (F,) w_f.
        level_db: m.
        length: l.
        inverse: (M, M) of the covariance, for how sure it is.
        width: how wide its intervals are.
        median_db: median of its leave-one-out errors.
        spearman: of leave-one-out predictions with what was measured.
        runs: how many picture runs it learned from.
    """

    center: NDArray[np.float64]
    spread: NDArray[np.float64]
    known: NDArray[np.float64]
    bends: NDArray[np.float64]
    slopes: NDArray[np.float64]
    level_db: float
    length: float
    inverse: NDArray[np.float64]
    width: Width
    median_db: float
    spearman: float
    runs: int

    def __post_init__(self) -> None:
        for name in ("center", "spread", "known", "bends", "slopes", "inverse"):
            array = np.array(getattr(self, name), np.float64)
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def of(self, values: NDArray[np.float64]) -> Estimate:
        """From features (F,); beyond 60 dB rounding decides, so that is the most."""
        db, unsure = self.mean_of(values)
        half = self.width.half_db(unsure, forecasts=bool(values[FORECASTS] > 0))
        return Estimate(*(min(end, BEST_DB) for end in (db, db - half, db + half)))

    def mean_of(self, values: NDArray[np.float64]) -> tuple[float, float]:
        """PSNR to expect, which may be more than can be, and the standard deviation that the runs
        learned from leave open."""
        z = ((values - self.center) / self.spread)[None]
        near = _bend(z, self.known, self.length)
        db = self.level_db + float(z[0] @ self.slopes) + float(near[0] @ self.bends)
        own = BEND_DB**2 + SLOPE_DB**2 * float((z * z).mean())
        both = near[0] * BEND_DB**2 + SLOPE_DB**2 * (self.known @ z[0]) / z.shape[1]
        return db, max(own - float(both @ self.inverse @ both), 0.0) ** 0.5

    def to_json(self) -> dict[str, Any]:
        """Plain values for the page: all that `of` needs but `inverse`."""
        return {
            "features": list(NAMES),
            "center": self.center.tolist(),
            "spread": self.spread.tolist(),
            "known": np.round(self.known, 4).tolist(),
            "bends": self.bends.tolist(),
            "slopes": self.slopes.tolist(),
            "level_db": self.level_db,
            "length": self.length,
            "half_db": self.width.half_db(0.0, forecasts=False),
            "median_db": self.median_db,
            "spearman": self.spearman,
            "runs": self.runs,
        }


def predict_error(schedule: Schedule, response: Response, estimator: Estimator) -> Estimate:
    """PSNR against the full run to expect of a schedule, in the mean over pictures.

    Raises:
        ScheduleError: the response was built for other steps, blocks or branches.
    """
    return estimator.of(features(schedule, response))


def fit(
    values: ArrayLike, psnr_db: ArrayLike, *, pictures: Sequence[Sequence[int]] | None = None
) -> Estimator:
    """Learn from measured runs.

    Pictures differ in how much any schedule does to them. With `pictures` their own levels are
    told from what schedules do, as if every schedule had run on all of them.

    Args:
        values: (N, F) features of N schedules.
        psnr_db: (N, P) PSNR of each on P pictures.
        pictures: which ones, N rows of P numbers; None: the same P for all.

    Raises:
        ScheduleError: fewer than 24 schedules, shapes that do not agree, or infinite numbers.
    """
    x, y = np.asarray(values, np.float64), np.asarray(psnr_db, np.float64)
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(x) < LEAST_RUNS:
        raise ScheduleError(
            f"features {x.shape} and PSNR {y.shape} were given: expected at least {LEAST_RUNS} "
            "rows of each; measure more schedules"
        )
    if not np.isfinite(x).all() or not np.isfinite(y).all():
        raise ScheduleError("features or PSNR hold infinite numbers: leave full schedules out")
    center, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread > 1e-6, spread, 1.0)
    z, mean = (x - center) / spread, y.mean(axis=1)
    found = by_evidence(
        z, mean, np.zeros((len(y), len(y))) if pictures is None else _shared(pictures)
    )
    # A feature that counts little is one that varies little, in units of its own.
    spread, z = spread / found.units, z * found.units
    miss = np.abs(found.missed)
    median = float(np.median(miss))
    inverse = inverse_of(z, 1.0, found.noise)
    unsure = np.maximum(1 / np.diag(inverse) - found.noise, 0.0)  # of all others, squared
    factor = float(np.quantile(miss / (unsure + median**2) ** 0.5, SURE))
    held = thinned(_bend(z, z, 1.0), BEND_DB**2 * found.weights, found.noise, MOST_RUNS)
    known = z[held.which]
    return Estimator(
        center=center,
        spread=spread,
        known=known,
        bends=held.bends,
        slopes=SLOPE_DB**2 * (z.T @ found.weights) / z.shape[1],
        level_db=found.mean,
        length=1.0,
        inverse=inverse_of(known, 1.0, held.noise),
        width=Width(factor, factor, median, y.shape[1]),
        median_db=median,
        spearman=spearman(mean, mean - found.missed),
        runs=y.size,
    )


def inverse_of(known: NDArray[np.float64], length: float, noise: ArrayLike) -> NDArray[np.float64]:
    """(N, N): of the covariance of runs with features `known` and noise (N,) in dB²."""
    return np.asarray(np.linalg.inv(signal(known, length) + np.diag(np.asarray(noise))))


def _shared(pictures: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """(N, N): the covariance of means over pictures that vary by one; 0 if all runs had the same,
    because what is common to all is no difference between them."""
    which = np.array(pictures)
    part = np.zeros((len(which), int(which.max()) + 1))
    np.add.at(part, (np.arange(len(which))[:, None], which), 1 / which.shape[1])
    common = part @ part.T
    return np.zeros_like(common) if (part == part[0]).all() else common


def spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Rank correlation; equal values share the mean of their ranks."""

    def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        last = np.cumsum(counts)
        middle: NDArray[np.float64] = (last - (counts - 1) / 2)[inverse]
        return middle

    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def _bend(a: NDArray[np.float64], b: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """1 / sqrt(1 + |a - b|² / F l²) of all pairs."""
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
    near: NDArray[np.float64] = (1 + np.maximum(squares, 0) / (a.shape[1] * length**2)) ** -0.5
    return near
