"""What happens on every event of the page: one visit's state in, what to show out.

Handlers return `{part: update}`; app.py knows which component each part is. Every change of the
state goes through `Session.dispatch`; refused input becomes a notice and changes nothing.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from caching.errors import CachebrushError
from caching.formats.native import dumps, load_schedule_file
from caching.measure.result import Result, load_result, tables_of
from caching.predict.proxy import Tables
from caching.schedule import Schedule
from viz.compare.values import live_frame
from viz.figures.curves import similarity_curves
from viz.grid.encode import grid_live
from viz.grid.ops import Op
from viz.live import Engine, Loaded
from viz.numbers import numbers_html
from viz.pages import studio
from viz.presets import Controls, preset
from viz.state import (
    Configure,
    Event,
    Refuse,
    Repaint,
    Resteps,
    Session,
    Settings,
    Strokes,
    UseModel,
    ViewState,
)

RECORDED = Path(__file__).resolve().parents[2] / "presets" / "runs" / "first"
SHOW_EVERY_S = 0.06
Parts = dict[str, Any]

RUN_WORDS = {
    "full": "Running the full model …",
    "cached": "Running your schedule …",
    "fewer": "Running its rival with fewer steps …",
    "timing": "Timing all three in turn …",
}


class Visit:
    """One visitor: state, the result on show, the tables predictions use. Values are immutable."""

    def __init__(self, state: ViewState, result: Result, tables: Tables) -> None:
        self.session = Session(state)
        self.result, self.tables = result, tables
        self.rev = 1

    def __deepcopy__(self, memo: dict[int, object]) -> Visit:
        return Visit(self.session.state, self.result, self.tables)

    @property
    def state(self) -> ViewState:
        return self.session.state


def start_visit() -> Visit:
    """A visit as every page begins: on the recorded comparison."""
    result = load_result(RECORDED)
    return Visit(studio.start_state(result), result, result.tables)


class Handlers:
    """The handlers of one page, sharing the process's engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    # -- showing ---------------------------------------------------------------------------

    def _timesteps(self, visit: Visit) -> tuple[float, ...] | None:
        return visit.result.timesteps

    def numbers(self, visit: Visit) -> str:
        return numbers_html(visit.result, stale=studio.is_stale(visit.result, visit.state))

    def _spec(self, visit: Visit) -> dict[str, Any]:
        return studio.spec_of(visit.state, visit.tables, self._timesteps(visit))

    def curves(self, visit: Visit, threshold: float | None = None) -> Any:
        tables = studio.tables_for(visit.tables, visit.state.schedule.steps)
        steps = visit.state.schedule.steps
        times = self._timesteps(visit)
        return similarity_curves(
            studio.last_change(tables),
            branches=visit.state.model.branches,
            timesteps=times if times and len(times) == steps else None,
            threshold=threshold,
        )

    def _changed(self, visit: Visit, before: ViewState) -> Parts:
        """What to show after an event that led from `before` to the visit's state."""
        now = visit.state
        grid: dict[str, Any] = {"value": studio.value_of(now)}
        parts: Parts = {}
        if now.schedule.actions.shape != before.schedule.actions.shape or now.model != before.model:
            steps = now.schedule.steps
            grid["spec"] = self._spec(visit)
            grid["layer"] = studio.layer_of(studio.tables_for(visit.tables, steps))
            grid["live"] = None
            parts["steps"] = gr.update(value=steps)
            parts["curves"] = self.curves(visit)
        parts["grid"] = gr.update(**grid)
        parts["numbers"] = self.numbers(visit)
        parts["notice"] = ""
        return parts

    def _dispatch(self, visit: Visit, event: Event) -> Parts:
        before = visit.state
        try:
            visit.session.dispatch(event)
        except ValueError as error:
            if isinstance(event, Strokes) and event.ops:
                visit.session.dispatch(Refuse(event.ops[-1].rev))
            return {
                **self._changed(visit, before),
                "notice": studio.notice_html(str(error), "error"),
            }
        return self._changed(visit, before)

    # -- events ----------------------------------------------------------------------------

    def strokes(self, ops: tuple[Op, ...], visit: Visit) -> Parts:
        """The painter sent operations."""
        return self._dispatch(visit, Strokes(ops))

    def configure(
        self, label: Any, seed: Any, cfg_scale: Any, sampler: Any, visit: Visit
    ) -> Parts:
        """Class, seed, guidance or sampler changed."""
        try:
            settings = _settings(label, seed, cfg_scale, sampler)
        except ValueError as error:
            return {
                "numbers": self.numbers(visit),
                "notice": studio.notice_html(str(error), "error"),
            }
        parts = self._dispatch(visit, Configure(settings))
        return {k: parts[k] for k in ("numbers", "notice")}

    def resteps(self, steps: Any, visit: Visit) -> Parts:
        """Another number of steps."""
        if not isinstance(steps, int | float) or not 5 <= steps <= 100 or steps != int(steps):
            return {"notice": _refusal(f"{steps!r} steps were asked for, expected 5 to 100.")}
        return self._dispatch(visit, Resteps(int(steps)))

    def repaint(
        self, name: Any, interval: Any, alpha: Any, first: Any, last: Any, visit: Visit
    ) -> Parts:
        """A preset was chosen, or one of its controls moved."""
        try:
            one = preset(str(name))
            controls = Controls(int(interval), float(alpha), int(first), int(last))
            tables = studio.tables_for(visit.tables, visit.state.schedule.steps)
            schedule = one.plan(visit.state, controls, tables.change.astype(np.float32))
            event = Repaint(one.words(controls), schedule, f"preset {one.name}")
        except (TypeError, ValueError, OverflowError) as error:
            return {"notice": _refusal(str(error))}
        return self._dispatch(visit, event)

    def threshold_curves(self, name: Any, alpha: Any, visit: Visit) -> Parts:
        """The curves with the threshold of the chosen preset drawn in, or without one."""
        uses = "alpha" in preset(str(name)).uses
        return {"curves": self.curves(visit, float(alpha) if uses else None)}

    def open_file(self, path: Any, visit: Visit) -> Parts:
        """A schedule file was uploaded."""
        try:
            schedule = load_schedule_file(str(path))
        except CachebrushError as error:
            return {"notice": _refusal(f"The file was not opened: {error}")}
        parts = self._dispatch(visit, Repaint("open file", schedule))
        if not parts["notice"]:
            wrong = schedule.mismatches(studio.file_of(visit.state, visit.result).context or ())
            words = f"Opened: {schedule.steps} steps, {1 - schedule.computed.mean():.0%} reused."
            words += "".join(f" Note: {w}." for w in wrong)
            parts["notice"] = studio.notice_html(words)
        return parts

    def save_file(self, visit: Visit) -> str:
        """The schedule as the text of a file."""
        return dumps(studio.file_of(visit.state, visit.result))

    def stop(self, visit: Visit) -> Parts:
        """Ask the run in progress to stop."""
        visit.session.end_runs()
        return {"notice": studio.notice_html("Stopped. The last finished result stays.")}

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
            yield {"notice": studio.notice_html(str(error), "error")}
            return
        self._use_times(visit, loaded)
        yield {
            "grid": gr.update(spec=self._spec(visit)),
            "notice": studio.notice_html(
                f"Live: {name} on {loaded.device}. Paint, then release or press Run.", "ready"
            ),
        }

    def _use_times(self, visit: Visit, loaded: Loaded) -> None:
        """Predict with this machine's own times from now on."""
        tables = tables_of(loaded.model, loaded.times, visit.tables.change)
        visit.tables = tables

    def run(self, ops: tuple[Op, ...], visit: Visit) -> Iterator[Parts]:
        """Run the schedule, the full model and the rival, showing every step as it comes.

        `ops`: strokes that may still be on their way to `strokes`; taken in first.
        """
        if ops:
            self._dispatch(visit, Strokes(ops))
        stopped = visit.session.begin_run()
        state = visit.state
        loaded = self.engine.get(state.model.name)
        if loaded is None:
            yield {"notice": studio.notice_html("Loading the live model …", "busy")}
        visit.rev += 1
        name = f"run{visit.rev}"
        executed: list[np.ndarray] = []
        ms: list[float] = []
        shown = 0.0
        try:
            for item in self.engine.compare(state, stopped=stopped):
                if isinstance(item, Result):
                    yield self._finished(visit, state, item)
                    return
                if item.which == "cached" and item.event is not None:
                    executed.append(item.event.executed)
                    ms.append(item.event.ms)
                now = time.monotonic()
                if now - shown < SHOW_EVERY_S and item.done < item.total:
                    continue
                shown = now
                words = f"{RUN_WORDS[item.which]} {item.done} of {item.total}"
                parts: Parts = {"notice": studio.notice_html(words, "busy")}
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
        except CachebrushError as error:
            yield {"notice": studio.notice_html(str(error), "error")}
            return
        # Ended without a result: stopped, or a newer edit took over and now speaks for the page.
        ended = live_frame(name, "cached", 0, 1, None, "stopped", done=True)
        yield {"compare": gr.update(live=ended)}

    def _finished(self, visit: Visit, asked: ViewState, result: Result) -> Parts:
        visit.result = result
        visit.tables = result.tables
        visit.rev += 1
        grid: dict[str, Any] = {"live": studio.executed_of(result)}
        if visit.state.schedule.actions.shape == result.schedule.actions.shape:
            grid |= {"spec": self._spec(visit), "layer": studio.layer_of(result.tables)}
        last = live_frame(f"run{visit.rev}", "cached", 0, 1, None, "done", done=True)
        return {
            "grid": gr.update(**grid),
            "compare": gr.update(value=studio.comparison_of(result, visit.rev), live=last),
            "numbers": self.numbers(visit),
            "curves": self.curves(visit),
            "notice": studio.notice_html("Done: all three measured.", "ready"),
        }

    def run_if_wanted(self, wanted: Any, ops: tuple[Op, ...], visit: Visit) -> Iterator[Parts]:
        """After a stroke: run at once, when asked for and when a live model is there."""
        stale = studio.is_stale(visit.result, visit.state)
        if wanted and stale and self.engine.get(visit.state.model.name) is not None:
            yield from self.run(ops, visit)

    def use_model(self, name: Any, visit: Visit) -> Iterator[Parts]:
        """Load another model by hub id or folder and start on it with a full grid."""
        wanted = str(name or "").strip()
        try:
            _check_model_name(wanted)
            yield {"notice": studio.notice_html(f"Loading {wanted} …", "busy")}
            loaded = self.engine.wait(wanted)
        except ValueError as error:
            yield {"notice": _refusal(str(error))}
            return
        visit.session.end_runs()
        facts, before = loaded.facts, visit.state
        steps = before.schedule.steps
        change = np.zeros((steps, facts.blocks, len(facts.branches), 1), np.float32)
        visit.tables = replace(
            tables_of(loaded.model, loaded.times, change),
            source=f"{loaded.times.source}; change not known before the first run",
        )
        settings = replace(before.settings, label=0)
        full = Schedule.full(steps, facts.blocks, branches=facts.branches)
        parts = self._dispatch(visit, UseModel(facts, settings, full))
        names = list(zip(facts.class_names, range(len(facts.class_names)), strict=True))
        yield {
            **parts,
            "label": gr.update(choices=names, value=0),
            "notice": studio.notice_html(
                f"Live: {facts.name} on {loaded.device}, {facts.blocks} blocks. Press Run.", "ready"
            ),
        }


def _refusal(text: str) -> str:
    return studio.notice_html(text, "error")


def _settings(label: Any, seed: Any, cfg_scale: Any, sampler: Any) -> Settings:
    """Controls of the page as Settings; ValueError says what was wrong with which."""
    if isinstance(label, bool) or not isinstance(label, int):
        raise ValueError(f"class {json.dumps(label, default=str)[:40]} is not known; choose one.")
    whole = isinstance(seed, int | float) and not isinstance(seed, bool) and np.isfinite(seed)
    if not whole or seed != int(seed) or not 0 <= seed < 2**53:
        raise ValueError(f"seed {str(seed)[:40]!r} was given, expected a whole number from 0 up.")
    number = isinstance(cfg_scale, int | float) and not isinstance(cfg_scale, bool)
    if not number or not 1 <= cfg_scale <= 10:
        raise ValueError(f"guidance {str(cfg_scale)[:40]!r} was given, expected 1 to 10.")
    if sampler not in studio.SAMPLER_NAMES:
        known = ", ".join(studio.SAMPLER_NAMES)
        raise ValueError(f"sampler {str(sampler)[:40]!r} is not known, expected one of: {known}.")
    return Settings(label, int(seed), float(cfg_scale), sampler)


def _check_model_name(name: str) -> None:
    """On a public Space a visitor may name hub models only, never folders of the server."""
    if not name:
        raise ValueError(
            'no model was named, expected a hub id such as "facebook/DiT-XL-2-256" or a folder.'
        )
    if os.environ.get("SPACE_ID") and Path(name).exists():
        raise ValueError("folders cannot be opened here, expected a hub id such as owner/name.")
