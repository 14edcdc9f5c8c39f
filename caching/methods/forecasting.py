"""What TaylorSeer and those that follow its schedule share: the beat of full steps, the ladder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from caching.methods.base import Method, Plan, Setting
from caching.policies.rungs import lead_ins
from caching.policies.taylorseer import taylorseer

if TYPE_CHECKING:
    from caching.predictors.base import Predictor


class Forecasting(Method):
    """Full at the first `first` steps, then once in `interval`; one predictor for all between."""

    interval: int
    first: int

    @property
    @abstractmethod
    def predictor(self) -> Predictor:
        """What stands in for every branch between full steps."""

    def plan(self, setting: Setting) -> Plan:
        return Plan(
            taylorseer(
                setting.steps,
                setting.blocks,
                self.interval,
                predictor=self.predictor,
                first=self.first,
                branches=setting.branches,
            )
        )

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """One full step less at a time: a shorter start, then a larger N."""
        made: Any = self  # a dataclass, as every method that is one of the registry
        rungs = lead_ins(setting.steps, self.first, range(2, 11))
        return tuple(replace(made, first=first, interval=n) for first, n in rungs)
