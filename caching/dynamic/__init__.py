"""Policies that decide while a run goes on, and the registry of these.

To add one, add one module to this folder that defines a subclass of `Policy`.
"""

from __future__ import annotations

from collections.abc import Mapping

from caching import registry
from caching.dynamic.base import Choice, Decider, Facts, Policy, View

__all__ = ["POLICIES", "Choice", "Decider", "Facts", "Policy", "View"]

POLICIES: Mapping[str, type[Policy]] = registry.discover(__name__, __path__, Policy)  # type: ignore[type-abstract]
