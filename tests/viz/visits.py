"""What the tests of the handlers share: strokes, values nobody should send, reading notices."""

from __future__ import annotations

import math
from typing import Any

from viz.grid.ops import Paint
from viz.methods import SLOTS, kind_of, shown_controls
from viz.pages.edits import Parts
from viz.pages.handlers import Handlers
from viz.pages.visit import Visit

CELLS = 20 * 12 * 2
HUGE = 10**400
# No control of the page sends these, but anybody can send them to its address.
JUNK = [None, math.nan, math.inf, -math.inf, HUGE, -1, 1.5, True, "7", "", "x" * 9999, [], {}, [3]]


def stroke(rev: int, start: int = 1, length: int = 3, to: int = 0, of: int = CELLS) -> Paint:
    return Paint(rev, to, ((start, length),), of)


def given(name: str, **values: Any) -> list[Any]:
    """What the page sends for a method: its name, then the sliders and the lists of all places.

    Places that show nothing hold what they held before; anything may stand there.
    """
    numbers: list[Any] = [-77.0] * SLOTS
    words: list[Any] = ["left over"] * SLOTS
    for k, control in enumerate(shown_controls(kind_of(name))):
        place = words if control.choices else numbers
        place[k] = values.pop(control.name, control.default)
    assert not values, values
    return [name, *numbers, *words]


def turned(handlers: Handlers, visit: Visit, name: str, **values: Any) -> Parts:
    """Choose a method and set some of its controls."""
    return handlers.turn(*given(name, **values), visit)


def refused(parts: Parts, *words: str) -> None:
    """The notice is an error, in words, and short."""
    notice = parts["notice"]
    assert 'data-kind="error"' in notice and len(notice) < 900, notice
    assert all(word in notice for word in words), notice
    assert "Traceback" not in notice and "ufunc" not in notice and "NoneType" not in notice


def kinds(events: list[Parts]) -> list[str]:
    """The kinds of the notices, repeats left out."""
    found = [p["notice"].split('data-kind="')[1].split('"')[0] for p in events if p.get("notice")]
    return [k for n, k in enumerate(found) if not n or found[n - 1] != k]
