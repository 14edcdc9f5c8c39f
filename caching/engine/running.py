"""One step while it runs: block by block, cell by cell, and what an action may do with it."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import TYPE_CHECKING, Any

from torch import Tensor

from caching.actions.base import Key, Timeline
from caching.engine.gates import gated
from caching.errors import CachebrushError
from caching.marks import LOWERED

if TYPE_CHECKING:
    from caching.engine.executor import Executor

Gate = Callable[[Tensor, int, int, int], Tensor]
"""Called with (modulated input (N, T, D), step, block, branch); bool (N,), samples to compute."""

Watcher = Callable[[int, int, int, Tensor, Tensor], None]
"""Called with (step, block, branch, x, output) for every computed branch, both (N, T, D)."""


class Stopped(CachebrushError):
    """The run was asked to stop; nothing of it remains."""


class RunningStep:
    """What `caching.actions.base.StepRun` promises to actions."""

    def __init__(
        self,
        executor: Executor,
        latents: Tensor,
        s: int,
        row: list[list[int]],
        *,
        watch: Watcher | None,
        stopped: Callable[[], bool] | None,
    ) -> None:
        self.executor, self.latents, self.s, self.row = executor, latents, s, row
        self.watch, self.stopped = watch, stopped
        self.given, self.is_half, self.low = executor.given, False, False
        self.action_fitted: Any = None
        self.gate: Gate | None = None
        self.extra_macs = 0
        self.blocks, self.branches = executor.blocks, executor.branches
        self.done = executor.covered.copy()
        self.ran = [False] * self.blocks
        self.at: dict[int, Tensor] = {}  # hidden state before block i, where something wants it
        self.cuts: Set[int] = executor.cuts

    @property
    def passes(self) -> int:
        return self.executor.passes

    @property
    def timeline(self) -> Timeline:
        assert self.executor.timeline is not None  # the loop gives one with any action
        return self.executor.timeline

    @property
    def fitted(self) -> Any:
        return self.action_fitted

    def embed(self) -> Tensor:
        if 0 not in self.at:
            self.at[0] = self.executor.family.embed(self.latents)
        return self.at[0]

    def through(self, x: Tensor, start: int, stop: int) -> Tensor:
        """The hidden state after blocks start..stop-1; blocks that ran already do not run again."""
        executor, given, s, at = self.executor, self.given, self.s, self.at
        add, cache, quick = executor.family.add, executor.state.cache, executor.quick
        done = self.done
        plain = self.gate is None and not self.is_half
        # Whether x is this loop's alone: it is then added to where it is. What stands in from
        # stored outputs does not look at x, and what a computed branch looked at nobody keeps.
        own, unkept = False, plain and self.watch is None and not executor.keeps_inputs
        while start < stop and self.ran[start]:
            start += 1
            x = at.get(start, x)
        for block in range(start, stop):
            if block in self.cuts:
                at[block], own = x, False
            for r, action in enumerate(self.row[block]):
                if self.stopped is not None and self.stopped():
                    raise Stopped("the run was stopped between two branches.")
                entries = cache.get((block, r), ())
                stand_in = quick[action] if plain and entries else None
                if stand_in is not None:
                    out, mark = stand_in(executor, block, r, action, entries, s)
                    done[block, r] = mark
                else:
                    out = self._cell(x, block, r, entries)
                    own = own and unkept and not action
                x, own = add(x, out, given, s, block, r, own=own), True
            self.ran[block] = True
        if stop in self.cuts or start < stop:
            at[stop] = x
        return x

    def _cell(self, x: Tensor, block: int, r: int, entries: tuple[Any, ...]) -> Tensor:
        """What one cell adds, computed or made from more than stored outputs."""
        executor, action = self.executor, self.row[block][r]
        if action and entries and self.gate is not None:
            out, self.done[block, r] = gated(self, self.gate, x, block, r, entries)
        elif action == 0:
            out = executor.compute(self, x, block, r, entries)
            if self.watch is not None:
                self.watch(self.s, block, r, x, out)
            self.done[block, r] = 0
        else:
            out, low = executor.estimate(self, x, block, r, action, entries)
            self.done[block, r] = action | LOWERED if low else action
        return out

    def head(self, x: Tensor) -> Tensor:
        return self.executor.family.head(x, self.given, self.s)

    def recall(self, key: Key) -> tuple[tuple[int, Any], ...]:
        return self.executor.state.memory.get(key, ())

    def lowered(self) -> None:
        self.low = True

    def halved(self) -> RunningStep:
        self.is_half = True
        self.latents = self.latents[: len(self.latents) // 2]
        self.given = self.executor.family.half(self.executor.given)
        return self
