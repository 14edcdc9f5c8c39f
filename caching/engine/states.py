"""Resume instead of rerun: the state before every step of the last run, within a memory budget."""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from caching.engine.plan import NEVER, Plan
from caching.engine.request import Request, real
from caching.engine.state import State, ends_steps
from caching.marks import renumbering
from caching.schedule import Schedule

SHARE_OF_FREE = 0.25


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything step `step` starts from; shares its tensors with the run it was taken of."""

    step: int
    latents: Tensor  # (N, C, h, w), float32
    solver: Any  # a copy of the sampler, or None where it carries nothing
    state: State


def free_mib() -> float:
    """Memory that is free on this machine, in MiB."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (ValueError, OSError, AttributeError):  # not every system can say
        return 2048.0


class States:
    """Snapshots of the last run of one request, and where another schedule may go on from.

    `budget_mib` bounds what snapshots hold, a share of the free memory unless given; the oldest
    whole steps go first. Give one to `iter_sample` and it takes and leaves snapshots there; it
    belongs to one request and one caller at a time. With `offload`, as for a model on a GPU, they
    are copied to host memory.

    Raises:
        RequestError: `budget_mib` is no number from 0 upwards; 0 keeps nothing.
    """

    def __init__(self, *, budget_mib: float | None = None, offload: bool = False) -> None:
        if budget_mib is None:
            budget_mib = SHARE_OF_FREE * free_mib()
        self.budget_mib = real("budget_mib", budget_mib, 0, math.inf)
        self.offload = offload
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.request: Request | None = None
        self.schedule: Schedule | None = None
        self.rows: list[Any] = []  # (S,) what decided each step, in comparable form
        self.snapshots: OrderedDict[int, Snapshot] = OrderedDict()
        self.records: list[Any] = []  # (S,) what the loop recorded of each step
        self._sizes: dict[int, tuple[int, int]] = {}  # address -> (bytes, snapshots holding it)
        self._held = 0
        # Copies on the host by the tensor they are of: snapshots share most of theirs.
        self._host: Any = WeakIdKeyDictionary()

    def copy(self) -> States:
        """Another one with the same snapshots: what runs there leaves this one as it is."""
        other = States(budget_mib=self.budget_mib, offload=self.offload)
        other.request, other.schedule, other.rows = self.request, self.schedule, list(self.rows)
        other.snapshots, other.records = self.snapshots.copy(), list(self.records)
        other._sizes, other._held, other._host = dict(self._sizes), self._held, self._host
        return other

    @property
    def held_mib(self) -> float:
        """What the snapshots hold now."""
        return self._held / 2**20

    def begin(self, request: Request, schedule: Schedule, plan: Plan) -> None:
        """A run of `schedule` starts; what is no prefix of it is forgotten."""
        if request != self.request:
            self.clear()
        rows = rows_of(schedule, plan)
        same = common(self.rows, rows)
        for step in [s for s in self.snapshots if s > same]:
            self._drop(step)
        if self.schedule is not None:
            old, self.records = self.schedule, self.records[:same]
            self.records = [_renumbered(record, old, schedule) for record in self.records]
        self.request, self.schedule, self.rows = request, schedule, rows

    def resume(self, schedule: Schedule, plan: Plan) -> Snapshot | None:
        """The latest snapshot from which the rest of the schedule can run, or None.

        It must hold every output, memo and remembered value that is stored before it and read at
        or after it.
        """
        for step in sorted(self.snapshots, reverse=True):
            if step <= len(self.records) and _holds(self.snapshots[step], schedule, plan):
                for later in [s for s in self.snapshots if s > step]:
                    self._drop(later)
                self.records = self.records[:step]
                return self.snapshots[step]
        self.records = []
        return None

    def _to_host(self, tensor: Tensor) -> Tensor:
        copy: Tensor | None = self._host.get(tensor)
        if copy is None:
            copy = self._host[tensor] = tensor.to("cpu", copy=True)
        return copy

    def add(self, snapshot: Snapshot) -> None:
        """Keep one more snapshot, dropping the oldest while the budget is exceeded."""
        if self.offload:
            snapshot = replace(
                snapshot,
                latents=self._to_host(snapshot.latents),
                state=snapshot.state.mapped(self._to_host),
            )
        if snapshot.step in self.snapshots:
            self._drop(snapshot.step)
        self.snapshots[snapshot.step] = snapshot
        for address, tensor in _tensors(snapshot).items():
            size, users = self._sizes.get(address, (tensor.untyped_storage().nbytes(), 0))
            self._held += 0 if users else size
            self._sizes[address] = (size, users + 1)
        while self._held > self.budget_mib * 2**20 and self.snapshots:
            self._drop(min(self.snapshots))

    def _drop(self, step: int) -> None:
        for address in _tensors(self.snapshots.pop(step)):
            size, users = self._sizes.pop(address)
            if users > 1:
                self._sizes[address] = (size, users - 1)
            else:
                self._held -= size


def _renumbered(record: Any, old: Schedule, new: Schedule) -> Any:
    """A step's record with the numbers of another legend for the same things."""
    cells = renumbering(old.legend, new.legend)
    steps = renumbering(old.step_legend, new.step_legend)
    return replace(record, executed=cells[record.executed], action=int(steps[record.action]))


def _tensors(snapshot: Snapshot) -> dict[int, Tensor]:
    found = snapshot.state.tensors()
    found[snapshot.latents.untyped_storage().data_ptr()] = snapshot.latents
    return found


def rows_of(schedule: Schedule, plan: Plan) -> list[Any]:
    """What decides every step, by value: two equal entries run equally from equal states."""
    legend = [None, *schedule.legend]
    step_legend = [None, *schedule.step_legend]
    rows = []
    used = [(schedule.legend[n - 1], end) for n, end in plan.ends.items()]
    enders = [(p, end) for p, end in used if ends_steps(p)]
    for s in range(schedule.steps):
        cells = tuple(legend[a] for a in schedule.actions[s].reshape(-1).tolist())
        # A computed cell that leaves a memo is computed another way, and not to the last bit.
        memos = tuple(
            (legend[n], (table[s] > s).tobytes())
            for n, table in plan.memo_use.items()
            if (table[s] > s).any()
        )
        watched = tuple((legend[n], table[s].tobytes()) for n, table in plan.watched.items())
        ended = tuple(p for p, end in enders if s <= end)
        own = step_legend[int(schedule.step_actions[s])]
        rows.append((cells, own, memos, watched, ended))
    return rows


def common(a: list[Any], b: list[Any]) -> int:
    """How many entries agree from the start."""
    for i, (one, other) in enumerate(zip(a, b, strict=False)):
        if one != other:
            return i
    return min(len(a), len(b))


def _holds(snapshot: Snapshot, schedule: Schedule, plan: Plan) -> bool:
    step, state = snapshot.step, snapshot.state
    entries, cells = plan.last_use[:step], state.cache
    for s, block, r in np.argwhere(entries >= step).tolist():
        if all(e.step != s for e in cells.get((block, r), ())):
            return False
    for number, table in plan.memo_use.items():
        for s, block, r in np.argwhere(table[:step] >= step).tolist():
            if state.memos.get((block, r, schedule.legend[number - 1]), (NEVER,))[0] != s:
                return False
    for key, uses in plan.remembered.items():
        held = [s for s, _ in state.memory.get(key, ())]
        if any(s not in held for s in np.flatnonzero(uses[:step] >= step).tolist()):
            return False
    return True
