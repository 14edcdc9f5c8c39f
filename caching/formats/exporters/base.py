"""The base of exporters: a class per target, and what each of them hands out."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from caching.errors import ScheduleError
from caching.schedule import Schedule


@dataclass(frozen=True)
class Exported:
    """A schedule in another program's form.

    Attributes:
        filename: a name for the file, without a folder.
        text: its content.
        losses: what the target does otherwise than the schedule says, one sentence each; empty
            when it does just that.
        projected: what the target does, as a schedule that the engine can run.
        notes: how to use it and what to look out for, one sentence each.
    """

    filename: str
    text: str
    losses: tuple[str, ...]
    projected: Schedule
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exporter(ABC):
    """Base of all exporters; the fields are options.

    Attributes:
        name: the word by which the target is chosen.
        label: what a person reads.
        expresses: what the target can hold, in a few words.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    expresses: ClassVar[str]

    @abstractmethod
    def export(self, schedule: Schedule, stem: str) -> Exported:
        """The schedule for the target, in a file whose name begins with `stem`.

        Raises:
            ScheduleError: the target can hold nothing of it.
        """

    def with_options(self, options: Mapping[str, Any]) -> Exporter:
        """A copy with some options set; raises ScheduleError for one it does not have."""
        known = [field.name for field in dataclasses.fields(self)]
        unknown = [name for name in options if name not in known]
        if unknown:
            raise ScheduleError(
                f"option {unknown[0]!r:.40} is not known for {self.label}: expected "
                f"{', '.join(known) if known else 'none'}"
            )
        return dataclasses.replace(self, **options)
