"""What a picture or a record given as --schedule was asked for, where the shell does not say it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caching.cli.terminal import Terminal
from caching.formats import picture
from caching.formats.importers import detect
from caching.formats.importers.native import Native
from caching.formats.importers.source import read_source

if TYPE_CHECKING:
    from caching.models.model import Model

# The name of an argument, that of the request, and what its value has to be.
TAKEN = (
    ("label", "label", int),
    ("seed", "seed", int),
    ("guidance", "cfg_scale", int | float),
    ("sampler", "sampler", str),
)


def as_saved(asked: argparse.Namespace, model: Model, terminal: Terminal) -> argparse.Namespace:
    """The arguments with what the file says of its picture; the engine checks it as any."""
    request = _request(asked.schedule)
    if not request:
        return asked
    if request.get("model") != model.name:
        terminal.say(f"  Its picture was of {request.get('model')!r:.60}: only the grid is taken.")
        return asked
    found: dict[str, Any] = {}
    for name, key, kind in TAKEN:
        value = request.get(key)
        if getattr(asked, name) is None and isinstance(value, kind) and not _is_flag(value):
            found[name] = str(value) if name == "label" else value
    if found:
        words = ", ".join(f"{name} {value}" for name, value in found.items())
        terminal.say(f"  As in the file: {words:.200}.")
    return argparse.Namespace(**{**vars(asked), **found})


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _request(path: str | None) -> Mapping[str, Any]:
    """The request in a file of ours; nothing where there is none, or no such file."""
    if path is None or not Path(path).is_file():
        return {}
    source = read_source(path)
    if source.kind == "png":
        found = picture.recipe_of(source.data)["request"]
    elif detect(source) is Native:
        found = source.value.get("request")
    else:
        return {}
    return found if isinstance(found, dict) else {}
