"""Every measure again and again on drawn sets of pictures, for intervals that say how sure it is.

A draw is given by how often each picture came up, so nothing is copied, and a pair of a picture
with its own copy is left out where a measure looks at pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from caching.quality.distances import eigen
from caching.study.bootstrap import SHARE, Interval

SEED = 64
Drawn = Callable[[np.ndarray], float]
"""A measure of a draw: counts (N,) -> value."""


def drawn_counts(pictures: int, draws: int, seed: int = SEED) -> np.ndarray:
    """(draws, N): how often each of N pictures comes up in N drawn with replacement. The same
    seed draws the same pictures, so two arms meet the same sets."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(pictures, np.full(pictures, 1 / pictures), size=draws)


def frechet_of(value: float, features: np.ndarray, mean: np.ndarray, root: np.ndarray) -> Drawn:
    """As `distances.frechet`, but for a draw by its linear response to how often each picture came
    up. Taken anew of every draw it would vary up to four times as much as it really does where
    pictures are few, because a drawn set spans fewer directions.

    Args:
        value: the distance of all pictures.
        features: (N, D).
        mean, root: of the data, with covariance root @ root.T.
    """
    response = frechet_response(features.astype(np.float64), mean, root)
    return lambda counts: value + float(counts @ response / counts.sum())


def frechet_response(x: np.ndarray, mean: np.ndarray, root: np.ndarray) -> np.ndarray:
    """(N,), mean 0: how the distance grows with each picture's share of the set.

    With m and C of the pictures and the optimal map T between the two Gaussians it is
    2 (m - mean)·(x - m) + (x - m)·(1 - T)(x - m), less its own mean.
    """
    middle = x.mean(0)
    away = x - middle
    there = away @ root
    values, vectors = eigen(there.T @ there / (len(x) - 1))
    kept = values > values.max() * 1e-10  # directions that some picture spans
    turned = there @ vectors[:, kept]
    mapped = (turned**2 / np.sqrt(values[kept])).sum(1)
    found = 2 * away @ (middle - mean) + (away**2).sum(1) - mapped
    centred: np.ndarray = found - found.mean()
    return centred


def kernel_of(features: np.ndarray, data: np.ndarray, data_alike: float) -> Drawn:
    """As `distances.kernel`; `data_alike` as there."""
    x, y = features.astype(np.float64), data.astype(np.float64)

    def gram(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        found: np.ndarray = (a @ b.T / a.shape[1] + 1) ** 3
        return found

    mine, across = gram(x, x), gram(x, y).mean(1)
    own = np.diag(mine).copy()

    def value(counts: np.ndarray) -> float:
        weights = counts.astype(np.float64)
        total, again = weights.sum(), float((weights**2).sum())
        inside = weights @ mine @ weights - (weights**2) @ own
        return data_alike + float(inside / (total**2 - again)) - 2 * float(weights @ across / total)

    return value


def mean_of(values: np.ndarray) -> Drawn:
    """A mean over pictures."""
    given = np.asarray(values, np.float64)
    return lambda counts: float(counts @ given / counts.sum())


def score_of(logits: np.ndarray) -> Drawn:
    """As `distances.inception_score`."""
    x = logits.astype(np.float64)
    x = x - x.max(1, keepdims=True)
    logs = x - np.log(np.exp(x).sum(1, keepdims=True))
    shares = np.exp(logs)
    own = (shares * logs).sum(1)

    def value(counts: np.ndarray) -> float:
        total = counts.sum()
        mean = counts @ shares / total
        gone = float(mean[mean > 0] @ np.log(mean[mean > 0]))
        return math.exp(float(counts @ own / total) - gone)

    return value


def around(value: float, drawn: np.ndarray, share: float = SHARE) -> Interval:
    """The measured value, and the middle `share` of the draws' spread around it.

    Drawn sets hold fewer different pictures than the real one, which lowers recall in every draw
    alike; so the draws are moved to the measured value. The interval is of the measure for this
    many pictures: with more, a Frechet distance is lower.
    """
    outside = (1 - share) / 2
    low, high = np.quantile(drawn - drawn.mean() + value, [outside, 1 - outside])
    return Interval(float(value), float(min(low, value)), float(max(high, value)))


def of_share(interval: Interval, pictures: int) -> Interval:
    """A share's interval within 0 to 1. Where all pictures are alike drawing teaches nothing: then
    the exact binomial end stands there."""
    if interval.mean in (0.0, 1.0):
        gap = 1 - (0.025) ** (1 / pictures)
        return Interval(interval.mean, max(0.0, interval.mean - gap), min(1.0, interval.mean + gap))
    return Interval(interval.mean, max(0.0, interval.low), min(1.0, interval.high))
