"""Trend: the last output, moved on by its change from the one before (GOC)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from caching.fields import number_field
from caching.predictors.base import Combination


@dataclass(frozen=True)
class Trend(Combination):
    """F = p + eta (p - pp), p and pp the last two outputs, estimates included, as they stood in.

    Gradient-optimised cache (GOC, arXiv 2503.05156): with every other step cached, p - pp is the
    change from an estimate to a computed output. The number of steps between the two is not looked
    at. Where there is no pp yet, p is reused, as its first cached step does. The paper's code has
    eta = 1.2 with FORA's schedule and 0.8 with Learning-to-Cache's, both for 20 steps, and applies
    it at steps chosen offline, which here is what is painted. With eta = 0.5 it is what diffusers'
    FasterCache hook does.
    """

    eta: float = 1.2

    name: ClassVar[str] = "trend"
    letter: ClassVar[str] = "G"
    label: ClassVar[str] = "trend"
    looks_at: ClassVar[Literal["computed", "stored", "both"]] = "stored"

    def __post_init__(self) -> None:
        number_field(self, "eta", 0.0, 4.0)

    @property
    def keeps(self) -> int:
        return 2 if self.eta else 1

    def weights(self, steps: tuple[int, ...], step: int) -> Sequence[float]:
        """Weights of p and pp."""
        return (1.0,) if len(steps) == 1 else (1.0 + self.eta, -self.eta)
