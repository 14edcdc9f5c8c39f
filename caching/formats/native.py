"""The native schedule file: versioned JSON, one row string per line, safe to open from strangers.

    {
      "format": "cachebrush-schedule",
      "version": 1,
      "step_order": "execution, step 0 is the noisiest",
      "context": {
        "steps": 4,
        "sampler": "ddim"
      },
      "branches": ["attn", "mlp"],
      "legend": {
        "C": "compute",
        "R": {"predictor": "reuse"}
      },
      "rows": {
        "block 0 attn": "CRCR",
        "block 0 mlp":  "CRRC"
      }
    }

A context of null means that it is not known. A file may say `"step_order": "timestep ascending"`,
which means that the last executed step stands first in every row and in the timesteps; it is
turned round on reading and always written in execution order.

A schedule with whole-step actions has two keys more:

      "step_legend": {
        "C": "run the blocks",
        "S": {"action": "residual", "first": 0, "last": 0}
      },
      "step_row": "CCSC"

And one whose owner has locked cells against edits says which, "#" being a locked one, in the rows
that have any; nothing locked is the same as no such key:

      "locks": {
        "block 0 attn": "-##-"
      }
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from caching import actions, predictors
from caching.checks import MAX_LEGEND, MAX_STEPS, check_branches
from caching.context import Context
from caching.errors import ScheduleError
from caching.formats import bounded
from caching.formats.locks import decode_locks, encode_locks
from caching.formats.rows import decode, decode_steps, is_letter, ordered
from caching.schedule import Schedule

Entry = TypeVar("Entry")

FORMAT = "cachebrush-schedule"
VERSION = 1
EXECUTION_ORDER = "execution, step 0 is the noisiest"
ASCENDING_ORDER = "timestep ascending"

_KEYS = ("format", "version", "step_order", "context", "branches", "legend", "rows")
_STEP_KEYS = ("step_legend", "step_row")  # written when there is a step legend
_LOCKS = "locks"  # written when there are any
RUN = "run the blocks"
_CONTEXT_KEYS = tuple(field.name for field in dataclasses.fields(Context))


def load_schedule_file(path_or_bytes: str | os.PathLike[str] | bytes) -> Schedule:
    """The schedule in a native file, given as a path or as the bytes of one.

    Raises:
        ScheduleError: the file is too large, not JSON, of another format or version, or does not
            hold a valid schedule; the message names the key, row or cell.
    """
    return from_json(bounded.read_json(path_or_bytes))


def save_schedule_file(schedule: Schedule, path: str | os.PathLike[str]) -> None:
    """Writes a schedule as a native file; a file of that name is replaced as a whole or not."""
    target = bounded.path_of(path)
    if not target.name:
        raise ScheduleError(f"{str(path)!r} was given as path: expected that of a file")
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        partial.write_text(dumps(schedule), encoding="utf-8", newline="\n")
        os.replace(partial, target)
    except (OSError, ValueError) as error:  # the latter of letters that no name may have
        reason = getattr(error, "strerror", None) or error
        raise ScheduleError(
            f"{str(target)!r:.200} cannot be written ({reason}): check the folder and its "
            "permissions"
        ) from error
    finally:
        with suppress(OSError, ValueError):
            partial.unlink()


def dumps(schedule: Schedule, locks: NDArray[np.bool_] | None = None) -> str:
    """A schedule as the text of a native file; equal schedules and locks give equal texts."""
    value = to_json(schedule, locks)
    keys = (*_KEYS, *_STEP_KEYS, _LOCKS)
    parts = [f'  "{key}": {_lines(value[key])}' for key in keys if key in value]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def to_json(schedule: Schedule, locks: NDArray[np.bool_] | None = None) -> dict[str, Any]:
    """A schedule as a JSON object of plain Python values.

    `locks`: bool (S, L, R), the cells that are locked against edits, if any; never of step 0.
    """
    context = None
    if schedule.context is not None:
        fields = dataclasses.asdict(schedule.context)
        context = {key: value for key, value in fields.items() if value is not None}
        if schedule.context.timesteps is not None:
            context["timesteps"] = [_shortest(t) for t in schedule.context.timesteps]
    legend: dict[str, Any] = {schedule.letters[0]: "compute"}
    for letter, predictor in zip(schedule.letters[1:], schedule.legend, strict=True):
        legend[letter] = predictors.to_json(predictor)
    value = {
        "format": FORMAT,
        "version": VERSION,
        "step_order": EXECUTION_ORDER,
        "context": context,
        "branches": list(schedule.branches),
        "legend": legend,
        "rows": schedule.rows(),
    }
    if schedule.step_legend:
        step_legend: dict[str, Any] = {schedule.step_letters[0]: RUN}
        for letter, action in zip(schedule.step_letters[1:], schedule.step_legend, strict=True):
            step_legend[letter] = actions.to_json(action)
        value |= {"step_legend": step_legend, "step_row": schedule.step_row()}
    if locks is not None and locks.any():
        value[_LOCKS] = encode_locks(locks, schedule)
    return value


def locks_of(value: Mapping[str, Any], schedule: Schedule) -> NDArray[np.bool_] | None:
    """The locks of a JSON object that `from_json` has read, bool (S, L, R); None if it has none."""
    if _LOCKS not in value:
        return None
    return decode_locks(value[_LOCKS], schedule, ascending=value["step_order"] == ASCENDING_ORDER)


def from_json(value: object) -> Schedule:
    """The schedule a JSON object describes; raises ScheduleError for anything else."""
    if not isinstance(value, Mapping) or value.get("format") != FORMAT:
        raise ScheduleError(
            f'not a Cachebrush schedule: expected a JSON object with "format": "{FORMAT}"; files '
            "of other projects are read by import_schedule (python -m caching convert in a shell)"
        )
    version = value.get("version")
    if version != VERSION or isinstance(version, bool):
        raise ScheduleError(
            f"format version {version!r:.40} is unknown: expected {VERSION}; a newer file needs a "
            "newer Cachebrush"
        )
    _check_keys("the file", value, required=_KEYS, optional=(*_STEP_KEYS, _LOCKS))
    order = value["step_order"]
    if order not in (EXECUTION_ORDER, ASCENDING_ORDER):
        raise ScheduleError(
            f'step_order is {order!r:.60}: expected "{EXECUTION_ORDER}" or "{ASCENDING_ORDER}"'
        )
    ascending = order == ASCENDING_ORDER
    context = _context(value["context"], ascending=ascending)
    branches = check_branches(value["branches"])
    letters, legend = _legend(value["legend"], "compute", predictors.from_json)
    named = value["rows"]
    if not isinstance(named, dict):
        raise ScheduleError('rows must be an object such as {"block 0 attn": "CRCR"}')
    rows = ordered(named, branches)
    if context is not None and isinstance(rows[0], str) and len(rows[0]) != context.steps:
        raise ScheduleError(
            f"the rows have {len(rows[0])} steps and the context says {context.steps}: expected "
            "the same"
        )
    if ascending:
        # Turned round first, so that errors name the step in execution order.
        rows = [row[::-1] if isinstance(row, str) else row for row in rows]
    cells = decode(rows, letters, branches)
    schedule = _with_steps(value, Schedule(cells, legend, branches, context), ascending=ascending)
    locks_of(value, schedule)  # wrong ones make a wrong file, whoever has no use for them
    return schedule


def _with_steps(value: Mapping[str, Any], plain: Schedule, *, ascending: bool) -> Schedule:
    """A schedule with the whole-step actions that its file gives, if any."""
    if ("step_legend" in value) != ("step_row" in value):
        raise ScheduleError("step_legend and step_row belong together: give both or neither")
    if "step_row" not in value:
        return plain
    step_letters, step_legend = _legend(value["step_legend"], RUN, actions.from_json)
    row = value["step_row"]
    if ascending and isinstance(row, str):
        row = row[::-1]
    step_actions = decode_steps(row, step_letters, plain.steps)
    return dataclasses.replace(plain, step_actions=step_actions, step_legend=step_legend)


def _context(value: object, *, ascending: bool) -> Context | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ScheduleError('context must be an object such as {"steps": 50}, or null')
    _check_keys("context", value, required=("steps",), optional=_CONTEXT_KEYS)
    fields = dict(value)
    timesteps = fields.get("timesteps")
    if timesteps is not None:
        if not isinstance(timesteps, list) or len(timesteps) > MAX_STEPS:
            raise ScheduleError("context.timesteps must be a list with one number per step")
        fields["timesteps"] = tuple(reversed(timesteps)) if ascending else tuple(timesteps)
    return Context(**fields)


def _legend(
    value: object, word: str, read: Callable[[object], Entry]
) -> tuple[str, tuple[Entry, ...]]:
    """The letters of a legend, that of `word` first, and the entries of the other letters."""
    if not isinstance(value, dict) or not 1 <= len(value) <= MAX_LEGEND + 1:
        raise ScheduleError(
            'legend must be an object such as {"C": "compute", "R": {"predictor": "reuse"}}, with '
            f"at most {MAX_LEGEND} predictors"
        )
    first, others, legend = "", "", []
    for letter, meaning in value.items():
        if not is_letter(letter):
            raise ScheduleError(
                f"legend letter {letter[:20]!r} given: expected one ASCII letter or digit"
            )
        if meaning == word:
            first += letter
        else:
            others += letter
            legend.append(read(meaning))
    if len(first) != 1:
        raise ScheduleError(
            f'{len(first)} letters of the legend mean "{word}": expected exactly one'
        )
    return first + others, tuple(legend)


def _check_keys(
    where: str, value: Mapping[str, Any], *, required: tuple[str, ...], optional: tuple[str, ...]
) -> None:
    missing = [key for key in required if key not in value]
    unknown = [str(key)[:40] for key in value if key not in (*required, *optional)]
    if missing:
        raise ScheduleError(f"{where} has no {missing[0]!r}: add it")
    if unknown:
        raise ScheduleError(
            f"{where} has the unknown key {unknown[0]!r}: expected "
            f"{', '.join(dict.fromkeys((*required, *optional)))}"
        )


def _lines(value: Any) -> str:
    """JSON with one entry per line for objects, the values of which stand under each other."""
    if not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False)
    keys = [json.dumps(key, ensure_ascii=False) + ":" for key in value]
    # Padding lines up row strings, the point of which is to be compared; elsewhere it is noise.
    rows = all(isinstance(item, str) for item in value.values())
    width = max(map(len, keys)) if rows else 0
    items = (json.dumps(item, ensure_ascii=False) for item in value.values())
    lines = [f"    {key:<{width}} {item}" for key, item in zip(keys, items, strict=True)]
    return "{\n" + ",\n".join(lines) + "\n  }"


def _shortest(value: float) -> int | float:
    return int(value) if value.is_integer() else value
