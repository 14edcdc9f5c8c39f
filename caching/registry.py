"""Open vocabularies: every module of a folder may add a named, frozen value; JSON both ways."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

from caching.errors import ScheduleError

T = TypeVar("T")


def discover(package: str, path: Sequence[str], base: type[T]) -> Mapping[str, type[T]]:
    """Imports every module of a folder and maps `name` to concrete subclasses of `base`."""
    found: dict[str, type[T]] = {}

    def concrete(item: object) -> bool:
        return inspect.isclass(item) and issubclass(item, base) and not inspect.isabstract(item)

    for info in pkgutil.iter_modules(path):
        module = importlib.import_module(f"{package}.{info.name}")
        for _, item in inspect.getmembers(module, concrete):
            if item.__module__ == module.__name__:
                if item.name in found:
                    raise RuntimeError(f"two entries are named {item.name!r}: rename one")
                found[item.name] = item
    return MappingProxyType(found)


def to_json(value: Any, key: str) -> dict[str, Any]:
    """A value as a JSON object: its name under `key`, and its parameters."""
    return {key: value.name, **dataclasses.asdict(value)}


def from_json(value: object, key: str, known: Mapping[str, type[T]]) -> T:
    """The value that a JSON object describes; raises ScheduleError for anything else."""
    if not isinstance(value, Mapping) or not isinstance(value.get(key), str):
        example = next(iter(known))
        raise ScheduleError(
            f"legend entry {_short(value)} is not a {key}: expected an object such as "
            f'{{"{key}": "{example}"}}'
        )
    name = value[key]
    if name not in known:
        raise ScheduleError(f"{key} {_short(name)} is unknown: expected one of {', '.join(known)}")
    cls = known[name]
    expected = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    given = set(value) - {key}
    if given != expected:
        raise ScheduleError(
            f"{key} {name!r} was given the parameters {_names(given)}, expected "
            f"{_names(expected)}: correct the legend"
        )
    return cls(**{field: value[field] for field in expected})


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _names(names: set[Any]) -> str:
    return _short(", ".join(sorted(map(str, names)))) if names else "none"
