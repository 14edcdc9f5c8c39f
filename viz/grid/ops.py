"""What the painter asks for: strokes, edits of its brushes, undo and redo, and their checks.

The page sends every operation the server has not yet acknowledged, in order, so the same
operation can arrive twice; `rev` tells which are new. `viz.grid.parse` reads them from JSON that
anybody may have sent; `check` here refuses what does not fit a grid. Both raise ValueError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Where = Literal["cells", "steps"]
"""Which legend: the predictors of the cells, or the whole-step actions of the step row."""

Scalar = bool | int | float | str
Runs = tuple[tuple[int, int], ...]
"""(start, length), sorted and disjoint."""

Verb = Literal[
    "paste", "cut", "move", "mirror", "flip", "rotate", "shift", "every", "randomise", "invert",
    "keep", "fill", "clear",
]  # fmt: skip
"""What an edit of a selection is called in the history."""
VERBS: tuple[str, ...] = get_args(Verb)

Slot = Literal["A", "B"]
"""A schedule pinned to be compared with."""


@dataclass(frozen=True)
class Paint:
    """Give the cells of `runs` the action `to` (0 = compute, k = predictor k of the legend).

    `of` is the number of cells of the grid it was painted on, `brush` the key of the brush it was
    painted with, each None if the page did not say so.
    """

    rev: int
    to: int
    runs: Runs  # over row * S + s
    of: int | None = None
    brush: str | None = None


@dataclass(frozen=True)
class PaintSteps:
    """Give the steps of `runs` the whole-step action `to` (0 = run the blocks)."""

    rev: int
    to: int
    runs: Runs  # over s
    of: int | None = None
    brush: str | None = None


@dataclass(frozen=True)
class Put:
    """Give every cell or step an action of its own: what an edit of a selection made of them.

    The page works the edit out, because what somebody saw is what they are to get; `verb` only
    names it. `brushes` are (number, key) of the brushes it uses, for a legend that has changed.
    """

    rev: int
    verb: Verb
    runs: Runs  # over row * S + s
    to: bytes  # one action per cell, in the order of `runs`
    of: int | None = None
    brushes: tuple[tuple[int, str], ...] = ()
    where: Where = "cells"  # of the step row, `runs` count steps


@dataclass(frozen=True)
class Lock:
    """Lock the cells of `runs` against every edit, or unlock them."""

    rev: int
    on: bool
    runs: Runs  # over row * S + s
    of: int | None = None


@dataclass(frozen=True)
class AddBrush:
    """Put a predictor or a whole-step action, given as JSON, at the end of its legend."""

    rev: int
    where: Where
    brush: Mapping[str, Scalar]


@dataclass(frozen=True)
class ReplaceBrush:
    """Put other parameters in place of brush `index` (from 1); what it painted follows."""

    rev: int
    where: Where
    index: int
    brush: Mapping[str, Scalar]
    was: str | None = None  # its key, as for Paint


@dataclass(frozen=True)
class RemoveBrush:
    """Take brush `index` (from 1), which nothing is painted with, out of its legend."""

    rev: int
    where: Where
    index: int
    was: str | None = None


@dataclass(frozen=True)
class Recolour:
    """Draw brush `index` (from 1) in colour `hue` of the palette; None: as by default."""

    rev: int
    where: Where
    index: int
    hue: int | None
    was: str | None = None


@dataclass(frozen=True)
class Undo:
    """Take the last history entry back."""

    rev: int


@dataclass(frozen=True)
class Redo:
    """Do the last undone history entry again."""

    rev: int


@dataclass(frozen=True)
class Travel:
    """Go to entry `to` of the history: the oldest is 0, those undone stand after the present."""

    rev: int
    to: int


@dataclass(frozen=True)
class Pin:
    """Keep the present schedule in a slot to compare with, or empty the slot."""

    rev: int
    slot: Slot
    clear: bool = False


@dataclass(frozen=True)
class Peek:
    """Show the result of another schedule instead of the present one's, until told otherwise."""

    rev: int
    at: Literal["previous"] | Slot | None


Edit = Paint | PaintSteps | Put | Lock | AddBrush | ReplaceBrush | RemoveBrush | Recolour
"""Operations that change what is painted on."""
Op = Edit | Undo | Redo | Travel | Pin | Peek


def check(op: Op, cells_total: int, legend_size: int) -> None:
    """Refuse a stroke that does not fit a grid of `cells_total` cells (L * R * S).

    For strokes over the step row, `cells_total` is S and the legend that of the steps.

    Args:
        op: One parsed operation.
        cells_total: Cells of the grid it is to be applied to.
        legend_size: Brushes of the legend; actions run from 0 to this number.

    Raises:
        ValueError: If the action or a cell does not exist, or the grid has changed meanwhile.
    """
    if not isinstance(op, Paint | PaintSteps | Put | Lock):
        return
    steps = isinstance(op, PaintSteps) or (isinstance(op, Put) and op.where == "steps")
    cell = "step" if steps else "cell"
    if op.of is not None and op.of != cells_total:
        raise ValueError(
            f"stroke {op.rev}: painted on a grid of {op.of:,} {cell}s, this one has "
            f"{cells_total:,}; paint it again"
        )
    most = 0 if isinstance(op, Lock) else max(op.to, default=0) if isinstance(op, Put) else op.to
    if most > legend_size:
        raise ValueError(
            f"stroke {op.rev}: action {most} does not exist, the legend ends at {legend_size}"
        )
    if op.runs and sum(op.runs[-1]) > cells_total:  # runs are sorted: the last one ends last
        raise ValueError(
            f"stroke {op.rev}: {cell} {sum(op.runs[-1]) - 1:,} does not exist, "
            f"the grid has {cells_total:,}"
        )


def paint(flat: np.ndarray, op: Paint, *, steps: int) -> np.ndarray:
    """A copy of the grid with one stroke applied; step 0 stays as it is unless it is computed.

    Args:
        flat: uint8 (L * R * S,), row-major: row * S + s.
        op: A stroke that `check` has accepted.
        steps: S.

    Returns:
        uint8 (L * R * S,), a new array.
    """
    painted = flat.copy()
    for start, length in op.runs:
        painted[start : start + length] = op.to
    if op.to:
        painted[::steps] = flat[::steps]
    return painted


def number_of(to: int, key: str | None, keys: Sequence[str]) -> int:
    """The number a brush has now; the legend may have changed while the operation travelled.

    A brush that moved is found by its key. One whose parameters changed keeps its place.

    Args:
        to: its number on the page, from 1; 0 is no brush of the legend and stays 0.
        key: its key on the page, or None if the page did not say.
        keys: of the legend as it is now.

    Raises:
        ValueError: There is no such brush any more.
    """
    if to == 0 or key is None:
        return to
    if to <= len(keys) and keys[to - 1] == key:
        return to
    if key in keys:
        return keys.index(key) + 1
    if to <= len(keys) and _name(keys[to - 1]) == _name(key):
        return to
    raise ValueError(f"brush {to} is not what it was on the page; choose it again")


def _name(key: str) -> str:
    """A key without parameters: '{"predictor":"taylor","order":1}' is '{"predictor":"taylor"'."""
    return key.split(",")[0].rstrip("}")
