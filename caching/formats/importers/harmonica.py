"""HarmoniCa routers: a probability for every cell of every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

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
class HarmoniCa(Importer):
    """A cell is computed where sigmoid(logit) > theta, at any step, for any age.

    HarmoniCa (arXiv 2410.01723, ModelTC/HarmoniCa) saves its routers as Learning-to-Cache does. It
    is told by the first executed step, all of whose logits are fixed at 5; every other one is
    trained. Published runs use theta = 0.1; no router was published.
    """

    theta: float = 0.1

    name: ClassVar[str] = "harmonica"
    label: ClassVar[str] = "HarmoniCa router"
    source: ClassVar[str] = "HarmoniCa, arXiv 2410.01723, Apache-2.0"

    def __post_init__(self) -> None:
        chance(self, "theta")

    @classmethod
    def sniff(cls, source: Source) -> bool:
        return is_router(source) and fixed_first(source)

    def read(self, source: Source, shape: Shape) -> Reading:
        routers = read_routers(source)
        computed = routers.grid(routers.probabilities > self.theta, shape)
        note = f"from a HarmoniCa router at theta {self.theta:g}"
        schedule, forced = grid_of(computed, shape.branches, note=note)
        understood = (f"Theta {self.theta:g}; every step may reuse.", *routers.words())
        return Reading(schedule, ASCENDING, understood, forced)
