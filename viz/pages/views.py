"""The three ways in: which view is shown, what a teacher has put away, and the demo's answers."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

from caching.errors import CachebrushError
from caching.schedule import Schedule
from viz import text
from viz.lessons.panel import rich
from viz.link import from_link
from viz.numbers import psnr_words
from viz.pages import studio
from viz.pages.edits import Parts, settings_parts
from viz.pages.handlers import Handlers
from viz.pages.links import home
from viz.pages.visit import Visit
from viz.place import HIDEABLE, VIEWS
from viz.state import Repaint, Show

PRESETS = Path(__file__).resolve().parents[2] / "presets" / "demo.json"
# From looking at pictures of the shipped model, not a standard; the page says that it goes by PSNR.
SEEN_DB = ((40.0, "No"), (33.0, "Hardly"), (26.0, "A little"), (-math.inf, "Yes"))


@dataclass(frozen=True)
class Preset:
    """One of the demo's schedules."""

    name: str
    title: str
    schedule: Schedule


@cache
def presets() -> tuple[Preset, ...]:
    """The demo's schedules, in the order of the file."""
    found = []
    for one in json.loads(PRESETS.read_text(encoding="utf-8"))["presets"]:
        made = from_link(one["link"], model=home()).made
        assert isinstance(made, Schedule)
        found.append(Preset(one["name"], one["title"], made))
    return tuple(found)


class Views:
    """The handlers of the switch, the demo and the teacher's box."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers

    def show(self, view: Any, visit: Visit) -> Parts:
        """Another view of the same state."""
        if not isinstance(view, str) or view not in VIEWS:
            return self.handlers.refuse(visit, f"view {view!r:.30} is not known.")
        visit.session.dispatch(Show(replace(visit.state.place, view=view)))
        return {"place": place_html(visit), "notice": gr.skip()}

    def preset(self, name: Any, visit: Visit) -> Parts:
        """Paint one of the demo's schedules."""
        found = next((one for one in presets() if one.name == name), None)
        if found is None:
            return self.handlers.refuse(visit, f"preset {name!r:.30} is not known.")
        steps = visit.state.schedule.steps
        schedule = _at(found, steps)
        try:
            return self.handlers.repaint(visit, Repaint(found.title, schedule))
        except (CachebrushError, ValueError) as error:
            return self.handlers.refuse(visit, str(error))

    def another(self, visit: Visit) -> Parts:
        """Another picture: the next class, and the next seed."""
        s, count = visit.state.settings, len(visit.state.model.class_names)
        label = (s.label + 1) % count
        parts = self.handlers.configure(label, s.seed + 1, s.cfg_scale, s.sampler, visit)
        return {**parts, **settings_parts(visit.state)}

    def run(self, visit: Visit) -> Iterator[Parts]:
        """Run what the demo has painted, also where one must wait for the live model."""
        if not visit.refused and studio.is_stale(visit.result, visit.state):
            yield from self.handlers.run((), visit)

    def share(self, view: Any, visit: Visit) -> Parts:
        """A link to what the page shows: the event of its switch may still be on its way."""
        place = visit.state.place
        if isinstance(view, str) and view in VIEWS:
            place = replace(place, view=view)
        return self.handlers.copy_link(visit, place)

    def teach(self, hidden: Any, keeps: Any, visit: Visit) -> Parts:
        """A link to this page with some of it put away."""
        names = hidden if isinstance(hidden, list) else []
        away = tuple(name for name in HIDEABLE if name in names)
        place = replace(visit.state.place, hidden=away, keeps=keeps is True)
        parts = self.handlers.copy_link(visit, place)
        words = text.TEACH_COPIED.format(count=len(parts["link"]))
        return {**parts, "notice": studio.notice_html(words, "ready")}


def _at(preset: Preset, steps: int) -> Schedule:
    """The schedule of a preset at so many steps."""
    schedule = preset.schedule
    return schedule if schedule.steps == steps else schedule.resample(steps)


def preset_of(visit: Visit) -> str | None:
    """The name of the preset that the grid is, if it is one."""
    shape = visit.state.schedule.actions.shape
    for one in presets():
        made = _at(one, shape[0])
        if made.actions.shape == shape and studio.same_paint(made, visit.state.schedule):
            return one.name
    return None


def place_parts(visit: Visit) -> Parts:
    """The page arranged for where the visitor is."""
    place = visit.state.place
    return {
        "view": gr.update(value=place.view),
        "place": place_html(visit),
        "demo": demo_html(visit),
        "label": gr.update(interactive=not place.keeps),
        "seed": gr.update(interactive=not place.keeps),
        "another": gr.update(interactive=not place.keeps),
    }


def place_html(visit: Visit) -> str:
    """Marks that the style sheet reads: what is put away, and what an open lesson needs."""
    place, lesson = visit.state.place, visit.course.lesson
    marks = [f"cb-hide-{name}" for name in place.hidden]
    if lesson is not None:
        marks += ["cb-in-lesson", *(f"cb-show-{box}" for box in lesson.show)]
    if place.hidden or place.keeps:
        marks.append("cb-taught")
    return (
        f'<i class="{" ".join(["cb-marks", *marks])}" data-view="{place.view}" '
        f'data-lesson="{html.escape(place.lesson)}"></i>'
    )


def demo_html(visit: Visit) -> str:
    """Is it faster, is it worse, was it worth it: the numbers of the run on show, in words."""
    result = visit.result
    full, cached, fewer = (result.figures[n] for n in ("full", "cached", "fewer"))
    stale = studio.is_stale(result, visit.state)
    saved = 1 - cached.work
    if saved < 5e-4:
        title, rows = text.DEMO_NOTHING, []
    else:
        title = text.DEMO_TITLE.format(share=f"{saved:.0%}")
        time = f"{full.median_ms:.0f} ms → {cached.median_ms:.0f} ms"
        worse = worse_words(cached.psnr_db)
        rows = [
            (text.DEMO_FASTER, f"{cached.speedup:.2f}×", f"{time} ([[speed-up|measured]])"),
            (text.DEMO_WORSE, worse, text.DEMO_BY.format(psnr=psnr_words(cached.psnr_db))),
            (text.DEMO_WORTH, *_worth(cached.psnr_db, fewer.psnr_db, fewer.steps)),
        ]
    items = "".join(
        f"<div><dt>{html.escape(question)}</dt><dd><b>{html.escape(answer)}</b> {rich(more)}"
        "</dd></div>"
        for question, answer, more in rows
    )
    note = text.DEMO_STALE if stale else result.recorded or f"measured on {result.setting}"
    return (
        f'<div class="cb-answers{" cb-stale" if stale else ""}" data-testid="answers">'
        f"<h2>{html.escape(title)}</h2><dl>{items}</dl>"
        f'<p class="cb-source">{html.escape(note)}</p></div>'
    )


def worse_words(psnr_db: float | None) -> str:
    """Whether a difference is seen, in a word."""
    if psnr_db is None:
        return "–"
    return next(word for limit, word in SEEN_DB if psnr_db >= limit)


def _worth(cached_db: float | None, fewer_db: float | None, steps: int) -> tuple[str, str]:
    """Against the rival of the same work: yes or no, and by how much."""
    assert cached_db is not None and fewer_db is not None
    gap = cached_db - fewer_db
    if math.isnan(gap) or abs(gap) < 0.5:
        return "About even", text.DEMO_EVEN.format(steps=steps)
    by = "much" if math.isinf(gap) else f"{abs(gap):.1f} dB"
    words = text.DEMO_CLOSER if gap > 0 else text.DEMO_FARTHER
    return "Yes" if gap > 0 else "No", words.format(by=by, steps=steps)
