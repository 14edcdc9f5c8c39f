"""The rung of a method's ladder that comes nearest to a wanted speed-up, from above."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from caching.errors import CachebrushError
from caching.methods.base import Method, Plan, Setting

LEAST, MOST = 0.95, 1.25
"""A row is matched when its speed-up is within these times the target. Whole steps of 20 come no
nearer to 5 than 4.8 and 6.3."""

NEAR = 1.02
"""Fine enough: between two rungs nothing closer is looked for."""
HALVINGS = 7


@dataclass(frozen=True)
class Rung:
    """A method with the values of its controls, what it plans, and its speed-up in MACs."""

    method: Method
    plan: Plan
    speedup: float


def matched(speedup: float, target: float) -> bool:
    """Whether a speed-up counts as this target."""
    return LEAST * target <= speedup <= MOST * target


class Tuner:
    """Finds rungs of one method. Every rung is measured once.

    Args:
        method: whose ladder is climbed.
        setting: what it plans for.
        speedup: of a plan, in MACs: exact for a schedule, over a few pictures for a policy.
        near: times a target that is near enough to look no further. More than `NEAR` suits whoever
            compares at what a rung really takes, and saves a policy most of its runs.
    """

    def __init__(
        self,
        method: Method,
        setting: Setting,
        speedup: Callable[[Plan], float],
        *,
        near: float = NEAR,
    ) -> None:
        self.setting, self._speedup, self._near = setting, speedup, near
        self.ladder: Sequence[Method] = tuple(method.ladder(setting)) or (method,)
        self._measured: dict[Method, Rung | None] = {}
        self._why: CachebrushError | None = None

    def find(self, target: float) -> Rung:
        """The rung whose speed-up is nearest to the target, as a ratio, among those that match it;
        where none does, the least that is enough; where none is, the fastest. Between two rungs
        that differ in numbers only it is looked for by halving.

        A policy's ladder is halved too, for each of its rungs takes runs; a schedule's is read
        through, as its speed-up need not rise from rung to rung.

        Raises:
            CachebrushError: no rung can be planned.
        """
        ends = [self._rung(0), self._rung(-1)]
        first = next((rung for rung in ends if rung is not None), None)
        if first is not None and first.plan.policy is not None:
            at = self._halved(target)
        else:
            at = self._read_through(target)
        found, before = self._some(at), None
        if at > 0 and not self._settles(found, target):
            before = self._rung(at - 1)
        if before is not None and before.speedup < target <= found.speedup:
            found = self._between(before, found, target)
        # Of equals the mildest: rungs in their order, then what was found between them.
        order = dict.fromkeys([*self.ladder, *self._measured])
        there = [rung for one in order if (rung := self._measured.get(one)) is not None]
        fitting = [rung for rung in there if matched(rung.speedup, target)]
        return min(fitting, key=lambda r: round(_gap(r, target), 6), default=found)

    def _read_through(self, target: float) -> int:
        """Index of the slowest rung that is fast enough, else of the fastest."""
        there = [(i, r.speedup) for i in range(len(self.ladder)) if (r := self._rung(i))]
        if not there:
            raise self._why or CachebrushError("the method has an empty ladder.")
        reached = [(speedup, i) for i, speedup in there if speedup >= target]
        if reached:
            return min(reached)[1]
        return max(there, key=lambda one: one[1])[0]

    def _halved(self, target: float) -> int:
        """Index of a rung that is fast enough behind one that is not; else of an end."""
        low, high = 0, len(self.ladder) - 1
        if self._some(low).speedup >= target:
            return low
        if self._some(high).speedup < target:
            # Forced steps can make the last rungs slower than one in the middle.
            there = [rung for rung in self._measured.values() if rung is not None]
            best = max(there, key=lambda rung: rung.speedup)
            return self.ladder.index(best.method) if best.method in self.ladder else high
        while high - low > 1 and not self._settles(self._some(high), target):
            middle = (low + high) // 2
            if self._some(middle).speedup >= target:
                high = middle
            else:
                low = middle
        return high

    def _between(self, low: Rung, high: Rung, target: float) -> Rung:
        for _ in range(HALVINGS):
            middle = midway(low.method, high.method)
            if self._enough(high, target) or middle is None:
                break
            rung = self._measure(middle)
            if rung is None:
                break
            low, high = (low, rung) if rung.speedup >= target else (rung, high)
        return high

    def _enough(self, rung: Rung, target: float) -> bool:
        return target <= rung.speedup <= self._near * target

    def _settles(self, rung: Rung, target: float) -> bool:
        """Whether a rung is taken before its neighbours are known: not where the nearest counts."""
        return self._near > NEAR and self._enough(rung, target)

    def _rung(self, index: int) -> Rung | None:
        return self._measure(self.ladder[index])

    def _some(self, index: int) -> Rung:
        rung = self._rung(index)
        if rung is None:
            raise self._why or CachebrushError("a rung cannot be planned.")
        return rung

    def _measure(self, method: Method) -> Rung | None:
        """None: this rung cannot be planned, others may."""
        if method not in self._measured:
            try:
                plan = method.plan(self.setting)
                self._measured[method] = Rung(method, plan, self._speedup(plan))
            except CachebrushError as error:
                self._why, self._measured[method] = error, None
        return self._measured[method]


def _gap(rung: Rung, target: float) -> float:
    return abs(math.log(rung.speedup / target))


def midway(low: Method, high: Method) -> Method | None:
    """Between two methods that differ in numbers only, to four digits; None where there is none."""
    changes = {}
    for field in fields(low):
        a, b = getattr(low, field.name), getattr(high, field.name)
        if a == b:
            continue
        if not isinstance(a, float) or not isinstance(b, float):
            return None
        middle = float(f"{(a + b) / 2:.4g}")
        if not min(a, b) < middle < max(a, b):
            return None
        changes[field.name] = middle
    return dataclasses.replace(low, **changes) if changes else None
