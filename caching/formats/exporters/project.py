"""Projections: what is left of a schedule in a target that can hold less, and what that loses."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caching.actions.base import StepAction
from caching.actions.residual import Residual
from caching.context import Context
from caching.errors import ScheduleError
from caching.formats.words import counted
from caching.predictors.reuse import Reuse
from caching.schedule import COMPUTE, Schedule


@dataclass(frozen=True)
class Cells:
    """A schedule of computed and reused cells alone."""

    computed: NDArray[np.bool_]  # (S, L, R)
    projected: Schedule
    losses: tuple[str, ...]


@dataclass(frozen=True)
class Steps:
    """A schedule of full steps and of steps that add a block residual."""

    mask: tuple[int, ...]  # (S,), 1 = full
    first: int  # blocks at the start that run at every step
    last: int
    projected: Schedule
    losses: tuple[str, ...]


def to_cells(schedule: Schedule) -> Cells:
    """Every cell computed or reused: other brushes become Reuse, whole steps reused cells."""
    losses = []
    ran = ~schedule.covered
    for number, predictor in enumerate(schedule.legend, 1):
        count = int(((schedule.actions == number) & ran).sum())
        if count and predictor != Reuse():
            cells = counted(count, "cell")
            losses.append(
                f"{cells} that you give to {predictor.title} will be reused unchanged there."
            )
    for number, action in enumerate(schedule.step_legend, 1):
        at = schedule.step_actions == number
        if at.any():
            losses.append(_action_loss(action, int(at.sum()), schedule.blocks))
    computed = schedule.computed
    projected = dataclasses.replace(
        schedule,
        actions=(~computed).astype(np.uint8),
        legend=(Reuse(),),
        step_actions=np.zeros(schedule.steps, np.uint8),
        step_legend=(),
    )
    return Cells(computed, projected, tuple(losses))


def _action_loss(action: StepAction, count: int, blocks: int) -> str:
    steps, covered = counted(count, "step"), len(action.covers(blocks))
    if not covered:
        return f"At {steps} the target leaves out {action.title}."
    return (
        f"At {steps} you use {action.title}; there each branch of {counted(covered, 'block')} "
        "reuses its last output, before the gate."
    )


def to_steps(schedule: Schedule, *, least_first: int = 0, ends: bool = True) -> Steps:
    """Every step full, or with what the blocks between the first and the last added before.

    A step may only be reused when none of the cells between is computed; the others become full.

    Args:
        schedule: what is to be handed over.
        least_first: how many blocks at the start the target runs at every step at least.
        ends: whether the target can run more blocks at both ends; where the residual steps of the
            schedule are of one kind, their numbers are then kept.

    Raises:
        ScheduleError: no step can be reused, so that the target would do nothing.
    """
    first, last = least_first, 0
    kinds = {schedule.step_legend[k - 1] for k in np.unique(schedule.step_actions).tolist() if k}
    if len(kinds) == 1:
        (only,) = kinds
        if ends and isinstance(only, Residual) and only.first >= least_first:
            first, last = only.first, only.last
    if first + last >= schedule.blocks:
        raise ScheduleError(
            f"the target runs the first {first} blocks at every step and the schedule has "
            f"{schedule.blocks}: nothing would be reused; choose another target"
        )
    inner = slice(first, schedule.blocks - last)
    computed = schedule.computed
    reused = np.asarray(~computed[:, inner].any(axis=(1, 2)))
    if not reused.any():
        count = int((~computed).sum())
        raise ScheduleError(
            f"the target reuses whole steps and this schedule has none: its {count} cells that "
            "are not computed would all be computed there; expected a step with no computed cell "
            f"in blocks {first} to {schedule.blocks - last - 1}, or choose a target for cells"
        )
    full = Schedule.full(
        schedule.steps, schedule.blocks, branches=schedule.branches, context=_after(schedule)
    )
    action = Residual(first, last)
    projected = full.paint_steps(reused, action)
    losses = list(_step_losses(schedule, projected, reused, action))
    mask = tuple(int(not step) for step in reused)
    return Steps(mask, first, last, projected, tuple(losses))


def _step_losses(
    schedule: Schedule, projected: Schedule, reused: NDArray[np.bool_], action: Residual
) -> list[str]:
    losses = []
    more = ~schedule.computed & projected.computed
    if more.any():
        steps = counted(int(more.any(axis=(1, 2)).sum()), "step")
        cells = counted(int(more.sum()), "cell")
        losses.append(f"{cells} that you do not compute will be computed there, at {steps}.")
    numbers = {number for number, a in enumerate(schedule.step_legend, 1) if a == action}
    other = reused & ~np.isin(schedule.step_actions, list(numbers))
    if other.any():
        steps = counted(int(other.sum()), "reused step")
        losses.append(
            f"At {steps} the target adds what the blocks added at the last full step, after the "
            "gates; your schedule does something else there, so pictures differ."
        )
    dropped = ~reused & (schedule.step_actions != COMPUTE)
    for number, one in enumerate(schedule.step_legend, 1):
        count = int((dropped & (schedule.step_actions == number)).sum())
        if count:
            losses.append(f"At {counted(count, 'step')} the target leaves out {one.title}.")
    return losses


def _after(schedule: Schedule) -> Context | None:
    context = schedule.context
    return None if context is None else dataclasses.replace(context, reuse="after gate")
