"""Files of the page that our own server gives: scripts, styles and data, each under its hash.

A component carries only the address of what it needs. In its props a script or a table would be
cloned and compared by Gradio with every event, and travel with every page anew; from here a browser
fetches it once and keeps it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

# Below Gradio's own prefix: a front server, of Spaces too, hands all of it to Python.
PREFIX = "gradio_api/cachebrush"
TYPES = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "png": "image/png",
    "webp": "image/webp",
    "jpeg": "image/jpeg",
}
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}


@dataclass(frozen=True)
class File:
    """One of the files, as it is sent."""

    body: bytes
    media_type: str


_FILES: dict[str, File] = {}


def put(name: str, content: str | bytes) -> str:
    """Keep a file; returns its address from the root of the app, the same for the same content.

    Only for what every visitor may see, and of which there is little: it stays for good.

    Args:
        name: with an ending that says what it is: `painter.js`.
        content: text is sent as UTF-8.

    Raises:
        ValueError: If the ending is none of `TYPES`.
    """
    ending = name.rpartition(".")[2]
    if ending not in TYPES:
        raise ValueError(f"file {name!r}: expected a name ending in {', '.join(TYPES)}")
    body = content.encode() if isinstance(content, str) else content
    address = f"{PREFIX}/{hashlib.sha256(body).hexdigest()[:20]}/{name}"
    _FILES[address] = File(body, TYPES[ending])
    return address


def put_json(name: str, data: Any) -> str:
    """Keep data as a JSON file; returns its address."""
    return put(name, json.dumps(data, separators=(",", ":"), allow_nan=False))


def put_uri(name: str, uri: str) -> str:
    """Keep the picture of a base64 data URI as a file; `name` without its ending."""
    kind, _, data = uri.partition(";base64,")
    return put(f"{name}.{kind.removeprefix('data:image/')}", base64.b64decode(data))


async def _answer(request: Request) -> Response:
    found = _FILES.get(f"{PREFIX}/{request.path_params['hash']}/{request.path_params['name']}")
    if found is None:
        return PlainTextResponse("no such file", 404)
    return Response(found.body, media_type=found.media_type, headers=_FOREVER)


def routes() -> list[Route]:
    """For `launch(app_kwargs={"routes": routes()})`."""
    return [Route(f"/{PREFIX}/{{hash}}/{{name}}", _answer, methods=["GET"])]


def preload(address: str, kind: str) -> str:
    """For the page's head: fetch a file (kind "script" or "fetch") before anything asks for it."""
    cross = " crossorigin" if kind == "fetch" else ""
    return f'<link rel="preload" as="{kind}" href="./{address}"{cross}>'


def loader(address: str, call: str) -> str:
    """JavaScript that runs `call` once the script at `address` is there.

    Components of one script load it once; a page that cannot get it says so in its console.
    """
    return f"""const address = {json.dumps(address)};
const root = window.gradio_config?.root || location.origin + location.pathname;
const base = root.replace(/\\/*$/, "/");
const scripts = window.cachebrushScripts ??= {{}};
scripts[address] ??= new Promise((loaded, failed) => {{
  const node = document.createElement("script");
  node.src = base + address;
  node.onload = loaded;
  node.onerror = () => failed(new Error("Cachebrush: no answer for " + node.src));
  document.head.append(node);
}});
scripts[address].then(() => {call});
"""
