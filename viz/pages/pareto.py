"""The Pareto box: the plot of all runs, a click that restores one, and two pinned ones compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import gradio as gr

from caching.errors import CachebrushError
from caching.schedule import Schedule
from viz import pareto, text
from viz.figures.pareto import COSTS, QUALITIES, Cost, Quality
from viz.figures.pareto import pareto as pareto_figure
from viz.grid.ops import Slot
from viz.pages import studio
from viz.pages.edits import Parts, settings_parts
from viz.pages.handlers import Handlers
from viz.pages.studies import recorded
from viz.pages.visit import Visit
from viz.pareto import Ahead
from viz.pins import pins_html
from viz.state import Entry, Event, PinEntry, Repaint, Restore

_ID = re.compile(r"[rpsqf]\d{1,9}|b\d{1,9}\.\d{1,9}")
SLOTS: tuple[Slot, ...] = ("A", "B")
SHOWN = ("pareto", "pareto_table", "pareto_pins")


class Pareto:
    """The handlers of the box."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers

    def look(self, quality: Any, cost: Any, visit: Visit) -> Parts:
        """The figure, its table and the pins, for all that has happened so far."""
        return shown(quality, cost, visit)

    def ahead(self, quality: Any, cost: Any, visit: Visit) -> Parts:
        """The predicted front of the present setting, made where it is not known yet."""
        setting = self.handlers.engine.setting(visit.state)
        front = () if setting is None else pareto.front_of(setting)
        if front == visit.front:
            return {"notice": gr.skip()}
        visit.front = front
        return self.look(quality, cost, visit)

    # -- acting --------------------------------------------------------------------------------

    def act(self, asked: Any, quality: Any, cost: Any, visit: Visit) -> Parts:
        """A point was clicked, or a button of the table; `asked`: what to do, and with which."""
        asked = asked if isinstance(asked, dict) else {}
        do: Any = asked.get("do")
        of: Any = asked.get("of")
        if do == "clear" and of in SLOTS:
            parts = self.handlers._dispatch(visit, PinEntry(of, None))
        elif not isinstance(of, str) or not _ID.fullmatch(of):
            return self._refuse(visit, text.PARETO_GONE)
        elif do in SLOTS:
            parts = self._pin(do, of, visit)
        elif do == "restore":
            parts = self._restore(of, visit)
        else:
            return self._refuse(visit, text.PARETO_GONE)
        return {**parts, **self.look(quality, cost, visit)}

    def _pin(self, slot: Slot, of: str, visit: Visit) -> Parts:
        schedule = _schedules(visit).get(of)
        if schedule is None:
            return self._refuse(visit, text.PARETO_GONE)
        entry = Entry(studio.shortened(self._name(of, visit), 80), schedule)
        return self.handlers._dispatch(visit, PinEntry(slot, entry))

    def _restore(self, of: str, visit: Visit) -> Parts:
        kind = of[0]
        if kind == "q":
            return self._refuse(visit, text.PARETO_NO_PLAIN)
        if kind == "s":
            return self.handlers.paint_row(of[1:], visit)
        try:
            event, words = self._event(of, visit)
        except CachebrushError as error:
            return self._refuse(visit, str(error))
        before = visit.state
        parts = self.handlers._dispatch(visit, event)
        if visit.state.settings != before.settings:
            parts |= settings_parts(visit.state)
        if not parts["notice"]:
            what = self._name(of, visit)
            parts["notice"] = studio.notice_html(words.format(what=what), "ready")
        return {**parts, **self.handlers.box(visit)}

    def _event(self, of: str, visit: Visit) -> tuple[Event, str]:
        """What brings a point's schedule to the grid, and the words for it."""
        if of[0] == "f":
            one = _nth(visit.front, int(of[1:]))
            return Repaint(f"budget {one.macs:.2f}×", one.schedule), text.PARETO_PAINTED
        number = of[1:].split(".")
        run = visit.history.run(int(number[0])) if of[0] in "rp" else None
        better = visit.history.found(int(number[0]), int(number[1])) if of[0] == "b" else None
        found = run or better
        if found is None:
            raise CachebrushError(text.PARETO_GONE)
        if found.model != visit.state.model.name:
            raise CachebrushError(text.PARETO_OTHER_MODEL.format(model=found.model))
        name = f"restore {self._name(of, visit)}"
        return Restore(name, found.schedule, found.settings), text.PARETO_RESTORED

    def _name(self, of: str, visit: Visit) -> str:
        if of[0] in "rp" and (run := visit.history.run(int(of[1:]))) is not None:
            return f"{run.number}. {run.what}"
        if of[0] == "b":
            return "Improve {}, trial {}".format(*of[1:].split("."))
        if of[0] == "f" and int(of[1:]) < len(visit.front):
            return f"Budget {visit.front[int(of[1:])].macs:.2f}×"
        return of

    def _refuse(self, visit: Visit, words: str) -> Parts:
        return self.handlers._refuse(visit, words)


def shown(quality: Any, cost: Any, visit: Visit) -> Parts:
    """The figure, its table and the pins, for all that has happened so far."""
    wanted: Quality = quality if quality in QUALITIES else "psnr"
    against: Cost = cost if cost in COSTS else "time"
    state, front = visit.state, visit.front
    study, tables = recorded(), studio.tables_for(visit.tables, state.schedule.steps)
    pins, current = _pinned(visit), _current(visit)
    points = pareto.points_of(visit.history, state, study, front, tables)
    kept = pareto.known_prediction(visit.weights_hash, state)
    return {
        "pareto": pareto_figure(points, quality=wanted, cost=against, current=current, pins=pins),
        "pareto_table": pareto.table_html(visit.history, state, front, tables, pins, current),
        "pareto_pins": pins_html(state.pin_a, state.pin_b, kept, tables),
    }


def _current(visit: Visit) -> str | None:
    """The newest run that is what the page shows."""
    if studio.is_stale(visit.result, visit.state):
        return None
    for ran in reversed(visit.history.runs):
        if ran.is_of(visit.state) and studio.same_paint(ran.schedule, visit.state.schedule):
            return f"r{ran.number}"
    return None


def _pinned(visit: Visit) -> dict[str, str]:
    """Letters of the points that paint what is pinned, the newest of each."""
    letters: dict[str, str] = {}
    for letter, entry in (("A", visit.state.pin_a), ("B", visit.state.pin_b)):
        if entry is None:
            continue
        for name, schedule in _schedules(visit).items():
            same = schedule.actions.shape == entry.schedule.actions.shape
            if same and studio.same_paint(schedule, entry.schedule):
                letters[name] = letters.get(name, "") + letter
                break
    return letters


def _schedules(visit: Visit) -> Mapping[str, Schedule]:
    """Every schedule of the plot by its point, newest runs first."""
    found = {f"r{r.number}": r.schedule for r in reversed(visit.history.runs)}
    found |= {f"b{b.of}.{b.number}": b.schedule for b in reversed(visit.history.better)}
    return found | {f"f{k}": one.schedule for k, one in enumerate(visit.front)}


def _nth(front: tuple[Ahead, ...], k: int) -> Ahead:
    if k >= len(front):
        raise CachebrushError(text.PARETO_GONE)
    return front[k]
