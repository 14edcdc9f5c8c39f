"""Budget: the schedules that lose least at every cost, found exactly under an additive error.

Where the error of a schedule is a sum over reused cells that looks at each cell's age only, the
rows of the grid have nothing to do with each other but the budget they share. One dynamic program
over (computed cells so far, last computed step) gives the best pattern of a row for every number of
computed cells; the lower convex hull of those is what the row does under any Lagrange multiplier,
and the hull edges of all rows, steepest gain first, are the best schedules of all budgets at once.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caching.checks import MAX_STEPS, check_branches, check_count
from caching.context import Context
from caching.errors import ScheduleError
from caching.policies.patterns import (
    COMPUTED,
    FREE,
    REUSED,
    Change,
    Patterns,
    best_patterns,
    changes,
    forbid,
    row_losses,
    span_losses,
)
from caching.schedule import BRANCHES, Schedule

Share = Literal["free", "blocks", "steps"]

FASTEST = 5.0
POINTS = 129


@dataclass(frozen=True, eq=False)
class Costs:
    """What running costs, in milliseconds or in MACs; all steps alike.

    Attributes:
        fixed: of a step outside all branches.
        compute: float64 (L, R) of a computed branch.
        reuse: float64 (L, R) of a reused one.
        unit: "ms" or "MACs".
    """

    fixed: float
    compute: NDArray[np.float64]
    reuse: NDArray[np.float64]
    unit: str

    def __post_init__(self) -> None:
        compute, reuse = (np.array(a, np.float64) for a in (self.compute, self.reuse))
        values = np.concatenate([[float(self.fixed)], compute.ravel(), reuse.ravel()])
        if compute.ndim != 2 or compute.shape != reuse.shape or not compute.size:
            raise ScheduleError(
                f"costs of {compute.shape} computed and {reuse.shape} reused branches were given: "
                "expected one of each for blocks by branches"
            )
        if not (np.isfinite(values) & (values >= 0)).all() or not self.fixed + compute.sum() > 0:
            raise ScheduleError(
                "a cost is negative, not finite, or all are 0: expected what a model costs; "
                "measure it again"
            )
        for name, array in (("compute", compute), ("reuse", reuse)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def of(self, computed: NDArray[np.bool_]) -> float:
        """What a run costs whose cells are computed as in bool (S, L, R), reused elsewhere."""
        cells = np.where(computed, self.compute, self.reuse).sum()
        return len(computed) * float(self.fixed) + float(cells)


@dataclass(frozen=True, eq=False)
class Front:
    """The best schedule of every budget asked for, most expensive first.

    Attributes:
        packed: uint8 (F, B) bits of the computed cells, in the order of a grid (S, L, R).
        shape: (S, L, R).
        speedup: float64 (F,) cost of the full schedule over that of each; rising.
        error: float64 (F,) what the table says it loses; rising where the table does.
        costs: what speed-ups were counted in.
    """

    packed: NDArray[np.uint8]
    shape: tuple[int, int, int]
    speedup: NDArray[np.float64]
    error: NDArray[np.float64]
    costs: Costs
    branches: tuple[str, ...] = BRANCHES
    context: Context | None = field(default=None)

    def __len__(self) -> int:
        return len(self.speedup)

    def computed(self, index: int) -> NDArray[np.bool_]:
        """Bool (S, L, R) of one schedule."""
        bits = np.unpackbits(self.packed[index], count=math.prod(self.shape))
        return bits.reshape(self.shape).astype(bool)

    def schedule(self, index: int) -> Schedule:
        """One schedule, everything not computed reused."""
        actions = (~self.computed(index)).astype(np.uint8)
        return Schedule(actions, branches=self.branches, context=self.context)

    def to_json(self) -> dict[str, Any]:
        """Plain values for the page: `bits` is base64 of F rows of B bytes, first cell highest."""
        return {
            "shape": list(self.shape),
            "speedup": self.speedup.tolist(),
            "error": self.error.tolist(),
            "bits": base64.b64encode(self.packed.tobytes()).decode("ascii"),
            "unit": self.costs.unit,
        }


def budget_schedules(
    error: ArrayLike,
    costs: Costs,
    *,
    speedups: Sequence[float] | None = None,
    locked: ArrayLike | None = None,
    share: Share = "free",
    spans: ArrayLike | None = None,
    max_age: int | None = None,
    branches: Sequence[str] = BRANCHES,
    context: Context | None = None,
) -> Front:
    """For each speed-up the schedule of least error that is at least as fast; Reuse only.

    Exact in this sense: each is the minimum of error + multiplier x cost for some multiplier, over
    all schedules that obey the constraints, and between two such a row at a time changes over.

    Args:
        error: (S, L, R, A) error, 0 or more, of reusing a cell at ages 1..A; what lies before step
            0 is not read. Ages beyond A, which only locks can lead to, grow in proportion.
        costs: of a run.
        speedups: what to aim at, 1 or more, rising; None: 1 to 5 in 129 equal ratios.
        locked: (S, L, R), 0 = free, 1 = stays computed, 2 = stays reused; None: all free.
        share: "free" lets every row have its own pattern, "blocks" gives all blocks of a branch
            the same, "steps" whole steps only. A lock then holds for all that share.
        spans: (S, S + 1) error of reusing whole all steps between computed steps i and j, NaN where
            not known; with "steps" it takes the place of the sum over `error`.
        max_age: the most steps a free cell may be reused in a row, at most A; None: A.
        branches: R names.
        context: the run the errors were measured on.

    Raises:
        ScheduleError: shapes that do not agree, numbers out of range, or locks that contradict.
    """
    table, held = _checked(error, costs, locked, branches)
    steps, blocks, width, ages = table.shape
    most = ages if max_age is None else check_count("max_age", max_age, ages)
    groups = _groups(blocks, width, share)  # (G, L R) of 0 and 1
    if spans is None or share != "steps":
        flat = table.reshape(steps, blocks * width, ages)
        losses = row_losses(np.einsum("scA,gc->sgA", flat, groups.astype(np.float64)))
    else:
        losses = span_losses(_checked_spans(spans, steps))
    shared = _held(held.reshape(steps, -1), groups, branches)
    found = best_patterns(forbid(losses, shared, most))
    price = groups @ (costs.compute - costs.reuse).reshape(-1)
    floor = steps * (float(costs.fixed) + float(costs.reuse.sum()))
    full = steps * (float(costs.fixed) + float(costs.compute.sum()))
    walk = list(_walk(found, price, full, floor, speedups_of(speedups)))
    packed = [np.packbits(pattern @ groups > 0) for pattern, _, _ in walk]
    return Front(
        packed=np.stack(packed),
        shape=(steps, blocks, width),
        speedup=full / np.array([cost for _, cost, _ in walk]),
        error=np.array([loss for _, _, loss in walk]),
        costs=costs,
        branches=tuple(branches),
        context=context,
    )


def at_speedup(front: Front, speedup: float) -> Schedule:
    """The least that has to be reused to be `speedup` times as fast; the fastest where none is."""
    if not math.isfinite(speedup):
        raise ScheduleError(f"a speed-up of {speedup} was asked for: expected a number, 1 or more")
    index = int(np.searchsorted(front.speedup, speedup * (1 - 1e-9)))
    return front.schedule(min(index, len(front) - 1))


def best_of(fronts: Sequence[Front], predicted_db: ArrayLike) -> Front:
    """At every budget the schedule of the front that is predicted to do best there.

    Args:
        fronts: of the same speed-ups asked for and the same costs, for instance one for each way of
            sharing.
        predicted_db: (fronts, F) what each schedule is predicted to reach; more is better.
    """
    scores = np.asarray(predicted_db, np.float64)
    if not fronts or scores.shape != (len(fronts), len(fronts[0])):
        raise ScheduleError(
            f"predictions are {scores.shape} for {len(fronts)} fronts: expected one for each "
            "schedule of each front"
        )
    if any(len(f) != len(fronts[0]) or f.shape != fronts[0].shape for f in fronts):
        raise ScheduleError("the fronts are of different grids or budgets: make them alike")
    chosen = scores.argmax(axis=0)
    at = range(len(chosen))
    return replace(
        fronts[0],
        packed=np.stack([fronts[f].packed[i] for i, f in zip(at, chosen, strict=True)]),
        speedup=np.array([fronts[f].speedup[i] for i, f in zip(at, chosen, strict=True)]),
        error=np.array([fronts[f].error[i] for i, f in zip(at, chosen, strict=True)]),
    )


def locks(schedule: Schedule, cells: ArrayLike) -> NDArray[np.uint8]:
    """Locks (S, L, R) that hold the given cells, bool (S, L, R), as the schedule has them."""
    kept = np.where(schedule.computed, COMPUTED, REUSED)
    return np.where(np.asarray(cells, bool), kept, FREE).astype(np.uint8)


def _walk(
    found: Patterns, price: NDArray[np.float64], full: float, floor: float, goals: list[float]
) -> Iterator[tuple[NDArray[np.bool_], float, float]]:
    """For each goal the groups' patterns (S, G), what they cost and what they lose."""
    counts, steps = changes(found.losses, price)
    at = np.arange(len(counts))
    cost = floor + float((counts * price).sum())
    loss = float(found.losses[counts - 1, at].sum())
    last: Change | None = None
    rest = iter(steps)
    for goal in goals:
        # A hair of slack, so that a budget met exactly is not missed by a rounding.
        limit = full / goal * (1 + 1e-12)
        while cost > limit and (change := next(rest, None)) is not None:
            counts[change.group] = change.computed
            cost, loss, last = cost + change.cost, loss + change.loss, change
        extra = 0
        if last is not None and cost <= limit:
            # A hull edge may span several steps at once. The counts between its ends lie above the
            # hull, so no multiplier picks them, but they are the best of their row all the same.
            spare = int((limit - cost) / price[last.group])
            own = found.losses[last.computed - 1 : last.computed + spare, last.group]
            extra = int(own.argmin())
        used = counts.copy()
        if last is not None and extra:
            used[last.group] += extra
            more = extra * float(price[last.group]), float(own[extra] - own[0])
        else:
            more = 0.0, 0.0
        # A sum of gains and losses could come out a rounding below zero.
        yield found.computed[used - 1, at].T, cost + more[0], max(0.0, loss + more[1])


# -- what was asked for --------------------------------------------------------------------


def _checked(
    error: ArrayLike, costs: Costs, locked: ArrayLike | None, branches: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    table = np.asarray(error)
    names = check_branches(tuple(branches))
    if table.ndim != 4 or table.dtype.kind != "f" or 0 in table.shape:
        raise ScheduleError(
            f"errors are {table.dtype} {table.shape}: expected floats (steps, blocks, branches, "
            "ages)"
        )
    steps, blocks, width, ages = table.shape
    check_count("steps", steps, MAX_STEPS)
    if costs.compute.shape != (blocks, width) or width != len(names):
        raise ScheduleError(
            f"errors are of {blocks} blocks and {width} branches, costs of "
            f"{costs.compute.shape} and names of {len(names)}: expected the same of all"
        )
    unread = np.arange(steps)[:, None] < np.arange(1, ages + 1)
    table = np.where(unread[:, None, None, :], 0.0, table.astype(np.float64))
    if not (np.isfinite(table) & (table >= 0)).all():
        step, block, branch, age = map(int, np.argwhere(~(np.isfinite(table) & (table >= 0)))[0])
        raise ScheduleError(
            f"block {block}, {names[branch]}, step {step}: the error at age {age + 1} is "
            f"{table[step, block, branch, age]}: expected 0 or more; measure again"
        )
    held = np.zeros(table.shape[:3], np.uint8) if locked is None else np.asarray(locked)
    if held.shape != table.shape[:3] or held.dtype.kind not in "iu" or held.max() > REUSED:
        raise ScheduleError(
            f"locks are {held.dtype} {held.shape}: expected 0, 1 or 2 for {table.shape[:3]}"
        )
    if (held[0] == REUSED).any():
        raise ScheduleError(
            "a cell of step 0 is locked as reused: nothing is stored before it; unlock it"
        )
    return table, held.astype(np.uint8)


def _checked_spans(spans: ArrayLike, steps: int) -> NDArray[np.float64]:
    """The errors of spans, checked; NaN where not known."""
    given = np.asarray(spans, np.float64)
    between = np.arange(steps + 1) > np.arange(steps)[:, None]
    if given.shape != (steps, steps + 1):
        raise ScheduleError(
            f"errors of spans are {given.shape}: expected {(steps, steps + 1)}, computed step by "
            "the next computed step"
        )
    if not np.isfinite(np.diagonal(given, 1)).all() or (given[between] < 0).any():
        raise ScheduleError("errors of spans are negative or missing: measure again")
    return np.where(between, given, np.nan)


def speedups_of(speedups: Sequence[float] | None) -> list[float]:
    """The speed-ups to aim at, checked; 1 to 5 in equal ratios for None."""
    goals = np.geomspace(1.0, FASTEST, POINTS) if speedups is None else np.asarray(speedups, float)
    if goals.ndim != 1 or not goals.size or not np.isfinite(goals).all() or goals.min() < 1:
        raise ScheduleError(f"speed-ups are {speedups!r:.60}: expected numbers of 1 or more")
    if (np.diff(goals) < 0).any():
        raise ScheduleError(f"speed-ups are {speedups!r:.60}: expected them to rise; sort them")
    return [float(goal) for goal in goals]


def _groups(blocks: int, width: int, share: str) -> NDArray[np.int64]:
    """Which rows share one pattern: (G, L R) of 0 and 1."""
    rows = np.eye(blocks * width, dtype=np.int64)
    if share == "free":
        return rows
    if share == "blocks":
        return np.asarray(rows.reshape(blocks, width, -1).sum(axis=0))
    if share == "steps":
        return np.asarray(rows.sum(axis=0, keepdims=True))
    raise ScheduleError(f'share is {share!r:.40}: expected "free", "blocks" or "steps"')


def _held(
    held: NDArray[np.uint8], groups: NDArray[np.int64], branches: Sequence[str]
) -> NDArray[np.uint8]:
    """Locks (S, L R) of rows -> locks (S, G) of what shares a pattern; step 0 is computed."""
    computed, reused = ((held == kind) @ groups.T > 0 for kind in (COMPUTED, REUSED))
    computed[0] = True
    if (computed & reused).any():
        step, group = map(int, np.argwhere(computed & reused)[0])
        labels = [
            f"block {row // len(branches)} {branches[row % len(branches)]}"
            for row in map(int, np.flatnonzero(groups[group] & (held[step] > 0)))
        ]
        raise ScheduleError(
            f"step {step}: {', '.join(labels[:4])} are to share one pattern, but some are locked "
            "as computed and some as reused; unlock some, or let every row have its own pattern"
        )
    return np.where(computed, COMPUTED, np.where(reused, REUSED, FREE)).astype(np.uint8)
