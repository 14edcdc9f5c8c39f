"""What happens on every event of the page: one visit's state in, what to show out.

Handlers return `{part: update}`; app.py knows which component each part is. Every change of the
state goes through `Session.dispatch`; refused input becomes a notice and changes nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from caching.errors import CachebrushError
from caching.formats.native import dumps, load_schedule_file
from caching.measure.result import Result, tables_of
from caching.predictors import Reuse
from caching.schedule import Schedule
from viz import text
from viz.compare.values import live_frame
from viz.grid.encode import grid_live
from viz.grid.ops import Op
from viz.live import Engine, Loaded
from viz.pages import asked, studio
from viz.pages.visit import Visit
from viz.presets import preset
from viz.state import (
    Configure,
    Event,
    Refuse,
    Repaint,
    Resteps,
    Strokes,
    UseModel,
    ViewState,
)

SHOW_EVERY_S = 0.06
Parts = dict[str, Any]
log = logging.getLogger(__name__)

RUN_WORDS = {
    "full": "Running the full model …",
    "cached": "Running your schedule …",
    "fewer": "Running its rival with fewer steps …",
    "timing": "Timing all three in turn …",
}


class Handlers:
    """The handlers of one page, sharing the process's engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def _changed(self, visit: Visit, before: ViewState) -> Parts:
        """What to show after an event that led from `before` to the visit's state."""
        now = visit.state
        visit.refused = False
        grid: dict[str, Any] = {"value": studio.value_of(now)}
        parts: Parts = {}
        if now.schedule.actions.shape != before.schedule.actions.shape or now.model != before.model:
            grid |= {"spec": visit.spec(), "layer": visit.layer(), "live": None}
            parts["steps"] = gr.update(value=now.schedule.steps)
            parts |= {"curves": visit.curves(), "words": visit.words()}
        elif now.schedule.legend != before.schedule.legend:
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
        return self._changed(visit, before)

    def _refuse(self, visit: Visit, words: str) -> Parts:
        """Say why an edit was not taken; the words stay, because no run follows it by itself."""
        visit.refused = True
        return {"notice": _refusal(words)}

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
        if visit.state.settings.sampler != before.sampler:
            parts["grid"] = gr.update(spec=visit.spec())  # other timesteps
        if not parts["notice"]:
            parts["notice"] = studio.notice_html(_noise_words(settings.sampler))
        return parts

    def resteps(self, steps: Any, visit: Visit) -> Parts:
        """Another number of steps."""
        try:
            event = Resteps(asked.steps_of(steps))
        except ValueError as error:
            shown = gr.update(value=visit.state.schedule.steps)
            return {"steps": shown, **self._refuse(visit, str(error))}
        return self._dispatch(visit, event)

    def repaint(
        self, name: Any, interval: Any, alpha: Any, first: Any, last: Any, visit: Visit
    ) -> Parts:
        """A preset was chosen, or one of its controls moved."""
        try:
            one = preset(str(name))
            controls = asked.controls_of(interval, alpha, first, last)
            tables = studio.tables_for(visit.tables, visit.state.schedule.steps)
            schedule = one.plan(visit.state, controls, tables.change.astype(np.float32))
            event = Repaint(one.words(controls), schedule, f"preset {one.name}")
        except ValueError as error:
            return self._refuse(visit, str(error))
        return self._dispatch(visit, event)

    def threshold_curves(self, name: Any, alpha: Any, visit: Visit) -> Parts:
        """The curves with the threshold of the chosen preset drawn in, or without one."""
        try:
            threshold = asked.controls_of(2, alpha, 1, 0).alpha
            uses = "alpha" in preset(str(name)).uses
        except ValueError:  # `repaint` has said so
            uses = False
        return {"curves": visit.curves(threshold if uses else None)}

    def open_file(self, path: Any, visit: Visit) -> Parts:
        """A schedule file was uploaded."""
        try:
            schedule = _paintable(load_schedule_file(str(path)))
        except ValueError as error:
            return self._refuse(visit, f"The file was not opened: {error}")
        parts = self._dispatch(visit, Repaint("open file", schedule))
        if not parts["notice"]:
            wrong = schedule.mismatches(studio.context_of(visit.state, visit.result))
            words = f"Opened: {schedule.steps} steps, {1 - schedule.computed.mean():.0%} reused."
            words += "".join(f" Note: {w}." for w in wrong)
            parts["notice"] = studio.notice_html(words)
        return parts

    def save_file(self, visit: Visit) -> str:
        """The schedule as the text of a file."""
        return dumps(studio.file_of(visit.state, visit.result))

    def stop(self, visit: Visit) -> Parts:
        """Ask the run in progress to stop, and give up waiting for another model."""
        visit.session.end_runs()
        visit.loading = None
        return {"notice": studio.notice_html(text.STOPPED)}

    # -- live ------------------------------------------------------------------------------

    def arrive(self, visit: Visit) -> Iterator[Parts]:
        """The page has opened: say when the live model is ready, with times of this machine."""
        name = visit.state.model.name
        self.engine.begin(name)
        yield {
            "notice": studio.notice_html(
                "You see a recorded result. Paint already; the live model is loading.", "busy"
            )
        }
        try:
            loaded = self.engine.wait(name)
        except CachebrushError as error:
            yield {"notice": _refusal(str(error))}
            return
        if visit.state.model.name != name:  # another one was chosen meanwhile
            return
        self._use_times(visit, loaded)
        yield {
            "grid": gr.update(spec=visit.spec()),
            "notice": studio.notice_html(
                f"Live: {name} on {loaded.device}. Paint, then release or press Run.", "ready"
            ),
        }

    def _use_times(self, visit: Visit, loaded: Loaded) -> None:
        """Predict with this machine's own times from now on."""
        visit.tables = tables_of(loaded.model, loaded.times, visit.tables.change)

    def run(self, ops: tuple[Op, ...], visit: Visit) -> Iterator[Parts]:
        """Run the schedule, the full model and the rival, showing every step as it comes.

        `ops`: strokes that may still be on their way to `strokes`; taken in first.
        """
        if ops:
            parts = self._dispatch(visit, Strokes(ops))
            if parts["notice"]:
                yield parts
                return
        stopped = visit.session.begin_run()
        state = visit.state
        if self.engine.get(state.model.name) is None:
            yield {"notice": studio.notice_html("Loading the live model …", "busy")}
        elif self.engine.turn.locked():
            yield {"notice": studio.notice_html("Waiting for the run before this one …", "busy")}
        visit.rev += 1
        name = f"run{visit.rev}"
        executed: list[np.ndarray] = []
        ms: list[float] = []
        shown = 0.0
        try:
            for item in self.engine.compare(state, stopped=stopped):
                if isinstance(item, Result):
                    yield self._finished(visit, name, item)
                    return
                if item.which == "cached" and item.event is not None:
                    executed.append(item.event.executed)
                    ms.append(item.event.ms)
                now = time.monotonic()
                if now - shown < SHOW_EVERY_S and item.done < item.total:
                    continue
                shown = now
                words = f"{RUN_WORDS[item.which]} {item.done} of {item.total}"
                parts = {"notice": studio.notice_html(words, "busy")}
                if item.event is not None:
                    parts["compare"] = gr.update(
                        live=live_frame(
                            name + item.which,
                            item.which,
                            item.done - 1,
                            item.total,
                            item.event.preview,
                            words,
                        )
                    )
                if executed:
                    parts["grid"] = gr.update(
                        live=grid_live(
                            name,
                            np.stack(executed),
                            total=state.schedule.steps,
                            done=item.which != "cached",
                            ms=ms,
                            asked=state.schedule.actions,
                        )
                    )
                yield parts
        except Exception as error:
            words = str(error)
            if not isinstance(error, CachebrushError):
                log.exception("a run failed")
                words = f"The run failed ({type(error).__name__}: {error})."
            yield {**self._ended(name), "notice": _refusal(words)}
            return
        # Ended without a result: stopped, or something newer took over and speaks for the page.
        ended = self._ended(name)
        if visit.session.at_rest:
            # Words of a step may have left after those of `stop` and would stand for ever.
            ended["notice"] = studio.notice_html(text.STOPPED)
        yield ended

    def _ended(self, name: str) -> Parts:
        """Take the preview of a run that made no result off the stage."""
        ended = live_frame(name, "cached", 0, 1, None, "stopped", done=True)
        return {"compare": gr.update(live=ended)}

    def _finished(self, visit: Visit, name: str, result: Result) -> Parts:
        if visit.state.model.name != result.model:  # another one was loaded at the last moment
            return self._ended(name)
        visit.result = result
        visit.tables = result.tables
        visit.rev += 1
        grid: dict[str, Any] = {"spec": visit.spec(), "layer": visit.layer()}
        if visit.state.schedule.actions.shape == result.schedule.actions.shape:
            grid["live"] = studio.executed_of(result)
        last = live_frame(f"run{visit.rev}", "cached", 0, 1, None, "done", done=True)
        words = f"Done: all three measured. {_noise_words(result.sampler)}".strip()
        return {
            "grid": gr.update(**grid),
            "compare": gr.update(value=studio.comparison_of(result, visit.rev), live=last),
            "numbers": visit.numbers(),
            "curves": visit.curves(),
            "words": visit.words(),
            "notice": studio.notice_html(words, "ready"),
        }

    def run_if_wanted(self, wanted: Any, ops: tuple[Op, ...], visit: Visit) -> Iterator[Parts]:
        """After an edit: run at once, when asked for and when a live model is there."""
        stale = studio.is_stale(visit.result, visit.state)
        if (
            wanted
            and stale
            and not visit.refused
            and self.engine.get(visit.state.model.name) is not None
        ):
            yield from self.run(ops, visit)

    def use_model(self, name: Any, visit: Visit) -> Iterator[Parts]:
        """Load another model by hub id or folder and start on it with a full grid."""
        try:
            wanted = asked.model_name_of(name)
        except ValueError as error:
            yield {"notice": _refusal(str(error))}
            return
        mine = visit.loading = object()
        yield {"notice": studio.notice_html(f"Loading {wanted} …", "busy")}
        try:
            loaded = self.engine.wait_unless(wanted, lambda: visit.loading is not mine)
            if loaded is None or visit.loading is not mine:  # stopped, or yet another model
                return
            parts = self._start_on(visit, loaded)
        except ValueError as error:
            yield {"notice": _refusal(str(error))}
            return
        facts = loaded.facts
        names = list(zip(facts.class_names, range(len(facts.class_names)), strict=True))
        words = f"Live: {facts.name} on {loaded.device}, {facts.blocks} blocks. Press Run."
        yield {
            **parts,
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
        visit.tables = tables
        visit.session.dispatch(UseModel(facts, replace(before.settings, label=0), full))
        visit.rev += 1
        other = studio.is_of_other_model(visit.result, visit.state)
        shown = studio.comparison_of(visit.result, visit.rev, other_model=other)
        return {**self._changed(visit, before), "compare": gr.update(value=shown)}


def _refusal(words: str) -> str:
    # Messages quote what was given, and that may be long.
    return studio.notice_html(words if len(words) <= 600 else f"{words:.600} …", "error")


def _noise_words(sampler: str) -> str:
    """A warning when the sampler draws noise of its own, else nothing."""
    if sampler not in studio.STOCHASTIC:
        return ""
    return text.STOCHASTIC.format(sampler=studio.SAMPLER_NAMES[sampler])


def _paintable(schedule: Schedule) -> Schedule:
    """The same grid with reuse in its legend, which a file of computed cells alone may lack."""
    if Reuse() in schedule.legend:
        return schedule
    legend = (*schedule.legend, Reuse())
    return Schedule(schedule.actions, legend, schedule.branches, schedule.context)
