"""The Pareto box: the plot of all runs, a click that restores one, and two pinned ones compared."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from typing import Any

from caching.errors import CachebrushError
from caching.predict.fronts import known_front as shipped_front
from caching.schedule import Schedule
from viz import pareto, text
from viz.figures.pareto import COSTS, QUALITIES, Cost, Quality
from viz.figures.pareto import pareto as pareto_figure
from viz.front import NOTHING, Ahead, Front, front_of, front_words, known_front
from viz.grid.ops import Slot
from viz.pages import studio
from viz.pages.edits import Parts, settings_parts
from viz.pages.handlers import Handlers
from viz.pages.studies import recorded
from viz.pages.visit import Visit
from viz.pins import pins_html
from viz.state import Entry, Event, PinEntry, Repaint, Restore

_ID = re.compile(r"[rpsqf]\d{1,9}|b\d{1,9}\.\d{1,9}")
SLOTS: tuple[Slot, ...] = ("A", "B")
SHOWN = ("pareto", "pareto_table", "pareto_pins", "pareto_from")


class Pareto:
    """The handlers of the box."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers

    def look(self, quality: Any, cost: Any, visit: Visit) -> Parts:
        """The figure, its table and the pins, for all that has happened so far."""
        return shown(quality, cost, visit)

    def ahead(self, quality: Any, cost: Any, visit: Visit) -> Iterator[Parts]:
        """The predicted front of the present setting, worked out where it is not known yet.

        Goes on until the page shows that of its newest prediction: the setting may change while one
        is worked out, and a calibration come to a better round.
        """
        if visit.known is visit.front.kept:
            return
        while (kept := visit.known) is not visit.front.kept:
            if kept is None:
                visit.front = NOTHING
            elif (front := known_front(kept)) is not None:
                visit.front = front
            else:
                yield self.look(quality, cost, visit)  # says that it is being worked out
                setting = self.handlers.engine.setting(visit.state, patient=True)
                if setting is None or setting.prediction() is not kept:
                    if visit.known is kept:  # the model has gone; whoever loads another comes here
                        return
                    continue
                front = front_of(setting, kept)
                if visit.known is kept:
                    visit.front = front
        yield {**self.look(quality, cost, visit), **self.handlers.box(visit)}

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
            one = _nth(_front(visit).ahead, int(of[1:]))
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
        if of[0] == "f" and int(of[1:]) < len(ahead := _front(visit).ahead):
            return f"Budget {ahead[int(of[1:])].macs:.2f}×"
        return of

    def _refuse(self, visit: Visit, words: str) -> Parts:
        return self.handlers._refuse(visit, words)


def shown(quality: Any, cost: Any, visit: Visit) -> Parts:
    """The figure, its table and the pins, for all that has happened so far."""
    wanted: Quality = quality if quality in QUALITIES else "psnr"
    against: Cost = cost if cost in COSTS else "time"
    state, front, level = visit.state, _front(visit), visit.level
    study, tables = recorded(), studio.tables_for(visit.tables, state.schedule.steps)
    pins, current = _pinned(visit), _current(visit)
    history, ahead = visit.history, front.ahead
    points = pareto.points_of(history, state, study, ahead, tables, level)
    words = front_words(
        front, state, level,
        live=visit.predictions is not None, changes=studio.changes_known(visit.tables),
        shipped=shipped_front(visit.setting) is not None,
    )  # fmt: skip
    return {
        "pareto": pareto_figure(points, quality=wanted, cost=against, current=current, pins=pins),
        "pareto_table": pareto.table_html(history, state, ahead, tables, level, pins, current),
        "pareto_pins": pins_html(state.pin_a, state.pin_b, visit.prediction, tables),
        "pareto_from": from_html(words),
    }


def from_html(words: str) -> str:
    """Where the dashed line is from."""
    return f'<p class="cb-figure-words" data-testid="front-from">{html.escape(words)}</p>'


def _front(visit: Visit) -> Front:
    """The front of the page's setting; one of another setting, or of a worse round, is not it."""
    kept, front = visit.known, visit.front
    return front if front.kept is kept else Front(kept)


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
    return found | {f"f{k}": one.schedule for k, one in enumerate(_front(visit).ahead)}


def _nth(front: tuple[Ahead, ...], k: int) -> Ahead:
    if k >= len(front):
        raise CachebrushError(text.PARETO_GONE)
    return front[k]
