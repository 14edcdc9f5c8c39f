"""Accumulated: reuse until the changes since the last computed step add up to a threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caching.errors import ScheduleError


def accumulated(change: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """Bool (S, G), True = computed, each row on its own.

    Step 0 is computed. At every later step the row's change from the step before is added to what
    it has added up since it was last computed; once the sum is above the threshold the step is
    computed and the sum starts again from 0.

    Args:
        change: (S, G) change of each row from the step before; that of step 0 is not read.
        threshold: 0 or more.

    Raises:
        ScheduleError: a wrong shape, NaN or negative changes.
    """
    given = np.asarray(change, np.float64)
    if given.ndim != 2 or not (given[1:] >= 0).all():
        raise ScheduleError(
            f"change is {given.shape}: expected (steps, rows) of numbers of 0 or more; measure "
            "the changes again"
        )
    computed = np.zeros(given.shape, bool)
    computed[0] = True
    total = np.zeros(given.shape[1])
    for s in range(1, len(given)):
        total = total + given[s]
        computed[s] = total > threshold
        total[computed[s]] = 0.0
    return computed
