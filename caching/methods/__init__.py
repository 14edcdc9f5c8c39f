"""Methods of the field, each one module of this folder, and the registry of them.

To add one, add one module that defines a subclass of `Method`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from caching import registry
from caching.errors import RequestError
from caching.methods.base import Method, Plan, Setting, Source, Unready

__all__ = ["METHODS", "Method", "Plan", "Setting", "Source", "Unready", "method_of"]

METHODS: Mapping[str, type[Method]] = registry.discover(__name__, __path__, Method)  # type: ignore[type-abstract]


def method_of(name: Any, **values: Any) -> Method:
    """A method by name with some of its controls set; the others at their defaults.

    Raises:
        RequestError: an unknown name or control; the message lists the known ones.
        ScheduleError: a value out of range.
    """
    if not isinstance(name, str) or name not in METHODS:
        raise RequestError(
            f"method {name!r:.40} is not known, expected one of: {', '.join(METHODS)}."
        )
    kind: Any = METHODS[name]
    known = [field.name for field in fields(kind)]
    for given in values:
        if given not in known:
            raise RequestError(
                f"{name} has no control {given!r:.40}, expected "
                f"{'one of: ' + ', '.join(known) if known else 'none'}."
            )
    made: Method = kind(**values)
    return made
