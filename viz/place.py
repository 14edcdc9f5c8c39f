"""Where a visitor is on the page: which view, which lesson, and what a teacher has put away.

Part of the state, so that a link brings it along; a few letters of the link each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# As the switch names them, and as one letter in a link.
VIEWS: Mapping[str, str] = {"demo": "d", "lessons": "l", "studio": "s"}
# What a teacher can put away, by a letter in a link, and what the tick box says.
HIDEABLE: Mapping[str, tuple[str, str]] = {
    "views": ("v", "The switch between views"),
    "method": ("m", "Methods"),
    "learn": ("l", "Learn a router"),
    "picture": ("p", "Class, seed, steps, guidance, sampler"),
    "files": ("f", "Save, open, export"),
    "model": ("o", "Another model"),
    "readouts": ("r", "Predicted numbers"),
    "numbers": ("n", "Measured numbers"),
    "curves": ("c", "Curves"),
    "study": ("s", "Study and figures below"),
}
MAX_LESSON = 80


@dataclass(frozen=True)
class Place:
    """Where a visitor is.

    Attributes:
        view: of VIEWS.
        lesson: the name of the open one, "" for none.
        hidden: of HIDEABLE, what is put away.
        keeps: whether class and seed must stay as they are.
    """

    view: str = "demo"
    lesson: str = ""
    hidden: tuple[str, ...] = ()
    keeps: bool = False


FIRST = Place()  # where a page opens without a link
STUDIO = Place("studio")  # where links lead that say nothing of it


def to_words(place: Place) -> dict[str, Any]:
    """The place as words of a link; none for the studio as it is."""
    words: dict[str, Any] = {}
    if place.view != STUDIO.view:
        words["v"] = VIEWS[place.view]
    if place.lesson:
        words["e"] = place.lesson
    if place.hidden:
        words["h"] = "".join(HIDEABLE[name][0] for name in place.hidden)
    if place.keeps:
        words["y"] = 1
    return words


def take_place(words: dict[str, Any]) -> Place:
    """Take the words of a place out of those of a link; ValueError when they say none."""
    letter, lesson = words.pop("v", VIEWS[STUDIO.view]), words.pop("e", "")
    hidden, keeps = words.pop("h", ""), words.pop("y", 0)
    views = {short: name for name, short in VIEWS.items()}
    if not isinstance(letter, str) or letter not in views:
        raise ValueError(f"its view {letter!r:.30} is not known")
    if not isinstance(lesson, str) or len(lesson) > MAX_LESSON or not (lesson + "x").isprintable():
        raise ValueError(f"its lesson {lesson!r:.30} is no name")
    known = {short: name for name, (short, _) in HIDEABLE.items()}
    if not isinstance(hidden, str) or len(set(hidden)) < len(hidden) or set(hidden) - set(known):
        raise ValueError(f"it hides {hidden!r:.30}, which is not known")
    if keeps not in (0, 1) or isinstance(keeps, bool):
        raise ValueError(f"it keeps {keeps!r:.30}, expected 0 or 1")
    return Place(views[letter], lesson, tuple(known[short] for short in hidden), keeps == 1)


def place_of(given: object) -> Place | None:
    """The place that a readable address names: "#studio", "#lessons" or "#lesson-<name>"."""
    if not isinstance(given, str) or len(given) > MAX_LESSON + 7:
        return None
    if given in VIEWS:
        return Place(given)
    lesson = given.removeprefix("lesson-")
    return Place("lessons", lesson) if lesson != given and lesson.isprintable() else None
