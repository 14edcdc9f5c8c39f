"""A PNG saved with its recipe inside: schedule and request, see `caching.formats.picture`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from caching.formats import native, picture
from caching.formats.importers.base import EXECUTION, Importer, Reading, Shape
from caching.formats.importers.native import checked
from caching.formats.importers.source import Source


@dataclass(frozen=True)
class Picture(Importer):
    """A picture of this project's; only its text is read, never its pixels."""

    name: ClassVar[str] = "picture"
    label: ClassVar[str] = "Cachebrush picture"
    source: ClassVar[str] = "this project"

    @classmethod
    def sniff(cls, source: Source) -> bool:
        return source.kind == "png"

    def read(self, source: Source, shape: Shape) -> Reading:
        recipe = picture.recipe_of(source.data)
        reading = checked(native.from_json(recipe["schedule"]), shape, EXECUTION)
        return Reading(
            reading.schedule, reading.order, reading.understood, request=recipe["request"]
        )
