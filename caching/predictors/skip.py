"""Skip: nothing stands in for the branch, the residual stream passes it by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from caching.predictors.base import Cell, Kind, Output, Predictor

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Skip(Predictor):
    """F = 0, which leaves the hidden state as it is.

    No caching method: the negative control that all of them should beat, and layer pruning on
    demand when it is painted on the same blocks at every step.
    """

    name: ClassVar[str] = "skip"
    letter: ClassVar[str] = "Z"
    label: ClassVar[str] = "skip"
    kind: ClassVar[Kind] = "skip"

    @property
    def keeps(self) -> int:
        return 0

    def stores_output(self) -> bool:
        return False

    def estimate(self, past: Sequence[tuple[int, Output]], step: int) -> Output:
        """Zeros in the shape of the newest output."""
        return cast(Output, cast(Any, past[0][1]) * 0.0)

    def stand_in(self, cell: Cell) -> Tensor:
        import torch

        return torch.zeros_like(cell.x)
