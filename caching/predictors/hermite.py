"""Hermite: a branch output forecast in scaled Hermite polynomials of its differences (HiCache)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from caching.fields import number_field, whole_field
from caching.predictors.base import Combination
from caching.predictors.taylor import MAX_ORDER, difference_weights


@lru_cache(maxsize=4096)
def _weights(steps: tuple[int, ...], step: int, sigma: float) -> tuple[float, ...]:
    y = sigma * (step - steps[0])
    total = [0.0] * len(steps)
    before, hermite = 0.0, 1.0  # H_-1 and H_0
    factor = 1.0  # sigma^k / k!
    for k, row in enumerate(difference_weights(steps)):
        if k:
            before, hermite = hermite, 2 * y * hermite - 2 * (k - 1) * before
            factor *= sigma / k
        total = [t + hermite * factor * w for t, w in zip(total, row, strict=True)]
    return tuple(total)


@dataclass(frozen=True)
class Hermite(Combination):
    """F = D_0 + sum over k >= 1 of H_k(sigma x) sigma^k / k! D_k, x = steps since D_0's.

    HiCache (arXiv 2508.16984), with the physicists' polynomials H_1(y) = 2y, H_2(y) = 4y² - 2 and
    the differences D_k of TaylorSeer. With sigma = 0.5 the first order weighs x / 2, half of
    Taylor's; the second does not vanish at x = 0, so order 2 is no interpolation. Defaults as in
    its settings for FLUX, which start after 3 full steps and compute every 7th; none are known for
    a DiT. The formula was read in third-party code, the paper's own was not at hand.
    """

    order: int = 2
    sigma: float = 0.5

    name: ClassVar[str] = "hermite"
    letter: ClassVar[str] = "H"
    label: ClassVar[str] = "Hermite"

    def __post_init__(self) -> None:
        whole_field(self, "order", 0, MAX_ORDER)
        number_field(self, "sigma", 0.01, 2.0)

    @property
    def keeps(self) -> int:
        return self.order + 1

    def weights(self, steps: tuple[int, ...], step: int) -> Sequence[float]:
        """The forecast as weights of the outputs computed at `steps`."""
        return _weights(steps, step, self.sigma)
