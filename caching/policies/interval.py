"""Interval: one step in n computed with all its blocks, the rest reused (FORA, arXiv 2407.01425).

Two alignments go by the name FORA. Its own code counts steps down and computes where the count is
a multiple of n, so it is aligned to the end of the run. SmoothCache's "fora" files count up from
the start and force the last step. For n = 2 the two patterns mirror each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from caching.checks import MAX_STEPS, check_count
from caching.context import Context
from caching.errors import ScheduleError
from caching.schedule import BRANCHES, Schedule

Align = Literal["end", "start"]


def pattern(steps: int, n: int, *, align: Align = "end") -> NDArray[np.bool_]:
    """Bool (S,), True where the step is computed.

    Args:
        steps: S, 1..1000.
        n: the interval; 1 computes every step, more than S only the forced ones.
        align: "end" computes step 0 and every step s with (S - 1 - s) % n == 0, as FORA's code
            does; "start" computes s % n == 0 and the last step, as SmoothCache's files do.

    Raises:
        ScheduleError: a number out of range, or an unknown alignment.
    """
    steps = check_count("steps", steps, MAX_STEPS)
    n = check_count("the interval n", n, MAX_STEPS)
    index = np.arange(steps)
    align = align if isinstance(align, str) else repr(align)
    if align == "end":
        return np.asarray((index == 0) | ((steps - 1 - index) % n == 0))
    if align == "start":
        return np.asarray((index % n == 0) | (index == steps - 1))
    raise ScheduleError(f'align is {align!r:.40}: expected "end" or "start"')


def every(
    steps: int,
    blocks: int,
    n: int,
    *,
    align: Align = "end",
    branches: Sequence[str] = BRANCHES,
    context: Context | None = None,
) -> Schedule:
    """The interval policy as a schedule; see `pattern` for the two alignments."""
    computed = pattern(steps, n, align=align)
    return Schedule.from_steps(computed, blocks, branches=branches, context=context)
