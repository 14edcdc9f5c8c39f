"""What a prediction is for one picture: its own level, learned from runs of that picture.

A prediction is of the mean over pictures. How far one picture lies from that mean is mostly the
same whatever the schedule, so every run of it tells something about the next one:

    level = sd² sum of (measured - predicted) / within²       of n schedules, in dB
    sd²   = 1 / (1 / BETWEEN² + sum of 1 / within²)           what is left unsure

the mean of a normal level with prior spread BETWEEN, seen n times with noise `within`. Schedules
that change a picture little do it to each in its own way: within rises with PSNR. An interval here
is of this one picture under this schedule, where `Estimate`'s is of a mean over many. The numbers
below are of 120 schedules on 480 pictures that nothing was learned from; on the 300 schedules of
`python -m tests.bench.prediction` intervals held 78, 80, 79 and 82 % after 0, 1, 3 and 10 runs.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from caching.predict.evidence import BEST_DB
from caching.predict.fit import Estimate

BETWEEN_DB = 2.7
"""Standard deviation of pictures' levels about the mean over pictures."""


@dataclass(frozen=True)
class Within:
    """How far one picture's runs lie about its level, from schedule to schedule.

    Attributes:
        least_db: standard deviation where `from_db` or less is expected over pictures.
        rise: dB more for each dB expected beyond that.
        to_db: where it rises no further.
        deviations: to either side, which hold four normal numbers in five.
    """

    least_db: float = 1.4
    rise: float = 0.07
    from_db: float = 27.0
    to_db: float = 47.0
    deviations: float = 1.2816

    def at(self, mean_db: float) -> float:
        """Standard deviation where so much is expected over pictures."""
        above = min(max(mean_db, self.from_db), self.to_db) - self.from_db
        return self.least_db + self.rise * above


WITHIN = Within()


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


def level_of(runs: Iterable[tuple[Hashable, float, float]]) -> Level:
    """The level of one picture.

    Args:
        runs: schedule, measured PSNR and predicted PSNR of each; of equal schedules the last one
            counts. Where either is at the most there is, or is no number, it says nothing.
    """
    of = {
        schedule: (measured - predicted, WITHIN.at(predicted) ** -2)
        for schedule, measured, predicted in runs
        if measured < BEST_DB and predicted < BEST_DB  # false for NaN
    }
    told = BETWEEN_DB**-2 + sum(weight for _, weight in of.values())
    level = sum(gap * weight for gap, weight in of.values()) / told
    return Level(level, told**-0.5, len(of))


def at_picture(mean: Estimate, level: Level) -> Estimate:
    """What is expected for a picture of a level where `mean` is expected over pictures."""
    db = mean.db + level.db
    own = WITHIN.deviations * math.hypot(WITHIN.at(mean.db), level.sd_db)
    half = math.hypot(mean.db - mean.low_db, own)
    return Estimate(*(min(end, BEST_DB) for end in (db, db - half, db + half)))
