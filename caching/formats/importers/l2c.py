"""Learning-to-Cache routers: a probability for every cell of every other step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from caching.formats.importers.base import (
    ASCENDING,
    Importer,
    Reading,
    Shape,
    chance,
    grid_of,
)
from caching.formats.importers.routers import fixed_first, is_router, read_routers
from caching.formats.importers.source import Source


@dataclass(frozen=True)
class L2C(Importer):
    """A cell is computed where sigmoid(logit) > theta; only even indices may reuse.

    Learning-to-Cache (arXiv 2406.01733, horseee/learning-to-cache). Steps come in pairs, the odd
    index first, which is always full: its logits were never trained and mean nothing. The
    published runs use theta = 0.1 (0.9 for XL/2 at 512).
    """

    theta: float = 0.1

    name: ClassVar[str] = "l2c"
    label: ClassVar[str] = "Learning-to-Cache router"
    source: ClassVar[str] = "Learning-to-Cache, arXiv 2406.01733, no licence"

    def __post_init__(self) -> None:
        chance(self, "theta")

    @classmethod
    def sniff(cls, source: Source) -> bool:
        return is_router(source) and not fixed_first(source)

    def read(self, source: Source, shape: Shape) -> Reading:
        routers = read_routers(source)
        flat = np.ones(routers.logits.shape, bool)
        flat[0::2] = routers.probabilities[0::2] > self.theta
        computed = routers.grid(flat, shape)
        note = f"from a Learning-to-Cache router at theta {self.theta:g}"
        schedule, forced = grid_of(computed, shape.branches, note=note)
        free = flat[0::2]
        understood = (
            f"Theta {self.theta:g}: {int(free.sum())} of {free.size} cells computed on the steps "
            "that may reuse (even indices); the others are full.",
            *routers.words(),
        )
        return Reading(schedule, ASCENDING, understood, forced)
