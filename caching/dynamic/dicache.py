"""DiCache: the first blocks run as a probe, and say both whether and how to reuse the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from caching.actions.base import StepAction
from caching.actions.probe import ProbeResidual
from caching.dynamic.base import Choice, Decider, Facts, Policy, View, relative_l1
from caching.fields import choice_field, number_field, whole_field

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DiCache(Policy):
    """Skip while the change of what the probe gives, summed over steps, is below `threshold`.

    DiCache (repository Bujiazi/DiCache). The probe is the first `probe` blocks. The change dy is
    the relative L1 change of the hidden state behind it from one step to the next, dx that of the
    one before it; the error of a step is dy ("delta_y", threshold 0.4, retain 0.2), or |dy - dx|
    ("delta_minus", 0.08, 0), over the whole batch. The sum starts anew at a computed step, which
    goes on from the probe. The first floor(retain S) + 1 steps and the last are computed. A skipped
    step is aligned by its probe (`ProbeResidual`). Thresholds are those for FLUX.
    """

    threshold: float = 0.4
    retain: float = 0.2
    error: str = "delta_y"
    probe: int = 1

    name: ClassVar[str] = "dicache"
    label: ClassVar[str] = "DiCache"

    def __post_init__(self) -> None:
        number_field(self, "threshold", 0, 1000)
        number_field(self, "retain", 0, 1)
        choice_field(self, "error", ("delta_y", "delta_minus"))
        whole_field(self, "probe", 1, 255)

    @property
    def action(self) -> ProbeResidual:
        """What a skipped step does."""
        return ProbeResidual(self.probe)

    @property
    def step_legend(self) -> tuple[StepAction, ...]:
        return (self.action,)

    def check(self, blocks: int) -> None:
        self.action.check(blocks)

    def begin(self, facts: Facts) -> Decider:
        return _Decider(self, facts.steps)


class _Decider(Decider):
    def __init__(self, policy: DiCache, steps: int) -> None:
        self.policy, self.probe, self.last = policy, policy.probe, steps - 1
        self.retained = int(policy.retain * steps)
        self.before: tuple[Tensor, Tensor] | None = None
        self.sum = 0.0

    def decide(self, view: View) -> Choice:
        p, before = self.policy, self.before
        self.before = now = (view.tokens(0), view.tokens(p.probe))
        if before is None or view.s <= self.retained or view.s == self.last:
            self.sum = 0.0
            return Choice()
        change = relative_l1(now[1], before[1])
        if p.error == "delta_minus":
            change = abs(change - relative_l1(now[0], before[0]))
        self.sum += change
        score = self.sum
        if score < p.threshold:
            return Choice(action=p.action, score=score, limit=p.threshold)
        self.sum = 0.0
        return Choice(score=score, limit=p.threshold)
