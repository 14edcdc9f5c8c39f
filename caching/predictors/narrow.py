"""Narrow: some attention heads, or some hidden channels, are computed and the rest left out."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from caching.fields import number_field
from caching.predictors.base import Cell, Fitter, Kind, Output, Predictor

if TYPE_CHECKING:
    from torch import Tensor

    from caching.models.family import Conditioning, Family

RIDGE = 0.1


Linears = dict[str, tuple["Tensor", ...]]
"""Name of a linear -> weight (out, in) and, where it has one, bias (out,)."""


@dataclass(frozen=True)
class Narrow(Predictor):
    """F = W' a' + b' of the most important heads or hidden channels a'; nothing stored is needed.

    Timestep-wise dynamic width of DyDiT (arXiv 2410.03456): each cell computes the share `heads` of
    its attention heads or `channels` of its hidden channels, at least one of them. There routers
    turn heads and groups of channels on and off, and the model is fine-tuned with them. Here units
    are ranked by what they do, the mean square over the tokens of a full run of their part in the
    output, less its mean. In the place of a fine-tune the last linear is fitted on further full
    runs, in closed form: W' is ridge regression of the full output on the units kept, drawn towards
    their own columns of W with the penalty 0.1 times the mean variance of a'.

    With shares of 1 it is the branch itself. Where a fit has seen a single run, W' are the columns
    of W, and b' has the mean of what was left out.
    """

    heads: float = 0.5
    channels: float = 0.5

    name: ClassVar[str] = "narrow"
    letter: ClassVar[str] = "N"
    label: ClassVar[str] = "narrow"
    kind: ClassVar[Kind] = "partial"

    def __post_init__(self) -> None:
        number_field(self, "heads", 0, 1)
        number_field(self, "channels", 0, 1)

    @property
    def keeps(self) -> int:
        return 0

    def stores_output(self) -> bool:
        return False

    def count(self, family: Family, block: int, r: int) -> int:
        """How many heads or hidden channels are computed."""
        share = self.heads if family.branches[r] == "attn" else self.channels
        return max(1, math.floor(share * units(family, block, r) + 0.5))

    def parts(self, cells: Any, number: int) -> Collection[Hashable]:
        """(block, branch) wherever it is used."""
        return [tuple(cell) for cell in np.argwhere((cells == number).any(axis=0)).tolist()]

    def fitter(self, family: Family, parts: Collection[Hashable]) -> Fitter:
        return NarrowFitter(family, {part: self.count(family, *part) for part in parts})  # type: ignore[misc]

    def estimate(self, past: Sequence[tuple[int, Output]], step: int) -> Output:
        raise NotImplementedError("a narrow branch works from the hidden state: use stand_in")

    def stand_in(self, cell: Cell) -> Tensor:
        import torch.nn.functional as F

        linears: Linears = cell.fitted[cell.block, cell.r]

        def linear(name: str, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            return F.linear(x, *linears[name])

        return cell.family.branch_with(cell.x, cell.given, cell.s, cell.block, cell.r, linear)

    def macs(self, family: Family, block: int, r: int) -> int:
        """Every product of a branch is of one head or of one hidden channel."""
        total = family.branch_macs(block, r)
        return total * self.count(family, block, r) // units(family, block, r)


def units(family: Family, block: int, r: int) -> int:
    """Heads of an attention branch, hidden channels of another."""
    if family.branches[r] == "attn":
        return family.heads
    *_, (last, _) = family.linears(block, r).values()
    return last.shape[1]


def narrowed(family: Family, block: int, r: int, kept: Tensor) -> Linears:
    """All but the last linear of a branch, with the units `kept` (k,) alone."""
    import torch

    *names, _ = family.linears(block, r)
    found: Linears = {}
    for name in names:
        weight, bias = family.linears(block, r)[name]
        rows = channels_of(kept, family.width // family.heads if name in "qkv" else 1)
        if name == "up" and len(weight) == 2 * units(family, block, r):
            rows = torch.cat([rows, rows + len(weight) // 2])  # values, then their gates
        found[name] = tuple(t.detach()[rows] for t in (weight, bias) if t is not None)
    return found


def channels_of(kept: Tensor, size: int) -> Tensor:
    """Numbers of the channels of units of `size` channels each."""
    import torch

    return (kept[:, None] * size + torch.arange(size, device=kept.device)).flatten()


def inner_of(family: Family, x: Tensor, given: Conditioning, s: int, block: int, r: int) -> Tensor:
    """What the last linear of a branch reads, (N, T, units' channels)."""
    import torch.nn.functional as F

    *_, last = family.linears(block, r)
    seen: list[Tensor] = []

    def linear(name: str, h: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if name != last:
            return F.linear(h, weight, bias)
        seen.append(h)
        return x  # of the output's shape, and not looked at

    family.branch_with(x, given, s, block, r, linear)
    return seen[0]


class NarrowFitter(Fitter):
    """The first run ranks the units, the others fit the last linear of those that are kept."""

    def __init__(self, family: Family, counts: dict[Any, int]) -> None:
        self.family, self.counts = family, counts
        # rows, sums and products of the channels of each unit
        self.moments: dict[Any, list[Any]] = {part: [0, 0.0, 0.0] for part in counts}
        self.sums: dict[Any, list[Any]] = {part: [0, 0.0, 0.0, 0.0, 0.0] for part in counts}
        self.kept: dict[Any, Tensor] = {}

    def see(self, s: int, block: int, r: int, x: Tensor, out: Tensor, given: Conditioning) -> None:
        part = (block, r)
        if part not in self.counts or self.counts[part] == units(self.family, *part):
            return
        a = inner_of(self.family, x, given, s, block, r).flatten(0, 1).float()
        if part not in self.kept:
            grouped = a.view(len(a), units(self.family, *part), -1).double()  # (rows, units, d)
            products = (
                grouped.square().sum(0)[..., None]
                if grouped.shape[-1] == 1
                else grouped.permute(1, 2, 0) @ grouped.transpose(0, 1)
            )
            new: tuple[Any, ...] = (len(a), grouped.sum(0), products)
            self.moments[part] = [i + j for i, j in zip(self.moments[part], new, strict=True)]
            return
        a, y = a[:, self._columns(part)], out.flatten(0, 1).float()
        # Products in float32, which the penalty forgives; their sums over a run in float64.
        new = (len(a), a.sum(0).double(), y.sum(0).double(), (a.T @ a).double(), (a.T @ y).double())
        self.sums[part] = [i + j for i, j in zip(self.sums[part], new, strict=True)]

    def next_run(self) -> None:
        for part in self.counts.keys() - self.kept.keys():
            if self.moments[part][0]:
                self.kept[part] = (
                    self.importance(part)
                    .argsort(descending=True, stable=True)[: self.counts[part]]
                    .sort()[0]
                )

    def importance(self, part: Any) -> Tensor:
        """Mean square of each unit's part in the output, less its mean, float64 (units,)."""
        n, total, products = self.moments[part]
        mean = total / n
        spread = products / n - mean[..., None] * mean[:, None]  # (units, d, d)
        weight = self._last(part)[0].double().view(-1, *mean.shape)  # (D, units, d)
        seen: Tensor = ((weight.transpose(0, 1) @ spread) * weight.transpose(0, 1)).sum((1, 2))
        return seen

    def solve(self, part: Any) -> Linears:
        import torch

        *_, name = self.family.linears(*part)
        weight, bias = self._last(part)
        total = units(self.family, *part)
        if self.counts[part] == total:
            self.kept[part] = torch.arange(total, device=weight.device)
            last: tuple[Tensor, ...] = (weight,) if bias is None else (weight, bias)
        else:
            dtype = self.family.dtype
            last = tuple(t.contiguous().to(dtype) for t in self._fit(part))
        block, r = part
        return {**narrowed(self.family, block, r, self.kept[part]), name: last}

    def _fit(self, part: Any) -> tuple[Tensor, Tensor]:
        """Weight (D, k's channels) and bias (D,) of the last linear, float64."""
        import torch

        weight, bias = self._last(part)
        own = weight.double()[:, self._columns(part)]
        n, sa, sy, saa, say = self.sums[part]
        if n:
            varied, together = saa - torch.outer(sa, sa) / n, say - torch.outer(sa, sy) / n
            # Where nothing varies there is nothing to learn.
            penalty = (RIDGE * varied.diagonal().mean()).clamp(min=torch.finfo(varied.dtype).tiny)
            penalised = varied + penalty * torch.eye(len(sa)).to(varied)
            own = own + torch.linalg.solve(penalised, together - varied @ own.T).T
            return own, (sy - own @ sa) / n
        count, sums, _ = self.moments[part]
        left = sums / count  # (units, d)
        left[self.kept[part]] = 0
        shift = weight.double() @ left.flatten()
        return own, shift if bias is None else shift + bias.double()

    def _columns(self, part: Any) -> Tensor:
        kept = self.kept[part]
        return channels_of(kept, self._last(part)[0].shape[1] // units(self.family, *part))

    def _last(self, part: Any) -> tuple[Tensor, Tensor | None]:
        *_, (weight, bias) = self.family.linears(*part).values()
        return weight.detach(), None if bias is None else bias.detach()
