"""Linear: one fitted linear map of a branch's input stands in for it (after FastCache)."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from caching.fields import number_field
from caching.predictors.base import Cell, Fitter, Kind, Output, Predictor

if TYPE_CHECKING:
    from torch import Tensor

    from caching.models.family import Conditioning, Family


@dataclass(frozen=True)
class Linear(Predictor):
    """F = W x + b of the hidden state x before the branch; nothing stored is needed.

    FastCache (arXiv 2505.20353) replaces a whole block by W_l x + b_l where it passes its test of
    change. The repository ships randomly initialised projections and no code that trains them, so
    there is no reference to follow: here W and b are ridge-fitted for every branch of every block
    on full runs, over all steps, with the penalty `ridge` times the mean variance of x's channels
    on W alone. The paper names no penalty; the default is a choice made here.
    """

    ridge: float = 0.1

    name: ClassVar[str] = "linear"
    letter: ClassVar[str] = "W"
    label: ClassVar[str] = "linear map"
    kind: ClassVar[Kind] = "calibrated"

    def __post_init__(self) -> None:
        number_field(self, "ridge", 0, 1e6)

    @property
    def keeps(self) -> int:
        return 0

    def stores_output(self) -> bool:
        return False

    def parts(self, cells: Any, number: int) -> Collection[Hashable]:
        """(block, branch) wherever it is used."""
        return [tuple(cell) for cell in np.argwhere((cells == number).any(axis=0)).tolist()]

    def fitter(self, family: Family, parts: Collection[Hashable]) -> Fitter:
        return _Fitter(family, parts, self.ridge)

    def estimate(self, past: Sequence[tuple[int, Output]], step: int) -> Output:
        raise NotImplementedError("a linear map works from the hidden state: use stand_in")

    def stand_in(self, cell: Cell) -> Tensor:
        import torch.nn.functional as F

        weight, bias = cell.fitted[cell.block, cell.r]
        return F.linear(cell.x, weight, bias)

    def macs(self, family: Family, block: int, r: int) -> int:
        return family.tokens * family.width**2


class _Fitter(Fitter):
    """Sums of products of every part's input and output, in float64: two (D, D) each."""

    def __init__(self, family: Family, parts: Collection[Any], ridge: float) -> None:
        self.family, self.ridge = family, ridge
        self.sums: dict[Any, list[Any]] = {part: [0, 0.0, 0.0, 0.0, 0.0] for part in parts}

    def see(self, s: int, block: int, r: int, x: Tensor, out: Tensor, given: Conditioning) -> None:
        if (block, r) in self.sums:
            x, y = (t.reshape(-1, t.shape[-1]).double() for t in (x, out))
            new = (len(x), x.sum(0), y.sum(0), x.T @ x, x.T @ y)
            self.sums[block, r] = [a + b for a, b in zip(self.sums[block, r], new, strict=True)]

    def solve(self, part: Any) -> tuple[Tensor, Tensor]:
        import torch

        n, sx, sy, sxx, sxy = self.sums[part]
        varied, together = sxx - torch.outer(sx, sx) / n, sxy - torch.outer(sx, sy) / n
        penalty = self.ridge * varied.diagonal().mean()
        weight = _solved(varied + penalty * torch.eye(len(sx)).to(varied), together)
        bias = (sy - sx @ weight) / n
        dtype = self.family.dtype
        return weight.T.contiguous().to(dtype), bias.to(dtype)


def _solved(a: Tensor, b: Tensor) -> Tensor:
    """The least-norm x of a x = b for a symmetric a that may not have full rank."""
    import torch

    values, vectors = torch.linalg.eigh(a)
    kept = values > values.max() * len(a) * torch.finfo(a.dtype).eps
    inverse = torch.where(kept, 1 / torch.where(kept, values, 1.0), 0.0)
    found: Tensor = vectors @ (inverse[:, None] * (vectors.T @ b))
    return found
