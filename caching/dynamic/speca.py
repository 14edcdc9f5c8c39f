"""SpeCa: Taylor forecasts as drafts, checked at the last block; a bad one ends the row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from caching.dynamic.base import Choice, Decider, Facts, Policy, View
from caching.fields import number_field, whole_field
from caching.predictors.base import Predictor
from caching.predictors.taylor import MAX_ORDER, Taylor

if TYPE_CHECKING:
    from torch import Tensor

FLOOR = 0.01
TINY = 1e-10


@dataclass(frozen=True)
class SpeCa(Policy):
    """Forecast every branch until the last block's forecast is off by more than a threshold.

    SpeCa (arXiv 2509.11628) as its code for DiT does it. Where a row of forecasts is at least
    `least` long, the last block is also computed from the hidden state that the forecasts give it,
    and the mean over all elements of |forecast - computed| / |computed| is the error; the computed
    block is thrown away. The next step is full when the error exceeds max(threshold
    decay^((s + 1) / S), 0.01), or when `most` steps have been forecast.

    Quirks kept: a full step is always followed by a forecast, so that of `first` = 3 full steps to
    begin with only 0 and 2 are full; an error is judged one step late; the first one in a row is
    looked at after step `least` + 1 of it. Defaults are those of its sample.py; sample_ddp.py has
    0.3, 0.05, 3 and 8.
    """

    threshold: float = 0.1
    decay: float = 0.01
    least: int = 2
    most: int = 5
    order: int = 4
    first: int = 3

    name: ClassVar[str] = "speca"
    label: ClassVar[str] = "SpeCa"

    def __post_init__(self) -> None:
        number_field(self, "threshold", 0, 1000)
        number_field(self, "decay", 0, 1)
        whole_field(self, "least", 1, 1000)
        whole_field(self, "most", 1, 1000)
        whole_field(self, "order", 0, MAX_ORDER)
        whole_field(self, "first", 1, 1000)

    @property
    def legend(self) -> tuple[Predictor, ...]:
        return (Taylor(self.order),)

    def begin(self, facts: Facts) -> Decider:
        return _Decider(self, facts)


class _Decider(Decider):
    def __init__(self, policy: SpeCa, facts: Facts) -> None:
        self.policy, self.facts = policy, facts
        self.last_block = facts.blocks - 1
        self.boundaries = (facts.blocks - 1, facts.blocks)
        self.was_full = self.checks = False
        self.row = 0  # forecast steps since the last full one
        self.error: float | None = None

    def decide(self, view: View) -> Choice:
        p, s = self.policy, view.s
        if self.was_full:
            self.was_full, self.row, self.checks, self.error = False, 1, False, None
            return Choice(cells=Taylor(p.order))
        limit = max(p.threshold * p.decay ** ((s + 1) / self.facts.steps), FLOOR)
        self.checks = self.row >= p.least
        score = self.error if self.checks else None
        if s < p.first or self.row >= p.most or (score is not None and score > limit):
            self.was_full, self.row = True, 0
            score = score if s >= p.first else None
            return Choice(score=score, limit=None if score is None else limit)
        self.row += 1
        return Choice(cells=Taylor(p.order), score=score, limit=None if score is None else limit)

    def after(self, view: View, choice: Choice, output: Tensor) -> None:
        if choice.runs_all or not self.checks:
            return
        forecast = view.tokens(self.last_block + 1)
        computed = view.computed(view.tokens(self.last_block), self.last_block)
        self.error = float(((forecast - computed).abs() / (computed.abs() + TINY)).mean())
