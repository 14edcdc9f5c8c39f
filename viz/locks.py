"""Locked cells of the page: which they are, and that nothing but unlocking changes them.

Kept as runs over row * S + s, as the painter counts cells: short, hashable, and the same in the
history, in a message and in a link. Step 0 is never among them: it computes whatever happens.
"""

from __future__ import annotations

import numpy as np

from caching.checks import MAX_LEGEND
from caching.predictors import Reuse
from caching.schedule import Schedule
from viz.grid.ops import Runs


def mask_of(runs: Runs, schedule: Schedule) -> np.ndarray:
    """Bool (S, L, R); runs beyond the grid raise ValueError."""
    steps, blocks, branches = schedule.actions.shape
    flat = np.zeros(schedule.actions.size, bool)
    if runs and sum(runs[-1]) > flat.size:
        raise ValueError(
            f"cell {sum(runs[-1]) - 1:,} is to be locked, but the grid has {flat.size:,}"
        )
    for start, length in runs:
        flat[start : start + length] = True
    flat[::steps] = False
    return flat.reshape(blocks, branches, steps).transpose(2, 0, 1)


def runs_of(mask: np.ndarray) -> Runs:
    """The runs of a bool (S, L, R), step 0 left out."""
    cells = mask.copy()
    cells[0] = False
    flat = cells.transpose(1, 2, 0).reshape(-1).astype(np.int8)
    edges = np.flatnonzero(np.diff(flat, prepend=0, append=0)).tolist()
    return tuple((a, b - a) for a, b in zip(edges[::2], edges[1::2], strict=True))


def count(runs: Runs) -> int:
    """The number of cells."""
    return sum(length for _, length in runs)


def merged(schedule: Schedule, old: Schedule, locks: Runs) -> tuple[Schedule, int]:
    """What takes the place of `old`, its locked cells kept; how many of them it would have changed.

    A schedule of another shape has other cells, so nothing of it is locked.
    """
    if not locks or schedule.actions.shape != old.actions.shape:
        return schedule, 0
    mask = mask_of(locks, old)
    found = schedule.diff(old)
    changed = [*found.only_a, *found.only_b, *found.other_predictor]
    kept = sum(bool(mask[cell]) for cell in changed)
    used = len(set(old.actions[mask].tolist()) | set(old.step_actions.tolist()))
    if max(len(schedule.legend), len(schedule.step_legend)) + used > MAX_LEGEND:
        schedule = schedule.compact()
    return schedule.keep(old, mask), kept


def resampled(locks: Runs, schedule: Schedule, steps: int) -> Runs:
    """The locks carried over to another number of steps as the schedule itself is."""
    if not locks:
        return ()
    cells = mask_of(locks, schedule).astype(np.uint8)
    plain = Schedule(cells, (Reuse(),), schedule.branches, schedule.context)
    return runs_of(plain.resample(steps).actions != 0)
