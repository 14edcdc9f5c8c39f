"""The shell: one module per command, each a thin layer over the engine."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, TextIO

from caching.cli import (
    calibrate,
    compare,
    convert,
    evaluate,
    export,
    fetch,
    improve,
    learn,
    methods,
    run,
    study,
    trace,
)
from caching.cli.terminal import Terminal
from caching.errors import CachebrushError

__all__ = ["main"]

COMMANDS = (
    run, compare, evaluate, study, trace, calibrate, learn, improve, fetch, convert, export, methods
)  # fmt: skip
BAD_INPUT = 2
INTERRUPTED = 130

EXAMPLES = """\
first steps:
  python -m caching methods                        what caches, with sources and controls
  python -m caching run --method fora              a picture with every other step reused
  python -m caching compare --method fora          is it faster, and is it worse than fewer steps?
  python -m caching evaluate --method fora         do its pictures still look like the data?
  python -m caching calibrate teacache             what a method finds out about the model ahead
  python -m caching learn l2c                      train what a learned method needs
  python -m caching improve mine.json --minutes 5  a better grid at the same budget
  python -m caching fetch                          schedules that their authors published
  python -m caching convert router.pt -o mine.json a schedule of another project
  python -m caching export mine.json diffusers     the same for diffusers

Every command has --help with examples, and --json for programs. Results go to the output, progress
and reports to the error stream. Exit codes: 0 done, 2 bad input (with one line that says what), 130
stopped by Ctrl-C.
"""


def main(
    argv: Sequence[str] | None = None, *, out: TextIO | None = None, err: TextIO | None = None
) -> int:
    """Run one command; the exit code."""
    parser = _parser()
    try:
        asked = parser.parse_args(argv)
    except SystemExit as end:  # argparse has said what was wrong, or printed its help
        return int(end.code or 0)
    terminal = Terminal(out or sys.stdout, err or sys.stderr, as_json=asked.json, quiet=asked.quiet)

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        terminal.say(f"warning: {message}")

    try:
        with warnings.catch_warnings():
            warnings.showwarning = show
            asked.command.act(asked, terminal)
        terminal.out.flush()
    except CachebrushError as error:
        terminal.error(" ".join(str(error).split()))
        return BAD_INPUT
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # whoever read the output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        terminal.error(f"{error.filename or 'a file'} cannot be used ({error.strerror})")
        return BAD_INPUT
    except KeyboardInterrupt:
        terminal.error("stopped")
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m caching",
        description="Feature caching for diffusion transformers: run, compare, convert, export.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    for command in COMMANDS:
        sub = commands.add_parser(
            command.NAME,
            help=command.HELP,
            description=command.HELP[:1].upper() + command.HELP[1:] + ".",
            epilog=command.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(sub)
        sub.add_argument("--json", action="store_true", help="print one JSON value instead of text")
        sub.add_argument("--quiet", "-q", action="store_true", help="no progress and no reports")
        sub.set_defaults(command=command)
    return parser
