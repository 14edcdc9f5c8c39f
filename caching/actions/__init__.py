"""What a whole step does instead of running its blocks by the grid, and the registry of these.

To add one, add one module to this folder that defines a subclass of `StepAction`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from caching import registry
from caching.actions.base import StepAction

__all__ = ["ACTIONS", "StepAction", "from_json", "to_json"]


def to_json(action: StepAction) -> dict[str, Any]:
    """An action as a JSON object: its name and its parameters."""
    return registry.to_json(action, "action")


def from_json(value: object) -> StepAction:
    """The action a JSON object describes; raises ScheduleError for anything else."""
    return registry.from_json(value, "action", ACTIONS)


ACTIONS: Mapping[str, type[StepAction]] = registry.discover(__name__, __path__, StepAction)  # type: ignore[type-abstract]
