"""Locked cells in a schedule file: a row of signs for every branch that has any, one per step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from caching.errors import ScheduleError
from caching.formats.rows import encode, row_names
from caching.schedule import Schedule

OPEN, LOCKED = "-", "#"


def encode_locks(locks: NDArray[np.bool_], schedule: Schedule) -> dict[str, str]:
    """Bool (S, L, R) as row name to signs; ScheduleError where it does not go with the schedule."""
    if locks.shape != schedule.actions.shape or locks[0].any():
        raise ScheduleError(
            f"locks of shape {locks.shape} given: expected {schedule.actions.shape}, and none at "
            "step 0, which always computes"
        )
    names = row_names(schedule.blocks, schedule.branches)
    rows = zip(names, encode(locks.astype(np.uint8), OPEN + LOCKED), strict=True)
    return {name: row for name, row in rows if LOCKED in row}


def decode_locks(value: object, schedule: Schedule, *, ascending: bool) -> NDArray[np.bool_]:
    """What `encode_locks` wrote as bool (S, L, R); ScheduleError for anything else.

    `ascending`: the last executed step stands first in every row.
    """
    names, steps = row_names(schedule.blocks, schedule.branches), schedule.steps
    if not isinstance(value, dict) or not set(value) <= set(names):
        raise ScheduleError(
            'locks must be an object of rows of this schedule, such as {"block 0 attn": "-##-"}'
        )
    for name, row in value.items():
        if not isinstance(row, str) or len(row) != steps or set(row) - {OPEN, LOCKED}:
            raise ScheduleError(
                f"locks of {name} are {row!r:.60}: expected {steps} signs, {OPEN} for a free cell "
                f"and {LOCKED} for a locked one"
            )
    rows = [value.get(name, OPEN * steps)[:: -1 if ascending else 1] for name in names]
    if any(row[0] == LOCKED for row in rows):
        raise ScheduleError("locks: step 0 always computes and cannot be locked; take it out")
    flat = np.array([[sign == LOCKED for sign in row] for row in rows], bool)
    return flat.reshape(schedule.blocks, -1, steps).transpose(2, 0, 1)
