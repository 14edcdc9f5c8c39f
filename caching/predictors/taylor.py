"""Taylor: a branch output forecast from differences of its computed values (TaylorSeer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from caching.fields import whole_field
from caching.predictors.base import Combination

MAX_ORDER = 6


@lru_cache(maxsize=4096)
def difference_weights(steps: tuple[int, ...]) -> tuple[tuple[float, ...], ...]:
    """Weights of the differences D_0..D_n over outputs stored at `steps`, newest first.

    D_0 = F_0 and D_{k+1} = (D_k now - D_k one computed step earlier) / (s_0 - s_1), TaylorSeer's
    recursion (arXiv 2503.06923, eq. 5): every order divides by the gap between the newest two
    computed steps of its own time, not by the wider gap of textbook divided differences. The two
    agree, up to k!, when computed steps are evenly spaced.
    """
    n = len(steps)
    # now[j] are the weights of D_k as it was when steps[j] was the newest.
    now = [[1.0 if i == j else 0.0 for i in range(n)] for j in range(n)]
    table = [tuple(now[0])]
    while len(now) > 1:
        now = [
            [(a - b) / (steps[j] - steps[j + 1]) for a, b in zip(now[j], now[j + 1], strict=True)]
            for j in range(len(now) - 1)
        ]
        table.append(tuple(now[0]))
    return tuple(table)


@lru_cache(maxsize=4096)
def _weights(steps: tuple[int, ...], step: int) -> tuple[float, ...]:
    total = [0.0] * len(steps)
    factor, x = 1.0, step - steps[0]
    for k, row in enumerate(difference_weights(steps)):
        factor = factor * x / k if k else 1.0
        total = [t + factor * w for t, w in zip(total, row, strict=True)]
    return tuple(total)


@dataclass(frozen=True)
class Taylor(Combination):
    """F = sum over k of D_k x^k / k!, x = steps since the last computed one.

    TaylorSeer (arXiv 2503.06923, eq. 4 and 5), over the computed steps of each cell. The reference
    starts its differences only after `first_enhance` = 2 full steps and uses order 4 with interval
    4; order 0 is plain reuse.
    """

    order: int = 1

    name: ClassVar[str] = "taylor"
    letter: ClassVar[str] = "T"
    label: ClassVar[str] = "Taylor"

    def __post_init__(self) -> None:
        whole_field(self, "order", 0, MAX_ORDER)

    @property
    def keeps(self) -> int:
        return self.order + 1

    def weights(self, steps: tuple[int, ...], step: int) -> Sequence[float]:
        """The forecast as weights of the outputs computed at `steps`."""
        return _weights(steps, step)
