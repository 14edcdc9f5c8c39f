"""EasyCache: skip the transformer while its own recent gain predicts a small change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from caching.actions.base import StepAction
from caching.actions.output import OutputReuse
from caching.dynamic.base import Choice, Decider, Facts, Policy, View
from caching.fields import number_field, whole_field

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class EasyCache(Policy):
    """Skip while the sum of k |x - x'| / |v| is below `threshold`, k = |dv| / |dx|.

    EasyCache (arXiv 2507.02860, eq. 6 to 8) on raw latents x and raw output v, |.| the mean of
    absolute values: k is taken between the last two computed steps, x' is the latents one step
    before, v the last computed output. The sum starts anew at a computed step. The first `warmup`
    steps and the last are computed. The conditional half decides for both, as there; of the output,
    only the channels of the prediction are looked at.
    """

    threshold: float = 0.05
    warmup: int = 10

    name: ClassVar[str] = "easycache"
    label: ClassVar[str] = "EasyCache"

    def __post_init__(self) -> None:
        number_field(self, "threshold", 0, 1000)
        whole_field(self, "warmup", 0, 1000)

    @property
    def step_legend(self) -> tuple[StepAction, ...]:
        return (OutputReuse(),)

    def begin(self, facts: Facts) -> Decider:
        return _Decider(self, facts)


def _share(of: Tensor, to: Tensor) -> float:
    """mean|of| / mean|to|, not a number where both are zero."""
    share: Any = of.float().abs().mean() / to.float().abs().mean()
    return float(share)


class _Decider(Decider):
    def __init__(self, policy: EasyCache, facts: Facts) -> None:
        self.policy, self.facts = policy, facts
        self.before: Tensor | None = None  # latents one step before, computed or not
        self.computed: tuple[Tensor, Tensor] | None = None  # latents and output
        self.gain: float | None = None
        self.sum = 0.0

    def _half(self, x: Tensor) -> Tensor:
        return x[: len(x) // self.facts.passes]

    def decide(self, view: View) -> Choice:
        p, now = self.policy, self._half(view.latents)
        before, self.before = self.before, now
        if view.s < p.warmup or view.s >= self.facts.steps - 1:
            self.sum = 0.0
            return Choice()
        if before is None or self.computed is None or self.gain is None:
            return Choice()
        self.sum += self.gain * _share(now - before, self.computed[1])
        score = self.sum
        if score < p.threshold:
            return Choice(action=OutputReuse(), score=score, limit=p.threshold)
        self.sum = 0.0
        return Choice(score=score, limit=p.threshold)

    def after(self, view: View, choice: Choice, output: Tensor) -> None:
        if not choice.runs_all:
            return
        now = self._half(view.latents)
        out = self._half(output)[:, : now.shape[1]]
        if self.computed is not None:
            latents, earlier = self.computed
            self.gain = _share(out - earlier, now - latents)
        self.computed = (now, out)
