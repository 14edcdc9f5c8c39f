"""The Method box: choosing a method, moving its controls, calibrating it, letting it decide."""

from __future__ import annotations

import logging
import operator
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from caching.marks import PARTLY
from caching.measure.result import Result
from caching.methods import Method, Plan, Unready
from caching.methods.budget import Budget
from caching.schedule import Schedule
from viz import text
from viz.grid.ops import Op
from viz.methods import SLOTS, kind_of, method_from, sentence
from viz.pages import studio
from viz.pages.edits import Parts, setting_of, with_brushes
from viz.pages.method_box import NUMBERS, Look, box_parts, slot_parts
from viz.pages.runs import Runs, failed
from viz.pages.visit import Visit
from viz.setting import RecordedSetting, Watched
from viz.state import Repaint, ViewState
from viz.work import Made

GROUP = "method "  # of undo: the moves of one method's controls are one step
TELL_EVERY_S = 0.2
log = logging.getLogger(__name__)


class Methods(Runs):
    """The handlers of the Method box, on top of edits and runs."""

    # -- choosing and turning ------------------------------------------------------------------

    def choose(self, name: Any, visit: Visit) -> Parts:
        """A method was chosen: show its controls as they were left, and paint what it makes."""
        try:
            kind = kind_of(name)
        except ValueError as error:
            return self._refuse(visit, str(error))
        visit.method = visit.left.get(kind.name) or kind()
        return {**slot_parts(visit.method), **self._apply(visit, visit.method)}

    def choose_once(self, name: Any, visit: Visit) -> Parts:
        """As `choose`, for a list that tells of one choice twice: nothing changes the second time.

        The same method again does paint, where anything has changed since.
        """
        with visit.choosing:
            left = (visit.state, visit.tables, visit.known)
            same = visit.chose[:2] == (name, visit.method)  # a click may have made it anew
            if same and all(map(operator.is_, visit.chose[2:], left)):
                return {}
            parts = self.choose(name, visit)
            visit.note_choice(name)
        return parts

    def choose_at(self, name: Any, at: Any, visit: Visit) -> Parts:
        """As `choose_once`; `at`: the painter's last operation by then, as the page says.

        Of a choice told twice the second may come after strokes on what it painted.
        """
        if type(at) is int and visit.chose[:1] == (name,) and visit.state.ack > at:
            return {}
        return self.choose_once(name, visit)

    def turn(self, name: Any, *given: Any) -> Parts:
        """A control of the chosen method moved; `given`: numbers, words of all slots, the visit."""
        *values, visit = given
        try:
            visit.method = method_from(name, values[:SLOTS], values[SLOTS:])
        except ValueError as error:
            return self._refuse(visit, str(error))
        visit.left[visit.method.name] = visit.method
        return self._apply(visit, visit.method)

    def typed_in(self, name: Any, *given: Any) -> Parts:
        """As `turn`, while somebody may still type: an emptied field is no value yet."""
        return {"notice": gr.skip()} if None in given[:SLOTS] else self.turn(name, *given)

    def left_at(self, name: Any, *given: Any) -> Parts:
        """A control of the chosen method was left: what it shows is in force, or goes back."""
        *values, visit = given
        parts: Parts = {}
        try:
            if method_from(name, values[:SLOTS], values[SLOTS:]) != visit.method:
                parts = self.turn(name, *given)
        except ValueError as error:
            slots = {} if visit.method is None else slot_parts(visit.method)
            shown = {name: slot for name, slot in slots.items() if name in NUMBERS}
            return {**shown, **self._refuse(visit, str(error))}
        return {**parts, **self.settled(visit)}

    def threshold_curves(self, visit: Visit) -> Parts:
        """The curves of changes with the threshold of the chosen method drawn in, if it has one."""
        return {"curves": visit.curves()}

    def curves_once(self, visit: Visit) -> Parts:
        """As `threshold_curves`, for events that come twice for one choice."""
        state, result = visit.state, visit.result
        shows = (state.model, state.settings, state.schedule.steps, visit.method)
        drawn, last = (shows, visit.tables, result), visit.drawn
        visit.drawn = drawn
        if last and last[0] == shows and last[1] is visit.tables and last[2] is result:
            return {"curves": gr.skip()}
        return self.threshold_curves(visit)

    def settled(self, visit: Visit) -> Parts:
        """As `curves_once`; and what was painted for now gives way to what is worked out."""
        parts, method, before = self.curves_once(visit), visit.provisional, visit.state
        look = None if method is None else self._look(visit, method, patient=True)
        if method is None or look is None or look.plan is None:
            return parts
        if visit.provisional is not method or visit.state is not before:
            return parts  # something newer has been painted meanwhile
        visit.provisional = None
        parts |= box_parts(visit, method, look) | self._paint(visit, method, look.plan)
        if not parts["notice"]:
            parts["notice"] = studio.notice_html(text.SETTLED)
        return parts

    def _apply(self, visit: Visit, method: Method) -> Parts:
        """Paint what a method makes, or say in its box what it needs.

        The list of methods tells of what the page itself puts there as of a choice. That one has
        been answered with this; its answer would come after what is typed meanwhile, and undo it.
        """
        parts = self._applied(visit, method)
        visit.note_choice(method.name)
        return parts

    def _applied(self, visit: Visit, method: Method) -> Parts:
        look, before = self._look(visit, method), visit.state
        now = look.plan is not None and look.plan.provisional
        visit.provisional = method if now else None
        parts = box_parts(visit, method, look)
        if look.plan is not None and look.plan.policy is None:
            parts |= self._paint(visit, method, look.plan)
            if visit.state is before and not parts["notice"]:
                del parts["notice"]  # painted already: what was said of it stands
            return parts
        visit.refused = True  # nothing was painted, so no run follows
        if look.wrong and method.faithfulness != "does not apply":
            return {**parts, **self._refuse(visit, sentence(look.words))}
        return {**parts, "notice": ""}

    def _paint(self, visit: Visit, method: Method, plan: Plan) -> Parts:
        schedule = with_brushes(plan.schedule, own_brushes(visit.state))
        return self._dispatch(visit, Repaint(method.words, schedule, GROUP + method.name))

    def _look(self, visit: Visit, method: Method, *, patient: bool = False) -> Look:
        """What the method makes of what is known; never runs the model."""
        change = known_change(visit)
        setting = self.engine.setting(
            visit.state, change=change, learned=visit.learned, patient=patient
        )
        watched = Watched(setting or RecordedSetting(visit.state, change))
        try:
            plan = method.plan(watched)
            return Look(plan, "calibration" if plan.improvable else "")
        except Unready as error:
            return Look(missing=watched.missing or "calibration", words=str(error))
        except ValueError as error:
            return Look(words=str(error), wrong=True)
        except Exception as error:
            # A method is somebody's module; whatever it does, the page must go on.
            log.exception("method %s failed", method.name)
            return Look(words=f"{method.title} failed ({type(error).__name__})", wrong=True)

    def box(self, visit: Visit) -> Parts:
        """The box of the chosen method for what is known by now; nothing is painted."""
        method = visit.method
        if method is None:
            return {}
        look = self._look(visit, method)
        if isinstance(method, Budget) and look.plan is not None and _is_older(visit, look.plan):
            look = replace(look, words=text.OLDER.format(title=method.title))
        return box_parts(visit, method, look)

    # -- what changes the box from outside --------------------------------------------------

    def strokes(self, ops: tuple[Op, ...], visit: Visit) -> Parts:
        """The painter sent operations; undo may bring other steps, guidance or sampler back."""
        before = setting_of(visit.before)
        parts = super().strokes(ops, visit)
        return parts if setting_of(visit.state) == before else {**parts, **self.box(visit)}

    def configure(self, label: Any, seed: Any, cfg_scale: Any, sampler: Any, visit: Visit) -> Parts:
        """Class, seed, guidance or sampler changed; a calibration belongs to the last two."""
        before = visit.state.settings
        parts = super().configure(label, seed, cfg_scale, sampler, visit)
        now = visit.state.settings
        same = (before.cfg_scale, before.sampler) == (now.cfg_scale, now.sampler)
        return parts if same else {**parts, **self.box(visit)}

    def resteps(self, steps: Any, visit: Visit) -> Parts:
        """Another number of steps, which what was calibrated or learned may not be for."""
        parts = super().resteps(steps, visit)
        return {**parts, **self.box(visit)} if "grid" in parts else parts

    def _finished(self, visit: Visit, name: str, result: Result) -> Parts:
        parts = super()._finished(visit, name, result)
        return {**parts, **self.box(visit)} if "grid" in parts else parts

    # -- what runs the model ---------------------------------------------------------------

    def calibrate(self, name: Any, *given: Any) -> Iterator[Parts]:
        """Measure what the chosen method needs, then paint what it makes."""
        parts = self.turn(name, *given)
        visit: Visit = given[-1]
        if parts.get("notice"):
            yield parts
            return
        before = visit.state
        plan = yield from self._prepared(visit)
        method = visit.method
        if plan is None or method is None:
            return
        parts = self.box(visit)
        same = visit.state.schedule.actions.shape == before.schedule.actions.shape
        if plan.policy is not None:
            parts["notice"] = studio.notice_html(text.CALIBRATED_POLICY, "ready")
        elif same and visit.state.model == before.model:
            parts |= self._apply(visit, method)
            if not parts.get("notice"):
                parts["notice"] = studio.notice_html(text.CALIBRATED, "ready")
        yield parts

    def run_policy(self, name: Any, *given: Any) -> Iterator[Parts]:
        """Let the chosen method decide step by step, and show what it decides as it does."""
        parts = self.turn(name, *given)
        visit: Visit = given[-1]
        if parts.get("notice"):
            yield parts
            return
        plan = yield from self._prepared(visit)
        if plan is None:
            return
        if plan.policy is None:
            yield self._refuse(visit, text.NO_POLICY)
            return
        visit.refused = False
        yield from self._run(visit, plan.policy)

    def bake(self, visit: Visit) -> Parts:
        """Paint what the last policy decided."""
        result = visit.result
        if result.policy is None:
            return self._refuse(visit, text.NOTHING_TO_BAKE)
        if (result.executed == PARTLY).any():
            return self._refuse(visit, text.BAKES_NOT)
        baked = with_brushes(result.schedule, visit.state.schedule)
        return self._dispatch(visit, Repaint(f"bake {result.policy}", baked))

    def _prepared(self, visit: Visit) -> Generator[Parts, None, Plan | None]:
        """The chosen method's plan, running the model for whatever it still needs.

        None when it was stopped or could not be made; that has been said by then.
        """
        method, state = visit.method, visit.state
        assert method is not None
        if not (look := self._look(visit, method, patient=True)).missing:
            if look.plan is None:
                yield self._refuse(visit, sentence(look.words))
            return look.plan
        stopped = visit.session.begin_run()
        mine = visit.busy = object()
        shown = 0.0
        try:
            yield from self._waiting(visit)
            for item in self.engine.plan(
                state,
                method,
                change=known_change(visit),
                learned=visit.learned,
                stopped=stopped,
            ):
                if isinstance(item, Made):
                    return item.value
                if (now := time.monotonic()) - shown >= TELL_EVERY_S:
                    shown = now
                    words = f"Calibrating {method.title}: {item.words} …"
                    yield {"notice": studio.notice_html(words, "busy")}
        except Exception as error:
            visit.refused = True
            yield {"notice": failed("calibration", error)}
            return None
        finally:
            if visit.busy is mine:
                visit.busy = None
        if visit.session.at_rest:
            yield {"notice": studio.notice_html(text.STOPPED)}
        return None


def _is_older(visit: Visit, plan: Plan) -> bool:
    """Whether the grid is the chosen method's own, of something else than it would go by now."""
    state, method = visit.state, visit.method
    mine = method is not None and state.now.painted_by == (method.words, GROUP + method.name)
    same_shape = plan.schedule.actions.shape == state.schedule.actions.shape
    return mine and not (same_shape and studio.same_paint(plan.schedule, state.schedule))


def own_brushes(state: ViewState) -> Schedule:
    """The last schedule that no method painted: its brushes are somebody's own, and stay.

    Those of methods tried in between do not, or every tick of a slider would leave one.
    """
    for entry in reversed((*state.past, state.now)):
        if not (entry.painted_by[1] or "").startswith(GROUP):
            return entry.schedule
    return state.schedule


def known_change(visit: Visit) -> np.ndarray | None:
    """(S, L, R, K) of the last full run, carried over to the page's steps; None before one."""
    tables = studio.tables_for(visit.tables, visit.state.schedule.steps)
    return tables.change.astype(np.float32) if studio.changes_known(tables) else None
