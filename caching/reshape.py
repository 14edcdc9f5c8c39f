"""Edits of chosen cells: mirror, rotate, every n-th, randomise, invert, keep the ends, move.

The painter has the same in the browser (viz/grid/reshape.js), so that a script can do what a hand
did. Chosen cells of step 0 take no part: it is always computed. A *line* is the chosen cells of one
row through time ("time"), or of one step and branch over the blocks ("blocks").
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caching.checks import check_count
from caching.edits import mask_of
from caching.errors import ScheduleError

if TYPE_CHECKING:
    from caching.schedule import Schedule

Way = Literal["time", "blocks"]


def mirror(schedule: Schedule, cells: ArrayLike, way: Way = "time") -> Schedule:
    """The actions of every line in reverse order.

    Args:
        schedule: the schedule to start from; its context and legend are kept, as in all edits here.
        cells: bool (S, L, R), or whole numbers (n, 3) of step, block and branch.
        way: what a line runs along.
    """
    return _lines(schedule, cells, way, lambda line: line[::-1])


def rotate(schedule: Schedule, cells: ArrayLike, by: int, way: Way = "time") -> Schedule:
    """The actions of every line `by` places later; what leaves at one end comes in at the other."""
    return _lines(schedule, cells, way, lambda line: np.roll(line, by))


def every(
    schedule: Schedule, cells: ArrayLike, n: int, *, offset: int = 0, action: int = 1
) -> Schedule:
    """Computes every n-th step from the first chosen one plus `offset` on; `action` between."""
    mask = _movable(schedule, cells)
    n = check_count("n", n, schedule.steps)
    steps = np.flatnonzero(mask.any(axis=(1, 2)))
    if not len(steps):
        return schedule
    computed = (np.arange(schedule.steps) - steps[0] - offset) % n == 0
    values = np.where(computed, 0, _action(schedule, action))
    return _with(schedule, np.where(mask, values[:, None, None], schedule.actions))


def randomise(
    schedule: Schedule, cells: ArrayLike, share: float, seed: int, *, action: int = 1
) -> Schedule:
    """`share` of the chosen cells, to the nearest whole one, get `action`; the others compute.

    The same seed gives the same cells as in the painter, which counts cells row by row.
    """
    if not 0 <= share <= 1:
        raise ScheduleError(f"share is {share!r}: expected 0 to 1")
    mask = _movable(schedule, cells).transpose(1, 2, 0).reshape(-1)
    order = np.flatnonzero(mask).tolist()
    draw = _draws(check_count("seed", seed, 2**32 - 1, least=0))
    for k in range(len(order) - 1, 0, -1):  # Fisher and Yates
        j = int(next(draw) * (k + 1))
        order[k], order[j] = order[j], order[k]
    count = int(share * len(order) + 0.5)
    flat = schedule.actions.transpose(1, 2, 0).reshape(-1).copy()
    flat[order[count:]] = 0
    flat[order[:count]] = _action(schedule, action)
    steps, blocks, branches = schedule.actions.shape
    return _with(schedule, flat.reshape(blocks, branches, steps).transpose(2, 0, 1))


def invert(schedule: Schedule, cells: ArrayLike, *, action: int = 1) -> Schedule:
    """Computed cells get `action`, the others compute."""
    mask = _movable(schedule, cells)
    other = np.where(schedule.actions == 0, _action(schedule, action), 0)
    return _with(schedule, np.where(mask, other, schedule.actions))


def keep_ends(schedule: Schedule, cells: ArrayLike, first: int, last: int) -> Schedule:
    """The first and last chosen steps of every row compute; what lies between stays."""

    def ends(line: NDArray[np.uint8]) -> NDArray[np.uint8]:
        kept = line.copy()
        kept[:first] = 0
        kept[max(0, len(line) - last) :] = 0
        return kept

    return _lines(schedule, cells, "time", ends)


def move(schedule: Schedule, cells: ArrayLike, *, rows: int = 0, steps: int = 0) -> Schedule:
    """The chosen actions elsewhere, computed where they were.

    Args:
        schedule, cells: as in `mirror`.
        rows: how far down; a row is a block and a branch, block-major.
        steps: how much later.

    Raises:
        ScheduleError: a cell would leave the grid or come to step 0.
    """
    mask = _movable(schedule, cells)
    s, l, r = np.nonzero(mask)  # noqa: E741
    count, branches = schedule.steps, schedule.actions.shape[2]
    row, step = l * branches + r + rows, s + steps
    if ((row < 0) | (row >= schedule.blocks * branches) | (step < 1) | (step >= count)).any():
        raise ScheduleError(
            f"cells cannot move by {rows} rows and {steps} steps: some would leave the grid, or "
            "come to step 0, which always computes"
        )
    actions = np.where(mask, np.uint8(0), schedule.actions)
    actions[step, row // branches, row % branches] = schedule.actions[mask]
    return _with(schedule, actions)


def _movable(schedule: Schedule, cells: ArrayLike) -> NDArray[np.bool_]:
    mask = mask_of(cells, schedule.actions.shape, schedule.branches)
    mask[0] = False
    return mask


def _action(schedule: Schedule, action: int) -> int:
    return check_count("action", action, len(schedule.legend), least=0)


def _with(schedule: Schedule, actions: NDArray[np.uint8]) -> Schedule:
    return dataclasses.replace(schedule, actions=actions.astype(np.uint8))


def _lines(
    schedule: Schedule,
    cells: ArrayLike,
    way: Way,
    change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
) -> Schedule:
    """The schedule with every line of chosen cells changed by a function of its actions."""
    if way not in ("time", "blocks"):
        raise ScheduleError(f"way is {way!r:.30}: expected 'time' or 'blocks'")
    mask, actions = _movable(schedule, cells), schedule.actions.copy()
    steps, blocks, branches = actions.shape
    firsts, seconds = (blocks, branches) if way == "time" else (steps, branches)
    for a in range(firsts):
        for b in range(seconds):
            place = (slice(None), a, b) if way == "time" else (a, slice(None), b)
            chosen = mask[place]
            if chosen.any():
                line = actions[place]
                line[chosen] = change(line[chosen])
    return _with(schedule, actions)


def _draws(seed: int) -> Iterator[float]:
    """Numbers 0 <= x < 1 from a seed: mulberry32, which a browser computes alike."""
    state, most = seed, 2**32 - 1
    while True:
        state = (state + 0x6D2B79F5) & most
        t = ((state ^ (state >> 15)) * (state | 1)) & most
        t = ((t + (((t ^ (t >> 7)) * (t | 61)) & most)) & most) ^ t
        yield ((t ^ (t >> 14)) & most) / 2**32
