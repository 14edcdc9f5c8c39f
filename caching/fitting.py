"""Least squares for fitted predictors and actions: which step feeds which, and sums on the way.

Shapes: S steps, N batch, T tokens, D channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caching.errors import ScheduleError

if TYPE_CHECKING:
    from torch import Tensor

# A channel that varies less than float32 rounds its mean says nothing about a slope.
FLAT = 1e-12


def sources(owner: Any, table: NDArray[Any], number: int) -> NDArray[np.int32]:
    """For every entry of (S, …) that is `number`, the last step before it that has 0; -1 elsewhere.

    Raises:
        ScheduleError: there is none, because a policy chooses the steps while the run goes on.
    """
    at = np.arange(len(table), dtype=np.int32).reshape(-1, *[1] * (table.ndim - 1))
    last = np.maximum.accumulate(np.where(table == 0, at, -1), axis=0)
    here = table == number
    if (here & (last < 0)).any():
        raise ScheduleError(
            f"{owner.name}: it has to know beforehand which steps compute and which stand in, but "
            "a policy chooses them while the run goes on: expected a schedule; give the policy "
            "another predictor or action"
        )
    return np.where(here, last, -1).astype(np.int32)


class Sums:
    """Sums for the least squares of y on x in every channel, in float64, nothing else kept."""

    def __init__(self) -> None:
        self.count = 0
        self.sums: Any = 0.0  # (4, D): of x, y, x x, x y

    def add(self, x: Tensor, y: Tensor) -> None:
        """Two tensors (N, T, D): every token of every row is one sample."""
        import torch

        x, y = (t.reshape(-1, t.shape[-1]).double() for t in (x, y))
        self.count += len(x)
        self.sums = self.sums + torch.stack([t.sum(0) for t in (x, y, x * x, x * y)])

    def line(self, *, slopes: bool, shifts: bool) -> Tensor:
        """Slope a and shift b of y = a x + b, float64 (2, D).

        With `slopes` every channel has its own a, otherwise one a fits all; `shifts` likewise for
        b. Where x does not vary the line is a = 1, b = 0.
        """
        import torch

        sx, sy, sxx, sxy = self.sums
        n: float = self.count
        if not shifts:
            n, (sx, sy, sxx, sxy) = n * len(sx), (t.sum().expand_as(t) for t in self.sums)
        varied, together = sxx - sx * sx / n, sxy - sx * sy / n
        if not slopes:
            varied, together, sxx = (t.sum().expand_as(t) for t in (varied, together, sxx))
        flat = varied <= FLAT * sxx
        a = torch.where(flat, 1.0, together / torch.where(flat, 1.0, varied))
        b = torch.where(flat, 0.0, (sy - a * sx) / n)
        return torch.stack([a, b])
