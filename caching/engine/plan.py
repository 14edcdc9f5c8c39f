"""What a run must keep and for how long, worked out from the schedule before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caching.actions.base import Key
from caching.schedule import Schedule

NEVER = -1


@dataclass(frozen=True, eq=False)
class Plan:
    """When every stored thing is used for the last time.

    Attributes:
        last_use: int32 (S, L, R), the last step that reads what the cell stored at step s, or -1
            where nothing needs storing.
        memo_use: by legend number, likewise for the memos of predictors that `computes`.
        watched: by legend number, bool (S, L) blocks whose computed cells the predictor watches.
        remembered: by key, int32 (S,), likewise for what whole-step actions recall.
        alias: bool (S, L, R), the stored output is one that was stored before, not a new one.
        fresh: bool (S, L, R), computed on the whole batch.
    """

    last_use: NDArray[np.int32]
    memo_use: dict[int, NDArray[np.int32]]
    watched: dict[int, NDArray[np.bool_]]
    remembered: dict[Key, NDArray[np.int32]]
    alias: NDArray[np.bool_]
    fresh: NDArray[np.bool_]


class _Ring:
    """For every cell the newest K steps that stored something, newest first; -1 where none."""

    def __init__(self, size: int, cells: int) -> None:
        self.steps = np.full((size, cells), NEVER, np.int32)

    def push(self, step: int, where: NDArray[np.bool_]) -> None:
        self.steps[1:, where] = self.steps[:-1, where]
        self.steps[0, where] = step

    def mark(self, table: NDArray[np.int32], where: NDArray[np.bool_], depth: int, s: int) -> None:
        """Set table[e, cell] = s for the newest `depth` entries e of the cells `where`."""
        for row in self.steps[:depth]:
            cells = np.flatnonzero(where & (row != NEVER))
            table[row[cells], cells] = s


def ran_cells(schedule: Schedule) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Bool (S, L, R): cells that run at all, and those that run on the whole batch."""
    ran = ~schedule.covered
    half = [n for n, a in enumerate(schedule.step_legend, 1) if a.half]
    whole = ran & ~np.isin(schedule.step_actions, half)[:, None, None]
    return ran, whole


def make_plan(schedule: Schedule) -> Plan:
    """The plan of a schedule; array work over cells, a Python loop over steps only."""
    steps, legend = schedule.steps, schedule.legend
    flat = schedule.actions.reshape(steps, -1)  # (S, L R)
    ran, whole = (a.reshape(steps, -1) for a in ran_cells(schedule))
    cells = flat.shape[1]
    depth = max((p.keeps for p in legend), default=1) or 1
    computed, stored = _Ring(depth, cells), _Ring(depth, cells)
    last_use = np.full((steps, cells), NEVER, np.int32)
    memo_use = {
        n: np.full((steps, cells), NEVER, np.int32) for n, p in enumerate(legend, 1) if p.computes
    }
    # An alias shares its tensor with the entry it was made from, which is then held as long.
    alias = np.zeros((steps, cells), bool)
    fresh = (flat == 0) & whole
    used = [n for n in range(1, len(legend) + 1) if (flat[ran] == n).any()]
    for s in range(steps):
        for n in used:
            where = (flat[s] == n) & ran[s]
            if not where.any():
                continue
            p = legend[n - 1]
            if p.stores_output():
                ring = stored if p.looks_at == "stored" else computed
                ring.mark(last_use, where, p.keeps, s)
            if n in memo_use:
                computed.mark(memo_use[n], where, 1, s)
            if p.kind == "reuse":
                alias[s] |= where
        computed.push(s, fresh[s])
        stored.push(s, whole[s])
    shape = schedule.actions.shape
    blocks_of = {
        n: np.any(((flat == n) & ran).reshape(shape), axis=2) for n in used if legend[n - 1].watches
    }
    return Plan(
        last_use=last_use.reshape(shape),
        memo_use={n: m.reshape(shape) for n, m in memo_use.items() if n in used},
        watched={n: _until_last(b) for n, b in blocks_of.items()},
        remembered=_remembered(schedule),
        alias=alias.reshape(shape),
        fresh=fresh.reshape(shape),
    )


def _until_last(used: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Bool (S, L): steps at or before which the block is still going to be used."""
    later: NDArray[np.bool_] = np.cumsum(used[::-1], axis=0)[::-1] > 0
    return later


def spans(key: Key, blocks: int) -> range:
    """The blocks that must all have run for `key` to be taken anew."""
    return range(key[0], key[1]) if len(key) == 2 else range(blocks)


def refreshed_at(schedule: Schedule, key: Key) -> NDArray[np.bool_]:
    """Bool (S,): steps that take `key` anew, because all it spans ran on the whole batch."""
    _, whole = ran_cells(schedule)
    blocks = spans(key, schedule.blocks)
    refreshed: NDArray[np.bool_] = np.all(whole[:, blocks.start : blocks.stop], axis=(1, 2))
    return refreshed


def _remembered(schedule: Schedule) -> dict[Key, NDArray[np.int32]]:
    tables: dict[Key, NDArray[np.int32]] = {}
    for number, action in enumerate(schedule.step_legend, 1):
        uses = np.flatnonzero(schedule.step_actions == number)
        for key in action.remembers(schedule.blocks) if len(uses) else ():
            table = tables.setdefault(key, np.full(schedule.steps, NEVER, np.int32))
            at = np.flatnonzero(refreshed_at(schedule, key))
            for s in uses:
                for e in at[at < s][-action.depth :]:
                    table[e] = max(table[e], s)
    return tables


def peak_bytes(
    schedule: Schedule,
    plan: Plan,
    *,
    cell_bytes: int,
    memo_bytes: Mapping[int, Sequence[int]] | None = None,
    key_bytes: Mapping[Key, int] | None = None,
) -> int:
    """The most bytes that a run of the schedule holds for later steps at any moment.

    Taken after every cell, not after every step: a step stores new outputs in its first blocks
    while the last blocks still hold what they are about to use for the last time.

    Args:
        cell_bytes: of one output.
        memo_bytes: by legend number, of one memo of each branch (R,).
        key_bytes: of one remembered value.
    """
    last, steps = plan.last_use.copy(), schedule.steps
    flat, alias = last.reshape(steps, -1), plan.alias.reshape(steps, -1)
    # A stored alias makes its source live as long as itself.
    for s in range(steps - 1, 0, -1):
        a = np.flatnonzero(alias[s] & (flat[s] > s))
        if len(a):
            sources = _sources(plan, s, a)
            flat[sources, a] = np.maximum(flat[sources, a], flat[s, a])
            flat[s, a] = NEVER
    branches = len(schedule.branches)
    total = _running(last, [cell_bytes] * branches)
    for number, memo in plan.memo_use.items():
        total += _running(memo, (memo_bytes or {})[number])
    for key, table in plan.remembered.items():
        for s, until in enumerate(table):
            if until > s:
                total[s : until + 1] += (key_bytes or {})[key]
    return int(total.max())


def _sources(plan: Plan, s: int, cells: NDArray[np.intp]) -> NDArray[np.intp]:
    """For reused cells at step s, the step whose computed output they hand on."""
    fresh = plan.fresh.reshape(len(plan.fresh), -1)[:s, cells]
    found: NDArray[np.intp] = s - 1 - np.argmax(fresh[::-1], axis=0)
    return found


def _running(last_use: NDArray[np.int32], size: Sequence[int]) -> NDArray[np.int64]:
    """Last uses (S, L, R) -> bytes held right after every cell, in order of execution."""
    steps = len(last_use)
    flat = last_use.reshape(steps, -1)
    stored = (flat > np.arange(steps)[:, None]).astype(np.int64)
    change = stored.copy()
    s, cells = np.nonzero(stored)
    np.subtract.at(change, (flat[s, cells], cells), 1)
    weighted = change.reshape(last_use.shape) * np.asarray(size, np.int64)
    return weighted.cumsum().reshape(last_use.shape)
