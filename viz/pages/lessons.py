"""The handlers of lessons: opening one, beginning anew, and looking whether a task is done."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

from caching.errors import CachebrushError
from caching.methods import method_of
from caching.schedule import Schedule
from viz import text
from viz.lessons import Lesson, LessonError, load_lesson
from viz.lessons.files import MAX_BYTES
from viz.lessons.panel import board_html, lesson_html, list_html
from viz.link import Link, from_link
from viz.pages import asked, studio
from viz.pages.course import MAX_OWN, Course, advanced, begun, picture_of, statuses
from viz.pages.edits import Parts
from viz.pages.handlers import Handlers
from viz.pages.links import home
from viz.pages.remembered import own_lesson
from viz.pages.views import demo_html, place_parts, preset_of
from viz.pages.visit import Visit, start_visit
from viz.place import Place
from viz.state import Configure, Gather, Repaint, Resteps, Settings, Show

FOLDER = Path(__file__).resolve().parents[2] / "presets" / "lessons"


@cache
def shipped() -> tuple[Lesson, ...]:
    """The lessons of this copy, in the order of their files: "3-paint.json" is "paint"."""
    return tuple(
        load_lesson(path.read_bytes(), name=path.stem.split("-", 1)[-1])
        for path in sorted(FOLDER.glob("*.json"))
    )


def known(course: Course) -> tuple[Lesson, ...]:
    """All lessons of a visitor: shipped ones, then their own."""
    return (*shipped(), *course.own)


def choices(course: Course) -> list[tuple[str, str]]:
    """The list of lessons: what is read, and the name."""
    return [
        (f"{'✓ ' if one.name in course.finished else ''}{k}. {one.title}", one.name)
        for k, one in enumerate(known(course), 1)
    ]


class Lessons:
    """The handlers of the lesson panel."""

    _lock = threading.Lock()  # two events of a visitor may look at once; a look takes no time

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers

    def look(self, visit: Visit) -> Parts:
        """After any edit or run: score it, tick off what is done, and show that."""
        with self._lock:
            before = visit.course
            visit.course = now = advanced(before, visit)
        preset = gr.update(value=preset_of(visit))
        parts: Parts = {"lesson": panel(visit), "demo": demo_html(visit), "preset": preset}
        if now.finished != before.finished:
            parts |= list_parts(visit)
        return {**parts, **buttons(now)}

    def choose(self, name: Any, visit: Visit) -> Parts:
        """Open a lesson on its own start."""
        lesson = next((one for one in known(visit.course) if one.name == name), None)
        if lesson is None:
            return self.refused(visit, f"there is no lesson {name!r:.60}")
        return self.open(lesson, visit)

    def open(self, lesson: Lesson, visit: Visit) -> Parts:
        """Open a lesson; one whose start cannot be opens nothing."""
        own = lesson not in shipped()
        place = Place(
            "lessons", "" if own else lesson.name, visit.state.place.hidden, lesson.keeps_seed
        )
        try:
            link = start_of(lesson, visit)
            visit.session.dispatch(Show(replace(place, keeps=False)))  # its start may move the seed
            parts: Parts = (
                {}
                if link is None
                else self.handlers.take_link(link, visit, f"lesson {lesson.title}")
            )
        except (CachebrushError, ValueError) as error:
            return self.refused(visit, str(error))
        visit.session.dispatch(Show(place))
        visit.course = begun(visit.course, lesson, visit)
        notice = parts.get("notice", "")
        if 'data-kind="error"' not in notice:
            notice = studio.notice_html(text.LESSON_OPENED.format(title=lesson.title), "ready")
        return {**merged(parts, place_parts(visit)), **self.look(visit), "notice": notice}

    def again(self, visit: Visit) -> Parts:
        """Back to how the lesson, or a teacher's page, began."""
        course, before = visit.course, visit.state
        if course.schedule is None or course.settings is None:
            return self.refused(visit, text.NOTHING_BEGUN)
        settings = course.settings
        visit.session.dispatch(Show(replace(before.place, keeps=False)))
        visit.session.dispatch(Configure(settings))
        visit.session.dispatch(Resteps(course.schedule.steps))
        visit.session.dispatch(Repaint(text.START_AGAIN, course.schedule))
        visit.session.dispatch(Gather(before))
        visit.session.dispatch(Show(before.place))
        visit.course = begun(course, course.lesson, visit)
        parts = self.handlers.all_changed(visit, before)
        return {**merged(parts, place_parts(visit)), **self.look(visit)}

    def next(self, visit: Visit) -> Parts:
        """The lesson after the open one, the list after the last."""
        lessons, now = known(visit.course), visit.course.lesson
        place = next((k for k, one in enumerate(lessons) if now and one.name == now.name), -1)
        if now is None or place + 1 >= len(lessons):
            return self.leave(visit)
        return self.open(lessons[place + 1], visit)

    def leave(self, visit: Visit) -> Parts:
        """Back to the list; the grid stays."""
        visit.session.dispatch(Show(replace(visit.state.place, lesson="", keeps=False)))
        visit.course = begun(visit.course, None, visit)
        return {**place_parts(visit), **list_parts(visit), **self.look(visit), "notice": ""}

    def upload(self, path: Any, visit: Visit) -> Parts:
        """A lesson file of the visitor's own."""
        file = Path(str(path))
        try:
            with file.open("rb") as opened:
                data = opened.read(MAX_BYTES + 1)
            names = {one.name for one in known(visit.course)}
            name = next(f"own-{k}" for k in range(1, 1000) if f"own-{k}" not in names)
            lesson = own_lesson(data, name=name)
        except (LessonError, OSError) as error:
            return self.refused(visit, f"{file.name:.60}: {error}")
        before = visit.course
        visit.course = replace(before, own=(*before.own, lesson)[-MAX_OWN:])
        parts = self.open(lesson, visit)
        if visit.course.lesson is not lesson:  # its start was refused
            visit.course = before
            return parts
        return {**parts, **list_parts(visit)}

    def refused(self, visit: Visit, why: str) -> Parts:
        """Say why a lesson was not opened; nothing has changed."""
        return self.handlers.refuse(visit, text.LESSON_REFUSED.format(why=why))


def start_of(lesson: Lesson, visit: Visit) -> Link | None:
    """What the page is set to when a lesson is opened; None to leave it as it is.

    Raises:
        CachebrushError, ValueError: it cannot be set to that.
    """
    start = lesson.start
    if not start:
        return None
    first = _first()
    if "link" in start:
        link = from_link(start["link"], model=home())
    elif "method" in start:
        made = method_of(start["method"], **start.get("values", {}))
        link = Link(first.model.name, first.settings, first.schedule.steps, made)
    else:
        grid = first.schedule
        if "grid" in start:
            grid = Schedule.full(grid.steps, grid.blocks, branches=grid.branches)
            grid = replace(grid, legend=first.schedule.legend)
        link = Link(first.model.name, first.settings, grid.steps, grid)
    s, names = link.settings, visit.state.model.class_names
    if "class" in start and start["class"] not in names:
        raise LessonError(f"class {start['class']!r:.40} is not one of {', '.join(names)}.")
    settings = Settings(
        names.index(start["class"]) if "class" in start else s.label,
        int(start.get("seed", s.seed)),
        float(start.get("guidance", s.cfg_scale)),
        start.get("sampler", s.sampler),
    )
    steps = asked.steps_of(start.get("steps", link.steps))
    if isinstance(link.made, Schedule):
        link = replace(link, made=link.made.resample(steps))
    return replace(link, settings=settings, steps=steps)


@cache
def _first() -> Any:
    """The state every page begins with."""
    return start_visit().state


# -- what is shown -------------------------------------------------------------------------


def panel(visit: Visit) -> str:
    """The open lesson, or what stands above the list."""
    course = visit.course
    lesson = course.lesson
    if lesson is None:
        return list_html(known(course), course.finished)
    board = ""
    if "board" in lesson.show:
        board = board_html(course.board, picture_of(visit.result))
    number = ""
    if lesson in shipped():
        number = text.LESSON_NUMBER.format(number=shipped().index(lesson) + 1, count=len(shipped()))
    return lesson_html(lesson, course.step, statuses(course, visit), board=board, number=number)


def list_parts(visit: Visit) -> Parts:
    """The list of lessons, which loses its choice so that the same one can be chosen again."""
    return {"lessons": gr.update(choices=choices(visit.course), value=None)}


def buttons(course: Course) -> Parts:
    """Which buttons of the panel are of use."""
    lesson = course.lesson
    ended = lesson is not None and course.step >= len(lesson.steps)
    return {
        "lesson_next": gr.update(visible=ended),
        "lesson_again": gr.update(visible=lesson is not None),
        "lesson_leave": gr.update(visible=lesson is not None),
    }


def merged(parts: Parts, more: Parts) -> Parts:
    """Updates of both; where both speak of one component, the later words win."""
    both = dict(parts)
    for name, update in more.items():
        old = both.get(name)
        whole = isinstance(old, dict) and isinstance(update, dict)
        both[name] = {**old, **update} if whole and old is not None else update
    return both
