"""Lines: the direct way of a painter to the handler of its strokes.

An event of Gradio's gathers inputs, tells every output and starts the events that follow: too much
to wait for at every release of the pointer. On its line the painter hears at once what became of a
stroke, and the event that brings the rest of the page up to date follows when the pointer rests.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from viz.grid.ops import Op

Answer = Callable[[tuple[Op, ...]], Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Line:
    """One painter's line, open for as long as somebody holds it.

    Attributes:
        token: names it; nobody can guess it, so only the page that was told can write.
        answer: takes operations in and returns what `grid_value` makes of the state after them.
    """

    token: str
    answer: Answer


_OPEN: WeakValueDictionary[str, Line] = WeakValueDictionary()


def open_line(answer: Answer) -> Line:
    """A new line to a handler."""
    line = Line(secrets.token_urlsafe(16), answer)
    _OPEN[line.token] = line
    return line


def line_of(message: Any) -> Line | None:
    """The line that a message of a page names; None if there is none, whatever was sent."""
    token = message.get("line") if isinstance(message, dict) else None
    return _OPEN.get(token) if isinstance(token, str) else None
