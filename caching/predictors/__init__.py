"""What stands in for a branch that is not computed, and the registry of all such predictors.

A predictor is a small frozen value: it goes into a schedule's legend, into its file and onto the
painter's palette. To add one, add one module to this folder that defines a subclass of
`Predictor`; the registry finds it.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from caching.errors import ScheduleError
from caching.predictors.base import Predictor
from caching.predictors.reuse import Reuse

__all__ = ["PREDICTORS", "Predictor", "Reuse", "from_json", "to_json"]


def to_json(predictor: Predictor) -> dict[str, Any]:
    """A predictor as a JSON object: its name and its parameters."""
    return {"predictor": predictor.name, **dataclasses.asdict(predictor)}


def from_json(value: object) -> Predictor:
    """The predictor a JSON object describes; raises ScheduleError for anything else."""
    if not isinstance(value, Mapping) or not isinstance(value.get("predictor"), str):
        raise ScheduleError(
            f"legend entry {_short(value)} is not a predictor: expected an object such as "
            '{"predictor": "reuse"}'
        )
    name = value["predictor"]
    if name not in PREDICTORS:
        raise ScheduleError(
            f"predictor {_short(name)} is unknown: expected one of {', '.join(PREDICTORS)}"
        )
    cls = PREDICTORS[name]
    expected = {field.name for field in dataclasses.fields(cls)}
    given = set(value) - {"predictor"}
    if given != expected:
        raise ScheduleError(
            f"predictor {name!r} was given the parameters {_names(given)}, expected "
            f"{_names(expected)}: correct the legend"
        )
    return cls(**{key: value[key] for key in expected})


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _names(names: set[Any]) -> str:
    return _short(", ".join(sorted(map(str, names)))) if names else "none"


def _is_predictor(item: object) -> bool:
    return inspect.isclass(item) and issubclass(item, Predictor) and item is not Predictor


def _discover() -> Mapping[str, type[Predictor]]:
    """Imports every module of this folder and maps predictor names to classes, read-only."""
    found: dict[str, type[Predictor]] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for _, item in inspect.getmembers(module, _is_predictor):
            if item.__module__ == module.__name__:
                if item.name in found:
                    raise RuntimeError(f"two predictors are named {item.name!r}: rename one")
                found[item.name] = item
    return MappingProxyType(found)


PREDICTORS: Mapping[str, type[Predictor]] = _discover()
