"""What happens live: runs, models and the page's opening, on top of the handlers of edits."""

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
from caching.measure.result import Result, tables_of
from caching.schedule import Schedule
from viz import text
from viz.compare.values import live_frame
from viz.grid.ops import Op
from viz.grid.show import live_of
from viz.live import Loaded
from viz.pages import asked, studio
from viz.pages.edits import Edits, Parts, noise_words, refusal, with_brushes
from viz.pages.visit import Visit
from viz.policies import offer
from viz.state import Repaint, Strokes, UseModel, ViewState

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


class Handlers(Edits):
    """All handlers of one page."""

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
            yield {"notice": refusal(str(error))}
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
        visit.family = loaded.model.family

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

    def run_policy(self, name: Any, threshold: Any, visit: Visit) -> Iterator[Parts]:
        """Let a policy decide step by step, and show what it decides as it does."""
        try:
            chosen = offer(name)
            limit = asked.threshold_of(threshold, chosen)
            facts = visit.state.model
            sample = chosen.plain(facts.blocks, visit.state.schedule.steps)
        except ValueError as error:
            yield self._refuse(visit, str(error))
            return

        def make(loaded: Loaded, state: ViewState) -> Policy:
            s = state.settings
            return chosen.make(
                loaded.model,
                limit,
                loaded.known.policies,
                steps=state.schedule.steps,
                cfg_scale=s.cfg_scale,
                sampler=s.sampler,
            )

        yield from self._run(visit, make, sample)

    def bake(self, visit: Visit) -> Parts:
        """Paint what the last policy decided."""
        result = visit.result
        if result.policy is None:
            return self._refuse(visit, "No policy has run yet: let one decide, then bake it.")
        baked = with_brushes(result.schedule, visit.state.schedule)
        return self._dispatch(visit, Repaint(f"bake {result.policy}", baked))

    def _run(
        self,
        visit: Visit,
        policy: Callable[[Loaded, ViewState], Policy] | None,
        sample: Policy | None = None,
    ) -> Iterator[Parts]:
        """`sample`: a policy of the same legends as the one that `policy` will make."""
        stopped = visit.session.begin_run()
        state = visit.state
        if self.engine.get(state.model.name) is None:
            yield {"notice": studio.notice_html("Loading the live model …", "busy")}
        elif self.engine.turn.locked():
            yield {"notice": studio.notice_html("Waiting for the run before this one …", "busy")}
        visit.rev += 1
        name = f"run{visit.rev}"
        asked_for = state.schedule if sample is None else choices_of(state.schedule, sample)
        title = None if sample is None else sample.label
        steps: list[StepEvent] = []
        shown = 0.0
        try:
            for item in self.engine.compare(state, policy=policy, stopped=stopped):
                if isinstance(item, Result):
                    yield self._finished(visit, name, item)
                    return
                if item.which == "cached" and item.event is not None:
                    steps.append(item.event)
                now = time.monotonic()
                if now - shown < SHOW_EVERY_S and item.done < item.total:
                    continue
                shown = now
                words = f"{run_words(item.which, title)} {item.done} of {item.total}"
                parts: Parts = {"notice": studio.notice_html(words, "busy")}
                if item.event is not None:
                    parts["compare"] = gr.update(
                        live=live_frame(
                            name + item.which,
                            item.which,
                            item.done - 1,
                            item.total,
                            self.engine.preview(state.model.name, item.event),
                            words,
                        )
                    )
                if steps:
                    live = live_steps(name, asked_for, steps, policy=title)
                    live["done"] = item.which != "cached"
                    parts["grid"] = gr.update(live=live)
                yield parts
        except Exception as error:
            words = str(error)
            if not isinstance(error, CachebrushError):
                log.exception("a run failed")
                words = f"The run failed ({type(error).__name__}: {error})."
            yield {**self._ended(name), "notice": refusal(words)}
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
        words = f"Done: all three measured. {noise_words(result.sampler)}".strip()
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
        visit.session.dispatch(UseModel(facts, replace(before.settings, label=0), full))
        visit.rev += 1
        other = studio.is_of_other_model(visit.result, visit.state)
        shown = studio.comparison_of(visit.result, visit.rev, other_model=other)
        return {**self._changed(visit, before), "compare": gr.update(value=shown)}


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


def run_words(which: str, policy: str | None) -> str:
    """What is running, in words."""
    if which == "cached" and policy is not None:
        return f"{policy} decides step by step …"
    return RUN_WORDS[which]
