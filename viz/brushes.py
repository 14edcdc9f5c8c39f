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
    Edit,
    Lock,
    Paint,
    PaintSteps,
    Put,
    Recolour,
    RemoveBrush,
    ReplaceBrush,
    Runs,
    Scalar,
    Where,
    check,
    number_of,
    paint,
)
from viz.locks import count, mask_of, runs_of
from viz.palette import BRUSHES

Brush = Predictor | StepAction
Hues = tuple[tuple[str, int], ...]
"""(key of a brush, number of its colour), as chosen; brushes without an entry get a free one."""

MAX_HUES = 4 * MAX_LEGEND  # brushes of earlier schedules keep theirs, though not for ever


@dataclass(frozen=True)
class Canvas:
    """What a page paints on: a schedule, the colours of its brushes, the cells that are locked."""

    schedule: Schedule
    hues: Hues = ()
    locks: Runs = ()


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


def edit(canvas: Canvas, op: Edit) -> Edited:
    """The canvas after an operation of the painter.

    Raises:
        ScheduleError, ValueError: it does not fit; the words say why.
    """
    match op:
        case Paint():
            return _paint(canvas, op)
        case PaintSteps():
            return _paint_steps(canvas, op)
        case Put():
            return _put(canvas, op)
        case Lock():
            return _lock(canvas, op)
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
    brush = schedule.legend[op.to - 1].title if op.to else "compute"
    words = f"paint {brush} on {_count(count(op.runs), 'cell')}"
    return Edited(words, _painted(canvas, painted))


def _painted(canvas: Canvas, flat: np.ndarray) -> Canvas:
    """The canvas with other cells, uint8 (L * R * S,); locked ones stay as they are."""
    schedule = canvas.schedule
    steps, blocks, branches = schedule.actions.shape
    cells = flat.reshape(blocks, branches, steps).transpose(2, 0, 1)
    if canvas.locks:
        cells = np.where(mask_of(canvas.locks, schedule), schedule.actions, cells)
    return dataclasses.replace(canvas, schedule=dataclasses.replace(schedule, actions=cells))


# What an edit of a selection is called in the history, before the number of cells.
TITLES: Mapping[str, str] = {
    "mirror": "mirror in time", "flip": "mirror over blocks", "rotate": "rotate in time",
    "shift": "rotate over blocks", "every": "every n-th", "keep": "keep first and last",
}  # fmt: skip


def _put(canvas: Canvas, op: Put) -> Edited:
    schedule = canvas.schedule
    keys, sent = _keys(schedule, op.where), dict(op.brushes)
    now = {a: number_of(a, sent.get(a), keys) for a in set(op.to)}
    op = dataclasses.replace(op, to=bytes(now[a] for a in op.to))
    if op.where == "steps":
        return _put_steps(canvas, op)
    check(op, schedule.actions.size, len(schedule.legend))
    flat = schedule.actions.transpose(1, 2, 0).reshape(-1).copy()
    place = 0
    for start, length in op.runs:
        flat[start : start + length] = np.frombuffer(op.to, np.uint8, length, place)
        place += length
    flat[:: schedule.steps] = 0
    words = f"{TITLES.get(op.verb, op.verb)}, {_count(count(op.runs), 'cell')}"
    return Edited(words, _painted(canvas, flat))


def _put_steps(canvas: Canvas, op: Put) -> Edited:
    schedule = canvas.schedule
    check(op, schedule.steps, len(schedule.step_legend))
    steps = [s for start, length in op.runs for s in range(start, start + length)]
    painted = schedule.step_actions.copy()
    for s, to in zip(steps, op.to, strict=True):
        if s or not to or schedule.step_legend[to - 1].at_first:
            painted[s] = to
    words = f"{TITLES.get(op.verb, op.verb)}, {_count(len(steps), 'step')}"
    return Edited(words, _with_steps(canvas, painted))


def _with_steps(canvas: Canvas, painted: np.ndarray) -> Canvas:
    """The canvas with other step actions, uint8 (S,)."""
    changed = dataclasses.replace(canvas.schedule, step_actions=painted)
    if canvas.locks:  # an action that leaves a locked cell out, or no longer does, changes it
        changed = changed.keep(canvas.schedule, mask_of(canvas.locks, canvas.schedule))
    return dataclasses.replace(canvas, schedule=changed)


def _lock(canvas: Canvas, op: Lock) -> Edited:
    schedule = canvas.schedule
    check(op, schedule.actions.size, len(schedule.legend))
    mask, chosen = mask_of(canvas.locks, schedule), mask_of(op.runs, schedule)
    after = mask | chosen if op.on else mask & ~chosen
    words = f"{'lock' if op.on else 'unlock'} {_count(int((after != mask).sum()), 'cell')}"
    return Edited(words, dataclasses.replace(canvas, locks=runs_of(after)))


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
    words = f"paint {title} on {_count(count(op.runs), 'step')}"
    return Edited(words, _with_steps(canvas, painted))


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
    return Edited(f"add brush {brush.title}", Canvas(schedule, _kept(canvas), canvas.locks))


def _replace(canvas: Canvas, where: Where, index: int, value: Mapping[str, Scalar]) -> Edited:
    legend = list(_legend(canvas.schedule, where))
    old = legend[index - 1]
    brush = _read(canvas.schedule, where, value, besides=old)
    if brush == old:
        return Edited(f"keep {old.title}", canvas)
    _refuse_locked(canvas, where, index, old)
    hue = hues_of(canvas)[where == "steps"][index - 1]  # what it painted keeps its look
    legend[index - 1] = brush
    schedule = _with(canvas.schedule, where, tuple(legend))
    hues = _chosen(_chosen(_kept(canvas), key_of(old), None), key_of(brush), hue)
    return Edited(f"{old.title} to {brush.title}", Canvas(schedule, hues, canvas.locks))


def _refuse_locked(canvas: Canvas, where: Where, index: int, brush: Brush) -> None:
    """Other parameters of a brush would change the locked cells it is painted on."""
    if where == "steps" or not canvas.locks:
        return
    mask = mask_of(canvas.locks, canvas.schedule)
    if found := int((mask & (canvas.schedule.actions == index)).sum()):
        raise ScheduleError(f"{brush.title} is on {_count(found, 'locked cell')}: unlock them")


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
    return Edited(f"remove brush {brush.title}", Canvas(changed, hues, canvas.locks))


def _numbers(schedule: Schedule, where: Where) -> np.ndarray:
    return schedule.actions if where == "cells" else schedule.step_actions


def _recolour(canvas: Canvas, where: Where, index: int, hue: int | None) -> Edited:
    brush = _legend(canvas.schedule, where)[index - 1]
    return Edited(
        f"recolour {brush.title}",
        dataclasses.replace(canvas, hues=_chosen(canvas.hues, key_of(brush), hue)),
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
