"""The brushes of a page: their legends edited, their colours chosen, strokes put into a schedule.

Pure functions from one `Canvas` to the next, each with the words that name the edit for undo. The
colours that a person chose belong to the page and not to the schedule, which is saved without them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from caching import actions, predictors
from caching.actions import StepAction
from caching.checks import MAX_LEGEND
from caching.errors import ScheduleError
from caching.predictors import Predictor
from caching.schedule import Schedule
from viz.grid.ops import (
    AddBrush,
    Paint,
    PaintSteps,
    Recolour,
    RemoveBrush,
    ReplaceBrush,
    Scalar,
    Where,
    check,
    number_of,
    paint,
)
from viz.palette import BRUSHES

Brush = Predictor | StepAction
Hues = tuple[tuple[str, int], ...]
"""(key of a brush, number of its colour), as chosen; brushes without an entry get a free one."""

MAX_HUES = 4 * MAX_LEGEND  # brushes of earlier schedules keep theirs, though not for ever


@dataclass(frozen=True)
class Canvas:
    """What a page paints on: a schedule, and the colours chosen for its brushes."""

    schedule: Schedule
    hues: Hues = ()


@dataclass(frozen=True)
class Edited:
    """A canvas after an edit, and the words that name the edit."""

    what: str
    canvas: Canvas


def key_of(brush: Brush) -> str:
    """A brush with its parameters as one line of JSON: what tells it from all others."""
    if isinstance(brush, Predictor):
        return json.dumps(predictors.to_json(brush), separators=(",", ":"))
    return json.dumps(actions.to_json(brush), separators=(",", ":"))


def title_of(brush: Brush) -> str:
    """The title with a capital letter."""
    return brush.title[:1].upper() + brush.title[1:]


def hues_of(canvas: Canvas) -> tuple[tuple[int | None, ...], tuple[int | None, ...]]:
    """The colour numbers of the cell brushes and the step brushes.

    A brush has the colour that was chosen for it, or the first that no other one has; they repeat
    once all are in use. Reuse has none, as long as nobody chose one: its look is paper.
    """
    chosen = dict(canvas.hues)
    both: list[Brush] = [*canvas.schedule.legend, *canvas.schedule.step_legend]
    taken = [chosen[key] for key in map(key_of, both) if key in chosen]
    found: list[int | None] = []
    for brush in both:
        hue = chosen.get(key_of(brush))
        if hue is None and brush.kind != "reuse":
            hue = min(range(len(BRUSHES)), key=lambda n: (taken.count(n), n))
            taken.append(hue)
        found.append(hue)
    cells = len(canvas.schedule.legend)
    return tuple(found[:cells]), tuple(found[cells:])


def edit(
    canvas: Canvas, op: Paint | PaintSteps | AddBrush | ReplaceBrush | RemoveBrush | Recolour
) -> Edited:
    """The canvas after an operation of the painter.

    Raises:
        ScheduleError, ValueError: it does not fit; the words say why.
    """
    match op:
        case Paint():
            return _paint(canvas, op)
        case PaintSteps():
            return _paint_steps(canvas, op)
        case AddBrush(where=where, brush=value):
            return _add(canvas, where, value)
        case ReplaceBrush(where=where, brush=value):
            return _replace(canvas, where, _place(canvas, op), value)
        case RemoveBrush(where=where):
            return _remove(canvas, where, _place(canvas, op))
        case Recolour(where=where, hue=hue):
            return _recolour(canvas, where, _place(canvas, op), hue)


def _legend(schedule: Schedule, where: Where) -> tuple[Any, ...]:
    return schedule.legend if where == "cells" else schedule.step_legend


def _with(schedule: Schedule, where: Where, legend: tuple[Any, ...]) -> Schedule:
    if where == "cells":
        return dataclasses.replace(schedule, legend=legend)
    return dataclasses.replace(schedule, step_legend=legend)


def _keys(schedule: Schedule, where: Where) -> list[str]:
    return [key_of(brush) for brush in _legend(schedule, where)]


def _place(canvas: Canvas, op: ReplaceBrush | RemoveBrush | Recolour) -> int:
    """The number of the brush that an edit of a legend means."""
    keys = _keys(canvas.schedule, op.where)
    index = number_of(op.index, op.was, keys)
    if index > len(keys):
        raise ScheduleError(f"brush {index} does not exist, the legend ends at {len(keys)}")
    return index


def _count(cells: int, what: str) -> str:
    return f"{cells:,} {what}{'s' if cells != 1 else ''}"


def _paint(canvas: Canvas, op: Paint) -> Edited:
    schedule = canvas.schedule
    op = dataclasses.replace(op, to=number_of(op.to, op.brush, _keys(schedule, "cells")))
    check(op, schedule.actions.size, len(schedule.legend))
    flat = schedule.actions.transpose(1, 2, 0).reshape(-1)  # (L * R * S,), rows of steps
    painted = paint(flat, op, steps=schedule.steps)
    steps, blocks, branches = schedule.actions.shape
    cells = painted.reshape(blocks, branches, steps).transpose(2, 0, 1)
    brush = schedule.legend[op.to - 1].title if op.to else "compute"
    words = f"paint {brush} on {_count(sum(n for _, n in op.runs), 'cell')}"
    return Edited(words, Canvas(dataclasses.replace(schedule, actions=cells), canvas.hues))


def _paint_steps(canvas: Canvas, op: PaintSteps) -> Edited:
    schedule = canvas.schedule
    to = number_of(op.to, op.brush, _keys(schedule, "steps"))
    check(dataclasses.replace(op, to=to), schedule.steps, len(schedule.step_legend))
    action = schedule.step_legend[to - 1] if to else None
    painted = schedule.step_actions.copy()
    for start, length in op.runs:
        painted[start : start + length] = to
    if action is not None and not action.at_first:
        painted[0] = schedule.step_actions[0]
    title = "run the blocks" if action is None else action.title
    words = f"paint {title} on {_count(sum(n for _, n in op.runs), 'step')}"
    return Edited(words, Canvas(dataclasses.replace(schedule, step_actions=painted), canvas.hues))


def _read(
    schedule: Schedule, where: Where, value: Mapping[str, Scalar], besides: Brush | None = None
) -> Any:
    """The brush that JSON describes, new to the legend; ScheduleError says what is wrong."""
    brush: Brush
    brush = predictors.from_json(value) if where == "cells" else actions.from_json(value)
    if isinstance(brush, StepAction):
        brush.check(schedule.blocks)
    if brush != besides and brush in _legend(schedule, where):
        raise ScheduleError(f"{brush.title} is in the legend already: choose it there")
    return brush


def _add(canvas: Canvas, where: Where, value: Mapping[str, Scalar]) -> Edited:
    legend = _legend(canvas.schedule, where)
    brush = _read(canvas.schedule, where, value)
    if len(legend) >= MAX_LEGEND:
        raise ScheduleError(f"the legend is full with {MAX_LEGEND} brushes: remove one first")
    schedule = _with(canvas.schedule, where, (*legend, brush))
    return Edited(f"add brush {brush.title}", Canvas(schedule, _kept(canvas)))


def _replace(canvas: Canvas, where: Where, index: int, value: Mapping[str, Scalar]) -> Edited:
    legend = list(_legend(canvas.schedule, where))
    old = legend[index - 1]
    brush = _read(canvas.schedule, where, value, besides=old)
    if brush == old:
        return Edited(f"keep {old.title}", canvas)
    hue = hues_of(canvas)[where == "steps"][index - 1]  # what it painted keeps its look
    legend[index - 1] = brush
    schedule = _with(canvas.schedule, where, tuple(legend))
    hues = _chosen(_chosen(_kept(canvas), key_of(old), None), key_of(brush), hue)
    return Edited(f"{old.title} to {brush.title}", Canvas(schedule, hues))


def _remove(canvas: Canvas, where: Where, index: int) -> Edited:
    schedule, legend = canvas.schedule, _legend(canvas.schedule, where)
    brush, numbers = legend[index - 1], _numbers(schedule, where)
    used = int((numbers == index).sum())
    if used:
        raise ScheduleError(
            f"{brush.title} is painted on {_count(used, 'cell' if where == 'cells' else 'step')}: "
            "paint something else there, then remove it"
        )
    if where == "cells" and len(legend) == 1:
        raise ScheduleError(f"{brush.title} is the last brush of the cells: add another one first")
    shifted = np.where(numbers > index, numbers - 1, numbers).astype(np.uint8)
    rest = (*legend[: index - 1], *legend[index:])
    changed = (
        dataclasses.replace(schedule, legend=rest, actions=shifted)
        if where == "cells"
        else dataclasses.replace(schedule, step_legend=rest, step_actions=shifted)
    )
    hues = _chosen(_kept(canvas), key_of(brush), None)
    return Edited(f"remove brush {brush.title}", Canvas(changed, hues))


def _numbers(schedule: Schedule, where: Where) -> np.ndarray:
    return schedule.actions if where == "cells" else schedule.step_actions


def _recolour(canvas: Canvas, where: Where, index: int, hue: int | None) -> Edited:
    brush = _legend(canvas.schedule, where)[index - 1]
    return Edited(
        f"recolour {brush.title}",
        Canvas(canvas.schedule, _chosen(canvas.hues, key_of(brush), hue)),
    )


def _kept(canvas: Canvas) -> Hues:
    """The chosen colours and those that the brushes happen to have: a brush that comes or goes must
    not change how another one looks."""
    hues = canvas.hues
    keys = _keys(canvas.schedule, "cells") + _keys(canvas.schedule, "steps")
    cells, steps = hues_of(canvas)
    for key, hue in zip(keys, (*cells, *steps), strict=True):
        hues = _chosen(hues, key, hue)
    return hues[-MAX_HUES:]


def _chosen(hues: Hues, key: str, hue: int | None) -> Hues:
    """The chosen colours with one more or, for None, one less."""
    others = tuple(pair for pair in hues if pair[0] != key)
    return others if hue is None else (*others, (key, hue))
