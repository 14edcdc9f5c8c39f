"""Where a command writes: results on the output, everything about the work on the error stream."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TextIO

BAR = 24
EVERY_S = 0.1


@dataclass
class Terminal:
    """Two streams; `as_json` makes the result one JSON value, `quiet` says nothing but errors."""

    out: TextIO
    err: TextIO
    as_json: bool = False
    quiet: bool = False
    _bar: bool = False
    _last: float = 0.0

    def result(self, value: Any, text: str) -> None:
        """The result of the command, for programs or for people."""
        if self.as_json:
            text = json.dumps(plain(value), ensure_ascii=False, indent=1)
        self.out.write(text if text.endswith("\n") else text + "\n")

    def say(self, line: str) -> None:
        """A remark on the way."""
        if not self.quiet:
            self._end_bar()
            self.err.write(line + "\n")

    def error(self, line: str) -> None:
        self._end_bar()
        self.err.write(f"error: {line}\n")

    def progress(self, what: str, done: int, total: int) -> None:
        """A bar that is written over; on something that is no terminal, a line at the end."""
        if self.quiet:
            return
        if not self.err.isatty():
            if done == total:
                self.err.write(f"{what}: {total}\n")
            return
        if done < total and time.monotonic() - self._last < EVERY_S:
            return
        self._last = time.monotonic()
        filled = BAR * done // max(1, total)
        bar = "█" * filled + "░" * (BAR - filled)
        self.err.write(f"\r\033[K{what} {bar} {done} of {total}")
        self.err.flush()
        self._bar = True
        if done == total:
            self._end_bar()

    def _end_bar(self) -> None:
        if self._bar:
            self.err.write("\n")
            self._bar = False


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Columns that line up, the first `left` of them to the left and the others to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def plain(value: Any) -> Any:
    """A value that JSON can hold: infinity as the word, NaN as null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return "infinite" if math.isinf(value) else value
    if hasattr(value, "item") and not isinstance(value, str):  # a number of numpy
        return plain(value.item())
    return value
