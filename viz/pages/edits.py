"""What happens when somebody edits: one visit's state in, what to show out.

Handlers return `{part: update}`; app.py knows which component each part is. Every change of the
state goes through `Session.dispatch`; refused input becomes a notice and changes nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import html
import json
from typing import Any

import gradio as gr
import numpy as np

from caching.checks import MAX_LEGEND
from caching.formats.exporters import export_schedule
from caching.formats.importers import Imported, import_schedule
from caching.formats.native import dumps
from caching.predictors import Reuse
from caching.schedule import Schedule
from viz import text
from viz.grid.ops import Op
from viz.live import Engine
from viz.locks import mask_of, runs_of
from viz.pages import asked, studio
from viz.pages.sure import line_html
from viz.pages.visit import Visit
from viz.state import Configure, Event, Refuse, Repaint, Resteps, Strokes, ViewState

Parts = dict[str, Any]
SETTINGS = ("label", "seed", "cfg", "sampler")


class Edits:
    """The handlers of edits, sharing the process's engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def _changed(self, visit: Visit, before: ViewState) -> Parts:
        """What to show after an event that led from `before` to the visit's state."""
        now = visit.state
        visit.behind, visit.refused, visit.said = None, False, ""
        grid: dict[str, Any] = {"value": visit.value()}
        parts: Parts = {}
        if setting_of(now) != setting_of(before):
            grid["quality"] = visit.quality()
            parts["known"] = visit.known_as
            parts["words"] = visit.words()
            parts["calibrating"] = line_html(visit, self.engine)
        if now.schedule.actions.shape != before.schedule.actions.shape or now.model != before.model:
            grid |= {"spec": visit.spec(), "layer": visit.layer(), "live": None}
            parts["steps"] = gr.update(value=now.schedule.steps)
            parts |= {"curves": visit.curves(), "words": visit.words()}
        elif looks_of(now) != looks_of(before):
            grid["spec"] = visit.spec()
        if recalled := self._recalled(visit):
            grid |= recalled.pop("grid")
            parts |= recalled
        elif now.peek != before.peek:
            parts["compare"] = gr.update(value=_pictures(visit))
        parts["grid"] = gr.update(**grid)
        parts["numbers"] = visit.numbers()
        parts["notice"] = ""
        return parts

    def _recalled(self, visit: Visit) -> Parts:
        """What to show of a result of this visit that the present state has come back to."""
        found = visit.kept.find(visit.state)
        if found is None or not studio.is_stale(visit.result, visit.state):
            return {}
        visit.session.begin_run()  # takes over from a run of what was there before
        visit.result = found
        grid: dict[str, Any] = {"live": studio.executed_of(found)}
        parts: Parts = {"grid": grid, "compare": gr.update(value=_pictures(visit))}
        # Of one full run the changes are the same; of a recorded result the times are not ours.
        same = np.array_equal(found.tables.change, visit.tables.change, equal_nan=True)
        if not same and not found.recorded:
            visit.tables = found.tables
            grid |= {"spec": visit.spec(), "layer": visit.layer()}
            parts |= {"curves": visit.curves(), "words": visit.words()}
        return parts

    def _dispatch(self, visit: Visit, event: Event) -> Parts:
        before = visit.before
        try:
            _taken(visit, event)
        except ValueError as error:
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
        """The painter sent operations; undo may bring other settings back."""
        before, shown, began = visit.before.settings, visit.result, visit.state
        fresh = any(op.rev > began.ack for op in ops)
        answered = not fresh and visit.behind is None  # by an edit that came after them
        parts = self._dispatch(visit, Strokes(ops))
        if visit.result is not shown and not parts["notice"]:
            parts["notice"] = studio.notice_html(text.RECALLED, "ready")
        ran = visit.running is not None or not studio.is_stale(visit.result, visit.state)
        later = answered or visit.state.age > began.age + fresh  # such as an opened file
        # A run that took the strokes along has spoken meanwhile, or another edit has.
        if (ran or later) and not parts["notice"]:
            parts["notice"] = gr.skip()
        same = visit.state.settings == before
        return parts if same else {**parts, **settings_parts(visit.state)}

    def ahead(self, ops: tuple[Op, ...], visit: Visit) -> None:
        """The painter sent operations on its line; `strokes` brings the page up to date with it."""
        visit.behind = visit.before
        with contextlib.suppress(ValueError):  # the state says so, and `strokes` gives a notice
            _taken(visit, Strokes(ops))

    def configure(self, label: Any, seed: Any, cfg_scale: Any, sampler: Any, visit: Visit) -> Parts:
        """Class, seed, guidance or sampler changed."""
        try:
            settings = asked.settings_of(label, seed, cfg_scale, sampler)
        except ValueError as error:
            return {"numbers": visit.numbers(), **self._refuse(visit, str(error))}
        parts = self._dispatch(visit, Configure(settings))
        if not parts["notice"]:
            parts["notice"] = studio.notice_html(noise_words(settings.sampler))
        return parts

    def typed(self, label: Any, seed: Any, cfg_scale: Any, sampler: Any, visit: Visit) -> Parts:
        """As `configure`, while somebody still types: an emptied field is no wish yet."""
        if seed is None:
            visit.refused = True  # and nothing is run for it
            return {"notice": gr.skip()}
        return self.configure(label, seed, cfg_scale, sampler, visit)

    def wished(self, label: Any, seed: Any, cfg_scale: Any, sampler: Any, visit: Visit) -> Parts:
        """As `configure`, once a control is left: none may show what is not in force."""
        given, s = (label, seed, cfg_scale, sampler), visit.state.settings
        same = given == (s.label, s.seed, s.cfg_scale, s.sampler)
        parts = {"notice": gr.skip()} if same else self.configure(*given, visit)
        shown = settings_parts(visit.state)
        wrong = {n for n, one in zip(SETTINGS, given, strict=True) if one != shown[n]["value"]}
        # A seed may have been rounded on its way here; nobody drags it meanwhile.
        return {**parts, **{name: shown[name] for name in (*wrong, "seed")}}

    def resteps(self, steps: Any, visit: Visit) -> Parts:
        """Another number of steps."""
        try:
            event = Resteps(asked.steps_of(steps))
        except ValueError as error:
            shown = gr.update(value=visit.state.schedule.steps)
            return {"steps": shown, **self._refuse(visit, str(error))}
        if event.steps == visit.state.schedule.steps:  # Enter, and then the field is left
            return {"steps": gr.skip()}
        return self._dispatch(visit, event)

    def open_file(self, path: Any, visit: Visit) -> Parts:
        """A schedule file of ours or of another project was uploaded."""
        model = visit.state.model
        try:
            found = import_schedule(str(path), blocks=model.blocks, branches=model.branches)
        except ValueError as error:
            return self._refuse(visit, f"The file was not opened: {error}")
        return self.open_found(found, visit)

    def open_found(self, found: Imported, visit: Visit, more: str = "") -> Parts:
        """What was understood of a file, painted; `more`: what else to say of it, first."""
        schedule = _paintable(found.schedule)
        # A file without a word of locks leaves those of the page; one with them brings its own.
        locks = None if found.locks is None else runs_of(found.locks)
        parts = self._dispatch(visit, Repaint("open file", schedule, locks=locks))
        if not parts["notice"]:
            wrong = schedule.mismatches(studio.context_of(visit.state, visit.result))
            words = " ".join(("Opened.", more, *found.report.sentences)).replace("  ", " ")
            words += "".join(f" Note: {w}." for w in wrong)
            visit.said = words
            parts["notice"] = studio.notice_html(words)
        return parts

    def save_file(self, visit: Visit) -> str:
        """The schedule as the text of a file."""
        schedule = studio.file_of(visit.state, visit.result)
        return dumps(schedule, mask_of(visit.state.now.locks, schedule))

    def export(self, target: Any, visit: Visit) -> Parts:
        """The schedule in another program's form, and what it loses there."""
        try:
            made = export_schedule(studio.file_of(visit.state, visit.result), str(target))
        except ValueError as error:
            return self._refuse(visit, str(error))
        lost = " ".join(made.losses) or "Nothing is lost."
        words = f"{made.filename}: {lost} {' '.join(made.notes)}".strip()
        file = json.dumps({"name": made.filename, "text": made.text})
        # A notice goes with the next one, and this is needed in another window.
        lines = (f"{made.filename}: {lost}", *made.notes)
        kept = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
        return {
            "export_file": file,
            "exported": f'<div class="cb-exported">{kept}</div>',
            "notice": studio.notice_html(words),
        }

    def stop(self, visit: Visit) -> Parts:
        """Ask the run in progress to stop, and give up waiting for another model."""
        visit.session.end_runs()
        visit.loading = None
        if visit.busy is not None:  # it says itself what became of it, and must have the last word
            return {"notice": gr.skip()}
        return {"notice": studio.notice_html(text.STOPPED)}


def _taken(visit: Visit, event: Event) -> None:
    """Apply an event; operations of the painter that are not taken are at least answered."""
    try:
        visit.session.dispatch(event)
    except ValueError:
        if isinstance(event, Strokes) and event.ops:
            visit.session.dispatch(Refuse(event.ops[-1].rev))
        raise


def _pictures(visit: Visit) -> Any:
    """The comparison on show, under a number of its own."""
    visit.rev += 1
    return visit.kept.pictures(visit.shown, visit.rev)


def setting_of(state: ViewState) -> tuple[Any, ...]:
    """What a calibration of predictions is for."""
    s = state.settings
    return (state.model, state.schedule.steps, s.cfg_scale, s.sampler)


def settings_parts(state: ViewState) -> Parts:
    """The controls of the picture as the state has them."""
    s = state.settings
    values = zip(SETTINGS, (s.label, s.seed, s.cfg_scale, s.sampler), strict=True)
    return {name: gr.update(value=value) for name, value in values}


def looks_of(state: ViewState) -> tuple[Any, ...]:
    """What the painter draws besides the cells, as a value: its brushes and the timesteps."""
    schedule = state.schedule
    return (schedule.legend, schedule.step_legend, state.now.hues, state.settings.sampler)


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
