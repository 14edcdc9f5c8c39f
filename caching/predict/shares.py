"""What share of a branch each predictor computes: from a model, or from what tables say of one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from caching.predict.proxy import Tables
from caching.predictors import Predictor

if TYPE_CHECKING:
    from caching.models.family import Family

ATTN, MLP = 0, 1


class _Shapes:
    """The part of a Family that costs are computed from, read back from a DiT's tables.

    With T tokens of width D a DiT's attention takes 4 T D^2 + 2 T^2 D multiply-accumulates and its
    feed-forward, four times as wide, 8 T D^2: two numbers, from which T and D follow.
    """

    branches = ("attn", "mlp")

    def __init__(self, tables: Tables) -> None:
        self.blocks = len(tables.compute_macs)
        attn, mlp = map(int, tables.compute_macs[0])
        linear, mixing = mlp / 8, (attn - mlp / 2) / 2  # T D^2 and T^2 D
        self.tokens = round((mixing**2 / linear) ** (1 / 3)) if linear > 0 else 0
        self.width = math.isqrt(round(linear / self.tokens)) if self.tokens else 0
        self._fixed = tables.fixed_macs
        shape = [[self.branch_macs(b, r) for r in (ATTN, MLP)] for b in range(self.blocks)]
        self.agrees = self.tokens > 0 and np.array_equal(shape, tables.compute_macs)

    def fixed_macs(self) -> int:
        return self._fixed

    def branch_macs(self, block: int, r: int) -> int:
        return self.row_macs(block, r, self.tokens)

    def row_macs(self, block: int, r: int, rows: int) -> int:
        t, d = self.tokens, self.width
        if r == ATTN:
            return 2 * rows * d * d + 2 * t * d * d + 2 * rows * t * d
        return 8 * rows * d * d

    def linears(self, block: int, r: int) -> dict[str, tuple[SimpleNamespace, None]]:
        """Weights of which nothing but the shape is known."""
        d = self.width
        if r == ATTN:
            return {name: (SimpleNamespace(shape=(d, d)), None) for name in ("q", "k", "v", "out")}
        return {
            "up": (SimpleNamespace(shape=(4 * d, d)), None),
            "down": (SimpleNamespace(shape=(d, 4 * d)), None),
        }

    def linear_macs(self, block: int, r: int) -> dict[str, int]:
        return {
            name: self.tokens * weight.shape[0] * weight.shape[1]
            for name, (weight, _) in self.linears(block, r).items()
        }


def with_shares(
    tables: Tables, legend: Sequence[Predictor], family: Family | None = None
) -> Tables:
    """Tables with the share of every predictor of a legend.

    Args:
        tables: of the model the legend is for.
        legend: predictors; those that compute nothing of a branch get zeros.
        family: the model itself, where it is loaded. Without it the shares follow from the tables
            if they are those of a DiT, and are left out if not.
    """
    source: Any = family if family is not None else _shapes_of(tables)
    shares = dict(tables.shares)
    for predictor in legend:
        if not _costs(predictor):
            shares[predictor] = np.zeros(tables.compute_macs.shape)
        elif source is not None and (found := _share(predictor, source, tables)) is not None:
            shares[predictor] = found
    return dataclasses.replace(tables, shares=shares)


def _costs(predictor: Predictor) -> bool:
    return type(predictor).macs is not Predictor.macs


def _shapes_of(tables: Tables) -> _Shapes | None:
    if tables.compute_macs.shape[1:] != (2,) or not (tables.compute_macs > 0).all():
        return None
    shapes = _Shapes(tables)
    return shapes if shapes.agrees else None


def _share(predictor: Predictor, family: Any, tables: Tables) -> np.ndarray | None:
    blocks, branches = tables.compute_macs.shape
    try:
        macs = [[predictor.macs(family, b, r) for r in range(branches)] for b in range(blocks)]
    except AttributeError:  # it asks for more than shapes; the model will tell
        return None
    share: np.ndarray = np.array(macs, np.float64) / np.maximum(tables.compute_macs, 1)
    return share
