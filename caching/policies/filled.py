"""Whole steps first, then single cells: the budget's schedules where every cell is free.

Measured, a step that is reused whole costs far less than as many cells scattered over steps: inside
a reused step nothing answers to what is old, so its errors cancel as they did when they were made.
Whole steps come in coarse portions, though. So for every budget the steps are chosen for a somewhat
larger one, and the rest is saved with single cells of the computed steps, where each does least; or
for a smaller one, where these few cells would do more than a whole step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from caching.context import Context
from caching.policies.budget import Costs, Front, Share, budget_schedules, speedups_of
from caching.policies.patterns import FREE, REUSED
from caching.schedule import BRANCHES

MORE_STEPS = 3
"""How many computed steps more than whole steps alone would leave are tried."""
SINGLE = 8.0
"""What the squared error of single cells counts for. They are picked for being small one by one,
but those of one step are old together and move the picture the same way: measured on the shipped
model, 20 to 60 of them moved it 4 to 9 times more than their sum of squares says, compared with
whole steps."""


def filled_schedules(
    error: ArrayLike,
    spans: ArrayLike,
    costs: Costs,
    *,
    speedups: Sequence[float] | None = None,
    locked: ArrayLike | None = None,
    max_age: int | None = None,
    branches: Sequence[str] = BRANCHES,
    context: Context | None = None,
) -> Front:
    """For each speed-up the steps and cells of least error that are at least as fast.

    What a schedule loses is what its spans lose plus `SINGLE` times what its single cells do;
    arguments as `budget_schedules`. Locks hold their own cells only.
    """
    goals = speedups_of(speedups)

    def front(share: Share, at: Sequence[float], held: ArrayLike | None) -> Front:
        return budget_schedules(
            error,
            costs,
            speedups=at,
            locked=held,
            share=share,
            spans=spans,
            max_age=max_age,
            branches=branches,
            context=context,
        )

    # Where nothing better is found, because locks leave little choice. Checks what was given, too.
    plain = front("free", goals, locked)
    steps, _blocks, _width = plain.shape
    held = np.zeros(plain.shape, np.uint8) if locked is None else np.asarray(locked)
    every = [_speed_of_steps(n, steps, costs) for n in range(steps, 0, -1)]
    whole = front("steps", every, None)
    packed, error_of, reached = plain.packed.copy(), plain.error.copy(), plain.speedup.copy()
    done = np.zeros(len(goals), bool)
    for k, slowest in enumerate(every):
        fastest = every[k + MORE_STEPS] if k + MORE_STEPS < steps else np.inf
        slower = every[k - 1] if k else 0.0
        # Those that it is too slow for by some cells, and those that it is the slowest enough for.
        near = [
            i
            for i, goal in enumerate(goals)
            if slowest <= goal * (1 + 1e-9) < fastest or slower < goal * (1 - 1e-9) <= slowest
        ]
        if not near:
            continue
        locks = np.where(held == FREE, np.where(whole.computed(k), FREE, REUSED), held)
        filled = front("free", [1.0, *(goals[i] for i in near)], locks)
        for place, i in enumerate(near, 1):
            loss = float(whole.error[k] + SINGLE * (filled.error[place] - filled.error[0]))
            fast_enough = filled.speedup[place] >= goals[i] * (1 - 1e-9)
            if fast_enough and (not done[i] or loss < error_of[i]):
                done[i], error_of[i] = True, loss
                packed[i], reached[i] = filled.packed[place], filled.speedup[place]
    return replace(plain, packed=packed, error=error_of, speedup=reached)


def _speed_of_steps(n: int, steps: int, costs: Costs) -> float:
    """Speed-up with n whole steps computed and the others reused."""
    computed = np.broadcast_to((np.arange(steps) < n)[:, None, None], (steps, *costs.compute.shape))
    return costs.of(np.ones_like(computed)) / costs.of(computed)
