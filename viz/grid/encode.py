"""The wire formats of the painter: arrays in, plain JSON out, and rows of digits back again.

Shapes follow the engine, (S, L, R); the page holds the same cells row by row, row = l * R + r,
so that a row string reads like the row on the screen. Strings that grow while a run streams are
append-only, because Gradio sends only what was appended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from caching.marks import COVERED, LOWERED, PARTLY
from caching.predict.evidence import BEST_DB
from caching.predict.picture import WITHIN, Within
from caching.predict.proxy import Tables

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
REFUSED = 255  # in executed arrays: the engine could not run the cell as asked
_LEVELS = 94  # printable characters "!" .. "~"
_MARKS = {REFUSED: "!", COVERED: "#", PARTLY: "%"}
_LOWERED_FROM = 64  # "A" is brush 1 at a lower order; no digit of DIGITS lies in its 32 characters


@dataclass(frozen=True)
class Brush:
    """One predictor of the legend as the painter shows it.

    Attributes:
        name: the word used in files.
        kind: picks the pattern: "reuse", "forecast", "calibrated", "partial", "skip", or another.
        label: what a person reads, with parameters.
        colour: a CSS colour that replaces the fill.
        letter: what large cells show besides colour and pattern; "" leaves that out.
        key: what tells it from all other brushes, sent back with every stroke.
        hue: number of its colour in `viz.palette.BRUSHES`; None: the plain look of its kind.
        macs_share: (L * R,) what it computes of a branch, 0..1 and more; () for nothing, None for
            something nobody knows.
        notes: whether it computes something more where the branch itself is computed.
    """

    name: str
    kind: str
    label: str
    colour: str | None = None
    letter: str = ""
    key: str | None = None
    hue: int | None = None
    macs_share: tuple[float, ...] | None = ()
    notes: bool = False


@dataclass(frozen=True)
class StepBrush:
    """One whole-step action of the step legend; what it shares with `Brush` means the same.

    Attributes:
        covers: first block whose cells do not run, and the one after the last.
        embeds, heads: whether patch embedding and final layer run.
        half: whether only the conditional half of the batch runs.
        at_first: whether step 0 may be painted with it.
    """

    name: str
    kind: str
    label: str
    letter: str = ""
    key: str | None = None
    hue: int | None = None
    covers: tuple[int, int] = (0, 0)
    embeds: bool = True
    heads: bool = True
    half: bool = False
    at_first: bool = False


REUSE = Brush("reuse", "reuse", "Reuse", letter="R")


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


@dataclass(frozen=True)
class Here:
    """What the runs of this visit say of the page's own picture; see caching/predict/picture.py.

    Attributes:
        level_db: how far it lies above the mean over pictures.
        sd_db: standard deviation of what is not known of that.
        runs: schedules that were run of it; 0: it is like any other picture.
        best_db: beyond it rounding decides.
        within: how far its runs lie about that level.
    """

    level_db: float
    sd_db: float
    runs: int
    best_db: float = BEST_DB
    within: Within = WITHIN


@dataclass(frozen=True)
class Expected:
    """PSNR against the full run that a prediction expects of the schedule on show.

    Attributes:
        db: in the mean over pictures; None: nothing is cached, so the pictures are equal.
        low_db, high_db: where the mean over pictures lies for four schedules in five.
        source: where the prediction is from, in words.
        here: of this picture.
    """

    db: float | None
    low_db: float | None
    high_db: float | None
    source: str
    here: Here | None = None


def grid_value(
    actions: np.ndarray,
    *,
    ack: int = 0,
    undo: str | None = None,
    redo: str | None = None,
    step_actions: np.ndarray | None = None,
    refused: tuple[int, str] | None = None,
    expected: Expected | None = None,
    keys: Mapping[str, Sequence[str]] | None = None,
    locks: Sequence[tuple[int, int]] = (),
    kept: int = 0,
    history: Mapping[str, Any] | None = None,
    others: Mapping[str, Any] | None = None,
    at: tuple[str, int] | None = None,
) -> dict[str, Any]:
    """The painter's value: uint8 (S, L, R) and how far the server has come.

    Args:
        actions: uint8 (S, L, R).
        ack: The highest `rev` the server has dealt with, refused ones included.
        undo: Name of what undo would take back; None disables the button.
        redo: Name of what redo would do again; None disables the button.
        step_actions: uint8 (S,), what whole steps do; None: all run their blocks.
        refused: `rev` of the last operation that was not taken, and why, for the page to show.
        expected: PSNR that is predicted for these cells; None where nobody knows.
        keys: "cells" and "steps" -> the keys of the brushes that rows and step row are numbered by.
            Value and spec may reach the page in either order; None: numbered as the page's own.
        locks: (start, length) over row * S + s of the cells that nothing may change.
        kept: locked cells that what has just come would have changed.
        history: names of the edits and which is the present one, see `viz.grid.show`.
        others: schedules to compare with, by name, likewise.
        at: whose state this is and how many changes led to it: of two of the same, which may
            overtake each other on their way, the painter keeps the later. None: it goes by `ack`.
    """
    if step_actions is None:
        step_actions = np.zeros(len(actions), np.uint8)
    return {
        "rows": rows_from_actions(actions),
        "steps": _digits(step_actions, len(actions)),
        "ack": ack,
        "undo": undo,
        "redo": redo,
        "refused": None if refused is None else {"rev": refused[0], "words": refused[1]},
        "expected": None if expected is None else asdict(expected),
        "keys": None if keys is None else {name: list(some) for name, some in keys.items()},
        "locks": [number for run in locks for number in run],
        "kept": kept,
        "history": None if history is None else dict(history),
        "others": {} if others is None else dict(others),
        "at": None if at is None else list(at),
    }


def _digits(step_actions: np.ndarray, steps: int) -> str:
    """uint8 (S,) as S base-36 digits."""
    if step_actions.shape != (steps,) or int(step_actions.max()) >= len(DIGITS):
        raise ValueError(f"step actions of shape {step_actions.shape}: expected ({steps},)")
    return "".join(DIGITS[a] for a in step_actions.tolist())


def grid_spec(
    *,
    steps: int,
    blocks: int,
    branches: Sequence[str] = ("attn", "mlp"),
    timesteps: Sequence[float] | None = None,
    legend: Sequence[Brush] = (REUSE,),
    step_legend: Sequence[StepBrush] = (),
    tables: Tables | None = None,
) -> dict[str, Any]:
    """What stays the same while a person paints: shape, names, brushes, prediction tables."""
    if steps < 1 or blocks < 1 or not branches:
        raise ValueError(f"a grid of {steps} steps, {blocks} blocks, {len(branches)} branches")
    if timesteps is not None and len(timesteps) != steps:
        raise ValueError(f"{len(timesteps)} timesteps for {steps} steps")
    if not 1 <= len(legend) < len(DIGITS) or len(step_legend) >= len(DIGITS):
        raise ValueError(
            f"a legend of {len(legend)} and {len(step_legend)}: expected 1 to {len(DIGITS) - 1} "
            f"and at most {len(DIGITS) - 1}"
        )
    cells = blocks * len(branches)
    for brush in legend:
        if brush.macs_share is not None and len(brush.macs_share) not in (0, cells):
            raise ValueError(f"{brush.label}: {len(brush.macs_share)} shares, expected {cells}")
    return {
        "steps": steps,
        "timesteps": None if timesteps is None else [float(t) for t in timesteps],
        "blocks": blocks,
        "branches": list(branches),
        "legend": [_plain(brush) for brush in legend],
        "step_legend": [_plain(brush) for brush in step_legend],
        "tables": None if tables is None else _tables(tables, (steps, blocks, len(branches))),
    }


def _plain(brush: Brush | StepBrush) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in vars(brush).items()}


def grid_layer(
    values: np.ndarray,
    *,
    label: str,
    low: float | None = None,
    high: float | None = None,
    lag: int | None = None,
    signed: bool = False,
    of: str | None = None,
) -> dict[str, Any]:
    """A colour layer over the cells: (S, L, R) numbers in 94 levels; NaN means no value.

    `low` and `high` are the ends of the scale; they default to the smallest and largest value.
    Values above `high` get its colour, and the page then says "≥". A few large values darken all
    others on a linear scale: pass a high percentile as `high`. `lag`: these are changes since that
    many steps before, and the page may show other lags from its tables. `signed`: the scale runs
    through 0 in its middle, from -high to high, and has a colour on either side. `of`: the run, by
    the name of its live marks, that these numbers are of; the layer shows itself and goes with it.
    """
    cells = np.asarray(values, dtype=np.float64).transpose(1, 2, 0).reshape(-1)  # row * S + s
    known = cells[np.isfinite(cells)]
    low = low if low is not None else float(known.min()) if known.size else 0.0
    high = high if high is not None else float(known.max()) if known.size else 1.0
    low = -high if signed else low
    span = (high - low) or 1.0
    part = np.clip((np.nan_to_num(cells) - low) / span, 0.0, 1.0)
    codes = (33 + np.rint(part * (_LEVELS - 1))).astype(np.uint8)
    codes[~np.isfinite(cells)] = ord(" ")
    return {
        "label": label,
        "min": low,
        "max": high,
        "over": bool(known.size and known.max() > high),
        "lag": lag,
        "signed": signed,
        "of": of,
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
    executed_actions: np.ndarray | None = None,
    asked_steps: np.ndarray | None = None,
    legend: Sequence[Brush] | None = None,
    step_legend: Sequence[StepBrush] | None = None,
    decided: Sequence[tuple[float | None, float | None]] = (),
    policy: str | None = None,
) -> dict[str, Any]:
    """A run as it stands: send it after every step, always with all columns so far.

    Args:
        run: Name of the run; a new name clears the marks of the last one.
        executed: uint8 (n, L, R), the actions that really ran, with the marks of `caching.marks`;
            `REFUSED` = not as asked.
        total: S.
        step: The step that is running now; defaults to the last executed one.
        done: Whether the run has ended.
        ms: Milliseconds of the steps so far.
        asked: uint8 (S, L, R), the schedule the run was started with. Without it the page
            compares with what it showed when the run's first message came.
        executed_actions: uint8 (n,), what whole steps really did; None: all ran their blocks.
        asked_steps: uint8 (S,), as `asked` for the step row; None: as for `asked`.
        legend: What the numbers of `executed` and `asked` mean; None: the page's own brushes, as
            they are when the run's first message comes. The page finds brushes by their keys, so
            that marks stay true when brushes are added, moved or removed.
        step_legend: Likewise of the whole steps.
        decided: Score and limit of every step so far, by which a policy decided.
        policy: Name of the policy that decides; what was painted then says nothing about the run,
            and the page shows what ran instead.
    """
    n = len(executed)
    done_actions = np.zeros(n, np.uint8) if executed_actions is None else executed_actions
    live: dict[str, Any] = {
        "run": run,
        "step": max(0, n - 1) if step is None else step,
        "total": total,
        "data": _marks(executed),
        "steps": _marks(done_actions),
        "done": done,
        "ms": [round(float(m), 2) for m in ms],
        "decided": [[_number(score), _number(limit)] for score, limit in decided],
        "policy": policy,
    }
    if asked is not None:
        live["asked"] = rows_from_actions(asked)
        steps = np.zeros(len(asked), np.uint8) if asked_steps is None else asked_steps
        live["asked_steps"] = _digits(steps, len(asked))
    if legend is not None:
        live["legend"] = [_plain(brush) for brush in legend]
        live["step_legend"] = [_plain(brush) for brush in step_legend or ()]
    return live


def _number(value: float | None) -> float | None:
    """A number for JSON, which knows neither infinity nor NaN."""
    return float(f"{value:.6g}") if value is not None and np.isfinite(value) else None


def _marks(executed: np.ndarray) -> str:
    """One character for each executed action: a digit, a capital for a lower order, or a mark."""
    return "".join(map(_mark, executed.reshape(-1).tolist()))


def _mark(action: int) -> str:
    if action in _MARKS:
        return _MARKS[action]
    if action < LOWERED:
        return DIGITS[action]
    return chr(_LOWERED_FROM + (action & ~LOWERED))


def _tables(tables: Tables, shape: tuple[int, int, int]) -> Mapping[str, Any]:
    """The tables as JSON, once they are known to be for this grid."""
    if tables.change.shape[:3] != shape:
        raise ValueError(
            f"change: shape {tables.change.shape}, expected {shape} and one axis of lags"
        )
    return tables.to_json()
