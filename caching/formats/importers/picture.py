"""A PNG saved with its recipe inside: schedule and request, see `caching.formats.picture`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from caching.formats import native, picture
from caching.formats.importers.base import EXECUTION, Importer, Reading, Shape
from caching.formats.importers.native import checked
from caching.formats.importers.source import Source

MEASURED = (
    ("work", "{:.0%} of the work"),
    ("speedup", "{:.2f}× as fast"),
    ("psnr_db", "{:.1f} dB"),
)


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
        schedule = native.from_json(recipe["schedule"])
        reading = checked(schedule, shape, EXECUTION)
        told = measured_words(recipe["measured"])
        understood = (*reading.understood, told) if told else reading.understood
        return dataclasses.replace(
            reading,
            understood=understood,
            request=recipe["request"],
            locks=native.locks_of(recipe["schedule"], schedule),
        )


def measured_words(measured: Mapping[str, Any]) -> str:
    """What was measured when the picture was saved, as one sentence; "" if it does not say it."""
    said = []
    for name, form in MEASURED:
        value = measured.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            said.append(form.format(value))
        elif value == "infinite":
            said.append("identical to the full picture")
    setting = measured.get("setting")
    where = f", on {setting:.80}" if isinstance(setting, str) and setting.isprintable() else ""
    return f"Measured when it was saved: {', '.join(said)}{where}." if said else ""
