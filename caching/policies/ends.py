"""Ends: the first and last steps computed, the middle reused, where a run changes least."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from caching.checks import MAX_STEPS, check_count
from caching.context import Context
from caching.schedule import BRANCHES, Schedule


def ends(
    steps: int,
    blocks: int,
    first: int,
    last: int,
    *,
    interval: int | None = None,
    branches: Sequence[str] = BRANCHES,
    context: Context | None = None,
) -> Schedule:
    """The first and last steps computed, the ones between reused or computed once in a while.

    Args:
        steps: S, 1..1000.
        blocks: L, 1..256.
        first: how many steps at the start are computed, at least 1 because nothing is stored
            before step 0.
        last: how many steps at the end are computed, 0 or more.
        interval: None reuses the whole middle; n computes every n-th step of it, counted from the
            last of the first steps.
        branches: R names.
        context: the run it is made for.

    Raises:
        ScheduleError: a number out of range. `first + last` beyond S computes everything.
    """
    steps = check_count("steps", steps, MAX_STEPS)
    first = check_count("first", first, MAX_STEPS)
    last = check_count("last", last, MAX_STEPS, least=0)
    index = np.arange(steps)
    computed = (index < first) | (index >= steps - last)
    if interval is not None:
        interval = check_count("interval", interval, MAX_STEPS)
        computed |= (index - (first - 1)) % interval == 0
    return Schedule.from_steps(computed, blocks, branches=branches, context=context)
