"""What a run must keep and for how long, worked out from the schedule before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caching.actions.base import Delta, Key
from caching.schedule import Schedule

NEVER = -1


@dataclass(frozen=True, eq=False)
class Plan:
    """When every stored thing is used for the last time.

    Attributes:
        last_use: int32 (S, L, R), the last step that reads what the cell stored at step s, or -1
            where nothing needs storing.
        memo_use: by legend number, likewise for the memos of predictors that `computes`.
        watched: by legend number, bool (S, L, R) computed cells that the predictor watches.
        ends: by legend number, the last step that uses the predictor.
        remembered: by key, int32 (S,), likewise for what whole-step actions recall.
    """

    last_use: NDArray[np.int32]
    memo_use: dict[int, NDArray[np.int32]]
    watched: dict[int, NDArray[np.bool_]]
    ends: dict[int, int]
    remembered: dict[Key, NDArray[np.int32]]


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


def renewed_cells(schedule: Schedule) -> NDArray[np.bool_]:
    """Bool (S, L, R): cells that store a computed output or one that counts as such."""
    return schedule.renewed & ran_cells(schedule)[1]


# A production loop runs one schedule over and over, and a page a few in turn.
@lru_cache(maxsize=16)
def make_plan(schedule: Schedule, *, decided: bool = False) -> Plan:
    """The plan of a schedule; array work over cells, a Python loop over steps only.

    Not to be written to: runs of equal schedules share it.

    With `decided` a policy chooses the cells while the run goes on, so that every predictor of the
    legend may stand in anywhere; how long outputs are kept is then not in the plan.
    """
    steps, legend = schedule.steps, schedule.legend
    flat = schedule.actions.reshape(steps, -1)  # (S, L R)
    ran, whole = (a.reshape(steps, -1) for a in ran_cells(schedule))
    cells = flat.shape[1]
    depth = max((p.keeps for p in legend), default=1) or 1
    computed, stored, noted = _Ring(depth, cells), _Ring(depth, cells), _Ring(1, cells)
    last_use = np.full((steps, cells), NEVER, np.int32)
    memo_use = {
        n: np.full((steps, cells), NEVER, np.int32) for n, p in enumerate(legend, 1) if p.computes
    }
    fresh = (flat == 0) & whole
    anew = renewed_cells(schedule).reshape(steps, -1)
    used = [n for n in range(1, len(legend) + 1) if (flat[ran] == n).any()]
    for s in range(steps):
        for n in used:
            where = (flat[s] == n) & ran[s]
            if not where.any():
                continue
            p = legend[n - 1]
            if p.stores_output():
                if p.looks_at != "stored":
                    computed.mark(last_use, where, p.keeps, s)
                if p.looks_at != "computed":
                    stored.mark(last_use, where, p.keeps, s)
            if n in memo_use:
                noted.mark(memo_use[n], where, 1, s)
        computed.push(s, anew[s])
        noted.push(s, fresh[s])
        stored.push(s, whole[s])
    shape = schedule.actions.shape
    uses = {n: ((flat == n) & ran).reshape(shape) | decided for n in range(1, len(legend) + 1)}
    return Plan(
        last_use=last_use.reshape(shape),
        memo_use={n: m.reshape(shape) for n, m in memo_use.items() if n in used},
        watched={
            n: _watched(use, fresh.reshape(shape) | decided)
            for n, use in uses.items()
            if use.any() and legend[n - 1].watches
        },
        ends={n: int(np.flatnonzero(u.any(axis=(1, 2)))[-1]) for n, u in uses.items() if u.any()},
        remembered=_remembered(schedule),
    )


def _watched(uses: NDArray[np.bool_], fresh: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Bool (S, L, R): fresh cells whose block is used before or where they are computed anew."""
    watched = np.zeros_like(fresh)
    wanted = np.zeros(fresh.shape[1:], bool)
    for s in reversed(range(len(fresh))):
        used = uses[s].any(axis=1, keepdims=True)  # (L, 1)
        wanted |= used
        watched[s] = wanted & fresh[s]
        wanted = np.where(fresh[s], used, wanted)
    return watched


def spans(key: Key, blocks: int) -> range:
    """The blocks that must all have run for `key` to be taken anew."""
    return range(key.start, key.stop) if isinstance(key, Delta) else range(blocks)


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
    note_bytes: Mapping[int, NDArray[np.int64]] | None = None,
) -> int:
    """The most bytes that a run of the schedule holds for later steps at any moment.

    Taken after every cell, not after every step: a step stores new outputs in its first blocks
    while the last blocks still hold what they are about to use for the last time.

    Args:
        cell_bytes: of one output.
        memo_bytes: by legend number, of one memo of each branch (R,).
        key_bytes: of one remembered value.
        note_bytes: by legend number, of the notes of each cell after its turn (S, L, R).
    """
    branches = len(schedule.branches)
    total = _running(
        _until(schedule, plan).reshape(schedule.actions.shape), [cell_bytes] * branches
    )
    for number, memo in plan.memo_use.items():
        total += _running(memo, (memo_bytes or {})[number])
    for key, table in plan.remembered.items():
        for s, until in enumerate(table):
            if until > s:
                total[s : until + 1] += (key_bytes or {})[key]
    for number, notes in (note_bytes or {}).items():
        until = plan.ends[number] + 1
        change = np.diff(notes[:until], axis=0, prepend=0)
        total[:until] += change.cumsum().reshape(change.shape)
    return int(total.max())


def _until(schedule: Schedule, plan: Plan) -> NDArray[np.int32]:
    """Int32 (S, L R): up to which step something holds the tensor that the cell made at step s.

    -1 where it is not stored. Later than its last use where reuse has handed it on, and earlier
    where a refresh put a new one into its entry.
    """
    steps, legend = schedule.steps, schedule.legend
    flat, last_use = schedule.actions.reshape(steps, -1), plan.last_use.reshape(steps, -1)
    whole = ran_cells(schedule)[1].reshape(steps, -1)
    fresh, cells = renewed_cells(schedule).reshape(steps, -1), flat.shape[1]
    columns = np.arange(cells)
    refreshing = [n for n, p in enumerate(legend, 1) if p.refreshes]
    refreshed = whole & np.isin(flat, refreshing)
    # The next step that refreshes what is newest now, or the end of time.
    renewal = np.full((steps, cells), steps, np.int32)
    for s in reversed(range(steps - 1)):
        later = np.where(refreshed[s + 1], s + 1, renewal[s + 1])
        renewal[s] = np.where(fresh[s + 1], steps, later)
    until = np.full((steps, cells), NEVER, np.int32)
    maker = np.zeros((steps, cells), np.int64)  # the step that made what entry e holds now
    anchor, newest = np.zeros(cells, np.int64), np.zeros(cells, np.int64)
    counts = {"computed": np.zeros(cells, np.int64), "stored": np.zeros(cells, np.int64)}

    def hold(step: NDArray[np.int64] | int, where: NDArray[np.bool_], last: Any) -> None:
        made = step[where] if isinstance(step, np.ndarray) else step
        until[made, columns[where]] = np.maximum(until[made, columns[where]], last[where])

    for s in range(steps):
        maker[s] = s
        hold(s, fresh[s], np.minimum(last_use[s], renewal[s]))
        for n in np.unique(flat[s][whole[s] & (flat[s] > 0)]).tolist():
            p, where = legend[n - 1], whole[s] & (flat[s] == n)
            if p.renews:
                continue
            if p.refreshes:
                entry = last_use[anchor, columns]
                maker[anchor[where], columns[where]] = s
                hold(s, where, np.where(entry > s, np.minimum(entry, renewal[s]), NEVER))
            kind = "stored" if p.looks_at == "stored" else "computed"
            held = np.minimum(counts[kind], p.keeps)
            onto = np.zeros(cells, bool)
            for r, branch in enumerate(schedule.branches):
                here = where & (columns % len(schedule.branches) == r)
                counts_here = np.unique(held[here]).tolist()
                onto |= here & np.isin(held, [k for k in counts_here if p.hands_on(branch, k)])
            source = maker[newest if kind == "stored" else anchor, columns]
            stays = last_use[s] > s
            maker[s, onto] = source[onto]
            hold(source, onto & stays, last_use[s])
            hold(s, where & ~onto & stays, last_use[s])
        anchor[fresh[s]], newest[whole[s]] = s, s
        counts["computed"] += fresh[s]
        counts["stored"] += whole[s]
    return until


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
