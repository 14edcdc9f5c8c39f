"""Coming back: a page that opens in a browser that remembers a visit goes on where that was left.

What the address says comes first: a link's state, unless the browser says that this very page has
been worked on since, a lesson by its name, and a view.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from caching.errors import CachebrushError
from caching.methods import Method
from viz import text
from viz.lessons import Lesson
from viz.link import Link, from_link
from viz.pages import studio
from viz.pages.backward import recall_of
from viz.pages.course import begun
from viz.pages.edits import Parts, refusal
from viz.pages.lessons import Lessons, known, list_parts, merged, shipped
from viz.pages.links import home
from viz.pages.remembered import OWN, Remembered, remembered_of, text_of
from viz.pages.views import place_parts
from viz.pages.visit import Visit
from viz.place import Place
from viz.state import Show


class Resume:
    """The handlers of what a browser remembers, around those of lessons and links."""

    def __init__(self, lessons: Lessons) -> None:
        self.lessons, self.handlers = lessons, lessons.handlers

    def keep(self, visit: Visit) -> str:
        """The visit as a text, "" while nothing has happened since the page opened."""
        now = text_of(visit, self.handlers)
        if visit.arrived is None or now == visit.arrived:
            return ""
        visit.arrived = ""  # from now on also what looks as it did at first
        return now

    def resumed(self, given: Any, named: Place | None, parts: Parts, visit: Visit) -> Parts:
        """What the page shows that has taken its address, gone on where the visit was left.

        Args:
            given: what the browser remembers, which may be anything.
            named: the place that the address names, None where it holds a link or nothing.
            parts: what the page shows so far.
            visit: on the state of its address.
        """
        try:
            left = remembered_of(given)
        except CachebrushError as error:
            visit.refused = True  # said until something is done, also when the model is live
            return {**parts, "notice": refusal(text.MEMORY_REFUSED.format(why=error))}
        if left is None:
            return parts
        finished = tuple(one.name for one in shipped() if one.name in left.finished)
        own = () if left.own is None else (left.own,)
        visit.course = replace(visit.course, finished=finished, board=left.board, own=own)
        if named is not None and named.lesson and named.lesson != left.lesson:
            return merged(parts, {**list_parts(visit), **self.lessons.look(visit)})
        before = visit.state
        parts = merged(parts, self._lesson(left, visit))
        parts = merged(parts, self._grid(left, visit))
        parts = merged(parts, self._backward(left, visit))
        view = named.view if named is not None and not named.lesson else left.view
        visit.session.dispatch(Show(replace(visit.state.place, view=view)))
        changed = visit.state.now is not before.now or visit.course.lesson is not None
        parts = merged(merged(parts, place_parts(visit)), self.lessons.look(visit))
        if changed and not visit.refused:
            visit.greeting = text.MEMORY_BACK
            parts["notice"] = studio.notice_html(visit.greeting, "ready")
        return {**parts, **list_parts(visit)}

    def _lesson(self, left: Remembered, visit: Visit) -> Parts:
        """The lesson that was open, at its first task that was not done."""
        now = visit.course.lesson
        lesson = _named(left.lesson, visit)
        parts: Parts = {}
        if lesson is None:
            if now is not None and not left.lesson:  # the link's own was left
                place = replace(visit.state.place, lesson="", keeps=False)
                visit.session.dispatch(Show(place))
                visit.course = begun(visit.course, None, visit)
            return parts
        if now is None or now.name != lesson.name:
            parts = self.lessons.open(lesson, visit)
        if visit.course.lesson is lesson:
            step = min(left.step, len(lesson.steps))
            visit.course = replace(visit.course, step=step, at=visit.result)
        return parts

    def _grid(self, left: Remembered, visit: Visit) -> Parts:
        """Settings and grid as they were left; where they cannot be, the page stays as it is."""
        if not left.link:
            return {}
        try:
            link = from_link(left.link, model=home())
            parts = self.handlers.take_link(link, visit, text.MEMORY_STEP)
            if isinstance(link.made, Method) and left.grid:
                parts = merged(parts, self._as_left(from_link(left.grid, model=home()), visit))
        except (CachebrushError, ValueError) as error:
            visit.refused = True
            return {"notice": refusal(text.MEMORY_REFUSED.format(why=error))}
        return parts

    def _backward(self, left: Remembered, visit: Visit) -> Parts:
        """What could be undone and done again, and the pins, around a grid that is as it was."""
        if not left.link or left.backward.empty or visit.refused:
            return {}
        before = visit.state
        try:
            visit.session.dispatch(recall_of(left.backward, before))
        except (CachebrushError, ValueError) as error:
            visit.refused = True
            return {"notice": refusal(text.MEMORY_REFUSED.format(why=error))}
        shown = self.handlers.all_changed(visit, before)
        return {name: part for name, part in shown.items() if name != "notice"}

    def _as_left(self, whole: Link, visit: Visit) -> Parts:
        """The grid itself, where its method makes another one by now or waits for the model."""
        if not visit.refused and whole.made == visit.state.schedule:
            return {}
        return self.handlers.take_link(whole, visit, text.MEMORY_STEP)


def _named(name: str, visit: Visit) -> Lesson | None:
    """A lesson of this copy or of the visitor's own, by its name."""
    found = next((one for one in known(visit.course) if one.name == name), None)
    return found if found is None or found.name == OWN or found in shipped() else None
