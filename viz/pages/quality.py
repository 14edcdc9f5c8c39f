"""The box that judges against the data: starting, watching and stopping an evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import gradio as gr

from caching.errors import RequestError
from caching.quality.record import RECORDED, Report, load_report
from viz import quality
from viz.judging import CHOICES, Judges, Judging
from viz.pages.edits import Parts
from viz.pages.handlers import Handlers
from viz.pages.runs import failed
from viz.pages.visit import Visit
from viz.work import Made

STOPPED = "Stopped; the table shows what was judged until then."
STOPPED_EARLY = "Stopped before there was a table."
LOADING = "Loading the live model …"
WAITING = "Waiting for the evaluation before this one …"
DRAWING = "Drawing the first pictures …"
NOTHING = "No evaluation is under way: press Start."


@cache
def recorded() -> Report | None:
    """The recorded case that ships, None where there is none."""
    return load_report() if RECORDED.is_file() else None


def samples_of(value: Any) -> int:
    """How many pictures; anybody may send anything."""
    if isinstance(value, bool) or not isinstance(value, int) or value not in CHOICES:
        known = ", ".join(map(str, CHOICES))
        shown = "a huge number" if isinstance(value, int) else f"{value!r:.40}"
        raise RequestError(f"{shown} pictures were asked for, expected one of {known}.")
    return value


class Quality:
    """The handlers of the box."""

    def __init__(self, handlers: Handlers) -> None:
        self.judges = Judges(handlers.engine)

    def start(self, samples: Any, visit: Visit) -> Iterator[Parts]:
        """Judge the grid as it stands now; edits and runs go on meanwhile."""
        try:
            count = samples_of(samples)
        except RequestError as error:
            yield {"judging": quality.progress_html(None, str(error))}
            return
        state = visit.state
        mine = visit.judging = object()
        report: Report | None = None
        try:
            yield self._begun(visit)
            for item in self.judges.judge(state, count, stopped=lambda: visit.judging is not mine):
                if isinstance(item, Made):
                    yield {
                        "judging": quality.progress_html(Judging(count, count)),
                        "judged": quality.report_html(item.value),
                    }
                    return
                parts: Parts = {"judging": quality.progress_html(item)}
                if item.report is not None and item.report is not report:
                    report = item.report
                    parts["judged"] = quality.report_html(report, done=False)
                yield parts
        except Exception as error:
            yield {"judging": failed("evaluation", error)}
            return
        finally:
            newer = visit.judging is not mine and visit.judging is not None
            if visit.judging is mine:
                visit.judging = None
        if not newer:  # what is newer speaks for itself
            words = STOPPED_EARLY if report is None else STOPPED
            yield {"judging": quality.progress_html(None, words)}

    def stop(self, visit: Visit) -> Parts:
        """End the evaluation in progress."""
        if visit.judging is None:
            return {"judging": quality.progress_html(None, NOTHING)}
        visit.judging = None
        # The evaluation says itself that it has stopped: words from here could arrive after those.
        return {"judging": gr.skip()}

    def _begun(self, visit: Visit) -> Parts:
        """The box before the first pictures."""
        words = DRAWING
        if self.judges.engine.get(visit.state.model.name) is None:
            words = LOADING
        elif self.judges.turn.locked():
            words = WAITING
        return {"judging": quality.progress_html(None, words), "judged": ""}
