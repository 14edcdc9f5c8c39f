"""Row strings: a schedule as one string of letters per block and branch, one letter per step."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from caching.actions.base import StepAction
from caching.checks import MAX_BLOCKS, MAX_STEPS
from caching.errors import ScheduleError
from caching.predictors.base import Predictor

COMPUTE_LETTER = "C"

_ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits
_ROW_NAME = re.compile(r"block (0|[1-9][0-9]{0,3}) ([a-z][a-z0-9_]*)")


def letters_of(legend: Sequence[Predictor] | Sequence[StepAction]) -> str:
    """One letter per action: "C" for compute, then one per entry of the legend, no letter twice.

    An entry gets the letter it prefers; one whose letter is taken gets the first free one.
    """
    letters = COMPUTE_LETTER
    for predictor in legend:
        free = (c for c in predictor.letter + _ALPHABET if c not in letters)
        letters += next(free)
    return letters


def is_letter(text: object) -> bool:
    """Whether `text` is one ASCII letter or digit, and so usable in a legend."""
    return isinstance(text, str) and len(text) == 1 and text in _ALPHABET


def row_names(blocks: int, branches: Sequence[str]) -> list[str]:
    """The L * R row names in block-major order: "block 0 attn", "block 0 mlp", "block 1 attn"…"""
    return [f"block {block} {branch}" for block in range(blocks) for branch in branches]


def encode(actions: NDArray[np.uint8], letters: str) -> list[str]:
    """Actions (S, L, R) as L * R strings of S letters, block-major."""
    table = np.frombuffer(letters.encode("ascii"), np.uint8)
    steps = actions.shape[0]
    return [row.tobytes().decode("ascii") for row in table[actions.reshape(steps, -1).T]]


def encode_steps(actions: NDArray[np.uint8], letters: str) -> str:
    """Step actions (S,) as a string of S letters."""
    return np.frombuffer(letters.encode("ascii"), np.uint8)[actions].tobytes().decode("ascii")


def decode_steps(row: object, letters: str, steps: int) -> NDArray[np.uint8]:
    """The step row as step actions, uint8 (S,); raises ScheduleError naming the step."""
    if not isinstance(row, str) or len(row) != steps:
        given = f"{len(row)} letters" if isinstance(row, str) else repr(row)[:40]
        raise ScheduleError(f"the step row has {given}: expected a text of {steps} letters")
    for step, letter in enumerate(row):
        if letter not in letters:
            raise ScheduleError(
                f"step {step}: {letter!r} is not in the step legend ({', '.join(letters)})"
            )
    return np.array([letters.index(letter) for letter in row], np.uint8)


def decode(rows: Sequence[str], letters: str, branches: Sequence[str]) -> NDArray[np.uint8]:
    """Block-major row strings as actions, uint8 (S, L, R).

    Raises:
        ScheduleError: rows of unequal length, a row missing, or a letter not in `letters`; the
            message names the cell.
    """
    width = len(branches)
    is_list = isinstance(rows, Sequence) and not isinstance(rows, str | bytes)
    if not is_list or not rows or len(rows) % width:
        given = f"{len(rows)} rows" if is_list else f"a {type(rows).__name__}"
        given = "one text" if isinstance(rows, str) else given
        raise ScheduleError(
            f"{given} given: expected one row for each of {', '.join(branches)} in every block"
        )
    names = row_names(len(rows) // width, branches)
    if len(rows) > MAX_BLOCKS * width:
        raise ScheduleError(
            f"{len(rows) // width} blocks given: expected at most {MAX_BLOCKS} blocks"
        )
    table = np.full(256, 255, np.uint8)
    for action, letter in enumerate(letters):
        table[ord(letter)] = action
    first = rows[0]
    steps = len(first) if isinstance(first, str) else 0
    if not 1 <= steps <= MAX_STEPS:
        given = f"has {steps} steps" if isinstance(first, str) else f"is {repr(first)[:40]}"
        raise ScheduleError(
            f"row {names[0]!r} {given}: expected a text of 1 to {MAX_STEPS} letters"
        )
    actions = np.empty((len(rows), steps), np.uint8)
    for index, row in enumerate(rows):
        if not isinstance(row, str) or len(row) != steps:
            given = f"{len(row)} steps" if isinstance(row, str) else f"{str(row)[:40]!r}"
            raise ScheduleError(
                f"row {names[index]!r} has {given}, row {names[0]!r} has {steps}: expected one "
                "letter per step, equally many in all rows"
            )
        # "replace" keeps one byte per character, and "?" is never a legend letter.
        actions[index] = table[np.frombuffer(row.encode("ascii", "replace"), np.uint8)]
        if (actions[index] == 255).any():
            step = int(np.argmax(actions[index] == 255))
            block, branch = divmod(index, width)
            raise ScheduleError(
                f"block {block}, {branches[branch]}, step {step}: {row[step]!r} is not in the "
                f"legend ({', '.join(letters)})"
            )
    return np.ascontiguousarray(actions.T).reshape(steps, -1, width)


def ordered(rows: Mapping[str, str], branches: Sequence[str]) -> list[str]:
    """Named rows in block-major order; raises ScheduleError for a missing or unknown name."""
    if not rows:
        raise ScheduleError("no rows given: expected rows such as 'block 0 attn'")
    last = -1
    for name in rows:
        match = _ROW_NAME.fullmatch(name) if isinstance(name, str) else None
        if match is None or match[2] not in branches:
            raise ScheduleError(
                f"row {str(name)[:60]!r} is unknown: expected 'block <number> <branch>' with a "
                f"branch from {', '.join(branches)}"
            )
        last = max(last, int(match[1]))
    if last >= MAX_BLOCKS:
        raise ScheduleError(f"block {last} given: expected at most {MAX_BLOCKS} blocks")
    names = row_names(last + 1, branches)
    missing = [name for name in names if name not in rows]
    if missing:
        raise ScheduleError(
            f"row {missing[0]!r} is missing ({len(missing)} of {len(names)} rows are): expected a "
            f"row for each of {', '.join(branches)} in blocks 0 to {last}"
        )
    return [rows[name] for name in names]
