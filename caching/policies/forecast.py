"""Forecasts for every budget: which whole steps to compute, and the order of Taylor's forecast.

A forecast is a weighted sum of outputs of earlier steps whose weights sum to one, so what it does
to the final picture is the same sum of what reuse at each of those ages would do: a response says
it without another run. Unlike the error of reuse it looks at several computed steps at once, so no
dynamic program over pairs of them is exact; a local search moves one computed step at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from caching.checks import check_count
from caching.errors import ScheduleError
from caching.policies.taylorseer import taylorseer
from caching.predict.response import Response
from caching.predictors.taylor import Taylor
from caching.schedule import BRANCHES, Schedule

ORDERS = (0, 1, 2, 3, 4)
STARTS = 2
"""Of all starts the search goes on from so many."""
FURTHEST = 3
"""How many steps a computed one moves at once."""
ROUNDS = 60
"""How often a search may go on to a neighbour."""


@dataclass(frozen=True)
class Steps:
    """Whole steps computed, the others forecast.

    Attributes:
        computed: their numbers, 0 first.
        order: of the Taylor forecast; 0 is reuse.
        db: what is lost of the picture, as PSNR; by the response or, where `pictures` says on how
            many it ran, as measured.
        pictures: 0 for what no run has measured.
    """

    computed: tuple[int, ...]
    order: int
    db: float
    pictures: int = 0

    def schedule(self, steps: int, blocks: int, branches: Sequence[str] = BRANCHES) -> Schedule:
        """As a grid."""
        at = np.isin(np.arange(steps), self.computed)
        made = Schedule.from_steps(at, blocks, branches=branches)
        return replace(made, legend=(Taylor(self.order),)) if self.order else made


class Forecasts:
    """What forecasts do along every direction of a response, each looked up once.

    Args:
        response: of the model; its effects with no cell of the same step answering are read.
    """

    def __init__(self, response: Response) -> None:
        held = response.held.astype(np.float32).sum(axis=(2, 3), dtype=np.float64)
        self.steps, self.ages = response.steps, response.ages
        self._effect = np.moveaxis(held * response.unit, 0, -1)  # (S, A, G)
        self._pictures = response.pictures
        self._known: dict[tuple[int, tuple[int, ...]], NDArray[np.float64]] = {}

    def db(self, computed: Sequence[int], order: int) -> float:
        """PSNR in the mean over pictures, to first order.

        Errors of different spans cancel along the few directions that are known more than they do
        along all, so half of it counts as if they never did.
        """
        directions = self._effect.shape[-1]
        total, apart = np.zeros(directions), np.zeros(directions)
        ends = (*computed[1:], self.steps)
        for k, (start, end) in enumerate(zip(computed, ends, strict=True)):
            used = tuple(computed[max(0, k - order) : k + 1][::-1])
            span = sum((self._of(s, used) for s in range(start + 1, end)), np.zeros(directions))
            total += span
            apart += span**2
        by_picture = (total**2 + apart).reshape(self._pictures, -1).sum(axis=1) / 2
        # Directions are scaled so that all pictures together sum to the mean.
        level = np.maximum(by_picture * self._pictures, 1e-12)
        return float(np.mean(-10 * np.log10(level)))

    def _of(self, step: int, used: tuple[int, ...]) -> NDArray[np.float64]:
        """(G,): what step `step` does, forecast from the outputs of `used`, newest first."""
        key = (step, used)
        if key not in self._known:
            weights = Taylor(len(used) - 1).weights(used, step)
            total = np.zeros(self._effect.shape[-1])
            for one, weight in zip(used, weights, strict=True):
                age = step - one
                known = min(age, self.ages)
                total += weight * age / known * self._effect[step, known - 1]
            self._known[key] = total
        return self._known[key]


def best_steps(
    response: Response,
    count: int,
    *,
    starts: Sequence[Sequence[int]] = (),
    orders: Sequence[int] = ORDERS,
    rounds: int = ROUNDS,
    forecasts: Forecasts | None = None,
) -> Steps:
    """`count` computed steps and an order that lose least by the response.

    Args:
        response: of the model, with gradients.
        starts: computed steps to search from, beside evenly spaced ones and TaylorSeer's.
        orders: of the forecast.
        rounds: after which the search ends at the latest.
        forecasts: of the same response, to share what was looked up.

    Raises:
        ScheduleError: no such count.
    """
    steps = response.steps
    check_count("count", count, steps)
    if response.kind != "gradients":
        raise ScheduleError(
            "this response knows relative changes only, which do not say how forecasts add up: "
            "calibrate the model first"
        )
    table = forecasts or Forecasts(response)
    first = [s for s in (*starts, *even_steps(steps, count)) if len(s) == count]
    best: Steps | None = None
    for order in orders:
        ranked = sorted({tuple(map(int, one)) for one in first}, key=lambda a: -table.db(a, order))
        for start in ranked[:STARTS]:
            found = _climbed(table, start, order, rounds)
            if best is None or found.db > best.db:
                best = found
    assert best is not None
    return best


def even_steps(steps: int, count: int) -> Iterator[tuple[int, ...]]:
    """Ways to spread `count` computed steps evenly, from step 0, and TaylorSeer's after it."""
    yield tuple(int(s) for s in np.floor(np.arange(count) * steps / count))
    yield tuple(int(s) for s in np.round(np.linspace(0, steps - 1, count)))
    for first in range(1, count + 1):
        for interval in range(2, steps + 1):
            made = taylorseer(steps, 1, interval, first=first)
            computed = np.flatnonzero(made.computed[:, 0, 0])
            if len(computed) == count:
                yield tuple(int(s) for s in computed)


def neighbours(computed: tuple[int, ...], steps: int, furthest: int) -> Iterator[tuple[int, ...]]:
    """One computed step moved; step 0 stays."""
    for k in range(1, len(computed)):
        for by in range(-furthest, furthest + 1):
            to = computed[k] + by
            if 0 < to < steps and to not in computed:
                yield tuple(sorted((*computed[:k], to, *computed[k + 1 :])))


def _climbed(table: Forecasts, start: tuple[int, ...], order: int, rounds: int) -> Steps:
    """The best neighbour of the best neighbour, until none is better."""
    at, level = start, table.db(start, order)
    for _ in range(rounds):
        around = [(table.db(one, order), one) for one in neighbours(at, table.steps, FURTHEST)]
        if not around or max(around)[0] <= level:
            break
        level, at = max(around)
    return Steps(at, order, level)
