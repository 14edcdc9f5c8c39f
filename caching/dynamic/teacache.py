"""TeaCache: skip the blocks while the modulated input of block 0 has changed little."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from caching.actions.base import StepAction
from caching.actions.residual import Residual
from caching.dynamic.base import Choice, Decider, Facts, Policy, View, relative_l1
from caching.fields import number_field, numbers_field

if TYPE_CHECKING:
    from torch import Tensor

IDENTITY = (1.0, 0.0)


@dataclass(frozen=True)
class TeaCache(Policy):
    """Compute when the sum of poly(rel. L1 change of the modulated input) reaches `threshold`.

    TeaCache (arXiv 2411.19108, eq. 4 to 6): the change from one step to the next is summed, over
    skipped and computed steps alike, and the sum starts anew at a computed step; the first and the
    last step are computed. Means go over the whole batch, both halves of guidance. A skipped step
    adds the stack residual of the last computed one.

    `coefficients` of the polynomial, highest power first, turn a change of the input into one of
    the output; they are fitted per model (`calibrated`). Without a fit the identity stands in. The
    threshold is what the paper uses for FLUX at 1.5x; 0.4, 0.6 and 0.8 are its faster settings.
    """

    threshold: float = 0.25
    coefficients: tuple[float, ...] = IDENTITY

    name: ClassVar[str] = "teacache"
    label: ClassVar[str] = "TeaCache"

    def __post_init__(self) -> None:
        number_field(self, "threshold", 0, 1000)
        numbers_field(self, "coefficients", least=1)

    @classmethod
    def calibrated(cls, model: Any, *, threshold: float = 0.25, **asked: Any) -> TeaCache:
        """With the polynomial of full runs of `model`; see `calibrate.teacache_polynomial`."""
        from caching.dynamic.calibrate import teacache_polynomial

        policy = cls(threshold)  # refuses what it is given before runs take their time
        return replace(policy, coefficients=teacache_polynomial(model, **asked))

    @property
    def title(self) -> str:
        how = "uncalibrated" if self.coefficients == IDENTITY else "calibrated"
        return f"{self.label} ({self.threshold:g}, {how})"

    @property
    def step_legend(self) -> tuple[StepAction, ...]:
        return (Residual(),)

    def begin(self, facts: Facts) -> Decider:
        return _Decider(self, facts)


class _Decider(Decider):
    def __init__(self, policy: TeaCache, facts: Facts) -> None:
        self.policy, self.last = policy, facts.steps - 1
        self.before: Tensor | None = None
        self.sum = 0.0

    def decide(self, view: View) -> Choice:
        before, self.before = self.before, view.modulated()
        if before is None or view.s == self.last:
            return Choice()
        change = relative_l1(self.before, before)
        self.sum += float(np.polyval(self.policy.coefficients, change))
        score, limit = self.sum, self.policy.threshold
        if score < limit:
            return Choice(action=Residual(), score=score, limit=limit)
        self.sum = 0.0
        return Choice(score=score, limit=limit)
