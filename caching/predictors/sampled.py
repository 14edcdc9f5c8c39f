"""Sampled: the branch with its linears' products estimated from some column-row pairs (WTA-CRS)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from caching.fields import number_field
from caching.predictors.base import Cell, Kind, Output, Predictor
from caching.predictors.draws import uniform

if TYPE_CHECKING:
    from torch import Tensor

    from caching.models.family import Family

DRAW = 4


@dataclass(frozen=True)
class Sampled(Predictor):
    """The branch, each linear's x W^T a sum over k of its inner dimension's pairs x_i W_i^T.

    WTA-CRS, winner-take-all column-row sampling (arXiv 2305.15265), an estimator for the backward
    pass of fine-tuning that saves the memory of activations; nothing is cached there, and the
    forward pass is exact. Here the same estimator saves products of the forward pass. With
    p_i proportional to |x_i| |W_i|, 2-norms of a picture's column i over its tokens and of the
    weight's over its outputs, the set C of the most probable pairs is taken as it is, k - |C| more
    are drawn from the others by p, with repetition, and each drawn pair counts
    (1 - p(C)) / ((k - |C|) p_i) times, which makes the product unbiased; |C| is the one that makes
    (1 - p(C)) / (k - |C|) least, and with it, as the paper has it, the variance.

    Softmax and GELU come after the products, so that of the branch itself the estimate is not
    unbiased. k is `fraction` of the inner dimension, at least 1; with all of it the product is
    taken as it is. The default is the paper's WTA-CRS@0.3. Each picture draws by its own seed,
    alike in both passes. What it makes does not take the place of the stored output: each draw errs
    anew, and errors that later steps would reuse could not average out; so it looks at no history.
    The norms and the gathering of rows are no products and not counted.
    """

    fraction: float = 0.3

    name: ClassVar[str] = "sampled"
    letter: ClassVar[str] = "S"
    label: ClassVar[str] = "sampled products"
    kind: ClassVar[Kind] = "partial"

    def __post_init__(self) -> None:
        number_field(self, "fraction", 0.001, 1.0)

    @property
    def keeps(self) -> int:
        return 0

    def stores_output(self) -> bool:
        return False

    def count(self, inner: int) -> int:
        """k for an inner dimension."""
        return max(1, round(self.fraction * inner))

    def estimate(self, past: Sequence[tuple[int, Output]], step: int) -> Output:
        raise NotImplementedError("sampled products work from the hidden state: use stand_in")

    def stand_in(self, cell: Cell) -> Tensor:
        import torch.nn.functional as F

        order = list(cell.family.linears(cell.block, cell.r))

        def linear(name: str, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            k = self.count(x.shape[-1])
            if k == x.shape[-1]:
                return F.linear(x, weight, bias)
            place = (DRAW, cell.s, cell.block, cell.r, order.index(name))
            y = product(x, weight, uniform(cell.seeds, place, k, x))
            return y if bias is None else y + bias

        return cell.family.branch_with(cell.x, cell.given, cell.s, cell.block, cell.r, linear)

    def macs(self, family: Family, block: int, r: int) -> int:
        """k of every inner dimension, and the products of attention at full price."""
        linears, tokens = family.linears(block, r), family.tokens
        attention = family.branch_macs(block, r) - sum(family.linear_macs(block, r).values())
        some = sum(w.shape[0] * self.count(w.shape[1]) for w, _ in linears.values())
        return attention + tokens * some


def probabilities(x: Tensor, weight: Tensor) -> Tensor:
    """p (N, in) of column-row pairs of x (N, T, in) and weight (out, in)."""
    import torch

    exact: Any = torch.promote_types(x.dtype, torch.float32)
    p: Tensor = x.to(exact).norm(dim=1) * weight.to(exact).norm(dim=0)
    return p / p.sum(dim=1, keepdim=True).clamp(min=torch.finfo(exact).tiny)


def chosen(p: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """Int64 (N, k), the pairs to take, and how often each of them counts.

    Args:
        p: (N, in), summing to 1.
        draws: (N, k) in 0..1, k below in; draw j decides pair j unless that is in C.
    """
    import torch

    k = draws.shape[1]
    ordered, order = p.sort(dim=1, descending=True, stable=True)
    total = ordered.cumsum(1)
    # Of C with 0 .. k-1 pairs: what is left for the others, and how much of it each of them bears.
    taken = torch.cat([torch.zeros_like(total[:, :1]), total[:, : k - 1]], dim=1)  # (N, k)
    left = (total[:, -1:] - taken).clamp(min=0)
    at = torch.arange(k, device=p.device)
    size = (left / (k - at)).argmin(dim=1, keepdim=True)  # |C|, (N, 1)
    left, taken = left.gather(1, size), taken.gather(1, size)
    drawn = torch.searchsorted(total, taken + draws.to(p.dtype) * left, right=True)
    drawn = torch.maximum(drawn, size).clamp(max=p.shape[1] - 1)
    sure = at < size
    where = torch.where(sure, at, drawn)
    share = (k - size) * ordered.gather(1, where)
    # A pair of probability 0 adds nothing, however often.
    counts = torch.where(sure, 1.0, left / share.clamp(min=torch.finfo(p.dtype).tiny))
    return order.gather(1, where), torch.where(share > 0, counts, 0.0)


def product(x: Tensor, weight: Tensor, draws: Tensor) -> Tensor:
    """The estimate (N, T, out) of x (N, T, in) times weight (out, in), from draws (N, k)."""
    rows, counts = chosen(probabilities(x, weight), draws)
    columns = x.gather(2, rows[:, None].expand(-1, x.shape[1], -1))  # (N, T, k)
    found: Tensor = (columns * counts[:, None].to(x.dtype)) @ weight.T[rows]  # (N, k, out)
    return found
