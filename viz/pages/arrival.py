"""The opening of a page: which view, which lesson, which state, by what its address says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from viz import text
from viz.link import from_link
from viz.pages.course import begun
from viz.pages.edits import Parts
from viz.pages.lessons import Lessons, list_parts, merged, shipped
from viz.pages.links import home
from viz.pages.pareto import shown
from viz.pages.remembered import text_of
from viz.pages.resume import Resume
from viz.pages.views import place_parts
from viz.pages.visit import Visit
from viz.place import Place, place_of
from viz.state import Show


class Arrival:
    """The handler of the page's opening, around the one that takes a state and goes live."""

    def __init__(self, lessons: Lessons) -> None:
        self.lessons, self.handlers = lessons, lessons.handlers
        self.resume = Resume(lessons)

    def arrive(self, address: Any, visit: Visit, left: Any = "") -> Iterator[Parts]:
        """Take what stands behind # in the address: a view, a lesson, or a whole state.

        `left`: what the browser remembers of a visit before, to go on with.
        """
        named = place_of(address)
        steps = self.handlers.arrive(None if named else address, visit)
        parts = next(steps)
        if named is not None:
            parts = self._at(visit, named, parts)
        elif address and not visit.refused:
            parts = self._taught(visit, from_link(address, model=home()).place, parts)
        if not visit.refused:
            parts = self.resume.resumed(left, named, parts, visit)
        visit.arrived = text_of(visit, self.handlers)
        yield parts
        yield figures(visit)
        yield from steps

    def _at(self, visit: Visit, place: Place, parts: Parts) -> Parts:
        """A view by its name, or a lesson on its own start."""
        visit.session.dispatch(Show(replace(place, lesson="")))
        parts = {**parts, **place_parts(visit)}
        if place.lesson:
            parts = {**parts, **self.lessons.choose(place.lesson, visit)}
        return parts

    def _taught(self, visit: Visit, place: Place, parts: Parts) -> Parts:
        """The place a link names, on the state that it has brought."""
        lesson = next((one for one in shipped() if one.name == place.lesson), None)
        if place.lesson and lesson is None:
            words = text.LESSON_UNKNOWN.format(name=f"{place.lesson!r:.60}")
            place, parts = (
                replace(place, lesson=""),
                {**parts, **self.lessons.refused(visit, words)},
            )
        visit.session.dispatch(Show(place))
        visit.course = begun(visit.course, lesson, visit)
        visit.greeting = "" if visit.refused else text.LINK_OPENED
        shown = merged(merged(parts, place_parts(visit)), self.lessons.look(visit))
        return {
            **shown,
            **list_parts(visit),
            "again": gr.update(visible=bool(place.hidden or place.keeps)),
        }


def figures(visit: Visit) -> Parts:
    """The figures that a page opens without, so that its first screen need not wait for them."""
    return {"curves": visit.curves(), "pareto": shown("psnr", "time", visit)["pareto"]}
