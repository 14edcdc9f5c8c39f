"""Operations of the painter read from JSON that anybody may have sent.

What can be checked without knowing the grid is checked here: types, sizes, order. Every refusal is
a ValueError that names the operation and what was wrong with it, in few words whatever was sent.
"""

from __future__ import annotations

import math
import string
from typing import Any, cast

from viz.grid.ops import (
    VERBS,
    AddBrush,
    Lock,
    Op,
    Paint,
    PaintSteps,
    Peek,
    Pin,
    Put,
    Recolour,
    Redo,
    RemoveBrush,
    ReplaceBrush,
    Runs,
    Scalar,
    Slot,
    Travel,
    Undo,
    Verb,
    Where,
)
from viz.palette import BRUSHES

MAX_OPS = 4096  # far above what gathers between two answers, far below what hurts
MAX_RUNS = 50_000  # over all operations of one message
MAX_CELLS = 1_000_000  # 512 rows x 1,000 steps stay below it
MAX_REV = 2**53 - 1  # the largest integer that survives JavaScript
MAX_ACTION = 35  # one base-36 digit per cell
MAX_FIELDS = 16  # of one brush
MAX_TEXT = 100  # of one of its values, or names of them
MAX_KEY = 1000  # a brush as one line of JSON

MAX_ENTRY = 100_000  # of a history; whether there is such an entry is not known here

_NAMES = "paint, steps, put, lock, add, replace, remove, recolour, undo, redo, travel, pin or peek"
_DIGITS = {digit: number for number, digit in enumerate(string.digits + string.ascii_lowercase)}


def parse_ops(payload: object) -> tuple[Op, ...]:
    """Operations of one message of the painter, oldest first.

    Args:
        payload: `{"ops": [...]}`. None, and the server's own `{"told": ...}` coming back because
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
        if "told" in payload:
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
        if isinstance(op, Paint | PaintSteps | Put | Lock):
            budget -= len(op.runs)
        ops.append(op)
    return tuple(ops)


def _parse_op(raw: Any, where: str, budget: int) -> Op:
    if not isinstance(raw, dict):
        raise ValueError(f"{where}: expected an object, got {_kind(raw)}")
    rev = _integer(raw.get("rev"), f"{where}: rev", 1, MAX_REV)
    match raw.get("op"):
        case "paint":
            return Paint(rev, *_stroke(raw, "cells", where, budget))
        case "steps":
            return PaintSteps(rev, *_stroke(raw, "steps", where, budget))
        case "put":
            return _put(raw, rev, where, budget)
        case "lock":
            if not isinstance(on := raw.get("on"), bool):
                raise ValueError(f"{where}: on must be true or false, got {_kind(on)}")
            return Lock(rev, on, _runs(raw.get("cells"), "cells", where, budget), _of(raw, where))
        case "travel":
            return Travel(rev, _integer(raw.get("to"), f"{where}: entry", 0, MAX_ENTRY))
        case "pin":
            slot = cast(Slot, _one_of(raw.get("slot"), ("A", "B"), f"{where}: slot"))
            return Pin(rev, slot, clear=raw.get("clear") is True)
        case "peek":
            at = raw.get("at")
            if at is not None:
                at = _one_of(at, ("previous", "A", "B"), f"{where}: at")
            return Peek(rev, cast(Any, at))
        case "add":
            return AddBrush(rev, _legend(raw, where), _brush(raw.get("brush"), where))
        case "replace":
            brush = _brush(raw.get("brush"), where)
            return ReplaceBrush(
                rev, _legend(raw, where), _index(raw, where), brush, _was(raw, where)
            )
        case "remove":
            return RemoveBrush(rev, _legend(raw, where), _index(raw, where), _was(raw, where))
        case "recolour":
            hue = raw.get("hue")
            if hue is not None:
                hue = _integer(hue, f"{where}: colour", 0, len(BRUSHES) - 1)
            return Recolour(rev, _legend(raw, where), _index(raw, where), hue, _was(raw, where))
        case "undo":
            return Undo(rev)
        case "redo":
            return Redo(rev)
        case other:
            name = repr(other[:20]) if isinstance(other, str) else _kind(other)
            raise ValueError(f"{where}: expected {_NAMES}, got {name}")


def _stroke(
    raw: dict[str, Any], what: str, where: str, budget: int
) -> tuple[int, Runs, int | None, str | None]:
    """Action, runs, size of the grid and key of the brush of a stroke over cells or steps."""
    to = _integer(raw.get("to"), f"{where}: action", 0, MAX_ACTION)
    runs = _runs(raw.get(what), what, where, budget)
    return to, runs, _of(raw, where, what), _key(raw.get("brush"), where)


def _of(raw: dict[str, Any], where: str, what: str = "cells") -> int | None:
    """The size of the grid an operation was made on, if the page says it."""
    of = raw.get("of")
    return None if of is None else _integer(of, f"{where}: {what} of its grid", 1, MAX_CELLS)


def _put(raw: dict[str, Any], rev: int, where: str, budget: int) -> Put:
    """An edit of a selection: as many digits as there are cells in its runs."""
    verb = cast(Verb, _one_of(raw.get("verb"), VERBS, f"{where}: verb"))
    runs = _runs(raw.get("cells"), "cells", where, budget)
    count, digits = sum(length for _, length in runs), raw.get("to")
    if not isinstance(digits, str) or len(digits) != count:
        given = f"{len(digits):,} digits" if isinstance(digits, str) else _kind(digits)
        raise ValueError(f"{where}: expected {count:,} digits, one for each cell, got {given}")
    try:
        to = bytes(_DIGITS[digit] for digit in digits)
    except KeyError as error:
        raise ValueError(f"{where}: {error.args[0]!r} is no action; expected 0-9 or a-z") from error
    listed = raw.get("brushes", {})
    if not isinstance(listed, dict) or len(listed) > MAX_ACTION:
        raise ValueError(f"{where}: brushes must be keys by number, got {_kind(listed)}")
    brushes: list[tuple[int, str]] = []
    for digit, key in listed.items():
        if digit not in _DIGITS or not isinstance(key, str) or len(key) > MAX_KEY:
            raise ValueError(f"{where}: brushes must be keys by number, got {_kind(key)}")
        brushes.append((_DIGITS[digit], key))
    place: Where = _legend(raw, where) if "in" in raw else "cells"
    return Put(rev, verb, runs, to, _of(raw, where), tuple(brushes), place)


def _one_of(value: Any, names: tuple[str, ...], what: str) -> str:
    if isinstance(value, str) and value in names:
        return value
    given = repr(value[:20]) if isinstance(value, str) else _kind(value)
    raise ValueError(f"{what} must be one of {', '.join(names)}; got {given}")


def _runs(raw: Any, what: str, where: str, budget: int) -> Runs:
    if not isinstance(raw, list) or len(raw) % 2:
        raise ValueError(f"{where}: {what} must be a list [start, length, start, length, ...]")
    if len(raw) // 2 > budget:
        raise ValueError(f"{where}: more than {MAX_RUNS:,} runs of {what} in one message")
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


def _legend(raw: dict[str, Any], where: str) -> Where:
    value = raw.get("in")
    if value not in ("cells", "steps"):
        name = repr(value[:20]) if isinstance(value, str) else _kind(value)
        raise ValueError(f"{where}: expected a brush in cells or steps, got {name}")
    return cast(Where, value)


def _index(raw: dict[str, Any], where: str) -> int:
    return _integer(raw.get("index"), f"{where}: brush", 1, MAX_ACTION)


def _was(raw: dict[str, Any], where: str) -> str | None:
    return _key(raw.get("was"), where)


def _key(value: Any, where: str) -> str | None:
    """The key of a brush, which is only ever compared."""
    if value is None or (isinstance(value, str) and len(value) <= MAX_KEY):
        return value
    raise ValueError(f"{where}: expected the key of a brush, got {_kind(value)}")


def _brush(raw: Any, where: str) -> dict[str, Scalar]:
    """Name and parameters of a brush; whether there is such a one is not known here."""
    if not isinstance(raw, dict) or not 1 <= len(raw) <= MAX_FIELDS:
        raise ValueError(f"{where}: expected a brush with its parameters, got {_kind(raw)}")
    for name, value in raw.items():
        if not isinstance(name, str) or len(name) > MAX_TEXT:
            raise ValueError(f"{where}: a parameter of the brush has no name of usual length")
        if not _is_scalar(value):
            raise ValueError(
                f"{where}: {name[:30]} of the brush must be a number or a short text, got "
                f"{_kind(value)}"
            )
    return dict(raw)


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return abs(value) <= MAX_REV
    return isinstance(value, float) and math.isfinite(value)


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
    names: dict[type, str] = {str: "text", list: "a list", dict: "an object", int: "a number"}
    return names.get(type(value), type(value).__name__)
