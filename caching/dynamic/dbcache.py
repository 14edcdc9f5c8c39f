"""DBCache: the first and last blocks always run; the first say whether those between have to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from caching.actions.base import StepAction
from caching.actions.residual import Residual
from caching.dynamic.base import Choice, Decider, Facts, Policy, View, relative_l1
from caching.fields import number_field, whole_field

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DBCache(Policy):
    """Reuse what the middle blocks added while the first blocks' residual differs by less.

    Dual block cache (cache-dit), with its names in brackets: `first` (Fn_compute_blocks) and `last`
    (Bn_compute_blocks) blocks run at every step, `warmup` (max_warmup_steps) steps are full, and
    then mean|r' - r| / mean|r'| < threshold (residual_diff_threshold) reuses, r' from the last
    computed step. 0 never reuses, 1 and more always does. `most` (max_cached_steps) and `in_a_row`
    (max_continuous_cached_steps) bound the reused steps, -1: not. Semantics are those of release
    1.5.3, without its calibrators.
    """

    first: int = 8
    last: int = 0
    threshold: float = 0.08
    warmup: int = 8
    most: int = -1
    in_a_row: int = -1

    name: ClassVar[str] = "dbcache"
    label: ClassVar[str] = "DBCache"

    def __post_init__(self) -> None:
        whole_field(self, "first", 1, 255)
        whole_field(self, "last", 0, 255)
        number_field(self, "threshold", 0, 1000)
        whole_field(self, "warmup", 0, 1000)
        whole_field(self, "most", -1, 1000)
        whole_field(self, "in_a_row", -1, 1000)

    @property
    def action(self) -> Residual:
        """What a reused step does."""
        return Residual(self.first, self.last)

    @property
    def step_legend(self) -> tuple[StepAction, ...]:
        return (self.action,)

    def check(self, blocks: int) -> None:
        self.action.check(blocks)

    def begin(self, facts: Facts) -> Decider:
        return _Decider(self)


class _Decider(Decider):
    def __init__(self, policy: DBCache) -> None:
        self.policy, self.probe = policy, policy.first
        self.before: Tensor | None = None
        self.reused = self.row = 0

    def decide(self, view: View) -> Choice:
        p = self.policy
        now = view.tokens(p.first) - view.tokens(0)
        score = limit = None
        if self.before is not None and self._may(view.s):
            if p.threshold < 1:
                score, limit = relative_l1(now, self.before), p.threshold
            if score is None or score < p.threshold:
                self.reused, self.row = self.reused + 1, self.row + 1
                return Choice(action=p.action, score=score, limit=limit)
        self.before, self.row = now, 0
        return Choice(score=score, limit=limit)

    def _may(self, s: int) -> bool:
        p = self.policy
        spent = 0 <= p.most <= self.reused or 0 <= p.in_a_row <= self.row
        return s >= p.warmup and not spent and p.threshold > 0
