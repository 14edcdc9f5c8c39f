"""DeepCache: the deep blocks run once in N steps, the first and last ones at every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from caching.actions.residual import Residual
from caching.methods.base import Method, Plan, Setting, Source, choice, whole
from caching.policies.spaced import widening

CENTRE, POWER = 15 / 50, 1.4
"""Of the uneven spacing: the step it is densest at, as a share, and its exponent."""


@dataclass(frozen=True)
class DeepCache(Method):
    """DeepCache (arXiv 2312.00858), made for U-Nets, whose skip connections bypass the deep part.

    At other steps only the shallow blocks run and take the deep feature of the last full step.
    Here the shallow blocks are the first and last `ends` of the stack, and what stands in for the
    blocks between is what they added. "uniform" runs steps 0, N, 2N ... whole; "quadratic" has the
    same number of them, closest around step 15 of 50 (scaled): its code takes evenly spaced x from
    (-c)^(1/p) to (S - c)^(1/p), c = 15, p = 1.4, and truncates x^p, where a negative number to a
    fractional power is a complex one of which the real part counts; p falls until there are as
    many steps as asked for. Where even that fails the spacing is uniform.
    """

    interval: int = whole(5, 1, 20, "N", "one step in N runs all blocks")
    ends: int = whole(1, 0, 12, "ends", "blocks at either end that run at every step")
    spacing: str = choice("uniform", ("uniform", "quadratic"), "spacing", "of the full steps")

    name = "deepcache"
    title = "DeepCache"
    about = (
        "Runs all blocks once in N steps; at the others only the first and last, and what the deep "
        "blocks between them added is added again."
    )
    source = Source(
        "DeepCache: Accelerating Diffusion Models for Free",
        2023, "2312.00858", "horseee/DeepCache", "Apache-2.0",
    )  # fmt: skip
    faithfulness = "analogue"
    because = (
        "A transformer has no skip connections around its deep part: the blocks between the first "
        "and last ones stand for it, and their residual for the deep feature."
    )
    tunes = "interval"

    def plan(self, setting: Setting) -> Plan:
        ends = min(self.ends, (setting.blocks - 1) // 2)
        steps, notes = setting.steps, []
        computed = np.arange(steps) % self.interval == 0
        if self.spacing == "quadratic" and self.interval > 1:
            uneven = quadratic(steps, int(computed.sum()))
            if uneven is None:
                notes.append("No uneven spacing has this many full steps; they are evenly spaced.")
            else:
                computed = uneven
        if ends < self.ends:
            notes.append(f"{setting.blocks} blocks have room for {ends} at either end.")
        schedule = setting.full().paint_steps(~computed, Residual(ends, ends))
        return Plan(schedule, notes=tuple(notes))

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """Fewer live ends at N = 2, down to the chosen number, then larger N."""
        most = min(12, (setting.blocks - 1) // 2)
        chosen = most - min(self.ends, most)
        rungs = widening(range(chosen + 1), range(2, 21), chosen)
        full = replace(self, interval=1)
        return (full, *(replace(self, interval=n, ends=most - deep) for n, deep in rungs))


def quadratic(steps: int, count: int) -> NDArray[np.bool_] | None:
    """Bool (S,), True at `count` steps, step 0 among them; None where the rule finds no such."""
    centre, power = round(CENTRE * steps), POWER
    while power > 1:
        first, last = complex(-centre) ** (1 / power), complex(steps - centre) ** (1 / power)
        reached = (np.linspace(first, last, count + 1) ** power).real.astype(int)
        found = [0, *(int(x) + centre for x in np.unique(reached)[1:-1])]
        if len(found) == count and min(found) >= 0 and max(found) < steps:
            computed = np.zeros(steps, bool)
            computed[found] = True
            return computed if computed.sum() == count else None
        power -= 0.02
    return None
