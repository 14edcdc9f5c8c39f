"""Extrapolate: the last computed output, moved on by its change from the one before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from caching.fields import number_field
from caching.predictors.base import Combination


@dataclass(frozen=True)
class Extrapolate(Combination):
    """F = p + w (p - p2), p and p2 the last two computed outputs, however many steps apart.

    FasterCache (arXiv 2410.19355) for its attention: F(t-1) = F(t) + w (F(t) - F(t+2)), where every
    other step is computed. Its code for Latte stores computed outputs only and has w = 0.5; the
    paper lets w grow from 0 to 1 over the run, which here is painted with several of these.
    diffusers' hook stores what it returned, so that its p2 is an estimate wherever one came before
    p: that is `Trend(eta=w)`. Both start from two copies of the first output, which is reuse.
    """

    w: float = 0.5

    name: ClassVar[str] = "extrapolate"
    letter: ClassVar[str] = "E"
    label: ClassVar[str] = "extrapolation"

    def __post_init__(self) -> None:
        number_field(self, "w", 0.0, 4.0)

    @property
    def keeps(self) -> int:
        return 2 if self.w else 1

    def weights(self, steps: tuple[int, ...], step: int) -> Sequence[float]:
        """Weights of p and p2."""
        return (1.0,) if len(steps) == 1 else (1.0 + self.w, -self.w)
