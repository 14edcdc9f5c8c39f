"""First and last computed: the middle of the run reused; a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from caching.methods.base import Method, Plan, Setting, whole
from caching.policies.ends import ends


@dataclass(frozen=True)
class FirstAndLast(Method):
    """The first and last steps whole, one step in N of those between: the plainest uneven grid.

    It asks of any uneven schedule whether it knows more than that a run changes most at its ends.
    """

    first: int = whole(5, 1, 100, "first", "full steps at the start")
    last: int = whole(5, 0, 100, "last", "full steps at the end")
    interval: int = whole(100, 1, 100, "N", "one step in N of the middle is computed")

    name = "ends"
    title = "First and last computed"
    about = "Computes the first and last steps and reuses those between."
    faithfulness = "of no paper"
    because = "A baseline that many tools offer under many names."
    tunes = "first"

    def plan(self, setting: Setting) -> Plan:
        return Plan(
            ends(
                setting.steps,
                setting.blocks,
                self.first,
                self.last,
                interval=self.interval,
                branches=setting.branches,
            )
        )

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """Full steps in all from S to 1, shared between start and end as they are now."""
        most = min(setting.steps, 100)
        share = self.first / (self.first + self.last)
        found = []
        for count in range(most, 0, -1):
            first = min(count, max(1, round(share * count)))
            found.append(replace(self, first=first, last=count - first))
        return tuple(found)
