"""Reuse: the last computed output of a branch stands in for it unchanged, at any age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from caching.predictors.base import Combination, Kind


@dataclass(frozen=True)
class Reuse(Combination):
    """F = F0, the output stored at the last computed step, taken before the gate.

    The gate of the current step is applied to it, as FORA (arXiv 2407.01425), Learning-to-Cache
    (2406.01733) and SmoothCache (2411.10510) do.
    """

    name: ClassVar[str] = "reuse"
    letter: ClassVar[str] = "R"
    label: ClassVar[str] = "reuse"
    kind: ClassVar[Kind] = "reuse"

    def weights(self, steps: tuple[int, ...], step: int) -> Sequence[float]:
        """All weight on the newest output."""
        return (1.0,)
