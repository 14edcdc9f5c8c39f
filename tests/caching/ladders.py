"""Invented methods for tests of the study: ladders whose speed-ups are known by hand."""

from dataclasses import dataclass

import numpy as np

from caching.actions.residual import Residual
from caching.dynamic.base import Choice, Decider, Policy
from caching.errors import RequestError
from caching.methods.base import Method, Plan, number, whole
from caching.schedule import Schedule

STEPS = 8


def rows(reused, steps=STEPS):
    """The last `reused` steps reused whole."""
    computed = np.arange(steps) < steps - reused
    return Schedule.from_steps(computed, 2)


@dataclass(frozen=True)
class Late(Method):
    """Reuses the last steps: `reused` of 8."""

    reused: int = whole(0, 0, 7, "reused")

    name = "late"
    title = "Late"
    about = because = "Invented."
    faithfulness = "analogue"
    tunes = "reused"

    def plan(self, setting):
        return Plan(rows(self.reused))


@dataclass(frozen=True)
class Threshold(Method):
    """A number from 0 to 4 that a made-up measure turns into a speed-up of 1 + it."""

    level: float = number(0, 0, 4, "level")

    name = "threshold"
    title = "Threshold"
    about = because = "Invented."
    faithfulness = "analogue"
    tunes = "level"

    def plan(self, setting):
        return Plan(rows(0), notes=(f"{self.level:g}",))


@dataclass(frozen=True)
class OddLast(Policy):
    """Skips every odd step."""

    level: float = 0.0
    name = "oddlast"
    label = "Odd"

    @property
    def step_legend(self):
        return (Residual(),)

    def begin(self, facts):
        return _Odd()


class _Odd(Decider):
    def decide(self, view):
        return Choice(action=Residual() if view.s % 2 else None)


@dataclass(frozen=True)
class Decided(Threshold):
    """The same ladder, and a policy decides."""

    name = "decided"

    def plan(self, setting):
        return Plan(rows(0), OddLast(self.level), notes=(f"{self.level:g}",))


@dataclass(frozen=True)
class Broken(Method):
    """Cannot be planned."""

    name = "broken"
    title = "Broken"
    about = because = "Invented."
    faithfulness = "analogue"

    def plan(self, setting):
        raise RequestError("there is no plan.")


@dataclass(frozen=True)
class Crashing(Broken):
    """Is faulty."""

    name = "crashing"

    def plan(self, setting):
        return [][1]


KINDS = {kind.name: kind for kind in (Late, Threshold, Decided, Broken, Crashing)}


def made(name):
    """One of them by name."""
    return KINDS[name]()
