"""A picture with its recipe inside: schedule, request and numbers in a text chunk of the PNG."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caching.errors import ScheduleError
from caching.formats import bounded, native
from caching.schedule import Schedule

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEYWORD = "cachebrush"
FORMAT = "cachebrush-recipe"
VERSION = 1


def png_of(
    pixels: NDArray[np.uint8],
    schedule: Schedule,
    request: Mapping[str, Any],
    *,
    locks: NDArray[np.bool_] | None = None,
    measured: Mapping[str, Any] | None = None,
    made_with: Mapping[str, str] | None = None,
) -> bytes:
    """A picture uint8 (H, W, 3) as PNG bytes that `recipe_of` can read.

    Args:
        pixels: the picture.
        schedule: what it was made with.
        request: model, label, seed and the like as plain JSON values.
        locks: bool (S, L, R), the cells that are locked against edits, if any.
        measured: work, time, closeness and where they were measured, likewise.
        made_with: versions by package.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    recipe = {
        "format": FORMAT,
        "version": VERSION,
        "request": dict(request),
        "schedule": native.to_json(schedule, locks),
    }
    if measured is not None:
        recipe["measured"] = _finite(measured)
    if made_with is not None:
        recipe["made_with"] = dict(made_with)
    info = PngInfo()
    # Escaped to ASCII, which is all that a tEXt chunk may hold beyond Latin-1.
    info.add_text(KEYWORD, json.dumps(recipe))
    file = BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", pnginfo=info)
    return file.getvalue()


def recipe_of(data: bytes) -> dict[str, Any]:
    """The recipe in PNG bytes: "schedule" as native JSON and "request", both unchecked inside.

    "measured" and "made_with" stand beside them, empty in a picture that does not say it.

    Nothing is decompressed: the chunk is plain text, and pixels are not looked at.

    Raises:
        ScheduleError: not a PNG, cut off, or one without a recipe of this version.
    """
    for kind, body in _chunks(data):
        keyword, _, text = body.partition(b"\0")
        if kind == b"tEXt" and keyword == KEYWORD.encode():
            value = bounded.read_json(text)
            break
    else:
        raise ScheduleError(
            "the PNG has no recipe inside: expected a picture saved by Cachebrush; other programs "
            "drop the recipe when they save it again"
        )
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise ScheduleError(f'the text in the PNG is no recipe: expected "format": "{FORMAT}"')
    if value.get("version") != VERSION or isinstance(value.get("version"), bool):
        raise ScheduleError(
            f"recipe version {value.get('version')!r:.40} is unknown: expected {VERSION}; a newer "
            "picture needs a newer Cachebrush"
        )
    request, schedule = value.get("request"), value.get("schedule")
    if not isinstance(request, dict) or not isinstance(schedule, dict):
        raise ScheduleError("the recipe in the PNG has no request or no schedule: expected both")
    others = {name: value.get(name) for name in ("measured", "made_with")}
    told = {name: item if isinstance(item, dict) else {} for name, item in others.items()}
    return {"request": request, "schedule": schedule, **told}


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: the word stands for it, and NaN is left out."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, float) and math.isnan(value):
            continue
        endless = isinstance(value, float) and math.isinf(value)
        found[name] = "infinite" if endless else value
    return found


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of every chunk up to the end; raises ScheduleError when it is cut off."""
    if not data.startswith(SIGNATURE):
        raise ScheduleError("not a PNG: expected a picture saved by Cachebrush")
    at = len(SIGNATURE)
    while at < len(data):
        if at + 12 > len(data):
            raise ScheduleError(f"the PNG ends inside a chunk at byte {at}: was the file cut off?")
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind = data[at + 4 : at + 8]
        if at + 12 + size > len(data):
            raise ScheduleError(
                f"the PNG has a chunk of {size} bytes at byte {at} and ends before: was the file "
                "cut off?"
            )
        yield kind, data[at + 8 : at + 8 + size]
        if kind == b"IEND":
            return
        at += 12 + size
