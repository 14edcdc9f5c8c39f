"""Affine: the stored output scaled and shifted as fitted on full runs (CacheQuant)."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from caching.fields import choice_field
from caching.fitting import Sums, sources
from caching.predictors.base import Cell, Fitter, Kind, Output, Predictor

if TYPE_CHECKING:
    from torch import Tensor

    from caching.models.family import Conditioning, Family


@dataclass(frozen=True)
class Affine(Predictor):
    """F = a F0 + b, a and b fitted for every cell between the step it runs at and F0's step.

    The correction of CacheQuant (arXiv 2503.01323, its DEC without the quantisation): per step and
    channel, least squares over full runs, a = cov(F, F0) / var(F0), b = mean(F) - a mean(F0). Block
    Caching (2312.03209) has the same scale and shift but trains them by distillation. Both are made
    for U-Nets; here each branch of each block has its own. It is fitted on what full runs do, as
    there: that lowers the error of a cell from exact inputs, while inputs that earlier estimates
    have shifted are not what it was fitted on, and the picture need not be nearer than with plain
    reuse. `per="cell"` fits one a and one b for all channels.
    """

    per: str = "channel"

    name: ClassVar[str] = "affine"
    letter: ClassVar[str] = "A"
    label: ClassVar[str] = "scaled and shifted"
    kind: ClassVar[Kind] = "calibrated"

    def __post_init__(self) -> None:
        choice_field(self, "per", ("channel", "cell"))

    def parts(self, cells: Any, number: int) -> Collection[Hashable]:
        """(s, step of F0, block, branch) of every cell."""
        table = sources(self, cells, number)
        where = np.argwhere(table >= 0)
        return [(s, int(table[s, block, r]), block, r) for s, block, r in where.tolist()]

    def fitter(self, family: Family, parts: Collection[Hashable]) -> Fitter:
        return _Fitter(family, parts, per_channel=self.per == "channel")

    def estimate(self, past: Sequence[tuple[int, Output]], step: int) -> Output:
        """Without a fit, a = 1 and b = 0."""
        return past[0][1]

    def stand_in(self, cell: Cell) -> Tensor:
        import torch

        (newest, *_) = cell.past
        a, b = cell.fitted[cell.s, newest.step, cell.block, cell.r]
        return torch.addcmul(b, newest.output, a)


class _Fitter(Fitter):
    """Sums of each part, and the newest output that a later step will be compared with."""

    def __init__(self, family: Family, parts: Collection[Any], *, per_channel: bool) -> None:
        self.family, self.per_channel = family, per_channel
        self.sums = {part: Sums() for part in parts}
        self.source = {(s, block, r): source for s, source, block, r in parts}
        # (source, block, r) -> the last step that is compared with it
        self.until: dict[tuple[int, int, int], int] = {}
        for s, source, block, r in parts:
            self.until[source, block, r] = max(s, self.until.get((source, block, r), s))
        self.reference: dict[tuple[int, int, int], Tensor] = {}

    def see(self, s: int, block: int, r: int, x: Tensor, out: Tensor, given: Conditioning) -> None:
        source = self.source.get((s, block, r))
        if source is not None:
            first = self.reference[source, block, r]
            self.sums[s, source, block, r].add(first, out)
            if self.until[source, block, r] == s:
                del self.reference[source, block, r]
        if (s, block, r) in self.until:
            self.reference[s, block, r] = out

    def solve(self, part: Any) -> Tensor:
        line = self.sums[part].line(slopes=self.per_channel, shifts=self.per_channel)
        return line.to(self.family.dtype)
