"""Corrected: the block residual of an earlier step, rescaled and shifted as fitted on full runs."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from caching.actions.base import Delta, StepRun
from caching.actions.residual import Residual
from caching.fitting import Sums, sources
from caching.predictors.base import Fitter

if TYPE_CHECKING:
    from torch import Tensor

    from caching.models.family import Conditioning, Family


@dataclass(frozen=True)
class Corrected(Residual):
    """x = x + a R + b, R being what the blocks between `first` and `last` added when they last ran.

    An analogue of ERTACache (arXiv 2508.21091), of which only the abstract is known here: it
    approximates the error of a reused residual by a closed-form linear model from offline profiling
    and corrects the solver's step size along the trajectory. Here one scale a and a shift b per
    channel are fitted for every pair of steps, least squares of the residual of full runs at the
    step on the one at R's step. The correction of the step size is left out: its formula is not
    known, and solvers here take the steps their schedule gives. Do not call it ERTACache.
    """

    name: ClassVar[str] = "corrected"
    letter: ClassVar[str] = "A"
    label: ClassVar[str] = "corrected residual"

    def parts(self, steps: Any, number: int) -> Collection[Hashable]:
        """(s, step of R) of every step."""
        table = sources(self, steps, number).tolist()
        return [(s, source) for s, source in enumerate(table) if source >= 0]

    def fitter(self, family: Family, parts: Collection[Hashable]) -> Fitter:
        return _Fitter(family, parts, self.first, family.blocks - self.last)

    def run(self, step: StepRun) -> Tensor:
        import torch

        start, stop = self.first, step.blocks - self.last
        x = step.through(step.embed(), 0, start)
        ((source, delta), *_) = step.recall(Delta(start, stop))
        a, b = step.fitted[step.s, source]
        x = torch.addcmul(x + b, delta, a)
        return step.head(step.through(x, stop, step.blocks))


class _Fitter(Fitter):
    """Sums of each part, and residuals that a later step will be compared with."""

    def __init__(self, family: Family, parts: Collection[Any], start: int, stop: int) -> None:
        self.family, self.start, self.stop = family, start, stop
        self.sums = {part: Sums() for part in parts}
        self.source = dict(parts)
        self.until: dict[int, int] = {}
        for s, source in sorted(parts):
            self.until[source] = s
        self.reference: dict[int, Tensor] = {}
        self.before: Tensor | None = None
        self.after: Tensor | None = None

    def see(self, s: int, block: int, r: int, x: Tensor, out: Tensor, given: Conditioning) -> None:
        if r == 0 and block == self.start:
            self.before = x
        elif r == 0 and block == self.stop:
            self.after = x

    def see_step(self, s: int, before: Tensor, after: Tensor) -> None:
        assert self.before is not None
        delta = (after if self.after is None else self.after) - self.before
        if s in self.source:
            source = self.source[s]
            self.sums[s, source].add(self.reference[source], delta)
            if self.until[source] == s:
                del self.reference[source]
        if s in self.until:
            self.reference[s] = delta

    def solve(self, part: Any) -> Tensor:
        return self.sums[part].line(slopes=False, shifts=True).to(self.family.dtype)
