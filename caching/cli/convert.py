"""`convert`: any importable file as our own JSON, with a report of what was understood."""

from __future__ import annotations

import argparse
from pathlib import Path

from caching.cli import asked as shared
from caching.cli.plans import file_options
from caching.cli.terminal import Terminal
from caching.formats.importers import IMPORTERS, Imported, import_schedule
from caching.formats.native import dumps, to_json

NAME = "convert"
HELP = "turn a schedule of another project into a Cachebrush schedule"
EXAMPLES = """\
examples:
  python -m caching convert DDIM50_router.pt -o l2c-50.json
  python -m caching convert DDIM50_router.pt --set theta=0.5 -o l2c-50-half.json
  python -m caching convert 50-N-3-threshold-0.18.json --blocks 28 -o smooth.json
  python -m caching convert cache_table.npy --blocks 28 --json

The format is told by the content. Formats that do not say how many blocks their model has need
--blocks. The report (cells computed, step order, what was forced, what cannot be expressed) goes to
the error stream, the schedule to the output or to -o. Nothing in a file is ever run.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="the file to convert")
    add_import(parser)
    shared.add_options(parser, "the format")
    parser.add_argument("--out", "-o", metavar="FILE", help="a file instead of the output")


def add_import(parser: argparse.ArgumentParser) -> None:
    """The arguments that reading a file may need."""
    parser.add_argument("--blocks", type=int, help="blocks of the model it is for")
    parser.add_argument(
        "--branches", default="attn,mlp", help="branches of the model (default: %(default)s)"
    )
    parser.add_argument("--format", choices=tuple(IMPORTERS), help="default: told by the content")


def act(asked: argparse.Namespace, terminal: Terminal) -> None:
    found = read(asked, asked.set)
    for line in found.report.sentences:
        terminal.say(line)
    value = {
        "report": found.report.to_json(),
        "schedule": to_json(found.schedule),
        "request": found.request,
    }
    text = dumps(found.schedule)
    if asked.out:
        shared.write(Path(asked.out), text)
        text = f"wrote {asked.out}"
    terminal.result(value, text)


def read(asked: argparse.Namespace, options: list[str]) -> Imported:
    """The schedule in the file that was named."""
    return import_schedule(
        asked.file,
        blocks=asked.blocks,
        branches=tuple(asked.branches.split(",")),
        format=asked.format,
        **file_options(asked.file, options, asked.format),
    )
