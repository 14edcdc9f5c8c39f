"""FBCache: block 0 always runs, and says whether the blocks behind it have to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from caching.actions.base import StepAction
from caching.actions.residual import Residual
from caching.dynamic.base import Choice, Decider, Facts, Policy, View, relative_l1
from caching.fields import number_field

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FBCache(Policy):
    """Compute when block 0's residual differs from that of the last computed step by more.

    First Block Cache (ParaAttention; diffusers' FirstBlockCacheConfig, threshold 0.05):
    mean|r - r'| / mean|r'| > threshold computes, over the whole batch. Otherwise what blocks 1 to
    L-1 added at the last computed step is added again. No step is computed for its place in the run
    but the first.
    """

    threshold: float = 0.05

    name: ClassVar[str] = "fbcache"
    label: ClassVar[str] = "FBCache"

    def __post_init__(self) -> None:
        number_field(self, "threshold", 0, 1000)

    @property
    def step_legend(self) -> tuple[StepAction, ...]:
        return (Residual(first=1),)

    def begin(self, facts: Facts) -> Decider:
        return _Decider(self.threshold)


class _Decider(Decider):
    probe = 1

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.before: Tensor | None = None

    def decide(self, view: View) -> Choice:
        now = view.tokens(1) - view.tokens(0)
        if self.before is None:
            self.before = now
            return Choice()
        score, limit = relative_l1(now, self.before), self.threshold
        if score <= limit:
            return Choice(action=Residual(first=1), score=score, limit=limit)
        self.before = now
        return Choice(score=score, limit=limit)
