"""Full: every cell computed, what all methods are judged against; a baseline."""

from __future__ import annotations

from dataclasses import dataclass

from caching.methods.base import Method, Plan, Setting


@dataclass(frozen=True)
class Full(Method):
    """The model as it is."""

    name = "full"
    title = "Full"
    about = "Computes everything: the run that all others are judged against."
    faithfulness = "of no paper"
    because = "The model as it is, which every number is against."

    def plan(self, setting: Setting) -> Plan:
        return Plan(setting.full())
