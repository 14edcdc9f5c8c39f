"""Likeness: how alike a branch's outputs are at any two steps, and the path they take.

Everything follows from the inner products of the outputs y_s (flattened) of one branch at all pairs
of steps, G[s, j] = <y_s, y_j>: relative change, cosine, and the principal components, because
classical scaling of centred products gives the same coordinates as a PCA of the outputs themselves
(Torgerson 1952).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caching.readonly import read_only

if TYPE_CHECKING:  # a page opens with recorded ones before torch is loaded
    from torch import Tensor

MOST_MIB = 128.0


@dataclass(frozen=True, eq=False)
class Path:
    """Outputs of one branch as points of a plane.

    Attributes:
        points: (S, 2), in the unit of the outputs, along their two main directions.
        explained: (2,) share of the variance over steps that each direction holds.
    """

    points: np.ndarray
    explained: np.ndarray

    def __post_init__(self) -> None:
        read_only(self)


@dataclass(frozen=True, eq=False)
class Likeness:
    """Inner products of branch outputs (before the gate) at all pairs of steps.

    Attributes:
        products: float32 (L, R, S, S), symmetric.
        share: of the numbers of an output that were taken, 1 unless memory was short.
    """

    products: np.ndarray
    share: float = 1.0

    def __post_init__(self) -> None:
        read_only(self)

    @property
    def steps(self) -> int:
        return int(self.products.shape[-1])

    def change(self, block: int, branch: int) -> np.ndarray:
        """|y_s - y_j| / |y_s| at [s, j], float64 (S, S): what reusing step j at step s amounts to.

        0 where both are zero, infinite where only y_s is.
        """
        g = self._of(block, branch)
        own = np.diag(g)
        apart = np.sqrt(np.maximum(own[:, None] + own[None] - 2 * g, 0))
        np.fill_diagonal(apart, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            found: np.ndarray = apart / np.sqrt(own)[:, None]
        found[apart == 0] = 0
        return found

    def path(self, block: int, branch: int) -> Path:
        """The outputs of all steps in the plane that holds most of their variance."""
        g = self._of(block, branch)
        centred = g - g.mean(0) - g.mean(1)[:, None] + g.mean()
        values, vectors = np.linalg.eigh(centred)
        values = np.maximum(values[::-1], 0)
        points = np.zeros((self.steps, 2))
        explained = np.zeros(2)
        for axis in range(min(2, self.steps)):
            column = vectors[:, -1 - axis]
            # A direction has no sign of its own; this one runs from the noisy end to the clean one.
            sign = -1.0 if column[-1] < column[0] else 1.0
            points[:, axis] = sign * column * np.sqrt(values[axis])
            explained[axis] = values[axis] / values.sum() if values.sum() > 0 else 0.0
        return Path(points, explained)

    def _of(self, block: int, branch: int) -> np.ndarray:
        return np.asarray(self.products[block, branch], np.float64)


class Gatherer:
    """Collects a Likeness while a run goes by, taking every n-th number so that memory suffices."""

    def __init__(self, steps: int, *, memory_mib: float = MOST_MIB) -> None:
        self.steps, self.memory_mib = steps, memory_mib
        self.kept: list[Tensor] = []  # S times (L R, some of N T D)
        self.rows: list[np.ndarray] = []  # each (L R, steps so far)
        self.every = 1

    def add(self, outputs: Tensor) -> None:
        """The outputs of the next step, float (L R, N T D)."""
        import torch

        if not self.kept:
            whole_mib = outputs.numel() * 4 * self.steps / 2**20
            # An odd stride visits every channel, since widths are even.
            self.every = max(1, int(np.ceil(whole_mib / self.memory_mib))) | 1
        own = outputs.detach()[:, :: self.every].contiguous()
        self.kept.append(own)
        products = [(own * before).sum(-1) for before in self.kept]
        self.rows.append(torch.stack(products, -1).cpu().numpy())

    def likeness(self, blocks: int, branches: int) -> Likeness:
        """All products of the steps so far."""
        steps = len(self.rows)
        found = np.zeros((blocks * branches, steps, steps), np.float32)
        for s, row in enumerate(self.rows):
            found[:, s, : s + 1] = row
            found[:, : s + 1, s] = row
        return Likeness(found.reshape(blocks, branches, steps, steps), 1 / self.every)
