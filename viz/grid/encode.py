"""The wire formats of the painter: arrays in, plain JSON out, and rows of digits back again.

Shapes follow the engine, (S, L, R); the page holds the same cells row by row, row = l * R + r,
so that a row string reads like the row on the screen. Strings that grow while a run streams are
append-only, because Gradio sends only what was appended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from caching.predict.proxy import Tables

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
REFUSED = 255  # in executed arrays: the engine could not run the cell as asked
_LEVELS = 94  # printable characters "!" .. "~"


@dataclass(frozen=True)
class Brush:
    """One predictor of the legend as the painter shows it.

    `kind` picks the look: "reuse" (dot), "forecast" (hatch) or anything else. `colour` is a CSS
    colour that replaces the fill of that look.
    """

    name: str
    kind: str
    label: str
    colour: str | None = None


REUSE = Brush("reuse", "reuse", "Reuse")


def rows_from_actions(actions: np.ndarray) -> list[str]:
    """uint8 (S, L, R) as L * R row strings of S base-36 digits, block-major."""
    if actions.ndim != 3 or actions.size == 0:
        raise ValueError(f"actions of shape {actions.shape}: expected (S, L, R), none of them 0")
    if int(actions.max()) >= len(DIGITS):
        raise ValueError(f"action {int(actions.max())}: the painter knows 0 to {len(DIGITS) - 1}")
    flat = actions.transpose(1, 2, 0).reshape(-1, actions.shape[0])  # (L * R, S)
    return ["".join(DIGITS[a] for a in row) for row in flat.tolist()]


def actions_from_rows(rows: Sequence[str], *, branches: int = 2) -> np.ndarray:
    """Row strings back to uint8 (S, L, R); the opposite of `rows_from_actions`."""
    if not rows or len(rows) % branches or len({len(row) for row in rows}) != 1 or not rows[0]:
        raise ValueError(f"{len(rows)} rows: expected equally long rows, {branches} per block")
    if bad := {c for row in rows for c in row} - set(DIGITS):
        raise ValueError(f"rows hold {sorted(bad)[0]!r}: expected the digits 0-9 and a-z")
    flat = np.array([[DIGITS.index(c) for c in row] for row in rows], dtype=np.uint8)
    return flat.reshape(-1, branches, flat.shape[1]).transpose(2, 0, 1).copy()


def grid_value(
    actions: np.ndarray, *, ack: int = 0, undo: str | None = None, redo: str | None = None
) -> dict[str, Any]:
    """The painter's value: uint8 (S, L, R) and how far the server has come.

    Args:
        actions: uint8 (S, L, R).
        ack: The highest `rev` the server has dealt with, refused ones included.
        undo: Name of what undo would take back; None disables the button.
        redo: Name of what redo would do again; None disables the button.
    """
    return {"rows": rows_from_actions(actions), "ack": ack, "undo": undo, "redo": redo}


def grid_spec(
    *,
    steps: int,
    blocks: int,
    branches: Sequence[str] = ("attn", "mlp"),
    timesteps: Sequence[float] | None = None,
    legend: Sequence[Brush] = (REUSE,),
    tables: Tables | None = None,
) -> dict[str, Any]:
    """What stays the same while a person paints: shape, names, brushes, prediction tables."""
    if steps < 1 or blocks < 1 or not branches:
        raise ValueError(f"a grid of {steps} steps, {blocks} blocks, {len(branches)} branches")
    if timesteps is not None and len(timesteps) != steps:
        raise ValueError(f"{len(timesteps)} timesteps for {steps} steps")
    if not 1 <= len(legend) < len(DIGITS):
        raise ValueError(f"a legend of {len(legend)}: expected 1 to {len(DIGITS) - 1}")
    return {
        "steps": steps,
        "timesteps": None if timesteps is None else [float(t) for t in timesteps],
        "blocks": blocks,
        "branches": list(branches),
        "legend": [vars(brush) for brush in legend],
        "tables": None if tables is None else _tables(tables, (steps, blocks, len(branches))),
    }


def grid_layer(
    values: np.ndarray, *, label: str, low: float | None = None, high: float | None = None
) -> dict[str, Any]:
    """A colour layer over the cells: (S, L, R) numbers in 94 levels; NaN means no value.

    `low` and `high` are the ends of the scale; they default to the smallest and largest value.
    Values above `high` get its colour, and the page then says "≥". A few large values darken all
    others on a linear scale: pass a high percentile as `high`.
    """
    cells = np.asarray(values, dtype=np.float64).transpose(1, 2, 0).reshape(-1)  # row * S + s
    known = cells[np.isfinite(cells)]
    low = low if low is not None else float(known.min()) if known.size else 0.0
    high = high if high is not None else float(known.max()) if known.size else 1.0
    span = (high - low) or 1.0
    part = np.clip((np.nan_to_num(cells) - low) / span, 0.0, 1.0)
    codes = (33 + np.rint(part * (_LEVELS - 1))).astype(np.uint8)
    codes[~np.isfinite(cells)] = ord(" ")
    return {
        "label": label,
        "min": low,
        "max": high,
        "over": bool(known.size and known.max() > high),
        "data": codes.tobytes().decode("ascii"),
    }


def grid_live(
    run: str,
    executed: np.ndarray,
    *,
    total: int,
    step: int | None = None,
    done: bool = False,
    ms: Sequence[float] = (),
    asked: np.ndarray | None = None,
) -> dict[str, Any]:
    """A run as it stands: send it after every step, always with all columns so far.

    Args:
        run: Name of the run; a new name clears the marks of the last one.
        executed: uint8 (n, L, R), the actions that really ran; `REFUSED` = not as asked.
        total: S.
        step: The step that is running now; defaults to the last executed one.
        done: Whether the run has ended.
        ms: Milliseconds of the steps so far.
        asked: uint8 (S, L, R), the schedule the run was started with. Without it the page
            compares with what it showed when the run's first message came.
    """
    codes = ["!" if a == REFUSED else DIGITS[a] for a in executed.reshape(-1).tolist()]
    live: dict[str, Any] = {
        "run": run,
        "step": max(0, executed.shape[0] - 1) if step is None else step,
        "total": total,
        "data": "".join(codes),
        "done": done,
        "ms": [round(float(m), 2) for m in ms],
    }
    if asked is not None:
        live["asked"] = rows_from_actions(asked)
    return live


def _tables(tables: Tables, shape: tuple[int, int, int]) -> Mapping[str, Any]:
    """The tables as JSON, once they are known to be for this grid."""
    if tables.change.shape[:3] != shape:
        raise ValueError(
            f"change: shape {tables.change.shape}, expected {shape} and one axis of lags"
        )
    return tables.to_json()
