"""Runs: the schedule, the full model and the rival, every step shown as it comes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from caching.dynamic.base import Policy
from caching.errors import CachebrushError
from caching.measure.result import Result
from caching.schedule import Schedule
from viz import text
from viz.compare.values import live_frame
from viz.grid.ops import Op
from viz.grid.show import live_of
from viz.numbers import title_at
from viz.pages import studio
from viz.pages.edits import Edits, Parts, noise_words, refusal
from viz.pages.visit import Visit
from viz.state import Strokes, ViewState
from viz.work import Pace, Told, time_words

if TYPE_CHECKING:
    from caching.engine.record import StepEvent

SHOW_EVERY_S = 0.06
log = logging.getLogger(__name__)

RUN_WORDS = {
    "full": "Running the full model …",
    "cached": "Running your schedule …",
    "fewer": "Running its rival with fewer steps …",
    "timing": "Timing all three in turn …",
}


class Runs(Edits):
    """The handlers of edits, and those that run."""

    def run(self, ops: tuple[Op, ...], visit: Visit) -> Iterator[Parts]:
        """Run the schedule, the full model and the rival, showing every step as it comes.

        `ops`: strokes that may still be on their way to `strokes`; taken in first.
        """
        if ops:
            parts = self._dispatch(visit, Strokes(ops))
            if parts["notice"]:
                yield parts
                return
        yield from self._run(visit, None)

    def press(self, ops: tuple[Op, ...], visit: Visit) -> Iterator[Parts]:
        """As `run`, but a run of the very same that is in progress goes on."""
        fresh = any(op.rev > visit.state.ack for op in ops)
        if fresh or not self._goes_on(visit):
            yield from self.run(ops, visit)

    def _goes_on(self, visit: Visit) -> bool:
        """Whether a run of what is painted is in progress."""
        state = visit.state
        now = (state.model, state.settings, state.schedule, None)
        return visit.running == now and not visit.session.at_rest

    def _run(self, visit: Visit, policy: Policy | None) -> Iterator[Parts]:
        """Run what is painted, or let `policy` decide."""
        stopped = visit.session.begin_run()
        state = visit.state
        mine = visit.running = (state.model, state.settings, state.schedule, policy)
        try:
            yield from self._steps(visit, state, policy, stopped)
        finally:
            if visit.running is mine:
                visit.running = None

    def _steps(
        self,
        visit: Visit,
        state: ViewState,
        policy: Policy | None,
        stopped: Callable[[], bool],
    ) -> Iterator[Parts]:
        """What a run shows from its first step to its result, or why there is none."""
        yield from self._waiting(visit)
        visit.rev += 1
        name = f"run{visit.rev}"
        asked_for = state.schedule if policy is None else choices_of(state.schedule, policy)
        title = None if policy is None else policy.label
        steps: list[StepEvent] = []
        # Of another picture than those on the stage, which must not stand beside its previews.
        other = studio.is_of_other_request(visit.result, state)
        held = studio.held_of(state.settings, state.model.class_names) if other else None
        frame: dict[str, Any] | None = None
        shown, pace = 0.0, Pace()
        try:
            for item in self.engine.compare(state, policy=policy, stopped=stopped):
                if isinstance(item, Result):
                    yield self._finished(visit, name, item)
                    return
                if visit.state.model != state.model:  # a step of it may have been on its way
                    break
                if item.which == "cached" and item.event is not None:
                    steps.append(item.event)
                told = pace.told(item.which, item.done, item.total)
                now = time.monotonic()
                if now - shown < SHOW_EVERY_S and item.done < item.total:
                    continue
                shown = now
                unit = "" if item.event is None else " steps"  # a number of them, not a step's
                count = f"{item.done} of {item.total}{unit}{left_words(told)}"
                words = f"{run_words(item.which, title)} {count}"
                parts: Parts = {"notice": studio.notice_html(words, "busy")}
                if item.event is not None:
                    preview = self.engine.preview(state.model.name, item.event)
                    done, total = item.done, item.total
                    called = title_at(item.which, total, title)
                    frame = live_frame(
                        name, item.which, done - 1, total, preview, words, held=held, title=called
                    )
                elif frame is not None:  # the last preview stays while all are timed
                    frame = {**frame, "label": words}
                if frame is not None:
                    parts["compare"] = gr.update(live=frame)
                if steps:
                    live = live_steps(name, asked_for, steps, policy=title)
                    live["done"] = item.which != "cached"
                    parts["grid"] = gr.update(live=live)
                yield parts
        except Exception as error:
            yield {**self._ended(name), "notice": failed("run", error)}
            return
        # Ended without a result: stopped, or something newer took over and speaks for the page.
        ended = self._ended(name)
        if visit.session.at_rest:
            # Words of a step may have left after those of `stop` and would stand for ever.
            ended["notice"] = studio.notice_html(text.STOPPED)
        yield ended

    def _waiting(self, visit: Visit) -> Iterator[Parts]:
        """Say what a run waits for, if for anything."""
        if self.engine.get(visit.state.model.name) is None:
            yield {"notice": studio.notice_html("Loading the live model …", "busy")}
        elif self.engine.turn.locked():
            yield {"notice": studio.notice_html("Waiting for the run before this one …", "busy")}

    def _ended(self, name: str) -> Parts:
        """Take the preview of a run that made no result off the stage."""
        ended = live_frame(name, "cached", 0, 1, None, "stopped", done=True)
        return {"compare": gr.update(live=ended)}

    def _finished(self, visit: Visit, name: str, result: Result) -> Parts:
        if visit.state.model.name != result.model:  # another one was loaded at the last moment
            return self._ended(name)
        visit.result = result
        visit.kept.keep(result)
        visit.history.note(result, visit.state)
        visit.tables = result.tables
        visit.rev += 1
        grid: dict[str, Any] = {"spec": visit.spec(), "layer": visit.layer()}
        if visit.level.runs:  # what is expected of this picture has changed with its run
            grid["value"] = visit.value()
        if visit.state.schedule.actions.shape == result.schedule.actions.shape:
            grid["live"] = studio.executed_of(result)
        last = live_frame(f"run{visit.rev}", "cached", 0, 1, None, "done", done=True)
        words = f"{visit.said} Done: all three measured. {noise_words(result.sampler)}".strip()
        visit.said = ""
        return {
            "grid": gr.update(**grid),
            "compare": gr.update(value=visit.kept.pictures(result, visit.rev), live=last),
            "numbers": visit.numbers(),
            "curves": visit.curves(),
            "words": visit.words(),
            "notice": studio.notice_html(words, "ready"),
        }

    def run_if_wanted(self, wanted: Any, ops: tuple[Op, ...], visit: Visit) -> Iterator[Parts]:
        """After an edit: run at once, when asked for and when a live model is there."""
        state = visit.state
        if (
            wanted
            and studio.is_stale(visit.result, state)
            and not self._goes_on(visit)
            and not visit.refused
            and visit.busy is None  # a stroke must not end a calibration or a training
            and self.engine.get(visit.state.model.name) is not None
        ):
            yield from self.run(ops, visit)


def choices_of(schedule: Schedule, policy: Policy) -> Schedule:
    """A full schedule with what a policy may choose in its legends."""
    full = Schedule.full(schedule.steps, schedule.blocks, branches=schedule.branches)
    legend = policy.legend or full.legend
    return replace(full, legend=legend, step_legend=policy.step_legend)


def live_steps(
    name: str, asked_for: Schedule, steps: Sequence[StepEvent], *, policy: str | None
) -> dict[str, Any]:
    """The painter's live marks after some steps of a run."""
    choices = [event.choice for event in steps if event.choice is not None]
    return live_of(
        name,
        asked_for,
        np.stack([event.executed for event in steps]),
        np.array([event.action for event in steps], np.uint8),
        ms=[event.ms for event in steps],
        decided=[(choice.score, choice.limit) for choice in choices],
        policy=policy,
    )


def left_words(told: Told) -> str:
    """How long this part of a run still takes, where that is worth saying."""
    return (
        "" if told.left_s is None or told.left_s < 1 else f", about {time_words(told.left_s)} left"
    )


def run_words(which: str, policy: str | None) -> str:
    """What is running, in words."""
    if which == "cached" and policy is not None:
        return f"{policy} decides step by step …"
    return RUN_WORDS[which]


def failed(what: str, error: Exception) -> str:
    """Why something did not work, as a notice; what nobody foresaw is logged."""
    if isinstance(error, CachebrushError):
        return refusal(str(error))
    log.error("a %s failed", what, exc_info=error)
    return refusal(f"The {what} failed ({type(error).__name__}: {error!s:.300}).")
