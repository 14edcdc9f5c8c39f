"""TaylorSeer's schedule: a few full steps first, then one full step in every interval."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from caching.checks import MAX_STEPS, check_count
from caching.context import Context
from caching.predictors import Predictor
from caching.predictors.taylor import Taylor
from caching.schedule import BRANCHES, Schedule


def taylorseer(
    steps: int,
    blocks: int,
    interval: int = 4,
    *,
    predictor: Predictor | None = None,
    first: int = 2,
    branches: Sequence[str] = BRANCHES,
    context: Context | None = None,
) -> Schedule:
    """The schedule of TaylorSeer (arXiv 2503.06923), the same for all blocks and branches.

    Steps 0..first-1 are full; after that a step is full when `interval` - 1 steps have been
    forecast since the last full one. The last step is not forced, as in the reference, and the
    reference's `first_enhance` of 2 is the default.

    Args:
        steps, blocks: S and L.
        interval: N, 1 computes everything; the paper's tables use 3 to 6 over 50 steps.
        predictor: what stands in; None: Taylor of order 4, the paper's.
        first: full steps at the start.
        branches: R names.
        context: the run it is for.

    Raises:
        ScheduleError: a count out of range.
    """
    steps = check_count("steps", steps, MAX_STEPS)
    interval = check_count("interval", interval, MAX_STEPS)
    first = check_count("first", first, MAX_STEPS)
    s = np.arange(steps)
    computed = (s < first) | ((s - first + 1) % interval == 0)
    made = Schedule.from_steps(computed, blocks, branches=branches, context=context)
    return dataclasses.replace(made, legend=(predictor or Taylor(4),))
