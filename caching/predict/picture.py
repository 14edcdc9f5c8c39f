"""What a prediction is for one picture: its own level, learned from runs of that picture.

A prediction is of the mean over pictures. How far one picture lies from that mean is mostly the
same whatever the schedule, so every run of it tells something about the next one:

    level = sum of (measured - predicted) / (n + WITHIN² / BETWEEN²)     of n schedules, in dB
    sd²   = 1 / (1 / BETWEEN² + n / WITHIN²)                             what is left unsure

the mean of a normal level with prior spread BETWEEN, seen n times with noise WITHIN. Over 40
schedules on 24 pictures of the shipped model, none of them learned from, the two were 2.6 and 2.1
dB; the ranges below held 83 % of the runs, after none as after ten.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from caching.predict.evidence import BEST_DB
from caching.predict.fit import Estimate

BETWEEN_DB = 2.7
"""Standard deviation of pictures' levels about the mean over pictures."""
WITHIN_DB = 2.0
"""Standard deviation of one picture's runs about its level, from schedule to schedule."""
FOUR_IN_FIVE = 1.2816
"""Standard deviations to either side that hold four normal numbers in five."""


@dataclass(frozen=True)
class Level:
    """How far a picture lies above the mean over pictures.

    Attributes:
        db: above the mean.
        sd_db: standard deviation of what is not known of it.
        runs: schedules it was learned from; 0: nothing is known of this picture.
    """

    db: float = 0.0
    sd_db: float = BETWEEN_DB
    runs: int = 0

    @property
    def more_db(self) -> float:
        """Half of the interval that holds four schedules in five of this picture, apart from what
        is unsure of the mean."""
        return FOUR_IN_FIVE * math.hypot(WITHIN_DB, self.sd_db)


def level_of(runs: Iterable[tuple[Hashable, float, float]]) -> Level:
    """The level of one picture.

    Args:
        runs: schedule, measured PSNR and predicted PSNR of each; of equal schedules the last one
            counts. Where either is at the most there is, or is no number, it says nothing.
    """
    of = {
        schedule: measured - predicted
        for schedule, measured, predicted in runs
        if measured < BEST_DB and predicted < BEST_DB  # false for NaN
    }
    count = len(of)
    level = sum(of.values()) / (count + WITHIN_DB**2 / BETWEEN_DB**2)
    return Level(level, (1 / BETWEEN_DB**2 + count / WITHIN_DB**2) ** -0.5, count)


def at_picture(mean: Estimate, level: Level) -> Estimate:
    """What is expected for a picture of a level where `mean` is expected over pictures."""
    db = mean.db + level.db
    half = math.hypot(mean.db - mean.low_db, level.more_db)
    return Estimate(*(min(end, BEST_DB) for end in (db, db - half, db + half)))
