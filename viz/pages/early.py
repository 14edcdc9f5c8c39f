"""A script in the page's first bytes: it runs before Gradio's own, which takes a page's head later.

What Gradio gives for `launch(head=…)` comes with its configuration, when its scripts have already
taken hold of the browser's functions and the first boxes stand.
"""

from __future__ import annotations

import gzip
from importlib.resources import files

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEVEL = 5  # half a megabyte becomes a seventh, in a few milliseconds
_HEAD = b"<head>"
SCRIPT = files(__package__).joinpath("opening.js").read_text(encoding="utf-8")
# Not in the page's style sheet, which comes later.
STYLE = ".cb-opening :is(.cb-main, .cb-main ~ *, .cb-footer) { visibility: hidden; }"
EARLY = f"<style>{STYLE}</style><script>\n{SCRIPT}</script>".encode()


class Early:
    """Puts the script into the page itself, and packs it; everything else passes as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not is_page(scope["path"]):
            await self.app(scope, receive, send)
            return
        begun: list[Message] = []
        body = b""

        async def gather(message: Message) -> None:
            nonlocal body
            if message["type"] == "http.response.start":
                begun.append(message)
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            start = begun.pop()
            whole = body.replace(_HEAD, _HEAD + EARLY, 1) if is_html(start) else body
            headers = [(k, v) for k, v in start["headers"] if k.lower() != b"content-length"]
            if is_html(start) and takes_gzip(scope):
                whole = gzip.compress(whole, LEVEL)
                headers += [(b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]
            headers.append((b"content-length", str(len(whole)).encode()))
            await send({**start, "headers": headers})
            await send({"type": "http.response.body", "body": whole})

        await self.app(scope, receive, gather)


def takes_gzip(scope: Scope) -> bool:
    """Whether a browser unpacks what Gradio, going by the ends of names, would send as it is."""
    given = b",".join(v for k, v in scope["headers"] if k.lower() == b"accept-encoding")
    return b"gzip" in given.lower()


def is_page(path: str) -> bool:
    """Whether an address is that of the page, not of something on it."""
    return path in ("", "/")


def is_html(start: Message) -> bool:
    """Whether an answer begins a page that has not been packed."""
    headers = {k.lower(): v for k, v in start["headers"]}
    return (
        headers.get(b"content-type", b"").startswith(b"text/html")
        and b"content-encoding" not in headers
    )
