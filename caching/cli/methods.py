"""`methods`: every method with its source and controls, and all else that a grid is made of."""

from __future__ import annotations

import argparse
import dataclasses
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from caching.actions import ACTIONS
from caching.cli import asked as shared
from caching.cli.terminal import Terminal
from caching.errors import RequestError
from caching.formats.exporters import EXPORTERS
from caching.formats.importers import IMPORTERS
from caching.methods import METHODS, Method
from caching.methods.base import controls
from caching.methods.listing import cited, entry, markdown, ordered, refreshed, short
from caching.predictors import PREDICTORS

NAME = "methods"
HELP = "list methods, brushes, whole-step actions and file formats"
EXAMPLES = """\
examples:
  python -m caching methods
  python -m caching methods teacache
  python -m caching methods brushes --json
  python -m caching methods --markdown README.md

What stands in brackets behind a method or a file format is given to the commands that take it as
--set name=value.
"""

WIDTH = 100
KINDS: dict[str, tuple[str, Iterable[Any]]] = {
    "methods": ("fill the grid, or decide while the run goes on (--method)", ordered(METHODS)),
    "brushes": ("stand in for a branch (painted on cells)", PREDICTORS.values()),
    "actions": ("stand in for a step (painted on the step row)", ACTIONS.values()),
    "imports": ("files that are read (convert, --schedule)", IMPORTERS.values()),
    "exports": ("targets that are written for (export)", EXPORTERS.values()),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", help=f"one of {', '.join(KINDS)}, or one method in full (default: all)"
    )
    parser.add_argument(
        "--markdown",
        nargs="?",
        const="",
        metavar="FILE",
        help="the methods as a table, or refresh it between the marks of a file",
    )


def act(asked: argparse.Namespace, terminal: Terminal) -> None:
    if asked.markdown is not None:
        _markdown(asked, terminal)
    elif asked.name in METHODS:
        kind = METHODS[asked.name]
        terminal.result(entry(kind), _full(kind))
    elif asked.name is None or asked.name in KINDS:
        kinds = KINDS if asked.name is None else {asked.name: KINDS[asked.name]}
        found = {name: [_entry(item) for item in items] for name, (_, items) in kinds.items()}
        terminal.result(found, "\n\n".join(_words(name, found[name]) for name in found))
    else:
        raise RequestError(
            f"{asked.name!r:.40} is not known, expected one of {', '.join(KINDS)}, or a method: "
            f"{', '.join(METHODS)}."
        )


def _markdown(asked: argparse.Namespace, terminal: Terminal) -> None:
    if asked.name is not None:
        raise RequestError(f"--markdown is for all methods, and {asked.name!r:.40} was given.")
    if not asked.markdown:
        table = markdown(METHODS)
        terminal.result(table, table)
        return
    path = Path(asked.markdown)
    try:
        shared.write(path, refreshed(path.read_text(encoding="utf-8"), METHODS))
    except UnicodeDecodeError as error:
        raise RequestError(f"{path} is no text, expected one with both marks.") from error
    terminal.result({"file": str(path), "methods": len(METHODS)}, f"wrote {path}")


def _entry(item: type[Any]) -> dict[str, Any]:
    """Name, label, options with their defaults, and the first line of the docstring."""
    if issubclass(item, Method):
        return entry(item)
    options = {field.name: field.default for field in dataclasses.fields(item)}
    about = (item.__doc__ or "").strip().split("\n\n")[0].split("\n")[0]
    return {"name": item.name, "label": item.label, "about": about, "options": options}


def _words(kind: str, items: list[dict[str, Any]]) -> str:
    lines = [f"{kind}: {KINDS[kind][0]}"]
    for item in items:
        if kind == "methods":
            lines += _method(METHODS[item["name"]])
            continue
        options = " ".join(
            f"{name}={value}" for name, value in item["options"].items() if value not in ((), None)
        )
        lines.append(_line(item["name"], item["label"], options))
        lines += _wrapped(item["about"])
    return "\n".join(lines)


def _method(kind: type[Method]) -> list[str]:
    options = " ".join(f"{c.name}={c.default}" for c in controls(kind))
    return [
        _line(kind.name, f"{kind.title} ({cited(kind.source)}; {kind.faithfulness})", options),
        *_wrapped(kind.about),
    ]


def _full(kind: type[Method]) -> str:
    """Everything there is to say of one method."""
    lines = [f"{kind.title} ({cited(kind.source)})", *_wrapped(kind.about, 2)]
    if kind.source:
        code = kind.source.repository
        lines += _wrapped(f"paper: {kind.source.paper}", 2)
        licence = kind.source.licence or "no licence is known"
        lines += [f"  code: {f'{code} ({licence})' if code else 'none is known'}"]
    lines += [f"  needs: {kind.needs}"]
    lines += _wrapped(f"{kind.faithfulness}: {kind.because}", 2)
    lines += ["  controls:" if controls(kind) else "  no controls"]
    for c in controls(kind):
        tuned = " Trades work for closeness." if c.name == kind.tunes else ""
        lines += _wrapped(f"{short(c)}  {c.label}{f': {c.about}' if c.about else ''}.{tuned}", 4)
    return "\n".join(lines)


def _line(name: str, words: str, options: str) -> str:
    return f"  {name:<18} {words}" + (f"  [{options}]" if options else "")


def _wrapped(text: str, indent: int = 21) -> list[str]:
    space = " " * indent
    return textwrap.wrap(text, WIDTH, initial_indent=space, subsequent_indent=space)
