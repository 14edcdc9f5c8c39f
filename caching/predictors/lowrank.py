"""LowRank: every linear of a branch corrected by a low-rank product of its change (ICC)."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from caching.fields import choice_field, whole_field
from caching.fitting import sources
from caching.predictors.base import Cell, Fitter, Kind, Output, Predictor

if TYPE_CHECKING:
    from torch import Tensor

    from caching.models.family import Conditioning, Family

MAX_RANK = 65536
# D_l and D_r reach down to their largest entry over this.
RATIO = 1000.0
EPS = 1e-6

Factors = tuple["Tensor", ...]
"""W_b (r, in) and W_a (out, r), or their product alone where that is no larger."""


@dataclass(frozen=True)
class LowRank(Predictor):
    """y = y_c + W_a W_b (x - x_c) for each linear; softmax, GELU, norms and adaLN stay live.

    Increment-calibrated caching (ICC, arXiv 2505.05829), W_a W_b being W at rank `rank`: the best
    approximation ("svd"), or D_l^-1 SVD_r(D_l W D_r) D_r^-1 ("ca-svd", channel-aware), where
    D = (mean |channel|)^1/2 of the linear's outputs (l) and inputs (r) over full runs, and no entry
    of D is below its largest / 1000. As in the reference's code (`stat_upd`), the magnitudes of
    each row of each call are brought to 0..1 over the channels before the mean, so that no step
    outweighs others. It takes them from noised training images; here they come from sampling. Its
    default rank is 128, for a width of 1152; its README's flag for plain SVD in fact selects
    CA-SVD, because argparse reads "False" as true.

    What is noted at a computed step is z_c = y_c - W_a W_b x_c, one tensor per linear instead of
    two, so that y = z_c + W_a W_b x. Where rank (in + out) exceeds in · out the product W_a W_b
    is applied as one matrix, so a linear never costs more than itself.
    """

    rank: int = 128
    weights: str = "svd"

    name: ClassVar[str] = "lowrank"
    letter: ClassVar[str] = "I"
    label: ClassVar[str] = "low-rank increment"
    kind: ClassVar[Kind] = "calibrated"
    computes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        whole_field(self, "rank", 1, MAX_RANK)
        choice_field(self, "weights", ("svd", "ca-svd"))

    @property
    def keeps(self) -> int:
        return 0

    def stores_output(self) -> bool:
        return False

    # -- fitting ---------------------------------------------------------------------------

    @property
    def calibrates(self) -> bool:
        return self.weights == "ca-svd"

    def parts(self, cells: Any, number: int) -> Collection[Hashable]:
        """(block, branch) wherever it is used; never under a policy, for which nothing is noted."""
        used = (sources(self, cells, number) >= 0).any(axis=0)
        return [tuple(cell) for cell in np.argwhere(used).tolist()]

    def fitter(self, family: Family, parts: Collection[Hashable]) -> Fitter:
        return _Fitter(family, parts, self.rank)

    # -- running ---------------------------------------------------------------------------

    def compute(self, cell: Cell) -> tuple[Tensor, dict[str, Tensor]]:
        import torch.nn.functional as F

        factors: Mapping[str, Factors] = cell.fitted[cell.block, cell.r]
        memo: dict[str, Tensor] = {}

        def linear(name: str, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            y = F.linear(x, weight, bias)
            memo[name] = _plus(y, x, factors[name], -1)
            return y

        out = cell.family.branch_with(cell.x, cell.given, cell.s, cell.block, cell.r, linear)
        return out, memo

    def stand_in(self, cell: Cell) -> Tensor:
        factors: Mapping[str, Factors] = cell.fitted[cell.block, cell.r]

        def linear(name: str, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            return _plus(cell.memo[name], x, factors[name], 1)

        return cell.family.branch_with(cell.x, cell.given, cell.s, cell.block, cell.r, linear)

    def estimate(self, past: Sequence[tuple[int, Output]], step: int) -> Output:
        raise NotImplementedError("a low-rank increment works from the hidden state: use stand_in")

    # -- cost ------------------------------------------------------------------------------

    def macs(self, family: Family, block: int, r: int) -> int:
        """The low-rank products, and those of attention at full price."""
        attention = family.branch_macs(block, r) - sum(family.linear_macs(block, r).values())
        return attention + self.memo_macs(family, block, r)

    def memo_macs(self, family: Family, block: int, r: int) -> int:
        return family.tokens * sum(sum(numbers) for numbers in self._sizes(family, block, r))

    def _sizes(self, family: Family, block: int, r: int) -> list[list[int]]:
        """Numbers in each factor of each linear."""
        sizes = []
        for weight, _ in family.linears(block, r).values():
            rows, columns = weight.shape
            rank = min(self.rank, rows, columns)
            factored = [rank * columns, rows * rank]
            sizes.append(factored if sum(factored) < rows * columns else [rows * columns])
        return sizes

    def memo_elements(self, family: Family, block: int, r: int) -> int:
        return family.tokens * sum(len(w) for w, _ in family.linears(block, r).values())


def _plus(y: Tensor, x: Tensor, factors: Factors, sign: int) -> Tensor:
    """y + sign W_a W_b x, (N, T, out), as a new tensor."""
    import torch

    flat = x.reshape(-1, x.shape[-1])
    *inner, last = factors
    for factor in inner:
        flat = flat @ factor.T
    return torch.addmm(y.reshape(-1, y.shape[-1]), flat, last.T, alpha=sign).view(y.shape)


def factored(weight: Tensor, rank: int, left: Tensor | None, right: Tensor | None) -> Factors:
    """W_b and W_a, float64, of the weighted rank-r approximation D_l^-1 SVD_r(D_l W D_r) D_r^-1.

    From the eigenvectors of the smaller Gram matrix: as they are orthogonal to the last bit, the
    product with all of them is the matrix itself; faster than its SVD.
    """
    import torch

    w = weight.double()
    left = w.new_ones(len(w)) if left is None else left
    right = w.new_ones(w.shape[1]) if right is None else right
    m = left[:, None] * w * right
    rank = min(rank, *m.shape)
    if len(m) <= m.shape[1]:
        u = torch.linalg.eigh(m @ m.T)[1][:, -rank:]
        inner, outer = u.T @ m, u
    else:
        v = torch.linalg.eigh(m.T @ m)[1][:, -rank:]
        inner, outer = v.T, m @ v
    return inner / right, outer / left[:, None]


class _Fitter(Fitter):
    """Factors of every linear of every part, and sums of channel magnitudes where runs go by."""

    def __init__(self, family: Family, parts: Collection[Any], rank: int) -> None:
        self.family, self.rank, self.parts = family, rank, frozenset(parts)
        # (block, r, name) -> rows seen, and the sums of their input and output magnitudes
        self.sums: dict[tuple[int, int, str], tuple[int, Tensor, Tensor]] = {}

    def see(self, s: int, block: int, r: int, x: Tensor, out: Tensor, given: Conditioning) -> None:
        import torch.nn.functional as F

        if (block, r) not in self.parts:
            return

        def linear(name: str, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            y = F.linear(x, weight, bias)
            rows, ins, outs = self.sums.get((block, r, name), (0, 0.0, 0.0))
            new = (rows + len(x), ins + _magnitude(x), outs + _magnitude(y))
            self.sums[block, r, name] = new
            return y

        self.family.branch_with(x, given, s, block, r, linear)

    def solve(self, part: Any) -> dict[str, Factors]:
        block, r = part
        found = {}
        for name, (weight, _) in self.family.linears(block, r).items():
            left = right = None
            if (block, r, name) in self.sums:
                rows, ins, outs = self.sums[block, r, name]
                left, right = channel_scale(outs / rows), channel_scale(ins / rows)
            inner, outer = factored(weight, self.rank, left, right)
            merged = inner.numel() + outer.numel() >= weight.numel()
            factors = (outer @ inner,) if merged else (inner, outer)
            found[name] = tuple(f.contiguous().to(self.family.dtype) for f in factors)
        return found


def _magnitude(x: Tensor) -> Tensor:
    """Mean |x| over tokens, brought to 0..1 over the channels, summed over rows: float64 (D,)."""
    m = x.double().abs().mean(1)  # (N, D)
    low, high = m.amin(1, keepdim=True), m.amax(1, keepdim=True)
    return ((m - low + EPS) / (high - low + EPS)).sum(0)


def channel_scale(mean: Tensor) -> Tensor:
    """D (D,) of mean magnitudes: their roots, none below the largest / 1000."""
    d = mean.sqrt()
    return d.clamp(min=float(d.max()) / RATIO)
