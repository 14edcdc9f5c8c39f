"""What the painter asks for: strokes, undo and redo, read from JSON that anybody may have sent.

The page sends every operation the server has not yet acknowledged, in order, so the same
operation can arrive twice; `rev` tells which are new. Parsing happens in two stages: `parse_ops`
checks what can be checked without knowing the grid, `check` the rest. Both raise ValueError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_OPS = 4096  # far above what gathers between two answers, far below what hurts
MAX_RUNS = 50_000  # over all operations of one message
MAX_CELLS = 1_000_000  # 512 rows x 1,000 steps stay below it
MAX_REV = 2**53 - 1  # the largest integer that survives JavaScript
MAX_ACTION = 35  # one base-36 digit per cell


@dataclass(frozen=True)
class Paint:
    """Give the cells of `runs` the action `to` (0 = compute, k = predictor k of the legend)."""

    rev: int
    to: int
    runs: tuple[tuple[int, int], ...]  # (start, length) over row * S + s, sorted and disjoint
    of: int | None = None  # cells of the grid it was painted on, if the page said so


@dataclass(frozen=True)
class Undo:
    """Take the last history entry back."""

    rev: int


@dataclass(frozen=True)
class Redo:
    """Do the last undone history entry again."""

    rev: int


Op = Paint | Undo | Redo


def parse_ops(payload: object) -> tuple[Op, ...]:
    """Operations of one message of the painter, oldest first.

    Args:
        payload: `{"ops": [...]}`. None, and the server's own `{"rows": ...}` coming back because
            nothing was painted since, both mean no operations.

    Returns:
        The operations in order; their `rev` grows strictly.

    Raises:
        ValueError: If anything else arrived; the message names the operation and what was wrong.
    """
    if payload is None:
        return ()
    if not isinstance(payload, dict):
        raise ValueError(f"painter message: expected an object, got {_kind(payload)}")
    if "ops" not in payload:
        if "rows" in payload:
            return ()
        raise ValueError('painter message: expected {"ops": [...]}')
    listed = payload["ops"]
    if not isinstance(listed, list):
        raise ValueError(f"painter message: ops must be a list, got {_kind(listed)}")
    if len(listed) > MAX_OPS:
        raise ValueError(f"painter message: {len(listed):,} operations, at most {MAX_OPS:,}")
    ops: list[Op] = []
    budget, last = MAX_RUNS, 0
    for place, raw in enumerate(listed):
        where = f"operation {place}"
        op = _parse_op(raw, where, budget)
        if op.rev <= last:
            raise ValueError(f"{where}: rev {op.rev} must be greater than {last}")
        last = op.rev
        if isinstance(op, Paint):
            budget -= len(op.runs)
        ops.append(op)
    return tuple(ops)


def check(op: Op, cells_total: int, legend_size: int) -> None:
    """Refuse an operation that does not fit a grid of `cells_total` cells (L * R * S).

    Args:
        op: One parsed operation.
        cells_total: Cells of the grid it is to be applied to.
        legend_size: Predictors of the legend; actions run from 0 to this number.

    Raises:
        ValueError: If the action or a cell does not exist, or the grid has changed meanwhile.
    """
    if not isinstance(op, Paint):
        return
    if op.of is not None and op.of != cells_total:
        raise ValueError(
            f"stroke {op.rev}: painted on a grid of {op.of:,} cells, this one has {cells_total:,}; "
            "paint it again"
        )
    if op.to > legend_size:
        raise ValueError(
            f"stroke {op.rev}: action {op.to} does not exist, the legend ends at {legend_size}"
        )
    if op.runs and sum(op.runs[-1]) > cells_total:  # runs are sorted: the last one ends last
        raise ValueError(
            f"stroke {op.rev}: cell {sum(op.runs[-1]) - 1:,} does not exist, "
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


def _parse_op(raw: Any, where: str, budget: int) -> Op:
    if not isinstance(raw, dict):
        raise ValueError(f"{where}: expected an object, got {_kind(raw)}")
    rev = _integer(raw.get("rev"), f"{where}: rev", 1, MAX_REV)
    match raw.get("op"):
        case "paint":
            to = _integer(raw.get("to"), f"{where}: action", 0, MAX_ACTION)
            of = raw.get("of")
            if of is not None:
                of = _integer(of, f"{where}: cells of its grid", 1, MAX_CELLS)
            return Paint(rev, to, _parse_runs(raw.get("cells"), where, budget), of)
        case "undo":
            return Undo(rev)
        case "redo":
            return Redo(rev)
        case other:
            name = repr(other[:20]) if isinstance(other, str) else _kind(other)
            raise ValueError(f"{where}: expected paint, undo or redo, got {name}")


def _parse_runs(raw: Any, where: str, budget: int) -> tuple[tuple[int, int], ...]:
    if not isinstance(raw, list) or len(raw) % 2:
        raise ValueError(f"{where}: cells must be a list [start, length, start, length, ...]")
    if len(raw) // 2 > budget:
        raise ValueError(f"{where}: more than {MAX_RUNS:,} runs of cells in one message")
    runs: list[tuple[int, int]] = []
    end = 0
    for i in range(0, len(raw), 2):
        start = _integer(raw[i], f"{where}: start of run {i // 2}", 0, MAX_CELLS)
        length = _integer(raw[i + 1], f"{where}: length of run {i // 2}", 1, MAX_CELLS)
        if start < end:
            raise ValueError(f"{where}: run {i // 2} starts at {start}, before {end}; sort them")
        end = start + length
        runs.append((start, length))
    if end > MAX_CELLS:
        raise ValueError(f"{where}: cell {end - 1:,} lies beyond {MAX_CELLS:,}")
    return tuple(runs)


def _integer(value: Any, what: str, low: int, high: int) -> int:
    """`value` if it is a whole number between the bounds; JSON may hold 3.0, NaN, true or "3"."""
    if type(value) is not int:  # excludes bool, which is an int to isinstance
        raise ValueError(f"{what} must be a whole number, got {_kind(value)}")
    if not low <= value <= high:
        shown = f"{value:,}" if abs(value) < 10**18 else "a huge number"
        raise ValueError(f"{what} is {shown}, expected {low:,} to {high:,}")
    return value


def _kind(value: object) -> str:
    """A short name for an unexpected value, never the value itself: it may be a megabyte long."""
    if value is None:
        return "nothing"
    if isinstance(value, bool | float):
        return repr(value)
    names: dict[type, str] = {str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)
