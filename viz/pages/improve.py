"""The Improve box: a search by measuring from the present grid, each better one painted at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from viz import text
from viz.improving import Wish, improve_on, panel_html, wish_of
from viz.pages import studio
from viz.pages.edits import Parts, looks_of, with_brushes
from viz.pages.handlers import Handlers
from viz.pages.pareto import shown
from viz.pages.runs import failed
from viz.pages.visit import Visit
from viz.ran import Better, grid_thumbnail
from viz.state import Repaint, ViewState

if TYPE_CHECKING:
    from caching.improve import Step

SHOW_EVERY_S = 0.25
GROUP = "improve "  # of undo: all that one search paints is one step


class Improves:
    """The handlers of the box."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers

    def improve(
        self, minutes: Any, objective: Any, pictures: Any, quality: Any, cost: Any, visit: Visit
    ) -> Iterator[Parts]:
        """Search until the time is over, Stop is pressed, or somebody paints; the best stays."""
        try:
            wish = wish_of(minutes, objective, pictures)
        except ValueError as error:
            yield self.handlers.refuse(visit, str(error))
            return
        start = visit.state
        stopped = visit.session.begin_run()
        mine = visit.busy = object()
        visit.improved += 1
        search = _Search(visit, wish, visit.improved, start)
        failure: Exception | None = None
        try:
            yield from self.handlers._waiting(visit)
            for step in improve_on(
                self.handlers.engine, start, wish, stopped=lambda: stopped() or search.overtaken
            ):
                parts = search.take(step)
                if parts:
                    parts |= shown(quality, cost, visit)
                if parts or search.due():
                    yield {**parts, **search.told()}
        except Exception as error:
            failure = error
        finally:
            if visit.busy is mine:
                visit.busy = None
        if failure is not None:
            yield {"notice": failed("search", failure), "improving": search.panel(ended=True)}
            return
        yield search.ended()


class _Search:
    """One search as the page follows it."""

    def __init__(self, visit: Visit, wish: Wish, number: int, start: ViewState) -> None:
        self.visit, self.wish, self.number = visit, wish, number
        self.painted = start.schedule
        self.start, self.began = start, time.monotonic()
        self.step: Step | None = None
        self.overtaken = False  # somebody painted, or went elsewhere
        self._shown = 0.0

    def take(self, step: Step) -> Parts:
        """Paint what is better; nothing where it is not, or where somebody else painted."""
        before, self.step = self.visit.state, step
        same = before.schedule == self.painted and before.model == self.start.model
        if not same or before.settings != self.start.settings:
            self.overtaken = True
            return {}
        if studio.same_paint(step.best, self.painted):
            return {}
        self._note(step)
        best = replace(step.best, context=self.start.schedule.context)
        schedule = with_brushes(best, before.schedule)
        self.visit.session.dispatch(Repaint("improve", schedule, f"{GROUP}{self.number}"))
        self.painted = self.visit.state.schedule
        parts: dict[str, Any] = {"value": self.visit.value()}
        if looks_of(self.visit.state) != looks_of(before):
            parts["spec"] = self.visit.spec()
        return {"grid": gr.update(**parts), "numbers": self.visit.numbers()}

    def _note(self, step: Step) -> None:
        """For the Pareto plot."""
        state = self.visit.state
        found = Better(
            of=self.number,
            number=step.number,
            model=state.model.name,
            settings=state.settings,
            schedule=step.best,
            objective=self.wish.objective,
            db=step.best_db,
            pictures=self.wish.pictures,
            work=step.work,
            grid=grid_thumbnail(step.best),
        )
        self.visit.history.note_better(found)

    def due(self) -> bool:
        """Whether it is time to say how far it is."""
        now = time.monotonic()
        if now - self._shown < SHOW_EVERY_S:
            return False
        self._shown = now
        return True

    def told(self) -> Parts:
        """Where the search stands."""
        assert self.step is not None
        words = text.IMPROVE_BUSY.format(gain=self.step.gain_db, trials=self.step.number + 1)
        return {"improving": self.panel(), "notice": studio.notice_html(words, "busy")}

    def panel(self, *, ended: bool = False) -> str:
        left = 60 * self.wish.minutes - (time.monotonic() - self.began)
        return panel_html(self.step, self.wish, max(0.0, left), ended=ended)

    def ended(self) -> Parts:
        """The last words: what was gained, and how to go back."""
        if self.step is None:
            return {"notice": studio.notice_html(text.IMPROVE_NOTHING)}
        gain = self.step.gain_db
        words = text.IMPROVED if gain > 0 else text.IMPROVE_EQUAL
        if self.overtaken:
            words = text.IMPROVE_OVERTAKEN
        told = words.format(gain=gain, pictures=self.wish.pictures, trials=self.step.number + 1)
        return {
            "improving": self.panel(ended=True),
            "notice": studio.notice_html(told, "ready"),
        }
