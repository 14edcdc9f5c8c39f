"""Our own schedule JSON, by itself or in the record of a run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from caching.formats import native
from caching.formats.importers.base import EXECUTION, Importer, Reading, Shape
from caching.formats.importers.source import Source
from caching.schedule import Schedule


@dataclass(frozen=True)
class Native(Importer):
    """The format of `caching.formats.native`, with brushes, step row and context."""

    name: ClassVar[str] = "cachebrush"
    label: ClassVar[str] = "Cachebrush schedule"
    source: ClassVar[str] = "this project"

    @classmethod
    def sniff(cls, source: Source) -> bool:
        return _schedule_in(source.value) is not None

    def read(self, source: Source, shape: Shape) -> Reading:
        value = _schedule_in(source.value)
        schedule = native.from_json(value)
        order = EXECUTION
        if isinstance(value, dict) and value.get("step_order") == native.ASCENDING_ORDER:
            order = "the file counts upwards with the timestep, and says so: turned round"
        locks = native.locks_of(value, schedule) if isinstance(value, dict) else None
        asked = source.value.get("request") if value is not source.value else None
        request = asked if isinstance(asked, dict) else None
        return dataclasses.replace(checked(schedule, shape, order), locks=locks, request=request)


def _schedule_in(value: Any) -> dict[str, Any] | None:
    """The schedule that a file is, or that the record of a run or a comparison holds."""
    for found in (value, value.get("schedule")) if isinstance(value, dict) else ():
        if isinstance(found, dict) and found.get("format") == native.FORMAT:
            return found
    return None


def checked(schedule: Schedule, shape: Shape, order: str) -> Reading:
    """A schedule of our own as a reading, if it is for the model."""
    shape.settle(schedule.blocks, "the schedule")
    schedule.check_fits(branches=shape.branches)
    words = [predictor.title for predictor in schedule.legend if schedule.actions.any()]
    words += [action.title for action in schedule.step_legend]
    note = schedule.context.note if schedule.context is not None else None
    said = [f"In use: {', '.join(words)}."] if words else []
    return Reading(schedule, order, (*said, *([f"Note: {note}."] if note else [])))
