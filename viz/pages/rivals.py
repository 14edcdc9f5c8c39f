"""Published methods at the work of the painted grid, run on the page's own picture."""

from __future__ import annotations

import html
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from caching.errors import CachebrushError
from caching.measure.result import Figures, Result
from caching.methods import Method, Plan, method_of
from caching.schedule import Schedule
from viz import text
from viz.numbers import psnr_words
from viz.pages import studio
from viz.pages.edits import Parts
from viz.pages.handlers import Handlers
from viz.pages.methods import GROUP, known_change
from viz.pages.pareto import shown
from viz.pages.runs import failed
from viz.pages.visit import Visit
from viz.state import Entry, ViewState

# What a schedule of one's own is usually held against: no rule of theirs decides while it runs.
RIVALS = ("fora", "taylorseer", "smoothcache", "l2c")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Met:
    """One rival as it came out, or why it did not."""

    title: str
    figures: Figures | None
    why: str = ""
    mine: bool = False


class Rivals:
    """The handlers of the button in the Pareto box."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers

    def run(self, quality: Any, cost: Any, visit: Visit) -> Iterator[Parts]:
        """Tune each rival to the work of the grid and run it; every one becomes a point."""
        state, engine = visit.state, self.handlers.engine
        if engine.get(state.model.name) is None:
            yield self.handlers.refuse(visit, text.STILL_LOADING)
            return
        target = self._speedup(state, state.schedule)
        if target < 1.001:
            yield self.handlers.refuse(visit, text.RIVALS_FULL)
            return
        stopped = visit.session.begin_run()
        met: list[Met] = []
        try:
            yield from self.handlers._waiting(visit)
            for name in RIVALS:
                kind = method_of(name)
                yield told(text.RIVALS_TUNING.format(title=kind.title))
                try:
                    method, plan = self._tuned(kind, target, visit)
                except CachebrushError as error:
                    met.append(Met(kind.title, None, str(error)))
                    continue
                entry = Entry(method.words, plan.schedule, GROUP + method.name)
                other = replace(state, now=entry)
                for item in engine.compare(other, stopped=stopped):
                    if not isinstance(item, Result):
                        words = text.RIVALS_RUNNING.format(title=method.words)
                        yield told(f"{words} {item.done} of {item.total}")
                        continue
                    visit.kept.keep(item)
                    visit.history.note(item, other)
                    met.append(Met(method.words, item.figures["cached"]))
                    yield {**shown(quality, cost, visit), "rivalry": rivalry_html(met, visit)}
                if stopped():
                    break
        except Exception as error:
            yield {"notice": failed("comparison", error)}
            return
        parts: Parts = {"rivalry": rivalry_html(met, visit)}
        if not stopped():
            visit.session.end_runs()
            parts["notice"] = studio.notice_html(text.RIVALS_DONE, "ready")
        elif visit.session.at_rest:
            parts["notice"] = studio.notice_html(text.STOPPED)
        yield parts

    def _speedup(self, state: ViewState, schedule: Schedule) -> float:
        """In multiply-accumulates, exact."""
        from caching.measure.cost import cost_of

        loaded = self.handlers.engine.get(state.model.name)
        if loaded is None:  # two others were loaded meanwhile
            raise CachebrushError(text.STILL_LOADING)
        full = Schedule.full(schedule.steps, schedule.blocks, branches=schedule.branches)
        mine = cost_of(loaded.model, schedule).macs
        return float(cost_of(loaded.model, full).macs / max(mine, 1))

    def _tuned(self, method: Method, target: float, visit: Visit) -> tuple[Method, Plan]:
        """The method with its controls at the work that is wanted.

        Raises:
            CachebrushError: it comes nowhere near, or needs what is not there.
        """
        from caching.study.tune import Tuner, matched

        state = visit.state
        setting = self.handlers.engine.setting(
            state, change=known_change(visit), learned=visit.learned, patient=True
        )
        if setting is None:
            raise CachebrushError(text.STILL_LOADING)
        rung = Tuner(method, setting, lambda plan: self._speedup(state, plan.schedule)).find(target)
        if not matched(rung.speedup, target):
            raise CachebrushError(text.RIVALS_FAR.format(speedup=rung.speedup))
        return rung.method, rung.plan


def told(words: str) -> Parts:
    """How far it is."""
    return {"notice": studio.notice_html(words, "busy")}


def rivalry_html(met: list[Met], visit: Visit) -> str:
    """Everyone at this work, the closest to the full picture first; those that failed say why."""
    rows = list(met)
    if not studio.is_stale(visit.result, visit.state) and visit.result.policy is None:
        figures = visit.result.figures
        mine = text.RIVALS_RECORDED if visit.result.recorded else text.RIVALS_MINE
        rows.append(Met(mine, figures["cached"], mine=True))
        plain = figures["fewer"]
        rows.append(Met(text.RIVALS_PLAIN.format(steps=plain.steps), plain))
    known = [one for one in rows if one.figures is not None]
    known.sort(key=lambda one: -(_db(one)))
    body = "".join(_row(one) for one in known)
    heads = "".join(f'<th scope="col">{head}</th>' for head in text.RIVALS_HEADS)
    gone = "".join(
        f"<p>{html.escape(f'{one.title}: {one.why}')}</p>" for one in rows if one.figures is None
    )
    if not known:
        return f'<div class="cb-rivals">{gone}</div>'
    return (
        f'<div class="cb-rivals" data-testid="rivals"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table>{gone}<p>{html.escape(text.RIVALS_ONE)}</p></div>"
    )


def _db(one: Met) -> float:
    assert one.figures is not None
    return -1.0 if one.figures.psnr_db is None else one.figures.psnr_db


def _row(one: Met) -> str:
    f = one.figures
    assert f is not None
    cells = (f"{f.work:.0%}", f"{f.speedup:.2f}×", psnr_words(f.psnr_db))
    mine = ' class="cb-mine"' if one.mine else ""
    return (
        f'<tr{mine}><th scope="row">{html.escape(one.title)}</th>'
        + "".join(f"<td>{cell}</td>" for cell in cells)
        + "</tr>"
    )
