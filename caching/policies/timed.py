"""What rules by timestep and by branch name ask of a setting: timesteps of steps, and a column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from caching.checks import MAX_STEPS, check_count
from caching.errors import ScheduleError

LAST = 999


def even_timesteps(steps: int) -> NDArray[np.float64]:
    """(S,) falling from 999 to 0 in even parts, as DiT's own respaced sampler has them."""
    steps = check_count("steps", steps, MAX_STEPS)
    return np.linspace(LAST, 0, steps) if steps > 1 else np.array([float(LAST)])


def column(branches: Sequence[str], name: str) -> int:
    """Which branch has a name; raises ScheduleError where none has."""
    if name not in branches:
        raise ScheduleError(f'branches are {", ".join(branches)}: expected one named "{name}"')
    return list(branches).index(name)
