"""Bounded reading of JSON from strangers: size, depth, numbers and duplicate keys are checked."""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Any, NoReturn

from caching.errors import ScheduleError

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 8

_MAX_DIGITS = 15  # every whole number up to 15 digits is exact in a float, so also in a browser
# A whole string (an unclosed one runs to the end, so the scan stays linear), or one bracket.
_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


def path_of(given: Any) -> Path:
    """The path that was given; raises ScheduleError where it is none."""
    if not isinstance(given, str | os.PathLike):
        raise ScheduleError(f"a {type(given).__name__} was given as path: expected a file's path")
    return Path(given)


def read_json(source: str | os.PathLike[str] | bytes) -> Any:
    """The JSON value in a file (path) or in bytes.

    Raises:
        ScheduleError: not a readable file, over 4 MiB, not UTF-8, not JSON, nested deeper than 8,
            a key given twice, NaN or Infinity, or a number of more than 15 digits.
    """
    data = source if isinstance(source, bytes) else _read_file(path_of(source))
    if len(data) > MAX_BYTES:
        raise _too_large(len(data))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScheduleError(
            f"byte {error.start} is not UTF-8: expected a JSON text file; is it another kind of "
            "file?"
        ) from error
    _check_depth(text)
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_int=_bounded_int,
            parse_float=_finite,
        )
    except json.JSONDecodeError as error:
        raise ScheduleError(
            f"not valid JSON at line {error.lineno}, column {error.colno} ({error.msg}): expected "
            "a whole JSON object; was the file cut off?"
        ) from error


def _read_file(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise ScheduleError(f"{str(path)!r} is not a file: expected a JSON file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise _too_large(size)
        with path.open("rb") as file:
            # One byte more than allowed shows a file that grew after its size was asked.
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ScheduleError(
            f"{str(path)!r} cannot be read ({error.strerror}): check the path and its permissions"
        ) from error


def _too_large(size: int) -> ScheduleError:
    return ScheduleError(
        f"the file has {size / 2**20:.1f} MiB: expected at most {MAX_BYTES // 2**20} MiB; a "
        "schedule of 1000 steps and 256 blocks needs less than one"
    )


def _check_depth(text: str) -> None:
    """Refuses deep nesting before parsing, because the parser recurses once per level."""
    depth = 0
    for token in _BRACKET.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth > MAX_DEPTH:
            raise ScheduleError(
                f"the JSON is nested more than {MAX_DEPTH} deep: expected a schedule file"
            )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ScheduleError(f"key {key[:60]!r} stands twice in one object: remove one of them")
        result[key] = value
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise ScheduleError(f"{name} given: expected finite numbers only")


def _bounded_int(text: str) -> int:
    if len(text.lstrip("-")) > _MAX_DIGITS:
        raise ScheduleError(f"a number of {len(text)} digits given: expected at most {_MAX_DIGITS}")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ScheduleError(f"the number {text[:40]} is too large: expected finite numbers only")
    return value
