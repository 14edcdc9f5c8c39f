"""Edits and questions on whole schedules: paint, resample, diff and age, as plain functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caching.actions.base import StepAction
from caching.checks import MAX_STEPS, as_array, check_count, listed
from caching.context import Context
from caching.errors import ScheduleError
from caching.predictors import Predictor

if TYPE_CHECKING:
    from caching.schedule import Schedule

Cell = tuple[int, int, int]


@dataclass(frozen=True)
class ScheduleDiff:
    """Where two schedules a and b differ; a cell is (step, block, branch).

    Attributes:
        only_a: cells that a computes and b does not.
        only_b: cells that b computes and a does not.
        other_predictor: cells neither computes, with different predictors.
        both: number of cells both compute.
        neither: number of cells neither computes, with the same predictor.
        steps: steps whose whole-step actions differ.
    """

    only_a: tuple[Cell, ...]
    only_b: tuple[Cell, ...]
    other_predictor: tuple[Cell, ...]
    both: int
    neither: int
    steps: tuple[int, ...] = ()

    @property
    def changed(self) -> int:
        """Number of cells that differ in any way, painted over or not."""
        return len(self.only_a) + len(self.only_b) + len(self.other_predictor)


def age(computed: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Steps since each cell was last computed: bool (S, L, R) to int16 (S, L, R), 0 = computed."""
    ages = np.zeros(computed.shape, np.int16)
    for step in range(1, len(computed)):
        ages[step] = np.where(computed[step], 0, ages[step - 1] + 1)
    return ages


def paint(
    schedule: Schedule, cells: ArrayLike, action: int | Predictor, *, keep_first_step: bool = False
) -> Schedule:
    """A schedule with some cells set to one action.

    Args:
        schedule: the schedule to start from; its context is kept.
        cells: bool (S, L, R), or whole numbers (n, 3) of step, block and branch.
        action: 0 to compute, k for predictor k, or a predictor, added to the legend if new.
        keep_first_step: leaves step 0 computed, so that a whole row can be painted.

    Raises:
        ScheduleError: a cell outside the grid, an unknown action, or step 0 not computed.
    """
    if not isinstance(keep_first_step, bool):
        raise ScheduleError(f"keep_first_step is {keep_first_step!r:.40}: expected True or False")
    mask = mask_of(cells, schedule.actions.shape, schedule.branches)
    legend = schedule.legend
    if isinstance(action, Predictor):
        legend = legend if action in legend else (*legend, action)
        number = legend.index(action) + 1
    else:
        number = check_count("action", action, len(legend), least=0)
    if keep_first_step and number:
        mask[0] = False
    actions = np.where(mask, np.uint8(number), schedule.actions)
    return dataclasses.replace(schedule, actions=actions, legend=legend)


def paint_steps(schedule: Schedule, steps: ArrayLike, action: int | StepAction) -> Schedule:
    """A schedule with some steps set to one whole-step action; 0 runs their blocks by the grid.

    Raises:
        ScheduleError: a step outside the schedule, an unknown action, or step 0.
    """
    given = as_array("steps", steps)
    mask = np.zeros(schedule.steps, bool)
    if given.dtype == np.bool_ and given.shape == mask.shape:
        mask = given.copy()
    elif given.size:
        for step in given.reshape(-1).tolist():
            mask[check_count("step", step, schedule.steps - 1, least=0)] = True
    legend = schedule.step_legend
    if isinstance(action, StepAction):
        legend = legend if action in legend else (*legend, action)
        number = legend.index(action) + 1
    else:
        number = check_count("step action", action, len(legend), least=0)
    actions = np.where(mask, np.uint8(number), schedule.step_actions)
    return dataclasses.replace(schedule, step_actions=actions, step_legend=legend)


def keep(schedule: Schedule, old: Schedule, cells: ArrayLike) -> Schedule:
    """`schedule` with the cells given, and the steps that would leave one of them out, as in `old`.

    Args:
        schedule: what takes the place of `old`; its context is kept.
        old: of the same steps, blocks and branches.
        cells: bool (S, L, R), or whole numbers (n, 3) of step, block and branch.

    Raises:
        ScheduleError: schedules of different shapes, a cell outside the grid, or more predictors
            together than a legend holds.
    """
    if schedule.actions.shape != old.actions.shape or schedule.branches != old.branches:
        raise ScheduleError(
            f"{old!r} cannot keep cells in {schedule!r}: expected the same steps, blocks and "
            "branches; use resample() first"
        )
    mask = mask_of(cells, old.actions.shape, old.branches)
    used = {old.legend[k - 1] for k in set(old.actions[mask].tolist()) - {0}}
    legend = (*schedule.legend, *(p for p in old.legend if p in used - set(schedule.legend)))
    actions = np.where(mask, _renumbered(old, legend, others=0), schedule.actions)
    # A whole-step action leaves the cells it covers out, which would change what they do.
    held = ((old.covered != schedule.covered) & mask).any(axis=(1, 2))
    steps = {old.step_legend[k - 1] for k in set(old.step_actions[held].tolist()) - {0}}
    new = set(schedule.step_legend)
    step_legend = (*schedule.step_legend, *(a for a in old.step_legend if a in steps - new))
    numbers = np.array(
        [0, *(step_legend.index(a) + 1 if a in step_legend else 0 for a in old.step_legend)],
        np.uint8,
    )
    return dataclasses.replace(
        schedule,
        actions=actions,
        legend=legend,
        step_actions=np.where(held, numbers[old.step_actions], schedule.step_actions),
        step_legend=step_legend,
    )


def compact(schedule: Schedule) -> Schedule:
    """The schedule without unused legend entries; the first predictor stays, so one is left."""
    kept = sorted(set(np.unique(schedule.actions).tolist()) - {0}) or [1][: len(schedule.legend)]
    steps = sorted(set(np.unique(schedule.step_actions).tolist()) - {0})
    return dataclasses.replace(
        schedule,
        actions=_lookup(kept, len(schedule.legend))[schedule.actions],
        legend=tuple(schedule.legend[k - 1] for k in kept),
        step_actions=_lookup(steps, len(schedule.step_legend))[schedule.step_actions],
        step_legend=tuple(schedule.step_legend[k - 1] for k in steps),
    )


def _lookup(kept: list[int], size: int) -> NDArray[np.uint8]:
    """Old action number -> new one, uint8 (size + 1,)."""
    table = np.zeros(size + 1, np.uint8)
    table[kept] = np.arange(1, len(kept) + 1)
    return table


def resample(
    schedule: Schedule, steps: int, *, timesteps: Sequence[float] | None = None
) -> Schedule:
    """A schedule carried over to another step count; no paper supports it, so it says so.

    Every new step takes the row of the nearest old one: nearest in timestep when both sets of
    timesteps are known, otherwise nearest as a fraction of the run; the earlier one on a tie.
    Step 0 is computed. The new context notes the origin.

    Args:
        schedule: the schedule to start from.
        steps: the new number of steps, 1..1000.
        timesteps: (steps,) the new timesteps, falling, if known.

    Raises:
        ScheduleError: a step count out of range, or timesteps that do not match it.
    """
    steps = check_count("steps", steps, MAX_STEPS)
    old = schedule.context or Context(schedule.steps)
    given = None if timesteps is None else _floats("timesteps", timesteps)
    if steps == schedule.steps and given in (None, old.timesteps):
        return schedule
    note = f"resampled from {schedule.steps} to {steps} steps, not judged at {steps}"
    if old.note:
        # The cut keeps a note that grew over many edits within the length a context allows.
        note = f"{note}; {old.note}"[:300]
    context = dataclasses.replace(old, steps=steps, timesteps=given, note=note)
    if old.timesteps is not None and context.timesteps is not None:
        source, target = np.array(old.timesteps), np.array(context.timesteps)
    else:
        source, target = np.linspace(0, 1, schedule.steps), np.linspace(0, 1, steps)
    # Rounding keeps an exact tie a tie, so that argmin takes the earlier step.
    nearest = np.abs(target[:, None] - source[None, :]).round(9).argmin(axis=1)
    actions, step_actions = schedule.actions[nearest], schedule.step_actions[nearest]
    actions[0] = 0
    step_actions[0] = 0
    return dataclasses.replace(
        schedule, actions=actions, context=context, step_actions=step_actions
    )


def _floats(name: str, values: Any) -> tuple[float, ...]:
    try:
        return tuple(float(value) for value in listed(values) or (values,))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ScheduleError(f"{name} are {values!r:.40}: expected a list of numbers") from error


def diff(a: Schedule, b: Schedule) -> ScheduleDiff:
    """Compares two schedules of one shape cell by cell, by predictor rather than by number."""
    if a.actions.shape != b.actions.shape or a.branches != b.branches:
        raise ScheduleError(
            f"{a!r} and {b!r} cannot be compared: expected the same steps, blocks and branches; "
            "use resample() to bring step counts together"
        )
    # Legends may list the same predictors in another order: number them in one common list.
    common = tuple(dict.fromkeys((*a.legend, *b.legend)))
    first, second = _renumbered(a, common), _renumbered(b, common)
    return ScheduleDiff(
        only_a=_cells((first == 0) & (second != 0)),
        only_b=_cells((first != 0) & (second == 0)),
        other_predictor=_cells((first != 0) & (second != 0) & (first != second)),
        both=int(((first == 0) & (second == 0)).sum()),
        neither=int(((first != 0) & (first == second)).sum()),
        steps=tuple(s for s in range(a.steps) if _step_action(a, s) != _step_action(b, s)),
    )


def _step_action(schedule: Schedule, step: int) -> StepAction | None:
    number = int(schedule.step_actions[step])
    return schedule.step_legend[number - 1] if number else None


def _renumbered(
    schedule: Schedule, common: tuple[Predictor, ...], *, others: int | None = None
) -> NDArray[np.uint8]:
    """The grid in the numbers of another legend; `others`: for predictors that are not in it."""
    places = {p: k for k, p in enumerate(common, 1)}
    if others is None:
        table = [0, *(places[p] for p in schedule.legend)]
    else:
        table = [0, *(places.get(p, others) for p in schedule.legend)]
    return np.array(table, np.uint8)[schedule.actions]


def _cells(mask: NDArray[np.bool_]) -> tuple[Cell, ...]:
    return tuple((int(s), int(l), int(r)) for s, l, r in np.argwhere(mask))  # noqa: E741


def mask_of(
    cells: ArrayLike, shape: tuple[int, ...], branches: tuple[str, ...]
) -> NDArray[np.bool_]:
    """Cells given as a mask or as indices, as a new bool mask (S, L, R)."""
    given = as_array("cells", cells)
    if given.dtype == np.bool_ and given.shape == shape:
        return given.copy()
    mask = np.zeros(shape, bool)
    if given.size == 0:
        return mask
    if given.ndim != 2 or given.shape[1] != 3 or given.dtype.kind not in "iu":
        raise ScheduleError(
            f"cells given as {given.dtype} {given.shape}: expected bool {shape}, or whole numbers "
            "(n, 3) of step, block and branch"
        )
    outside = (given < 0) | (given >= np.array(shape))
    if outside.any():
        step, block, branch = map(int, given[np.argwhere(outside)[0, 0]])
        name = branches[branch] if 0 <= branch < len(branches) else f"branch {branch}"
        raise ScheduleError(
            f"block {block}, {name}, step {step} is outside the grid: expected steps 0 to "
            f"{shape[0] - 1}, blocks 0 to {shape[1] - 1}, branches 0 to {shape[2] - 1}"
        )
    mask[tuple(given.T)] = True
    return mask
