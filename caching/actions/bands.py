"""Bands: low frequencies of the stack residual are reused, high ones forecast (after FreqCa)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from caching.actions.base import Delta, Key, Kind, StepAction, StepRun
from caching.fields import number_field, whole_field
from caching.predictors.base import combine

if TYPE_CHECKING:
    from torch import Tensor

MAX_ORDER = 2


@lru_cache(maxsize=4096)
def forecast_weights(steps: tuple[int, ...], step: int) -> tuple[float, ...]:
    """Weights of the polynomial through values at `steps`, read at `step`.

    Fitted to as many values as it has coefficients, a Hermite series is that polynomial, whatever
    the basis, so Lagrange's form serves.
    """
    found = []
    for i, here in enumerate(steps):
        weight = 1.0
        for j, other in enumerate(steps):
            if i != j:
                weight *= (step - other) / (here - other)
        found.append(weight)
    return tuple(found)


@dataclass(frozen=True)
class Bands(StepAction):
    """x = x + low(R_1) + high(F), R_1 what all blocks added at the last full step.

    F is the Hermite series of degree `order` through what they added at the last order + 1 full
    steps, read at this step; with fewer such steps its degree is lower. low keeps the frequencies
    of the token grid within `low` of the highest one along each axis, high the others.

    An analogue of FreqCa (arXiv 2510.08669): the "cumulative residual feature" is what all blocks
    added, its low band is reused for its similarity and its high band forecast for its continuity.
    Cut-off, normalisation of time and transform are choices made here. Do not call it FreqCa.
    """

    low: float = 0.5
    order: int = 2

    name: ClassVar[str] = "bands"
    letter: ClassVar[str] = "B"
    label: ClassVar[str] = "two bands"
    kind: ClassVar[Kind] = "delta"
    depth: ClassVar[int] = MAX_ORDER + 1

    def __post_init__(self) -> None:
        number_field(self, "low", 0, 1)
        whole_field(self, "order", 0, MAX_ORDER)

    def covers(self, blocks: int) -> range:
        return range(blocks)

    def remembers(self, blocks: int) -> tuple[Key, ...]:
        return (Delta(0, blocks),)

    def run(self, step: StepRun) -> Tensor:
        x = step.embed()
        past = step.recall(Delta(0, step.blocks))[: self.order + 1]
        if len(past) <= self.order:
            step.lowered()
        newest = past[0][1]
        weights = forecast_weights(tuple(s for s, _ in past), step.s)
        forecast = combine(weights, [delta for _, delta in past])
        height, width = step.latents.shape[-2:]
        # The split is linear: one transform instead of two.
        mixed = forecast + low_band(newest - forecast, height / width, self.low)
        return step.head(x + mixed)


def low_band(x: Tensor, aspect: float, share: float) -> Tensor:
    """The part of tokens x (N, T, D) within `share` of the highest frequency along both axes.

    Args:
        x: tokens of a grid, row by row.
        aspect: height over width of the grid.
        share: 0 keeps the mean alone, 1 everything.
    """
    import torch

    rows = round((x.shape[1] * aspect) ** 0.5)
    grid = x.float().unflatten(1, (rows, -1))  # (N, h, w, D)
    h, w = grid.shape[1:3]
    down = torch.fft.fftfreq(h, 1 / h, device=x.device).abs() <= share * (h // 2)
    across = torch.fft.rfftfreq(w, 1 / w, device=x.device) <= share * (w // 2)
    near = (down[:, None] & across)[..., None]
    kept = torch.fft.irfft2(torch.fft.rfft2(grid, dim=(1, 2)) * near, s=(h, w), dim=(1, 2))
    low: Tensor = kept.flatten(1, 2).to(x.dtype)
    return low
