"""The checks behind every schedule: counts, names, legends and the grid itself."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caching.actions.base import StepAction
from caching.errors import ScheduleError
from caching.predictors.base import Predictor

MAX_STEPS = 1000
MAX_BLOCKS = 256
MAX_BRANCHES = 8
MAX_LEGEND = 32

_BRANCH = re.compile(r"[a-z][a-z0-9_]{0,31}")


def check_count(name: str, value: object, most: int, least: int = 1) -> int:
    """The integer `value` if it lies in least..most; raises ScheduleError otherwise."""
    try:
        # bool is an int to Python, but True steps is a mistake.
        number = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):  # an array has __index__, and only a whole scalar answers
        number = None
    if number is None or not least <= number <= most:
        text = repr(value)
        raise ScheduleError(
            f"{name} is {text if len(text) <= 40 else text[:37] + '...'}: expected a whole number "
            f"from {least} to {most}"
        )
    return number


def as_array(name: str, value: Any) -> NDArray[Any]:
    """The value as an array; raises ScheduleError where it is none, as a list of unequal lists."""
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ScheduleError(f"{name} are {value!r:.40}: expected an array of numbers") from error


def listed(values: Any) -> tuple[Any, ...] | None:
    """A list of things as a tuple; None for a text, a mapping, and what is no list."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        return None
    try:
        return tuple(values)
    except TypeError:  # an array without axes says that it has items
        return None


def check_branches(branches: Any) -> tuple[str, ...]:
    given, branches = branches, listed(branches) or ()
    valid = all(isinstance(name, str) and _BRANCH.fullmatch(name) for name in branches)
    if not valid or not 1 <= len(branches) <= MAX_BRANCHES or len(set(branches)) < len(branches):
        raise ScheduleError(
            f"branches are {given!r:.60}: expected 1 to {MAX_BRANCHES} different lower-case "
            "names such as ('attn', 'mlp')"
        )
    return tuple(branches)


def check_legend(legend: Any) -> tuple[Predictor, ...]:
    given, legend = legend, listed(legend)
    valid = legend is not None and all(isinstance(p, Predictor) for p in legend)
    if not valid or len(legend) > MAX_LEGEND or len(set(legend)) < len(legend):
        raise ScheduleError(
            f"legend is {given!r:.60}: expected at most {MAX_LEGEND} different predictors such "
            "as (Reuse(),)"
        )
    return tuple(legend)


def check_step_legend(legend: Any, blocks: int) -> tuple[StepAction, ...]:
    given, legend = legend, listed(legend)
    valid = legend is not None and all(isinstance(a, StepAction) for a in legend)
    if not valid or len(legend) > MAX_LEGEND or len(set(legend)) < len(legend):
        raise ScheduleError(
            f"step legend is {given!r:.60}: expected at most {MAX_LEGEND} different whole-step "
            "actions such as (Residual(),)"
        )
    for action in legend:
        action.check(blocks)
    return tuple(legend)


def check_step_actions(
    actions: ArrayLike, legend: tuple[StepAction, ...], steps: int
) -> NDArray[np.uint8]:
    """The step actions as a read-only uint8 copy (S,), after every check."""
    given = as_array("step actions", actions)
    if given.dtype.kind not in "iu" or given.shape != (steps,):
        raise ScheduleError(
            f"step actions are {given.dtype} {given.shape}: expected whole numbers ({steps},), "
            "0 = run the blocks and k = entry k of the step legend"
        )
    wrong = (given < 0) | (given > len(legend))
    if wrong.any():
        step = int(np.argmax(wrong))
        raise ScheduleError(
            f"step {step}: step action {given[step]} is not in the step legend: expected 0 to "
            f"{len(legend)}"
        )
    if given[0] and not legend[int(given[0]) - 1].at_first:
        raise ScheduleError(
            f"step 0: {legend[int(given[0]) - 1].name} given, but nothing is stored before step 0: "
            "expected that step 0 runs its blocks"
        )
    return np.frombuffer(given.astype(np.uint8).tobytes(), np.uint8)


def check_actions(
    actions: ArrayLike, legend: tuple[Predictor, ...], branches: tuple[str, ...]
) -> NDArray[np.uint8]:
    """The actions as a read-only uint8 copy (S, L, R), after every check.

    Raises:
        ScheduleError: wrong dtype or shape, an action outside the legend, or step 0 not computed;
            the message names the cell.
    """
    given = as_array("actions", actions)
    if given.dtype.kind not in "iu":
        raise ScheduleError(
            f"actions have dtype {given.dtype}: expected whole numbers, 0 = compute and k = "
            "predictor k of the legend"
        )
    if given.ndim != 3 or given.shape[2] != len(branches):
        raise ScheduleError(
            f"actions have shape {given.shape}: expected (steps, blocks, {len(branches)}), the "
            f"last for {', '.join(branches)}"
        )
    check_count("steps", given.shape[0], MAX_STEPS)
    check_count("blocks", given.shape[1], MAX_BLOCKS)
    wrong = (given < 0) | (given > len(legend))
    if wrong.any():
        step, block, branch = map(int, np.argwhere(wrong)[0])
        raise ScheduleError(
            f"block {block}, {branches[branch]}, step {step}: action "
            f"{given[step, block, branch]} is not in the legend: expected 0 to {len(legend)}"
        )
    if given[0].any():
        block, branch = map(int, np.argwhere(given[0])[0])
        name = legend[int(given[0, block, branch]) - 1].name
        raise ScheduleError(
            f"block {block}, {branches[branch]}, step 0: {name} given, but nothing is stored "
            "before step 0: expected compute in all cells of step 0; paint them as computed"
        )
    # An array on top of bytes cannot be made writable again, so a hash of it stays true.
    return np.frombuffer(given.astype(np.uint8).tobytes(), np.uint8).reshape(given.shape)
