"""What every method has to beat at the same work: fewer plain steps, even steps, random cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from caching.methods.base import Method, Plan, settings_of
from caching.schedule import Schedule

Work = Callable[[Schedule], float]
"""Share of the full run's multiply-accumulates of a schedule with all steps."""

PLAIN, EVEN, RANDOM = "plain-steps", "even-steps", "random-cells"
"""Names of the rivals; no method has a hyphen in its name."""

SLACK = 1.01
"""Plain steps may cost this much more than what they are measured against: whole steps and whole
cells seldom come out at the same number."""


@dataclass(frozen=True, eq=False)
class Contender:
    """One way to run, with the values it is told from others by.

    Attributes:
        name: of the method or rival.
        controls: name -> value.
        words: for people.
        plan: number of a batch of pictures -> what runs.
    """

    name: str
    controls: Mapping[str, Any]
    words: str
    plan: Callable[[int], Plan]

    @property
    def key(self) -> tuple[str, str]:
        """The same for the same contender."""
        return self.name, repr(sorted(self.controls.items()))


def of_method(method: Method, plan: Plan) -> Contender:
    """A method with its controls."""
    return Contender(method.name, dict(settings_of(method)), method.words, lambda batch: plan)


def plain_steps(steps: int, work: float) -> int:
    """The most plain steps at no more than this share of the work of all, at least 1."""
    return max(1, min(steps, int(steps * work * SLACK)))


def plain(full: Schedule, steps: int) -> Contender:
    """`steps` steps, all computed."""
    plan = Plan(Schedule.full(steps, full.blocks, branches=full.branches))
    return Contender(PLAIN, {"steps": steps}, f"{steps} plain steps", lambda batch: plan)


def even(full: Schedule, target: float, work: Work) -> Contender:
    """The most whole steps, spread from the first to the last, at no more than 1 / target: FORA
    for intervals that are no whole number."""

    def spread(count: int) -> Schedule:
        computed = np.zeros(full.steps, bool)
        computed[np.round(np.linspace(0, full.steps - 1, count)).astype(int)] = True
        return Schedule.from_steps(computed, full.blocks, branches=full.branches)

    fitting = [n for n in range(full.steps, 0, -1) if work(spread(n)) <= 1 / target]
    count = fitting[0] if fitting else 1
    plan = Plan(spread(count))
    words = f"Even steps, {count} of {full.steps} computed"
    return Contender(EVEN, {"computed": count}, words, lambda batch: plan)


def random_cells(full: Schedule, target: float, work: Work) -> Contender:
    """The fewest cells reused, picked by chance anew for each batch, at no more than 1 / target."""

    def drawn(batch: int) -> Plan:
        order = np.random.default_rng(batch).permutation(full.actions[1:].size)

        def schedule(count: int) -> Schedule:
            later = np.zeros(full.actions[1:].size, np.uint8)
            later[order[:count]] = 1
            cells = np.concatenate([full.actions[:1], later.reshape(full.actions[1:].shape)])
            return Schedule(cells, branches=full.branches)

        low, high = 0, len(order)
        while low < high:
            middle = (low + high) // 2
            low, high = (
                (low, middle) if work(schedule(middle)) <= 1 / target else (middle + 1, high)
            )
        return Plan(schedule(low))

    return Contender(RANDOM, {"speedup": target}, "Random cells", drawn)
