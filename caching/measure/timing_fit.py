"""What the parts of a step take, fitted to the times of steps that mix them in many ways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caching.actions.residual import Residual
from caching.predictors.reuse import Reuse
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule

REUSE, FORECAST = 1, 2
LEGEND, STEP_LEGEND = (Reuse(), Taylor()), (Residual(),)
SCATTERED = (0.2, 0.5, 0.5, 0.8)
"""Shares of cells that are reused, here and there, in one step each of a drawn schedule."""

Floats = NDArray[np.float64]


def drawn_steps(seed: int, blocks: int, branches: tuple[str, ...]) -> Schedule:
    """A short schedule with every kind of step once, in any order.

    All computed, all reused, all forecast, all covered, each branch alone, and scattered cells.
    """
    rng = np.random.default_rng(seed)
    shape = (blocks, len(branches))
    rows = [np.zeros(shape), np.full(shape, REUSE), np.full(shape, FORECAST), np.zeros(shape)]
    covered = len(rows) - 1
    for r in range(len(branches)):
        alone = np.full(shape, REUSE)
        alone[:, r] = 0
        rows.append(alone)
    rows += [np.where(rng.random(shape) < share, REUSE, 0) for share in SCATTERED]
    half = rng.random(shape) < 0.5
    rows.append(np.where(half, FORECAST, np.where(rng.random(shape) < 0.5, REUSE, 0)))
    order = rng.permutation(len(rows))
    # A forecast needs two computed steps before it.
    actions = np.array([np.zeros(shape), np.zeros(shape), *(rows[i] for i in order)], np.uint8)
    steps = np.array([0, 0, *(order == covered)], np.uint8)
    return Schedule(actions, LEGEND, branches, step_actions=steps, step_legend=STEP_LEGEND)


def counts_of(schedule: Schedule) -> Floats:
    """(S, R + 5): how much of each part a step has.

    Computed cells of each branch, cells that reuse or forecast, cells that forecast, 1, whether
    any cell is computed, and whether it is the first step.
    """
    ran = ~schedule.covered
    computed = schedule.computed.sum(axis=1)  # (S, R)
    held = (ran & (schedule.actions > 0)).sum(axis=(1, 2))
    forecast = (ran & (schedule.actions == FORECAST)).sum(axis=(1, 2))
    steps = schedule.steps
    columns = (held, forecast, np.ones(steps), computed.any(axis=1), np.arange(steps) == 0)
    return np.column_stack([computed, *columns]).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Parts:
    """Milliseconds of each part; see `counts_of`."""

    compute_ms: Floats  # (R,)
    reuse_ms: float
    forecast_ms: float
    fixed_ms: float
    busy_ms: float
    start_ms: float


def fit_parts(counts: Floats, took_ms: Floats, turns: NDArray[np.int64]) -> Parts:
    """The parts that explain the times (n,) of steps with `counts` (n, R + 5).

    Least absolute errors, which a step that something disturbed does not move. `turns` (n,) says
    which steps ran close together: a machine that is slower for a while is so for all parts.
    """
    scale = np.ones(len(took_ms))
    parts = np.zeros(counts.shape[1])
    for _ in range(3):
        parts = _least_absolute(counts, took_ms / scale)
        told = np.maximum(counts @ parts, 1e-9)
        for turn in np.unique(turns):
            at = turns == turn
            scale[at] = max(_median(took_ms[at] / told[at], told[at]), 1e-3)
        scale /= np.median(scale)
    *compute, reuse, forecast, fixed, busy, start = (float(p) for p in parts)
    return Parts(np.array(compute), reuse, forecast, fixed, busy, start)


def _median(values: Floats, weights: Floats) -> float:
    """The weighted median."""
    order = np.argsort(values)
    at = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
    return float(values[order][min(int(at), len(values) - 1)])


def _least_absolute(counts: Floats, took_ms: Floats) -> Floats:
    """Non-negative parts with the least sum of errors over the root of the time, by reweighting."""
    kept = np.arange(counts.shape[1])
    root = np.sqrt(np.maximum(took_ms, 1e-6))
    while True:
        weights = 1 / root
        for _ in range(30):
            found, *_ = np.linalg.lstsq(
                counts[:, kept] * weights[:, None], took_ms * weights, rcond=None
            )
            error = np.abs(took_ms - counts[:, kept] @ found) / root
            # Errors below a thousandth count alike, or one exact step would decide everything.
            weights = 1 / np.sqrt(root**2 * np.maximum(error, 1e-3 * root))
        if (found >= 0).all() or len(kept) == 1:
            break
        kept = np.delete(kept, int(np.argmin(found)))
    parts = np.zeros(counts.shape[1])
    parts[kept] = np.maximum(found, 0)
    return parts
