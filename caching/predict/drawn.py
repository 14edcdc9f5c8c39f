"""Schedules drawn at random, of every kind people and methods make, to learn a prediction from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from caching.errors import ScheduleError
from caching.policies.threshold import Per, smoothcache
from caching.predictors import Predictor
from caching.predictors.reuse import Reuse
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule

KINDS = ("random", "window", "interval", "steps", "rows", "odd steps", "threshold", "mixed")
"""In the order they are drawn: scattered cells, windows of blocks and steps, every n-th step, whole
steps at random, a pattern for each row, cells of odd steps only as Learning-to-Cache
(arXiv 2406.01733) has them, SmoothCache (2411.10510) at a random threshold, and any of these with a
part forecast by Taylor."""

Grid = NDArray[np.bool_]


def drawn(
    seed: int,
    change: NDArray[np.floating],
    branches: tuple[str, ...],
    kinds: Sequence[str] = KINDS,
) -> Iterator[Drawn]:
    """An endless stream of (kind, schedule), the kinds in turn; none computes everything.

    Args:
        seed: the same gives the same stream.
        change: (S, L, R, K) relative changes, which thresholds are drawn against.
        branches: R names.
        kinds: of `KINDS`, in any order, as often as each is wanted in a round.
    """
    if change.shape[0] < 2:
        raise ScheduleError("schedules of one step were to be drawn: it has nothing to reuse")
    rng = np.random.default_rng(seed)
    while True:
        for kind in kinds:
            schedule = None
            while schedule is None or schedule.is_full:
                schedule = _make(rng, kind, change, branches)
            yield kind, schedule


Drawn = tuple[str, Schedule]


def _make(
    rng: np.random.Generator, kind: str, change: NDArray[np.floating], branches: tuple[str, ...]
) -> Schedule:
    if kind == "threshold":
        return _threshold(rng, change, branches)
    shape = change.shape[:3]
    if kind != "mixed":
        reused = _GRIDS[kind](rng, shape)
        reused[0] = False
        return Schedule(reused.astype(np.uint8), branches=branches)
    kinds = KINDS[:-1]
    actions = _make(rng, kinds[int(rng.integers(len(kinds)))], change, branches).actions
    legend: tuple[Predictor, ...] = (Reuse(), Taylor(order=int(rng.integers(1, 3))))
    share = rng.uniform(0.1, 1)
    over = [shape, (1, *shape[1:]), (shape[0], 1, 1)][int(rng.integers(3))]
    forecast = np.broadcast_to(rng.random(over) < share, shape)
    mixed = np.where((actions > 0) & forecast, 2, actions).astype(np.uint8)
    return Schedule(mixed, legend, branches)


def _threshold(
    rng: np.random.Generator, change: NDArray[np.floating], branches: tuple[str, ...]
) -> Schedule:
    """Between hardly anything and nearly everything under it, whatever the model's changes are."""
    known = change[change > 0]
    if not known.size:
        return Schedule.full(change.shape[0], change.shape[1], branches=branches)
    alpha = float(np.quantile(known, rng.uniform(0.05, 0.95)))
    lookahead = int(rng.integers(1, min(5, change.shape[3]) + 1))
    per: Per = "branch" if rng.random() < 0.5 else "block"
    return smoothcache(change, alpha, lookahead=lookahead, per=per, branches=branches)


def _random(rng: np.random.Generator, shape: tuple[int, ...]) -> Grid:
    return np.asarray(rng.random(shape) < np.exp(rng.uniform(np.log(0.03), np.log(0.85))))


def _window(rng: np.random.Generator, shape: tuple[int, ...]) -> Grid:
    """One to three rectangles of steps and blocks, each of one branch or of all."""
    steps, blocks, width = shape
    reused = np.zeros(shape, bool)
    for _ in range(rng.integers(1, 4)):
        first = int(rng.integers(1, max(2, steps)))
        length = int(rng.integers(1, max(2, steps * 2 // 5)))
        low, high = np.sort(rng.integers(0, blocks + 1, 2))
        branch = int(rng.integers(0, width + 1))
        where = slice(None) if branch == width else slice(branch, branch + 1)
        reused[first : first + length, low : max(high, low + 1), where] = True
    return reused


def _interval(rng: np.random.Generator, shape: tuple[int, ...]) -> Grid:
    """Every n-th step of all branches or one, often with computed ends."""
    steps, _, width = shape
    index = np.arange(steps)
    n = int(rng.integers(2, 7))
    computed = index % n == rng.integers(n)
    if rng.random() < 0.5:
        computed |= index < rng.integers(1, max(2, steps // 3))
    if rng.random() < 0.5:
        computed |= index >= steps - rng.integers(1, max(2, steps // 3))
    reused = np.broadcast_to(~computed[:, None, None], shape).copy()
    if width > 1 and rng.random() < 0.3:
        reused[:, :, rng.integers(width)] = False
    return reused


def _steps(rng: np.random.Generator, shape: tuple[int, ...]) -> Grid:
    reused = rng.random(shape[0]) < rng.uniform(0.05, 0.8)
    return np.broadcast_to(reused[:, None, None], shape).copy()


def _rows(rng: np.random.Generator, shape: tuple[int, ...]) -> Grid:
    """An interval and an offset for every row, and some rows left alone."""
    every = rng.integers(1, 7, shape[1:])
    offset = rng.integers(0, 6, shape[1:])
    reused = (np.arange(shape[0])[:, None, None] + offset) % every != 0
    return np.asarray(reused & (rng.random(shape[1:]) < rng.uniform(0.2, 1)))


def _odd_steps(rng: np.random.Generator, shape: tuple[int, ...]) -> Grid:
    """Rows differ in how often they are reused at an odd step."""
    share = np.clip(rng.uniform(0.1, 1) + rng.normal(0, 0.3, shape[1:]), 0, 1)
    odd = (np.arange(shape[0]) % 2 == 1)[:, None, None]
    return np.asarray((rng.random(shape) < share) & odd)


_GRIDS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Grid]] = {
    "random": _random,
    "window": _window,
    "interval": _interval,
    "steps": _steps,
    "rows": _rows,
    "odd steps": _odd_steps,
}
