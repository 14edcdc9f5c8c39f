"""Our own schedule JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from caching.formats.exporters.base import Exported, Exporter
from caching.formats.native import dumps
from caching.schedule import Schedule


@dataclass(frozen=True)
class Native(Exporter):
    """Everything a schedule holds, with its context, one readable row per branch."""

    name: ClassVar[str] = "cachebrush"
    label: ClassVar[str] = "Cachebrush schedule (JSON)"
    expresses: ClassVar[str] = "everything"

    def export(self, schedule: Schedule, stem: str) -> Exported:
        return Exported(f"{stem}.json", dumps(schedule), (), schedule)
