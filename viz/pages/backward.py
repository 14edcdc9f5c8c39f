"""What undo, redo and the pins hold, as short texts for a browser, and read again.

Each entry is written as a link is, and comes back checked and bounded like one. Only the last ones
are kept; the colours chosen for brushes, and which edits were one step, are not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from caching.schedule import Schedule
from viz.grid.ops import Runs
from viz.link import Link, from_link, to_link
from viz.pages import asked
from viz.pages.links import home
from viz.state import Entry, Recall, Settings, ViewState

MOST_PAST, MOST_FUTURE = 12, 6
MAX_WHAT, MAX_LINK, MAX_ALL = 80, 4_000, 24_000  # characters

Words = tuple[str, str]  # what led to it, and the link


@dataclass(frozen=True)
class Backward:
    """Entries as they were read, oldest first; none of their links has been opened yet."""

    past: tuple[Words, ...] = ()
    future: tuple[Words, ...] = ()
    pins: tuple[Words | None, Words | None] = (None, None)

    @property
    def empty(self) -> bool:
        return not self.past and not self.future and self.pins == (None, None)


def backward_of(state: ViewState) -> dict[str, Any]:
    """What a browser is to keep, as JSON; empty where there is nothing to go back to."""
    left = MAX_ALL
    found: dict[str, Any] = {}
    pins = [None if one is None else _words(one, state) for one in (state.pin_a, state.pin_b)]
    if any(pins):
        found["pins"] = pins
        left -= sum(len(one[1]) for one in pins if one)
    for name, entries, most in (
        ("past", state.past, MOST_PAST),
        ("future", state.future, MOST_FUTURE),
    ):
        kept: list[Words] = []
        for entry in entries[: -most - 1 : -1]:  # the nearest first: a gap could not be gone over
            words = _words(entry, state)
            if words is None or len(words[1]) > left:
                break
            left -= len(words[1])
            kept.append(words)
        if kept:
            found[name] = kept[::-1]
    return found


def recall_of(given: Backward, state: ViewState) -> Recall:
    """The event that brings it back.

    Raises:
        CachebrushError, ValueError: an entry cannot be read, or does not go with this model.
    """
    a, b = (None if one is None else _entry(one, state) for one in given.pins)
    return Recall(_entries(given.past, state), _entries(given.future, state), a, b)


def _entries(given: Iterable[Words], state: ViewState) -> tuple[Entry, ...]:
    return tuple(_entry(one, state) for one in given)


def _entry(words: Words, state: ViewState) -> Entry:
    what, text = words
    link = from_link(text, model=home())
    if link.model != state.model.name or not isinstance(link.made, Schedule):
        raise ValueError("an entry of its history is of another model, or no grid")
    s = link.settings
    settings = asked.settings_of(s.label, s.seed, s.cfg_scale, s.sampler)
    asked.steps_of(link.steps)
    return Entry(what, link.made, None, (), link.locks, settings)


def _words(entry: Entry, state: ViewState) -> Words | None:
    """An entry as it is kept, None where it is too long for that."""
    link = _link(entry.schedule, entry.locks, entry.settings or state.settings)
    return (entry.what[:MAX_WHAT], link) if len(link) <= MAX_LINK else None


@lru_cache(maxsize=512)  # all of a history is written after every stroke
def _link(schedule: Schedule, locks: Runs, settings: Settings) -> str:
    return to_link(Link(home(), settings, schedule.steps, schedule, locks), model=home())
