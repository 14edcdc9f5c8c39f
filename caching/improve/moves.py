"""Moves: small changes of a grid that keep its cost, for a search to try. Needs no torch.

Cells trade places: what one of them is painted with goes to the other, so the mix of brushes stays
and, between rows of equal cost, the cost too. Shapes: S steps, L blocks, R branches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from caching.errors import ScheduleError
from caching.schedule import Schedule

KINDS = ("shift", "in a row", "in a step", "anywhere", "branches", "brush")
"""shift: a step's cells change places with the next step's; in a row, in a step, anywhere: cells
that are computed and cells that are not change places; branches: such of two branches, whatever
they cost; brush: cells that are not computed get another brush."""

SIZES = ("one", "few", "half", "all")
"""How many of a step's rows take part."""


DEPTHS = (1, 2, 4, 8, 16)
"""How many moves, each ranked by prediction, lie between two measured grids."""


@dataclass(frozen=True)
class Move:
    """What is drawn for a proposal, of `KINDS`, `SIZES` and `DEPTHS`."""

    kind: str
    size: str
    depth: int


@dataclass(frozen=True, eq=False)
class Ground:
    """What a search may touch.

    Attributes:
        free: bool (S, L, R).
        costs: float64 (L, R) of computing a cell rather than not.
        brushes: numbers of the legend that may stand in.
    """

    free: NDArray[np.bool_]
    costs: NDArray[np.float64]
    brushes: tuple[int, ...]

    def __post_init__(self) -> None:
        free = np.array(self.free, bool)
        free[0] = False  # nothing is stored before step 0
        free.setflags(write=False)
        object.__setattr__(self, "free", free)
        if free.ndim != 3 or self.costs.shape != free.shape[1:]:
            raise ScheduleError(
                f"free cells are {free.shape} and costs {self.costs.shape}: expected (steps, "
                "blocks, branches) and the last two of them"
            )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The moves that can change anything here."""
        kinds = KINDS if len(self.brushes) > 1 else KINDS[:-1]
        return kinds if self.costs.shape[1] > 1 else tuple(k for k in kinds if k != "branches")


def ground_of(
    schedule: Schedule,
    costs: NDArray[np.float64],
    *,
    locked: NDArray[np.bool_] | None = None,
    brushes: tuple[int, ...] | None = None,
) -> Ground:
    """Everything but locked cells and those that a whole-step action covers.

    Raises:
        ScheduleError: nothing can be moved; the message says why.
    """
    free = ~schedule.covered
    if locked is not None:
        if np.shape(locked) != free.shape:
            raise ScheduleError(
                f"locked cells are {np.shape(locked)}: expected {free.shape}, as the grid"
            )
        free = free & ~np.asarray(locked, bool)
    used = tuple(sorted(set(schedule.actions[free].tolist()) - {0}))
    ground = Ground(free, costs, used if brushes is None else brushes)
    if not used or (schedule.actions[ground.free] > 0).all():
        raise ScheduleError(
            "every cell that is free to change is computed, or none is: nothing can be moved at "
            "this speed-up; paint or unlock some cells, or choose a method first"
        )
    return ground


def moved(
    schedule: Schedule, ground: Ground, kind: str, size: str, random: np.random.Generator
) -> Schedule:
    """The schedule after one move; the same one where the move drawn changes nothing."""
    steps, _, branches = schedule.actions.shape
    cells = schedule.actions.reshape(steps, -1).copy()
    free = ground.free.reshape(steps, -1)
    rows = _rows(size, cells.shape[1], branches, random)
    match kind:
        case "shift":
            s = int(random.integers(1, max(2, steps - 1)))
            _swap(cells, free, rows, s, min(s + 1, steps - 1))
        case "in a row":
            s, t = random.integers(1, steps, 2) if steps > 1 else (0, 0)
            _swap(cells, free, rows, int(s), int(t))
        case "in a step":
            s = int(random.integers(0, steps))
            _trade(cells, free & (np.arange(steps) == s)[:, None], rows, branches, random)
        case "anywhere":
            _trade(cells, free, rows, branches, random)
        case "branches":
            _exchange(cells, free, ground.costs.reshape(-1), len(rows), branches, random)
        case "brush":
            _repaint(cells, free, rows, ground.brushes, random)
        case _:
            raise ScheduleError(f"move {kind!r:.40} is not known: expected one of {KINDS}")
    if (cells == schedule.actions.reshape(steps, -1)).all():
        return schedule
    return replace(schedule, actions=cells.reshape(schedule.actions.shape))


def filled(
    schedule: Schedule, ground: Ground, spare: float, random: np.random.Generator
) -> Schedule:
    """The schedule with more cells computed, in random order, while they cost at most `spare`."""
    if spare < ground.costs.min():
        return schedule
    cells = schedule.actions.copy()
    places = np.argwhere((cells > 0) & ground.free)
    for s, block, branch in random.permutation(places).tolist():
        if (cost := float(ground.costs[block, branch])) <= spare:
            cells[s, block, branch] = 0
            spare -= cost
    return replace(schedule, actions=cells)


def _rows(size: str, count: int, branches: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Rows that take part: some of all, or now and then some of one branch."""
    chosen = np.arange(count)
    if random.random() < 0.5:
        chosen = chosen[chosen % branches == random.integers(branches)]
    most = {"one": 1, "few": 3, "half": max(1, len(chosen) // 2), "all": len(chosen)}
    if size not in most:
        raise ScheduleError(f"size {size!r:.40} is not known: expected one of {SIZES}")
    if size == "half":  # neighbouring blocks, which often behave alike
        start = int(random.integers(0, len(chosen) - most[size] + 1))
        return chosen[start : start + most[size]]
    return random.permutation(chosen)[: most[size]]


def _swap(
    cells: NDArray[np.uint8], free: NDArray[np.bool_], rows: NDArray[np.int64], s: int, t: int
) -> None:
    """The rows' cells of two steps change places, where both are free."""
    both = rows[free[s, rows] & free[t, rows]]
    cells[s, both], cells[t, both] = cells[t, both], cells[s, both]


def _trade(
    cells: NDArray[np.uint8],
    free: NDArray[np.bool_],
    rows: NDArray[np.int64],
    branches: int,
    random: np.random.Generator,
) -> None:
    """As many computed cells as `rows` change places with others, branch by branch."""
    for branch in np.unique(rows % branches):
        own = free & (np.arange(cells.shape[1]) % branches == branch)
        count = int((rows % branches == branch).sum())
        _exchange_in(cells, own & (cells == 0), own & (cells > 0), count, random)


def _exchange_in(
    cells: NDArray[np.uint8],
    computed: NDArray[np.bool_],
    others: NDArray[np.bool_],
    count: int,
    random: np.random.Generator,
) -> None:
    a, b = (random.permutation(np.argwhere(where)) for where in (computed, others))
    n = min(count, len(a), len(b))
    one, other = tuple(a[:n].T), tuple(b[:n].T)
    cells[one], cells[other] = cells[other], cells[one]


def _exchange(
    cells: NDArray[np.uint8],
    free: NDArray[np.bool_],
    costs: NDArray[np.float64],
    count: int,
    branches: int,
    random: np.random.Generator,
) -> None:
    """Cells of one branch are no longer computed and those of another are, for at most as much."""
    one, other = random.permutation(branches)[:2]
    at = np.arange(cells.shape[1]) % branches
    pay = random.permutation(np.argwhere(free & (cells == 0) & (at == one)))[:count]
    want = random.permutation(np.argwhere(free & (cells > 0) & (at == other)))
    purse, brushes = 0.0, []
    for s, row in pay.tolist():
        purse += costs[row]
        brushes.append((s, row))
    taken = []
    for s, row in want.tolist():
        if costs[row] > purse:
            break
        purse -= costs[row]
        taken.append(int(cells[s, row]))
        cells[s, row] = 0
    if not taken:
        return
    for k, (s, row) in enumerate(brushes):
        cells[s, row] = taken[k % len(taken)]


def _repaint(
    cells: NDArray[np.uint8],
    free: NDArray[np.bool_],
    rows: NDArray[np.int64],
    brushes: tuple[int, ...],
    random: np.random.Generator,
) -> None:
    """Reused cells of some rows, in a stretch of steps, get one of the brushes."""
    first, last = np.sort(random.integers(0, len(cells), 2))
    where = np.zeros(cells.shape, bool)
    where[first : last + 1, rows] = True
    cells[where & free & (cells > 0)] = random.choice(brushes)
