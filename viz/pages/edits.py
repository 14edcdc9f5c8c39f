"""What happens when somebody edits: one visit's state in, what to show out.

Handlers return `{part: update}`; app.py knows which component each part is. Every change of the
state goes through `Session.dispatch`; refused input becomes a notice and changes nothing.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import gradio as gr

from caching.checks import MAX_LEGEND
from caching.formats.exporters import export_schedule
from caching.formats.importers import import_schedule
from caching.formats.native import dumps
from caching.predictors import Reuse
from caching.schedule import Schedule
from viz import text
from viz.grid.ops import Op
from viz.live import Engine
from viz.pages import asked, studio
from viz.pages.visit import Visit
from viz.state import Configure, Event, Refuse, Repaint, Resteps, Strokes, ViewState

Parts = dict[str, Any]


class Edits:
    """The handlers of edits, sharing the process's engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def _changed(self, visit: Visit, before: ViewState) -> Parts:
        """What to show after an event that led from `before` to the visit's state."""
        now = visit.state
        visit.refused = False
        grid: dict[str, Any] = {"value": visit.value()}
        parts: Parts = {}
        if now.schedule.actions.shape != before.schedule.actions.shape or now.model != before.model:
            grid |= {"spec": visit.spec(), "layer": visit.layer(), "live": None}
            parts["steps"] = gr.update(value=now.schedule.steps)
            parts |= {"curves": visit.curves(), "words": visit.words()}
        elif palette_of(now) != palette_of(before):
            grid["spec"] = visit.spec()
        parts["grid"] = gr.update(**grid)
        parts["numbers"] = visit.numbers()
        parts["notice"] = ""
        return parts

    def _dispatch(self, visit: Visit, event: Event) -> Parts:
        before = visit.state
        try:
            visit.session.dispatch(event)
        except ValueError as error:
            if isinstance(event, Strokes) and event.ops:
                visit.session.dispatch(Refuse(event.ops[-1].rev))
            return {**self._changed(visit, before), **self._refuse(visit, str(error))}
        parts = self._changed(visit, before)
        refused = visit.state.refused
        if isinstance(event, Strokes) and refused is not None and refused != before.refused:
            return {**parts, **self._refuse(visit, refused.words)}
        return parts

    def _refuse(self, visit: Visit, words: str) -> Parts:
        """Say why an edit was not taken; the words stay, because no run follows it by itself."""
        visit.refused = True
        return {"notice": refusal(words)}

    # -- events ----------------------------------------------------------------------------

    def strokes(self, ops: tuple[Op, ...], visit: Visit) -> Parts:
        """The painter sent operations."""
        return self._dispatch(visit, Strokes(ops))

    def configure(self, label: Any, seed: Any, cfg_scale: Any, sampler: Any, visit: Visit) -> Parts:
        """Class, seed, guidance or sampler changed."""
        try:
            settings = asked.settings_of(label, seed, cfg_scale, sampler)
        except ValueError as error:
            return {"numbers": visit.numbers(), **self._refuse(visit, str(error))}
        before = visit.state.settings
        parts = self._dispatch(visit, Configure(settings))
        parts = {k: parts[k] for k in ("numbers", "notice")}
        grid: dict[str, Any] = {"value": visit.value()}  # another PSNR to expect
        if visit.state.settings.sampler != before.sampler:
            grid["spec"] = visit.spec()  # other timesteps
        parts["grid"] = gr.update(**grid)
        if not parts["notice"]:
            parts["notice"] = studio.notice_html(noise_words(settings.sampler))
        return parts

    def resteps(self, steps: Any, visit: Visit) -> Parts:
        """Another number of steps."""
        try:
            event = Resteps(asked.steps_of(steps))
        except ValueError as error:
            shown = gr.update(value=visit.state.schedule.steps)
            return {"steps": shown, **self._refuse(visit, str(error))}
        return self._dispatch(visit, event)

    def open_file(self, path: Any, visit: Visit) -> Parts:
        """A schedule file of ours or of another project was uploaded."""
        model = visit.state.model
        try:
            found = import_schedule(str(path), blocks=model.blocks, branches=model.branches)
        except ValueError as error:
            return self._refuse(visit, f"The file was not opened: {error}")
        schedule = _paintable(found.schedule)
        parts = self._dispatch(visit, Repaint("open file", schedule))
        if not parts["notice"]:
            wrong = schedule.mismatches(studio.context_of(visit.state, visit.result))
            words = " ".join(found.report.sentences) + "".join(f" Note: {w}." for w in wrong)
            parts["notice"] = studio.notice_html(f"Opened. {words}")
        return parts

    def save_file(self, visit: Visit) -> str:
        """The schedule as the text of a file."""
        return dumps(studio.file_of(visit.state, visit.result))

    def export(self, target: Any, visit: Visit) -> Parts:
        """The schedule in another program's form, and what it loses there."""
        try:
            made = export_schedule(studio.file_of(visit.state, visit.result), str(target))
        except ValueError as error:
            return self._refuse(visit, str(error))
        lost = " ".join(made.losses) or "Nothing is lost."
        words = f"{made.filename}: {lost} {' '.join(made.notes)}".strip()
        file = json.dumps({"name": made.filename, "text": made.text})
        return {"export_file": file, "notice": studio.notice_html(words)}

    def stop(self, visit: Visit) -> Parts:
        """Ask the run in progress to stop, and give up waiting for another model."""
        visit.session.end_runs()
        visit.loading = None
        return {"notice": studio.notice_html(text.STOPPED)}


def palette_of(state: ViewState) -> tuple[Any, ...]:
    """What the painter's brushes look like, as a value."""
    schedule = state.schedule
    return (schedule.legend, schedule.step_legend, state.now.hues)


def refusal(words: str) -> str:
    # Messages quote what was given, and that may be long.
    return studio.notice_html(words if len(words) <= 600 else f"{words:.600} …", "error")


def noise_words(sampler: str) -> str:
    """A warning when the sampler draws noise of its own, else nothing."""
    if sampler not in studio.STOCHASTIC:
        return ""
    return text.STOCHASTIC.format(sampler=studio.SAMPLER_NAMES[sampler])


def with_brushes(schedule: Schedule, shown: Schedule) -> Schedule:
    """The schedule with the brushes of the one on show added, so that none leaves the palette."""
    legend = tuple(dict.fromkeys((*schedule.legend, *shown.legend)))[:MAX_LEGEND]
    steps = tuple(dict.fromkeys((*schedule.step_legend, *shown.step_legend)))[:MAX_LEGEND]
    return dataclasses.replace(schedule, legend=legend, step_legend=steps)


def _paintable(schedule: Schedule) -> Schedule:
    """The same grid with reuse in its legend, which a file of computed cells alone may lack."""
    if Reuse() in schedule.legend:
        return schedule
    return dataclasses.replace(schedule, legend=(*schedule.legend, Reuse()))
