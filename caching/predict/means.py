"""What schedules do in the mean over pictures, of which each ran on some only.

Pictures differ by several dB in how much any schedule does to them, and runs are dear: so every
schedule runs on four pictures at a time, in each turn on those of one group, and least squares with
levels at random tells what pictures did from what schedules did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caching.engine.run import sample
from caching.engine.states import States
from caching.models.model import Model
from caching.predict.calibration import TOGETHER, psnr_db
from caching.predict.drawn import KINDS
from caching.schedule import Schedule

FIRST_NOISE_DB, FIRST_SPREAD_DB = 1.5, 3.0
ROUNDS = 10
"""Of guessing both anew from what is left; both are still by then."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Means:
    """Of n schedules.

    Attributes:
        db: (n,) PSNR in the mean over all pictures.
        unsure: (n,) its standard error, as if schedules did as unlike to all.
        alone: (n,) the same from each one's own pictures.
        levels: (P,) of the pictures, about zero.
        pictures: int64 (P,) their numbers.
        noise_db: standard deviation of what a schedule does to one picture besides.
    """

    db: Array
    unsure: Array
    alone: Array
    levels: Array
    pictures: NDArray[np.int64]
    noise_db: float


def groups(count: int, turns: int, common: int) -> NDArray[np.int64]:
    """(turns + common, count) numbers of the groups of pictures. In the first turn neighbours share
    one, and in others schedules far apart, so that levels of pictures can be told from schedules';
    in a common turn all share one."""
    n, blocks = np.arange(count), -(-count // len(KINDS))
    ways = [n // len(KINDS), n % blocks, (n // len(KINDS) + 5 * (n % len(KINDS))) % blocks]
    mixed = [ways[t % 3] + t * blocks for t in range(turns)]
    return np.stack([*mixed, *(np.full(count, turns * blocks + i) for i in range(common))])


def measured(
    model: Model,
    schedules: Sequence[Schedule],
    which: NDArray[np.int64],
    known: Array,
    asked: Callable[[range], dict[str, Any]],
) -> Iterator[tuple[int, int, Array]]:
    """Turn, schedule and PSNR (4,) of every run that `known` lacks, group by group.

    Args:
        which: (turns, n) group of four pictures.
        known: (turns, n, 4) measured before, NaN what was not; left as it is.
        asked: a full run's request for pictures by their numbers.
    """
    left = np.isnan(known[..., 0])
    # Neighbours begin alike: what they share runs once.
    order = sorted(range(len(schedules)), key=lambda n: schedules[n].actions.tobytes())
    for turn, one in np.argwhere(left):
        group = which[turn, one]
        todo = [n for n in order if which[turn, n] == group and left[turn, n]]
        if not todo:  # measured together with another
            continue
        request = asked(range(group * TOGETHER, (group + 1) * TOGETHER))
        states = States()
        full = sample(model, None, states=states, **request)
        for n in todo:
            run = sample(model, schedules[n], states=states, **request)
            left[turn, n] = False
            yield int(turn), n, psnr_db(run, full)


def means(psnr: Array, which: NDArray[np.int64]) -> Means:
    """Told apart; psnr[t, n, p] = schedule n + picture p of group which[t, n] + noise, levels of
    pictures being drawn about zero (Henderson's equations; NaN was not measured)."""
    turn, n = np.nonzero(~np.isnan(psnr[..., 0]))
    each, count = psnr.shape[2], psnr.shape[1]
    numbers, at = np.unique(which[turn, n][:, None] * each + np.arange(each), return_inverse=True)
    at, of, y = at.ravel(), np.repeat(n, each), psnr[turn, n].ravel()
    rows, pictures = np.arange(y.size), len(numbers)
    design = np.zeros((y.size, count + pictures))
    design[rows, of] = design[rows, count + at] = 1
    noise, spread = FIRST_NOISE_DB, FIRST_SPREAD_DB
    for _ in range(ROUNDS):
        held = np.r_[np.zeros(count), np.full(pictures, (noise / spread) ** 2)]
        inverse = np.linalg.inv(design.T @ design + np.diag(held))
        found = inverse @ design.T @ y
        own = np.diag(inverse)
        left = y - design @ found
        # Of each picture's own variance, what its runs have not told remains.
        free = pictures - float((held[count:] * own[count:]).sum())
        noise = float(left @ left / (y.size - count - free)) ** 0.5
        spread = float(found[count:] @ found[count:] / free) ** 0.5
    free_share = (y.size - count - free) / y.size
    runs = np.bincount(of, minlength=count)
    return Means(
        db=found[:count],
        unsure=noise * own[:count] ** 0.5,
        alone=(np.bincount(of, left**2, count) / free_share) ** 0.5 / runs,
        levels=found[count:],
        pictures=numbers,
        noise_db=noise,
    )
