"""All handlers of a page: its opening and other models, on top of edits, runs and methods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from caching.errors import CachebrushError
from caching.measure.result import tables_of
from caching.schedule import Schedule
from viz import text
from viz.grid.line import open_line
from viz.live import Loaded
from viz.pages import asked, studio
from viz.pages.chosen import chosen
from viz.pages.edits import Parts, refusal
from viz.pages.studies import Studies
from viz.pages.sure import line_html
from viz.pages.visit import Visit
from viz.state import UseModel


class Handlers(Studies):
    """All handlers of one page."""

    # -- live ------------------------------------------------------------------------------

    def arrive(self, link: Any, visit: Visit) -> Iterator[Parts]:
        """The page has opened: take the state of its link, and say when the live model is ready."""
        name = visit.state.model.name
        parts: Parts = (
            self.open_link(link, visit)
            if link
            else {"notice": studio.notice_html(text.RECORDED, "busy")}
        )
        line = visit.line = open_line(
            lambda ops: self.ahead(ops, visit), visit.told, lambda name: chosen(self, name, visit)
        )
        yield {**parts, "grid": {**parts.get("grid", gr.update()), "line": line.token}}
        try:
            loaded = self.engine.wait(name)
        except CachebrushError as error:
            yield {"notice": refusal(str(error))}
            return
        if visit.state.model.name != name:  # another one was chosen meanwhile
            return
        self._use_times(visit, loaded)
        # Where the model is live at once, nobody could read what was said of the state before.
        hint = visit.greeting or text.LIVE_HINT
        yield {
            "grid": gr.update(
                spec=visit.spec(), value=visit.value(), quality=visit.quality(), line=line.token
            ),
            **self.box(visit),
            "calibrating": line_html(visit, self.engine),
            **self._unless_refused(
                visit,
                f"Live: {name} on {loaded.device}. {hint}",
                "ready",
            ),
        }

    def _unless_refused(self, visit: Visit, words: str, kind: str) -> Parts:
        """A notice, unless the page has just said why it did not take something."""
        return {"notice": gr.skip() if visit.refused else studio.notice_html(words, kind)}

    def _use_times(self, visit: Visit, loaded: Loaded) -> None:
        """Predict with this machine's own times from now on."""
        visit.tables = tables_of(loaded.model, loaded.times, visit.tables.change)
        visit.family = loaded.model.family
        visit.weights_hash = loaded.model.weights_hash
        visit.predictions = self.engine.predictions

    def use_model(self, name: Any, visit: Visit) -> Iterator[Parts]:
        """Load another model by hub id or folder and start on it with a full grid."""
        try:
            wanted = asked.model_name_of(name)
        except ValueError as error:
            yield {"notice": refusal(str(error))}
            return
        mine = visit.loading = object()
        yield {"notice": studio.notice_html(f"Loading {wanted} …", "busy")}
        try:
            loaded = self.engine.wait_unless(wanted, lambda: visit.loading is not mine)
            if loaded is None or visit.loading is not mine:  # stopped, or yet another model
                return
            parts = self._start_on(visit, loaded)
        except ValueError as error:
            yield {"notice": refusal(str(error))}
            return
        facts = loaded.facts
        names = list(zip(facts.class_names, range(len(facts.class_names)), strict=True))
        words = f"Live: {facts.name} on {loaded.device}, {facts.blocks} blocks. Press Run."
        yield {
            **parts,
            **self.box(visit),
            "label": gr.update(choices=names, value=0),
            "notice": studio.notice_html(words, "ready"),
        }

    def _start_on(self, visit: Visit, loaded: Loaded) -> Parts:
        """Begin anew on a model; ValueError when the page cannot show it, and nothing changes."""
        facts, before = loaded.facts, visit.state
        steps = before.schedule.steps
        full = Schedule.full(steps, facts.blocks, branches=facts.branches)
        change = np.zeros((steps, facts.blocks, len(facts.branches), 1), np.float32)
        tables = replace(
            tables_of(loaded.model, loaded.times, change),
            source=f"{loaded.times.source}; change not known before the first run",
        )
        visit.session.begin_run()  # takes over from a run of the model before
        visit.tables, visit.family = tables, loaded.model.family
        visit.weights_hash = loaded.model.weights_hash
        visit.predictions = self.engine.predictions
        visit.busy = None
        visit.session.dispatch(UseModel(facts, replace(before.settings, label=0), full))
        visit.rev += 1
        other = studio.is_of_other_model(visit.result, visit.state)
        shown = studio.comparison_of(visit.result, visit.rev, other_model=other)
        return {**self._changed(visit, before), "compare": gr.update(value=shown)}
