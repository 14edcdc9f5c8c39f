"""FoCa: a forecast by the mean of the slopes at the last computed and at the last stored output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from caching.predictors.base import Cell, Output, Predictor, combine

if TYPE_CHECKING:
    from torch import Tensor

HORIZON = 3


@dataclass(frozen=True)
class FoCa(Predictor):
    """F = F0 + e/2 ((F0 - F1) + (p - pp)), e = steps since F0's.

    F0 and F1 are the last two computed outputs, p and pp the last two, estimates included. Forecast
    then calibrate (FoCa, arXiv 2508.16211) as cache-dit's calibrator has it, there for the residual
    of a stack and here for a branch. For e > 3 it is 3/e of the way to the forecast at e = 3. The
    differences are not divided by the steps between their outputs. Before there are two computed
    outputs F0 is reused. The paper solves an ODE of each branch with a BDF2 predictor and a Heun
    corrector; its DiT settings were not at hand.
    """

    name: ClassVar[str] = "foca"
    letter: ClassVar[str] = "F"
    label: ClassVar[str] = "FoCa"
    looks_at: ClassVar[Literal["computed", "stored", "both"]] = "both"

    @property
    def keeps(self) -> int:
        return 2

    def hands_on(self, branch: str, held: int) -> bool:
        return held == 1

    def estimate(self, past: Sequence[tuple[int, Output]], step: int) -> Output:
        """The forecast where all that was stored has been computed."""
        return _forecast(past, past, step)

    def stand_in(self, cell: Cell) -> Tensor:
        stored: list[tuple[int, Any]] = [(e.step, e.output) for e in cell.past]
        computed = [(e.step, e.output) for e in cell.past if e.computed]
        out: Tensor = _forecast(computed, stored, cell.s)
        return out


def _forecast(
    computed: Sequence[tuple[int, Output]], stored: Sequence[tuple[int, Output]], step: int
) -> Output:
    (newest, f0), *older = computed
    if not older:
        return f0
    e = step - newest
    half = 0.5 * min(e, HORIZON) * min(1.0, HORIZON / e)
    # Often p is F0 itself, and pp F1.
    outputs = [f0, older[0][1], stored[0][1], stored[1][1]]
    weights = [1 + half, -half, half, -half]
    for i, j in ((2, 0), (3, 1), (3, 0)):
        if outputs[i] is outputs[j] and weights[i]:
            weights[j] += weights[i]
            weights[i] = 0.0
    return combine(weights, outputs)
