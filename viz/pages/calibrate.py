"""Calibrating predictions for the page's setting, in the background, as long as it stays on it."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr

from viz import text
from viz.calibrating import Stand
from viz.pages.edits import Parts
from viz.pages.handlers import Handlers
from viz.pages.runs import failed
from viz.pages.sure import begins_by_itself, line_html
from viz.pages.visit import Visit


class Calibrates:
    """The handlers of the line under the grid."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers, self.engine = handlers, handlers.engine

    def look(self, visit: Visit) -> Parts:
        """What is known for the page's setting now."""
        if visit.calibrating is not None:  # it speaks for itself
            return {"calibrating": gr.skip()}
        return {"calibrating": line_html(visit, self.engine)}

    def begin(self, visit: Visit) -> Iterator[Parts]:
        """After a model was loaded: calibrate it unasked, where that is soon done."""
        yield self.look(visit)
        if begins_by_itself(visit, self.engine):
            yield from self.calibrate(visit)

    def stop(self, visit: Visit) -> Parts:
        """End the calibration; what it has measured is kept for the next."""
        visit.calibrating = None
        return {"calibrating": line_html(visit, self.engine)}

    def calibrate(self, visit: Visit) -> Iterator[Parts]:
        """Measure schedules until every round is done, Stop is pressed, or the setting changes."""
        loaded = self.engine.get(visit.state.model.name)
        predictions, of = visit.predictions, visit.setting
        if loaded is None or predictions is None:
            yield {"notice": self.handlers.refuse(visit, text.SURE_NOT_LIVE)["notice"]}
            return
        mine = visit.calibrating = object()
        shown = predictions.find(of)
        failure: Exception | None = None

        def over() -> bool:
            return visit.calibrating is not mine or visit.setting != of

        try:
            yield {"calibrating": line_html(visit, self.engine, Stand(kept=shown))}
            for stand in predictions.watch(loaded, of, self.engine.turn, stopped=over):
                if over():
                    break
                parts: Parts = {"calibrating": line_html(visit, self.engine, stand)}
                if stand.kept is not None and stand.kept is not shown:
                    shown = stand.kept
                    parts["grid"] = gr.update(quality=visit.quality(), value=visit.value())
                    parts["known"] = visit.known_as
                yield parts
        except Exception as error:
            failure = error
        finally:
            newest = visit.calibrating is mine
            if newest:
                visit.calibrating = None
        if failure is not None:
            yield {"notice": failed("calibration", failure)}
        if newest:  # whoever else speaks for the line has done so
            yield {"calibrating": line_html(visit, self.engine)}
