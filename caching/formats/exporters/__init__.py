"""Schedules in other programs' forms, with what each of them loses; one module per target.

To add one, add one module to this folder that defines a subclass of `Exporter`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from caching import registry
from caching.errors import ScheduleError
from caching.formats.exporters.base import Exported, Exporter
from caching.schedule import Schedule

__all__ = ["EXPORTERS", "Exported", "Exporter", "export_schedule"]

_STEM = re.compile(r"[A-Za-z0-9][\w.-]{0,80}")


def export_schedule(
    schedule: Schedule, target: str, *, stem: str = "schedule", **options: Any
) -> Exported:
    """The schedule for one target, what it loses there, and what the target does as a schedule.

    Args:
        schedule: what is to be handed over.
        target: the name of an exporter.
        stem: the beginning of the file's name.
        options: of that target; see the fields of its class.

    Raises:
        ScheduleError: an unknown target or option, or one that can hold nothing of the schedule.
    """
    if not isinstance(schedule, Schedule):
        raise ScheduleError(
            f"a {type(schedule).__name__} was given as the schedule: expected a Schedule"
        )
    if not isinstance(target, str) or target not in EXPORTERS:
        raise ScheduleError(
            f"target {target!r:.40} is not known: expected one of {', '.join(EXPORTERS)}"
        )
    if not isinstance(stem, str) or not _STEM.fullmatch(stem):
        raise ScheduleError(
            f"the name {stem!r:.40} cannot begin a file name: expected letters, digits, - and _"
        )
    return EXPORTERS[target]().with_options(options).export(schedule, stem)


EXPORTERS: Mapping[str, type[Exporter]] = registry.discover(__name__, __path__, Exporter)  # type: ignore[type-abstract]
