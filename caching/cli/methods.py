"""`methods`: everything that can be painted, decided, imported and exported."""

from __future__ import annotations

import argparse
import dataclasses
import textwrap
from collections.abc import Iterable
from typing import Any

from caching.actions import ACTIONS
from caching.cli.plans import PRESETS
from caching.cli.terminal import Terminal
from caching.dynamic import POLICIES
from caching.formats.exporters import EXPORTERS
from caching.formats.importers import IMPORTERS
from caching.predictors import PREDICTORS

NAME = "methods"
HELP = "list brushes, whole-step actions, policies, presets and file formats"
EXAMPLES = """\
examples:
  python -m caching methods
  python -m caching methods policies
  python -m caching methods --json

An option behind a name is given to `run` and `compare` as --set name=value.
"""

WIDTH = 100
KINDS: dict[str, tuple[str, Iterable[Any]]] = {
    "brushes": ("stand in for a branch (painted on cells)", PREDICTORS.values()),
    "actions": ("stand in for a step (painted on the step row)", ACTIONS.values()),
    "policies": ("decide while the run goes on (--policy)", POLICIES.values()),
    "imports": ("files that are read (convert, --schedule)", IMPORTERS.values()),
    "exports": ("targets that are written for (export)", EXPORTERS.values()),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "kind", nargs="?", choices=(*KINDS, "presets"), help="only these (default: all)"
    )


def act(asked: argparse.Namespace, terminal: Terminal) -> None:
    found: dict[str, list[dict[str, Any]]] = {
        name: [_entry(item) for item in items] for name, (_, items) in KINDS.items()
    }
    found["presets"] = [
        {"name": name, "label": p.usage, "about": p.help, "options": {}}
        for name, p in PRESETS.items()
    ]
    if asked.kind:
        found = {asked.kind: found[asked.kind]}
    terminal.result(found, "\n\n".join(_words(name, items) for name, items in found.items()))


def _entry(item: type[Any]) -> dict[str, Any]:
    """Name, label, options with their defaults, and the first line of the docstring."""
    options = {field.name: field.default for field in dataclasses.fields(item)}
    about = (item.__doc__ or "").strip().split("\n\n")[0].split("\n")[0]
    return {"name": item.name, "label": item.label, "about": about, "options": options}


def _words(kind: str, items: list[dict[str, Any]]) -> str:
    title = KINDS[kind][0] if kind in KINDS else "fill the grid by a rule (--schedule)"
    lines = [f"{kind}: {title}"]
    for item in items:
        options = " ".join(
            f"{name}={value}" for name, value in item["options"].items() if value not in ((), None)
        )
        lines.append(
            f"  {item['name']:<18} {item['label']}" + (f"  [{options}]" if options else "")
        )
        lines += textwrap.wrap(
            item["about"], WIDTH, initial_indent=" " * 21, subsequent_indent=" " * 21
        )
    return "\n".join(lines)
