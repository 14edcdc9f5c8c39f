"""What a browser remembers of a visit: view, lesson, ticks and grid, written and read again.

The text lies in the browser, where anybody may change it: what comes back is bounded and checked
like a link. What a teacher has put away is no part of it; that is the link's alone.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from caching.errors import RequestError
from viz.lessons.files import MAX_BYTES, load_lesson
from viz.lessons.values import Lesson, Score
from viz.link import MAX_CHARS, Link, to_link
from viz.pages.backward import (
    MAX_LINK,
    MAX_WHAT,
    MOST_FUTURE,
    MOST_PAST,
    Backward,
    Words,
    backward_of,
)
from viz.pages.links import home
from viz.place import MAX_LESSON, STUDIO, VIEWS
from viz.state import Settings

if TYPE_CHECKING:
    from viz.pages.handlers import Handlers
    from viz.pages.visit import Visit

VERSION = 1
OWN = "own-1"  # the one lesson of the visitor's own that is remembered: the open one
MAX_FINISHED, MAX_RUNS = 40, 20
MAX_TEXT = 2 * MAX_BYTES + 4 * MAX_CHARS
MOST_DB = 400.0


@dataclass(frozen=True)
class Remembered:
    """What a visitor left.

    Attributes:
        view: of VIEWS.
        lesson: name of the open lesson, "" for none.
        step: its first task that was not done.
        finished: names of lessons done to the end.
        link: the state as a link, "" where it cannot be brought back without another model.
        grid: the same with the grid itself, where `link` has a method by name; else "".
        board: the last runs.
        own: the open lesson, where it is from a file of the visitor's.
        backward: what undo, redo and the pins held, where there is a link.
    """

    view: str = "demo"
    lesson: str = ""
    step: int = 0
    finished: tuple[str, ...] = ()
    link: str = ""
    grid: str = ""
    board: tuple[Score, ...] = ()
    own: Lesson | None = None
    backward: Backward = field(default_factory=Backward)


def remembered_of(given: object) -> Remembered | None:
    """What a browser's text says, None where it remembers nothing.

    Raises:
        RequestError: it is no such text; nothing of it can be used.
    """
    if given is None or given == "":
        return None
    try:
        if not isinstance(given, str) or len(given) > MAX_TEXT:
            raise ValueError("it is too long, or no text")
        words = json.loads(given, parse_constant=_no_constant)
        if not isinstance(words, dict) or words.pop("v", None) != VERSION:
            raise ValueError(f"it is not of version {VERSION}")
        found = _remembered(words)
        if words:
            raise ValueError(f"it says {', '.join(sorted(words))!r:.60}, which is not known")
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(f"what this browser remembers cannot be read: {error!s:.200}") from error
    return found


def _remembered(words: dict[str, Any]) -> Remembered:
    own = _text(words.pop("own", ""), MAX_BYTES)
    found = Remembered(
        view=_text(words.pop("view", "demo"), 20),
        lesson=_text(words.pop("lesson", ""), MAX_LESSON),
        step=_whole(words.pop("step", 0), 10_000),
        finished=tuple(_text(one, MAX_LESSON) for one in _list(words.pop("finished", []))),
        link=_text(words.pop("link", ""), MAX_CHARS),
        grid=_text(words.pop("grid", ""), MAX_CHARS),
        board=tuple(_score(one) for one in _list(words.pop("board", []))),
        own=own_lesson(own.encode(), name=OWN) if own else None,
        backward=_backward(words),
    )
    if found.view not in VIEWS:
        raise ValueError(f"its view {found.view!r} is not known")
    return found


def text_of(visit: Visit, handlers: Handlers) -> str:
    """A visit as a text for its browser."""
    course, state = visit.course, visit.state
    lesson = course.lesson
    found: dict[str, Any] = {"v": VERSION, "view": state.place.view}
    if lesson is not None:
        found |= {"lesson": OWN if lesson.source else lesson.name, "step": course.step}
        found |= {"own": lesson.source} if lesson.source else {}
    if course.finished:
        known = [name for name in course.finished if not name.startswith("own-")]
        found["finished"] = known[-MAX_FINISHED:]
    if course.board:
        runs = [score for score in course.board if not math.isnan(score.psnr_db)]
        found["board"] = [_row(score) for score in runs[-MAX_RUNS:]]
    if state.model.name == home():
        link = str(handlers.copy_link(visit, STUDIO)["link"])
        steps = state.schedule.steps
        whole = Link(home(), state.settings, steps, state.schedule, state.now.locks)
        grid = to_link(whole, model=home())
        fits = {"link": link, "grid": "" if grid == link else grid}
        found |= {name: one for name, one in fits.items() if 0 < len(one) <= MAX_CHARS}
        found |= backward_of(state)
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False)


def own_lesson(data: bytes, *, name: str) -> Lesson:
    """A visitor's lesson, with its text; raises LessonError."""
    return replace(load_lesson(data, name=name), source=data.decode("utf-8-sig"))


# -- values --------------------------------------------------------------------------------


def _row(score: Score) -> list[Any]:
    model, label, seed, steps, cfg_scale, sampler = score.picture
    psnr_db = None if math.isinf(score.psnr_db) else score.psnr_db
    picture = [model, label, seed, steps, cfg_scale, sampler]
    return [f"{score.title:.120}", score.method, picture, score.work, psnr_db]


def _score(given: Any) -> Score:
    title, method, picture, work, psnr_db = _list(given, 5)
    model, label, seed, steps, cfg_scale, sampler = _list(picture, 6)
    asked = Settings(
        _whole(label, 2**31), _whole(seed, 2**53), _number(cfg_scale, 1000), _text(sampler, 40)
    )
    return Score(
        _text(title, 120), _text(method, 40),
        (_text(model, 300), asked.label, asked.seed, _whole(steps, 1000), asked.cfg_scale,
         asked.sampler),
        _number(work, 100), math.inf if psnr_db is None else _number(psnr_db, MOST_DB),
    )  # fmt: skip


def _backward(words: dict[str, Any]) -> Backward:
    past = _list(words.pop("past", []))
    future = _list(words.pop("future", []))
    if len(past) > MOST_PAST or len(future) > MOST_FUTURE:
        raise ValueError(f"it goes back more than {MOST_PAST} steps, or on more than {MOST_FUTURE}")
    pins = _list(words.pop("pins", [None, None]), 2)
    a, b = (None if one is None else _entry(one) for one in pins)
    return Backward(tuple(map(_entry, past)), tuple(map(_entry, future)), (a, b))


def _entry(given: Any) -> Words:
    what, link = _list(given, 2)
    return _text(what, MAX_WHAT), _text(link, MAX_LINK)


def _text(value: Any, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise ValueError(f"it says {value!r:.30} where a text of at most {most} letters is due")
    return value


def _whole(value: Any, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"it says {value!r:.30} where a whole number 0 to {most} is due")
    return value


def _number(value: Any, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"it says {value!r:.30} where a number 0 to {most:g} is due")
    return float(value)


def _list(value: Any, length: int | None = None) -> list[Any]:
    fits = isinstance(value, list) and len(value) <= MAX_FINISHED
    if not fits or (length is not None and len(value) != length):
        raise ValueError(f"it says {value!r:.30} where a list is due")
    found: list[Any] = value
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")
