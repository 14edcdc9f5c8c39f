"""The registry of trainings, each one module of this folder that defines a subclass of `Trainer`.

Apart from the package itself, so that reading what was learned needs none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from caching import registry
from caching.errors import RequestError
from caching.learn.base import Trainer

__all__ = ["TRAINERS", "Trainer", "trainer_of"]

TRAINERS: Mapping[str, type[Trainer]] = registry.discover(
    "caching.learn",
    [str(Path(__file__).parent)],
    Trainer,  # type: ignore[type-abstract]
)


def trainer_of(name: Any, **options: Any) -> Trainer:
    """A training by name with some of its options set; the others at their defaults.

    Raises:
        RequestError: an unknown name or option; the message lists the known ones.
        ScheduleError: a value out of range.
    """
    if not isinstance(name, str) or name not in TRAINERS:
        raise RequestError(
            f"training {name!r:.40} is not known, expected one of: {', '.join(TRAINERS)}."
        )
    kind: Any = TRAINERS[name]
    known = list(kind.__dataclass_fields__)
    for given in options:
        if given not in known:
            raise RequestError(
                f"training {name} has no option {given!r:.40}, expected one of: {', '.join(known)}."
            )
    made: Trainer = kind(**options)
    return made
