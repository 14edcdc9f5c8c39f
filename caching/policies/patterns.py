"""Best patterns of one row at every number of computed steps, and the order rows give them up in.

Shapes: S steps, G rows or groups of rows that share a pattern.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

FREE, COMPUTED, REUSED = 0, 1, 2
"""What a lock says of a cell."""


@dataclass(frozen=True)
class Change:
    """A row goes over to fewer computed steps."""

    group: int
    computed: int  # steps after it
    cost: float  # added, so below 0
    loss: float  # added


@dataclass(frozen=True, eq=False)
class Patterns:
    """What the dynamic program found.

    Attributes:
        computed: bool (S, G, S): [n - 1, g] is the pattern of least loss with n computed steps.
        losses: float64 (S, G), infinite where the locks forbid that many.
    """

    computed: NDArray[np.bool_]
    losses: NDArray[np.float64]


def row_losses(error: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S, G, A) error at ages 1..A -> (S, S + 1, G): loss of all between computed steps i and j.

    j = S stands for the end of the run. Beyond age A errors grow in proportion.
    """
    steps, groups, ages = error.shape
    losses = np.zeros((steps, steps + 1, groups))
    for i in range(steps - 1):
        age = np.arange(1, steps - i)
        own = error[i + age, :, np.minimum(age, ages) - 1]
        losses[i, i + 2 :] = np.cumsum(own * np.maximum(1.0, age / ages)[:, None], axis=0)
    return losses


def span_losses(spans: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S, S + 1) errors of spans reused whole -> (S, S + 1, 1) likewise.

    Where a span is too long to be known it counts as its longest known part, in proportion squared.
    """
    losses = np.nan_to_num(spans, nan=0.0)
    for i, row in enumerate(losses):
        known = np.flatnonzero(np.isfinite(spans[i]))[-1]
        longer = np.arange(known + 1, len(row))
        row[longer] = row[known] * ((longer - i - 1) / max(1, known - i - 1)) ** 2
    return losses[..., None]


def forbid(losses: NDArray[np.float64], held: NDArray[np.uint8], most: int) -> NDArray[np.float64]:
    """The losses (S, S + 1, G), infinite where locks (S, G) or the largest free age forbid it."""
    allowed, steps = losses.copy(), len(losses)
    for i in range(steps):
        later = np.arange(i + 1, steps)
        wrong = (held[later] == COMPUTED) | ((held[later] == FREE) & (later - i > most)[:, None])
        allowed[i, i + 2 :][np.cumsum(wrong, axis=0) > 0] = np.inf
        allowed[i, : i + 1] = np.inf
    for j in range(steps):
        allowed[:, j, held[j] == REUSED] = np.inf
    return allowed


def best_patterns(losses: NDArray[np.float64]) -> Patterns:
    """The exact optimum of every row for every number of computed steps, step 0 among them.

    A dynamic program over (number computed, last computed step), S³ / 2 sums for each row.
    """
    steps, _, groups = losses.shape
    best = np.full((steps, groups), np.inf)  # by last computed step, for n computed so far
    best[0] = 0.0
    totals = np.empty((steps, groups))
    before = np.zeros((steps, steps, groups), np.int16)  # [n, j]: the computed step before j
    last = np.zeros((steps, groups), np.int16)
    inner, ends = losses[:, :steps], losses[:, steps]
    for n in range(steps):
        final = best + ends
        last[n] = final.argmin(axis=0)
        totals[n] = final.min(axis=0)
        if n + 1 < steps:
            reached = best[:, None] + inner  # (i, j, G)
            before[n + 1] = reached.argmin(axis=0)
            best = reached.min(axis=0)
    computed = np.zeros((steps, groups, steps), bool)
    at = np.arange(groups)
    for n in range(steps):
        j = last[n]
        for k in range(n, -1, -1):
            computed[n, at, j] = True
            j = before[k, j, at]
    return Patterns(computed, totals)


def changes(
    losses: NDArray[np.float64], price: NDArray[np.float64]
) -> tuple[NDArray[np.int64], list[Change]]:
    """Computed steps of each row at the start (G,), and all changes, best bargain first.

    Each row walks down the lower convex hull of its losses: those are the patterns that are best
    for some Lagrange multiplier, and the slopes of the hull the multipliers at which it changes.

    Args:
        price: (G,) what a computed step of a row costs more than a reused one.
    """
    start, found = [], []
    for group in range(losses.shape[1]):
        points = hull(losses[:, group])
        start.append(points[0])
        if price[group] <= 0:
            continue  # reusing saves nothing here
        for order, (n, fewer) in enumerate(pairwise(points)):
            cost = (fewer - n) * float(price[group])
            loss = float(losses[fewer - 1, group] - losses[n - 1, group])
            found.append((-loss / cost, order, Change(group, fewer, cost, loss)))
    # Within a row the hull makes bargains worse and worse, but rounding may draw two level.
    found.sort(key=lambda item: (item[0], item[1], item[2].group))
    return np.array(start), [change for _, _, change in found]


def hull(losses: NDArray[np.float64]) -> list[int]:
    """Numbers of computed steps on the lower convex hull of the losses (S,), most first."""
    points: list[int] = []
    for n in range(len(losses), 0, -1):
        loss = losses[n - 1]
        if not np.isfinite(loss):
            continue
        while len(points) > 1:
            a, b = points[-2], points[-1]
            # b lies on or above the line from a to n.
            if (losses[b - 1] - losses[a - 1]) * (a - n) < (loss - losses[a - 1]) * (a - b):
                break
            points.pop()
        points.append(n)
    return points
