"""`export`: a schedule in another program's form, with what it loses there."""

from __future__ import annotations

import argparse
from pathlib import Path

from caching.cli import asked as shared
from caching.cli.convert import add_import, read
from caching.cli.terminal import Terminal
from caching.formats.exporters import EXPORTERS, export_schedule
from caching.formats.native import to_json

NAME = "export"
HELP = "hand a schedule over to another program, with its loss declared"
EXAMPLES = """\
examples:
  python -m caching export mine.json diffusers -o .
  python -m caching export mine.json cache-dit-yaml
  python -m caching export router.pt smoothcache --set modules=dit -o out/
  python -m caching export mine.json summary

The file may be of any format that `convert` reads. The text goes to the output, or into a folder
with -o; losses ("312 cells that you do not compute will be computed there") and hints go to the
error stream. With --json both are in the value, with the grid that the target will run.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="the schedule, in any format that convert reads")
    parser.add_argument("target", choices=tuple(EXPORTERS), help="what to write it for")
    add_import(parser)
    shared.add_options(parser, "the target")
    parser.add_argument("--out", "-o", metavar="FOLDER", help="a folder instead of the output")


def act(asked: argparse.Namespace, terminal: Terminal) -> None:
    found = read(asked, [])
    options = shared.options_of(asked.set, EXPORTERS[asked.target])
    made = export_schedule(found.schedule, asked.target, **options)
    for line in made.losses or ("Nothing is lost.",):
        terminal.say(f"loss: {line}" if made.losses else line)
    for line in made.notes:
        terminal.say(f"note: {line}")
    value = {
        "filename": made.filename,
        "text": made.text,
        "losses": list(made.losses),
        "notes": list(made.notes),
        "projected": to_json(made.projected),
    }
    if asked.out:
        target = Path(asked.out) / made.filename
        shared.write(target, made.text)
        terminal.result({**value, "file": str(target)}, f"wrote {target}")
    else:
        terminal.result(value, made.text)
