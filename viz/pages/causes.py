"""Why is it bad here: a region was chosen on the difference; what of the grid causes its error."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

import gradio as gr

from viz import text
from viz.causes import Found, find, found_html, layer_of, measure
from viz.compare.values import region_of
from viz.pages import studio
from viz.pages.edits import Parts
from viz.pages.handlers import Handlers
from viz.pages.runs import failed
from viz.pages.visit import Visit
from viz.state import Repaint
from viz.work import Made, Told

JS = "(asked, visit) => [window.cbRegion ?? null, visit]"
BUTTONS = ("why_measure", "why_paint")


class Why:
    """The handlers of the question."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers

    def ask(self, asked: Any, visit: Visit) -> Iterator[Parts]:
        """Find what causes the error of a region of the cached picture on show."""
        try:
            region = region_of(asked)
        except ValueError as error:
            yield self.handlers._refuse(visit, f"The region was not taken: {error}.")
            return
        result = visit.result
        visit.why = None
        yield from self._follow(visit, find, result, region)

    def measure(self, visit: Visit) -> Iterator[Parts]:
        """Really run it with the worst cells computed."""
        if (found := self._found(visit)) is None:
            yield self._gone(visit)
            return
        yield from self._follow(visit, measure, found)

    def paint(self, visit: Visit) -> Parts:
        """Paint the worst cells computed."""
        found, schedule = self._found(visit), visit.state.schedule
        if found is None or found.mask.shape != schedule.actions.shape:
            return self._gone(visit)
        painted = schedule.paint(found.mask, 0)
        return self.handlers._dispatch(visit, Repaint(text.WHY_PAINTED, painted))

    def look(self, visit: Visit) -> Parts:
        """After an edit or a run: what was found goes with the result that it was of."""
        if visit.why is None or visit.why.result is visit.result:
            return {"why": gr.skip()}
        visit.why = None
        return {"why": "", **_buttons(on=False)}

    def _found(self, visit: Visit) -> Found | None:
        return visit.why if visit.why is not None and visit.why.result is visit.result else None

    def _gone(self, visit: Visit) -> Parts:
        return self.handlers._refuse(visit, text.WHY_GONE)

    def _follow(self, visit: Visit, work: Any, *given: Any) -> Iterator[Parts]:
        """Do some of the work and say how far it is; the newest of a visit takes over."""
        stopped = visit.session.begin_run()
        mine = visit.busy = object()
        try:
            yield from self.handlers._waiting(visit)
            for item in work(self.handlers.engine, *given, stopped):
                if isinstance(item, Told):
                    yield {"why": _progress(item)}
                elif isinstance(item, Made):
                    visit.why = item.value
                    yield self._shown(visit, item.value)
                    return
        except Exception as error:
            yield {"notice": failed("search for causes", error), "why": ""}
            return
        finally:
            if visit.busy is mine:
                visit.busy = None
        ended: Parts = {"why": "" if visit.why is None else found_html(visit.why)}
        if visit.session.at_rest:
            ended["notice"] = studio.notice_html(text.STOPPED)
        yield ended

    def _shown(self, visit: Visit, found: Found) -> Parts:
        if found.result is not visit.result:
            return {"why": "", **_buttons(on=False)}
        parts: Parts = {"why": found_html(found), **_buttons(on=bool(found.worst))}
        if found.causes.cells.shape == visit.state.schedule.actions.shape:
            run = studio.executed_of(found.result)["run"]
            parts["grid"] = gr.update(layer=layer_of(found, run))
        parts["notice"] = studio.notice_html(text.WHY_DONE, "ready")
        return parts


def _buttons(*, on: bool) -> Parts:
    return {name: gr.update(visible=on) for name in BUTTONS}


def _progress(told: Told) -> str:
    share = f' value="{told.done}" max="{told.total}"' if told.total else ""
    words = html.escape(told.words[:1].upper() + told.words[1:])
    return (
        f'<div class="cb-why" data-testid="why"><progress{share} aria-label="{words}"></progress>'
        f"<p>{words} …</p></div>"
    )
