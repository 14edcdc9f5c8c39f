"""What stands in for a branch that is not computed, and the registry of all such predictors.

A predictor is a small frozen value: it goes into a schedule's legend, into its file and onto the
painter's palette. To add one, add one module to this folder that defines a subclass of
`Predictor`; the registry finds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from caching import registry
from caching.predictors.base import Predictor
from caching.predictors.reuse import Reuse

__all__ = ["PREDICTORS", "Predictor", "Reuse", "from_json", "to_json"]


def to_json(predictor: Predictor) -> dict[str, Any]:
    """A predictor as a JSON object: its name and its parameters."""
    return registry.to_json(predictor, "predictor")


def from_json(value: object) -> Predictor:
    """The predictor a JSON object describes; raises ScheduleError for anything else."""
    return registry.from_json(value, "predictor", PREDICTORS)


PREDICTORS: Mapping[str, type[Predictor]] = registry.discover(__name__, __path__, Predictor)  # type: ignore[type-abstract]
