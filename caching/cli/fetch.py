"""`fetch`: a schedule its authors published, from their repository, when it is asked for."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import Any

from caching.cli.terminal import Terminal, table
from caching.errors import RequestError
from caching.fetch import fetch, kept
from caching.formats.authors import FILES, AuthorsFile, file_of
from caching.formats.importers import import_schedule

NAME = "fetch"
HELP = "bring a schedule that its authors published, after showing its licence"
EXAMPLES = """\
examples:
  python -m caching fetch                  what there is, from whom, under which licence
  python -m caching fetch l2c-50           address, size, SHA-256 and licence, then the question
  python -m caching fetch l2c-50 --yes     without the question
  python -m caching fetch l2c-50 --yes -q > path.txt

Nothing is fetched by anything but this command and the button on the page. The file is kept in
~/.cache/cachebrush (or XDG_CACHE_HOME, or CACHEBRUSH_CACHE) once its length and hash are those of
the table. What was understood goes to the error stream, and the path to the output: `convert` and
--schedule take it.
"""
PUBLISHED_BLOCKS = 28  # of DiT-XL/2, for files that do not say it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="which file; without it they are listed")
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask before fetching")


def act(asked: argparse.Namespace, terminal: Terminal) -> None:
    if asked.name is None:
        _list(terminal)
        return
    file = file_of(asked.name)
    here = kept(file)
    for line in facts(file):
        terminal.say(line)
    if here is None and not asked.yes and not _agreed():
        raise RequestError("nothing was fetched: answer y, or add --yes.")
    path = fetch(file)
    found = import_schedule(path, blocks=file.blocks or PUBLISHED_BLOCKS)
    for line in found.report.sentences:
        terminal.say(line)
    value = {**_value(file), "path": str(path), "fetched": here is None}
    terminal.result({**value, "report": found.report.to_json()}, str(path))


def facts(file: AuthorsFile) -> tuple[str, ...]:
    """What one should know before a file is fetched, a line each."""
    lines = [
        f"{file.title}, for {file.steps} steps and {file.fits_words}",
        f"address  {file.address}",
        f"size     {file.size:,} bytes",
        f"SHA-256  {file.sha256}",
        f"licence  {file.licence}",
    ]
    return (*lines, f"note     {file.note}") if file.note else tuple(lines)


def _agreed() -> bool:
    """Whether the person at the terminal says yes; nobody there means no."""
    if not sys.stdin.isatty():
        return False
    sys.stderr.write("Fetch it? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _list(terminal: Terminal) -> None:
    here = {name: kept(file) for name, file in FILES.items()}
    rows = [
        (f.name, f.title, f"{f.size:,}", f.licence.split(":")[0], "yes" if here[f.name] else "–")
        for f in FILES.values()
    ]
    value = [{**_value(f), "path": str(here[f.name] or "") or None} for f in FILES.values()]
    terminal.result(value, table(("name", "file", "bytes", "licence", "here"), rows, left=2))


def _value(file: AuthorsFile) -> dict[str, Any]:
    return {**dataclasses.asdict(file), "address": file.address}
