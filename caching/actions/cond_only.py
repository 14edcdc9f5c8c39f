"""Conditional only: one half of guidance runs, the null half is rebuilt by frequencies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from caching.actions.base import Key, Kind, Pair, StepAction, StepRun
from caching.fields import number_field

if TYPE_CHECKING:
    from torch import Tensor

# Timesteps between which a difference grows from step to step; diffusers' FasterCacheConfig.
LOW_RANGE = (99.0, 901.0)
HIGH_RANGE = (-1.0, 301.0)


@dataclass(frozen=True)
class CondOnly(StepAction):
    """null = cond + w_low low(d) + w_high high(d), d = null - cond at the last step that ran both.

    FasterCache's CFG-Cache (arXiv 2410.19355, eq. 9 to 11), as diffusers' hook does it: low are the
    frequencies within a fifth of the shorter side around zero, high the others, and a weight is the
    product over the steps since d was taken of `low` (t in 99..901) and `high` (t below 301), 1
    outside. Learned variance channels are rebuilt likewise. Needs guidance above 1. FasterCache
    uses it at t < 641, four steps of five.
    """

    low: float = 1.1
    high: float = 1.1

    name: ClassVar[str] = "cond_only"
    letter: ClassVar[str] = "G"
    label: ClassVar[str] = "conditional half"
    kind: ClassVar[Kind] = "guidance"
    half: ClassVar[bool] = True

    def __post_init__(self) -> None:
        number_field(self, "low", 0, 4)
        number_field(self, "high", 0, 4)

    def remembers(self, blocks: int) -> tuple[Key, ...]:
        return (Pair(),)

    def run(self, step: StepRun) -> Tensor:
        import torch

        ((taken, (_, output)), *_) = step.recall(Pair())
        old_cond, old_null = output.float().chunk(2)
        since = step.timeline.timesteps[taken + 1 : step.s + 1]
        low = weight(self.low, LOW_RANGE, since)
        high = weight(self.high, HIGH_RANGE, since)
        half = step.halved()
        cond = half.head(half.through(half.embed(), 0, half.blocks))
        gap = old_null - old_cond
        # The split is linear, so one transform of the gap does what the hook does with four.
        null = cond.float() + high * gap + (low - high) * low_frequencies(gap)
        return torch.cat([cond, null.to(cond.dtype)])


def weight(factor: float, between: tuple[float, float], timesteps: tuple[float, ...]) -> float:
    """The factor, once for every timestep strictly between the two bounds."""
    return math.prod(factor for t in timesteps if between[0] < t < between[1])


def low_frequencies(x: Tensor) -> Tensor:
    """The part of x (N, C, h, w) within min(h, w) // 5 of frequency zero."""
    import torch

    height, width = x.shape[-2:]
    rows, columns = (torch.fft.fftfreq(n, 1 / n, device=x.device) for n in (height, width))
    near = rows[:, None] ** 2 + columns[None] ** 2 <= (min(height, width) // 5) ** 2
    low: Tensor = torch.fft.ifft2(torch.fft.fft2(x) * near).real
    return low
