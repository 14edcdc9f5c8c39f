"""Execute the steps of a schedule: every cell of every block, and the record of what really ran."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from caching.actions.base import Delta, Hidden, Key, Probed, StepAction, Timeline
from caching.engine.plan import Plan, make_plan, spans
from caching.engine.running import Gate, RunningStep, Stopped, Watcher
from caching.engine.state import State, ends_steps, first_rows, looked_at
from caching.marks import COVERED, LOWERED
from caching.models.family import Conditioning, Family
from caching.models.graphs import Bench, Graphs, patterns_of
from caching.predictors.base import Cell, Entry, Predictor
from caching.predictors.reuse import Reuse
from caching.schedule import Schedule

__all__ = ["Executor", "Gate", "RunningStep", "StepResult", "Stopped", "Watcher"]

Quick = Callable[["Executor", int, int, int, tuple[Entry, ...], int], tuple[Tensor, int]]
"""What stands in at (block, branch, action number, stored, step), and the executed mark."""


@dataclass(frozen=True)
class StepResult:
    """One executed step."""

    output: Tensor  # (N, C', h, w) of the transformer
    executed: np.ndarray  # uint8 (L, R): action number, | LOWERED, or COVERED
    action: int  # number of the whole-step action that ran, 0 = blocks by the grid, | LOWERED
    extra_macs: int = 0  # products on top of what the marks say


class Executor:
    """Runs the steps of one schedule in order; holds what later steps need between them.

    Cached tensors are never written to: an entry is replaced, not changed, and dropped once no
    later step needs it. With `keep_all` the newest outputs of every cell stay, so that another
    schedule can go on from any step.
    """

    def __init__(
        self,
        family: Family,
        schedule: Schedule,
        given: Conditioning,
        *,
        passes: int = 2,
        fitted: Mapping[Predictor | StepAction, Any] | None = None,
        plan: Plan | None = None,
        timeline: Timeline | None = None,
        keep_all: bool = False,
        seeds: tuple[int, ...] = (),
    ) -> None:
        self.family, self.schedule, self.given = family, schedule, given
        self.passes, self.seeds, self.keep_all = passes, seeds, keep_all
        self.blocks, self.branches = family.blocks, len(family.branches)
        self.covered = np.full((self.blocks, self.branches), COVERED, np.uint8)  # until it ran
        self.fitted, self.timeline = fitted or {}, timeline
        self.legend = schedule.legend
        self.state = State()
        plan = make_plan(schedule) if plan is None else plan
        self.rows = schedule.actions.tolist()
        self.last_use = plan.last_use.tolist()
        self.memo_use = {n: table.tolist() for n, table in plan.memo_use.items()}
        self.watched = {n: table.tolist() for n, table in plan.watched.items()}
        self.ends = plan.ends
        self.remembered = {key: table.tolist() for key, table in plan.remembered.items()}
        if keep_all:
            for action in schedule.step_legend:
                for key in action.remembers(family.blocks):
                    self.remembered.setdefault(key, [])
        self.depth = max([1, *(p.keeps for p in schedule.legend)])
        self.key_depth = max([1, *(a.depth for a in schedule.step_legend)])
        # Only some predictors look at estimates; without them none needs storing.
        self.stores_estimates = any(p.looks_at != "computed" for p in schedule.legend)
        # Whether a computed branch's input may be looked at again, once it is computed.
        self.keeps_inputs = bool(self.memo_use or self.watched)
        self.is_plain = not (keep_all or self.keeps_inputs)
        self.cuts = frozenset(self._cuts())
        # By action number: how it stands in if stored outputs are all it needs.
        self.quick = [None, *map(self._quick, schedule.legend)]
        self.keeps = [0, *(p.keeps for p in schedule.legend)]
        self.needs = [0, *(p.needs for p in schedule.legend)]
        self.plan = plan
        self.bench: Bench | None = None

    def _cuts(self) -> Iterator[int]:
        """The blocks that something wants the hidden state before, and the end."""
        yield from (0, self.family.blocks)
        for key in self.remembered:
            if isinstance(key, Delta | Probed):
                yield from (key.stop, key.start if isinstance(key, Delta) else 0)

    def _quick(self, p: Predictor) -> Quick | None:
        simple = type(p).stand_in is Predictor.stand_in and p.looks_at == "computed"
        if self.stores_estimates or p.computes or p.refreshes or p.renews or not simple:
            return None
        # Not bound to this object, which would then hold itself.
        return Executor._reused if type(p) is Reuse else Executor._estimated

    def launch_from(self, graphs: Graphs, latents: Tensor) -> None:
        """From here on run steps as graphs, if computing and reusing is all that they do.

        Args:
            latents: (N, C, h, w) of any step, for its size.
        """
        actions = self.schedule.actions
        used = [self.legend[n - 1] for n in np.unique(actions).tolist() if n]
        if not self.is_plain or self.schedule.step_actions.any():
            return
        if all(type(p) is Reuse for p in used):
            self.patterns = patterns_of(actions, self.plan.last_use)
            self.bench = graphs.take(self.given, latents, self.patterns)
            weakref.finalize(self, graphs.give_back, self.bench)

    def _launched(self, run: RunningStep, bench: Bench) -> StepResult:
        if run.stopped is not None and run.stopped():
            raise Stopped("the run was stopped before a step.")
        output = bench.step(self.patterns[run.s], run.latents, self.given, run.s)
        return StepResult(output, self.schedule.actions[run.s].copy(), 0)

    def cache_bytes(self, *others: Any) -> int:
        """Bytes held for later steps right now, with those of tensors anywhere in `others`."""
        tensors = self.state.tensors(*others).values()
        return sum(t.untyped_storage().nbytes() for t in tensors)

    def step(
        self,
        latents: Tensor,
        s: int,
        *,
        watch: Watcher | None = None,
        stopped: Callable[[], bool] | None = None,
    ) -> StepResult:
        """Run step `s` on latents (N, C, h, w).

        Raises:
            Stopped: `stopped` said so between two branches.
        """
        run = self.begin(latents, s, watch=watch, stopped=stopped)
        return self.finish(run, int(self.schedule.step_actions[s]))

    def begin(
        self,
        latents: Tensor,
        s: int,
        *,
        watch: Watcher | None = None,
        stopped: Callable[[], bool] | None = None,
    ) -> RunningStep:
        """Step `s`, begun but with no block run yet; `finish` runs what is left of it."""
        return RunningStep(self, latents, s, self.rows[s], watch=watch, stopped=stopped)

    @torch.no_grad()
    def finish(self, run: RunningStep, number: int) -> StepResult:
        """Do what is left of a step, take what later steps need, and record what ran.

        Args:
            run: the step, some blocks of which may have run already.
            number: of the whole-step action in the schedule's step legend, 0 = blocks by the grid.
        """
        if self.bench is not None:
            return self._launched(run, self.bench)
        action = self.schedule.step_legend[number - 1] if number else None
        if action is None:
            x = run.through(run.embed(), 0, run.blocks)
            output = run.head(x)
        else:
            run.action_fitted = self.fitted.get(action)
            output = action.run(run)
        self._remember(run, output)
        self._end_step(run)
        number |= LOWERED if run.low else 0
        return StepResult(output, run.done, number, run.extra_macs)

    def _end_step(self, run: RunningStep) -> None:
        shared, x = self.state.shared, run.at.get(run.blocks)
        for n, end in self.ends.items():
            p = self.legend[n - 1]
            if run.s <= end and x is not None and not run.is_half and ends_steps(p):
                full, notes = not run.done.any(), shared.setdefault(p, {})
                p.end_step(notes, x, run.s, full=full, seeds=self._seeds(run, x))
            if run.s >= end and not self.keep_all:
                shared.pop(p, None)

    def _seeds(self, run: RunningStep, x: Tensor) -> tuple[int, ...]:
        if not self.seeds:
            return (0,) * len(x)
        return self.seeds if run.is_half else self.seeds * self.passes

    def _remember(self, run: RunningStep, output: Tensor) -> None:
        memory, s = self.state.memory, run.s
        for key, table in self.remembered.items():
            blocks = spans(key, run.blocks)
            old = memory.get(key, ())
            keep_all = self.keep_all
            anew = not run.is_half and all(run.ran[blocks.start : blocks.stop])
            if anew and (keep_all or table[s] > s):
                old = ((s, self._taken(key, run, output)), *old)
            memory[key] = (
                old[: self.key_depth]
                if keep_all
                else tuple(item for item in old if table[item[0]] > s)
            )

    @staticmethod
    def _taken(key: Key, run: RunningStep, output: Tensor) -> Any:
        if isinstance(key, Delta):
            return run.at[key.stop] - run.at[key.start]
        if isinstance(key, Probed):
            return run.at[key.stop] - run.at[0], run.at[run.blocks] - run.at[0]
        return run.at[run.blocks] if isinstance(key, Hidden) else (run.latents.contiguous(), output)

    # -- one cell --------------------------------------------------------------------------

    def compute(
        self, run: RunningStep, x: Tensor, block: int, r: int, entries: tuple[Entry, ...]
    ) -> Tensor:
        """The computed branch (N, T, D); stored, noted and watched as later steps need."""
        family, given, s = self.family, run.given, run.s
        state, at = self.state, (block, r)
        if self.is_plain and not run.is_half:
            plain: Tensor = family.branch(x, given, s, block, r)
            if entries or self.last_use[s][block][r] > s:
                self.store(at, Entry(s, plain, True), entries, s)
            return plain
        out: Tensor | None = None
        if not run.is_half:
            for n, table in self.memo_use.items():
                if table[s][block][r] > s:
                    cell = self._cell(run, x, block, r, n)
                    out, memo = self.legend[n - 1].compute(cell)
                    state.memos[block, r, self.legend[n - 1]] = (s, memo)
                else:
                    # A newer computed output makes an older memo one that nothing may use.
                    state.memos.pop((block, r, self.legend[n - 1]), None)
        if out is None:
            out = family.branch(x, given, s, block, r)
        if run.is_half:
            return out
        for n, table in self.watched.items():
            if table[s][block][r]:
                self.legend[n - 1].watch(self._cell(run, x, block, r, n), out)
        self.store(at, Entry(s, out, True), entries, s)
        return out

    def estimate(
        self, run: RunningStep, x: Tensor, block: int, r: int, n: int, entries: tuple[Entry, ...]
    ) -> tuple[Tensor, bool]:
        """What predictor `n` puts in the branch's place, and whether at a lower order."""
        p, s, at = self.legend[n - 1], run.s, (block, r)
        # A run that goes on from another one may find estimates it would not have stored itself.
        mixed = self.stores_estimates or self.keep_all
        past = looked_at(p, entries) if mixed else entries[: p.keeps]
        held = sum(e.computed for e in past) if p.looks_at == "both" else len(past)
        if run.is_half:
            past = tuple(Entry(e.step, e.output[: len(x)], e.computed) for e in past)
        if type(p).stand_in is Predictor.stand_in:
            out = p.estimate([(e.step, e.output) for e in past], s)
        else:
            memo = self.state.memos.get((block, r, p), (s, None))[1]
            memo = first_rows(memo, len(x)) if run.is_half else memo
            cell = self._cell(run, x, block, r, n, past, memo)
            out = p.stand_in(cell)
        if memo_table := self.memo_use.get(n):
            noted = self.state.memos.get((block, r, p))
            if noted is not None and not self.keep_all and memo_table[noted[0]][block][r] <= s:
                del self.state.memos[block, r, p]
        if p.refreshes and not run.is_half:
            anew = Entry(past[0].step, out, True)
            entries = tuple(anew if e.step == anew.step else e for e in entries)
        stored = (self.stores_estimates or p.renews) and not run.is_half
        self.store(at, Entry(s, out, p.renews) if stored else None, entries, s)
        return out, held < p.needs

    def _reused(
        self, block: int, r: int, n: int, entries: tuple[Entry, ...], s: int
    ) -> tuple[Tensor, int]:
        """As `estimate` for Reuse, in fewer words: the newest computed output, and its mark."""
        newest = entries[0]
        if self.keep_all:
            newest = next(e for e in entries if e.computed)
        elif len(entries) > 1 or self.last_use[newest.step][block][r] <= s:
            self._drop(block, r, entries, s)
        return newest.output, n

    def _estimated(
        self, block: int, r: int, n: int, entries: tuple[Entry, ...], s: int
    ) -> tuple[Tensor, int]:
        """Likewise for other predictors that look at computed outputs alone."""
        keeps = self.keeps[n]
        if self.keep_all:
            past = [(e.step, e.output) for e in entries if e.computed][:keeps]
        else:
            past = [(e.step, e.output) for e in entries[:keeps]]
            self._drop(block, r, entries, s)
        mark = n | LOWERED if len(past) < self.needs[n] else n
        return self.legend[n - 1].estimate(past, s), mark

    def _drop(self, block: int, r: int, entries: tuple[Entry, ...], s: int) -> None:
        """Forget what no step after `s` reads."""
        last = self.last_use
        for e in entries:
            if last[e.step][block][r] <= s:
                self.store((block, r), None, entries, s)
                return

    def store(
        self, at: tuple[int, int], new: Entry | None, entries: tuple[Entry, ...], s: int
    ) -> None:
        """Replace what the cell holds by what steps after this one may read."""
        block, r = at
        if self.keep_all:
            entries = entries if new is None else (new, *entries)
            depth = self.depth
            if len(entries) > depth:
                # The newest of either kind, because predictors differ in which they read.
                recent = entries[:depth]
                older = [e for e in entries[depth:] if e.computed]
                missing = depth - sum(e.computed for e in recent)
                kept = (*recent, *older[: max(0, missing)])
            else:
                kept = entries[:depth]
        else:
            last = self.last_use
            kept = tuple(e for e in entries if last[e.step][block][r] > s)
            if new is not None and last[s][block][r] > s:
                kept = (new, *kept)
        if kept:
            self.state.cache[at] = kept
        else:
            self.state.cache.pop(at, None)

    def _cell(
        self,
        run: RunningStep,
        x: Tensor,
        block: int,
        r: int,
        n: int,
        past: tuple[Entry, ...] = (),
        memo: Any = None,
    ) -> Cell:
        shared = self.state.shared.setdefault(self.legend[n - 1], {})
        return Cell(
            family=self.family,
            given=run.given,
            x=x,
            s=run.s,
            block=block,
            r=r,
            past=past,
            memo=memo,
            fitted=self.fitted.get(self.legend[n - 1]),
            shared=dict(shared) if run.is_half else shared,
            seeds=self._seeds(run, x),
        )
