"""Lines: the direct way of a painter to the handler of its strokes.

An event of Gradio's gathers inputs, tells every output and starts the events that follow: too much
to wait for at every release of the pointer. On its line, an address of our own, the painter hears
at once what became of a stroke, and the event that brings the rest of the page up to date follows
when the pointer rests.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from viz import served
from viz.grid.ops import Op
from viz.grid.parse import parse_ops

ADDRESS = f"{served.PREFIX}/line"
MAX_BYTES = 2**21  # of a message; a stroke has hundreds, and what is longer goes Gradio's way
LONG_BYTES = 2**15  # of one that must not hold up everybody else's
_NOTHING = b"null"

Take = Callable[[tuple[Op, ...]], None]
Tell = Callable[[], Mapping[str, Any]]
Choose = Callable[[str], Mapping[str, Any] | None]


@dataclass(frozen=True, eq=False)
class Line:
    """One painter's line, open for as long as somebody holds it.

    Attributes:
        token: names it; nobody can guess it, so only the page that was told can write.
        take: takes operations in; what is wrong with them is said by what `tell` returns.
        tell: what `grid_value` makes of the state, or those entries of it that may have changed.
        choose: paints what a method makes; gives what the painter must know besides, such as its
            `spec`, or None where an event has to bring that.
    """

    token: str
    take: Take
    tell: Tell
    choose: Choose


_OPEN: WeakValueDictionary[str, Line] = WeakValueDictionary()


def open_line(take: Take, tell: Tell, choose: Choose = lambda name: None) -> Line:
    """A new line to a handler."""
    line = Line(secrets.token_urlsafe(16), take, tell, choose)
    _OPEN[line.token] = line
    return line


def line_of(message: Any) -> Line | None:
    """The line that a message of a page names; None if there is none, whatever was sent."""
    token = message.get("line") if isinstance(message, dict) else None
    return _OPEN.get(token) if isinstance(token, str) else None


@dataclass(frozen=True)
class Answer:
    """What goes back.

    Attributes:
        body: JSON; `null` if there is no such line or nothing to be read: the page takes Gradio's
            way, on which it is said what was wrong.
        taken_s: when the state was written, in seconds of this machine's clock; 0: it was not.
    """

    body: bytes
    taken_s: float = 0.0


def answer(body: bytes) -> Answer:
    """The answer to a message, which anybody may have sent."""
    try:
        message = json.loads(body)
        line, ops = line_of(message), parse_ops(message)
    except (ValueError, RecursionError):
        return Answer(_NOTHING)
    if line is None:
        return Answer(_NOTHING)
    line.take(ops)
    more: Mapping[str, Any] | None = {}
    if isinstance(name := message.get("choose"), str):
        more = line.choose(name)
    taken_s = time.time()
    if more is None:
        return Answer(_NOTHING, taken_s)
    text = json.dumps({**line.tell(), **more}, separators=(",", ":"), allow_nan=False)
    return Answer(text.encode(), taken_s)


async def _hear(request: Request) -> Response:
    """Answer in this very thread, which waits for no other, unless that would take long."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BYTES:
            return Response(_NOTHING, 413, media_type="application/json")
    given = bytes(body)
    short = len(given) <= LONG_BYTES and b'"choose"' not in given
    made = answer(given) if short else await run_in_threadpool(answer, given)
    # For whoever wants to know how long a stroke takes to get here; browsers show it, too.
    timing = {"Server-Timing": f"taken;dur={1000 * made.taken_s:.3f}"} if made.taken_s else None
    return Response(made.body, media_type="application/json", headers=timing)


def routes() -> list[Route]:
    """For `launch(app_kwargs={"routes": ...})`."""
    return [Route(f"/{ADDRESS}", _hear, methods=["POST"])]
