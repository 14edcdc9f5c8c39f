"""What an importer is given: the bytes of a file, read within limits, and what they parse to."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from caching.errors import ScheduleError
from caching.formats import bounded

Kind = Literal["zip", "npy", "png", "pickle", "text"]

MAX_BYTES = 16 * 2**20
"""No schedule is larger: a router of 1,000 steps and 256 blocks with its optimiser has 6 MiB."""

_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"PK\x03\x04", "zip"),
    (b"\x93NUMPY", "npy"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\x80", "pickle"),
)
_LIST = re.compile(
    r"(?:[A-Za-z_]\w{0,80}\s{0,8}(?::\s{0,8}[\w\[\], ]{1,40})?=\s*)?"
    r"(\[[\s\[\],0-9TrueFalsfe]*\])\s*;?"
)
_COMMENT = re.compile(r"#[^\n]*")
_TRAILING_COMMA = re.compile(r",(\s*\])")


@dataclass(frozen=True)
class Source:
    """A file as bytes; everything else about it is parsed on first use."""

    data: bytes
    name: str = ""  # of the file, for people; formats are told apart by content alone

    @cached_property
    def kind(self) -> Kind:
        """What the first bytes say it is."""
        return next((kind for magic, kind in _MAGIC if self.data.startswith(magic)), "text")

    @cached_property
    def value(self) -> Any:
        """The JSON value, or the list a line of Python says; None for all else."""
        if self.kind != "text":
            return None
        try:
            return bounded.read_json(self.data)
        except ScheduleError:
            return self._list()

    @cached_property
    def text(self) -> str:
        """The file as text; empty when it is none, or over 4 MiB."""
        if self.kind != "text" or len(self.data) > bounded.MAX_BYTES:
            return ""
        return self.data.decode("utf-8-sig", "ignore")

    @cached_property
    def array(self) -> NDArray[Any] | None:
        """The array of an .npy file, or None; raises ScheduleError when it cannot be read whole."""
        return _npy(self.data) if self.kind == "npy" else None

    @property
    def refusal(self) -> ScheduleError:
        """Why it is not JSON."""
        try:
            bounded.read_json(self.data)
        except ScheduleError as error:
            return error
        raise AssertionError("it is JSON")

    def _list(self) -> Any:
        """What `name = [1, 0, True]` says, lists in lists too, comments and last commas allowed."""
        match = _LIST.fullmatch(_COMMENT.sub("", self.text).strip())
        if match is None:
            return None
        plain = match[1].replace("True", "true").replace("False", "false")
        try:
            return bounded.read_json(_TRAILING_COMMA.sub(r"\1", plain).encode())
        except ScheduleError:
            return None


def read_source(path_or_bytes: str | os.PathLike[str] | bytes) -> Source:
    """The file at a path, or bytes; raises ScheduleError when it cannot be read or is too large."""
    if isinstance(path_or_bytes, bytes):
        if len(path_or_bytes) > MAX_BYTES:
            raise _too_large(len(path_or_bytes), MAX_BYTES)
        return Source(path_or_bytes)
    path = bounded.path_of(path_or_bytes)
    try:
        if not path.is_file():
            raise ScheduleError(
                f"{str(path)!r:.200} is not a file: expected a file with a schedule"
            )
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise _too_large(size, MAX_BYTES)
        with path.open("rb") as file:
            # One byte more than allowed shows a file that grew after its size was asked.
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, ScheduleError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise ScheduleError(
            f"{str(path)[:200]!r} cannot be read ({reason}): check the path and its permissions"
        ) from error
    if len(data) > MAX_BYTES:
        raise _too_large(len(data), MAX_BYTES)
    return Source(data, path.name)


def _too_large(size: int, most: int) -> ScheduleError:
    return ScheduleError(
        f"the file has {size / 2**20:.1f} MiB: expected at most {most // 2**20} MiB; schedules are "
        "small files"
    )


def _npy(data: bytes) -> NDArray[Any]:
    """The array in .npy bytes, its header checked against them before anything is allocated."""
    if len(data) > bounded.MAX_BYTES:
        raise _too_large(len(data), bounded.MAX_BYTES)
    file = BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ScheduleError(f"the .npy file has version {version}: expected 1.0 or 2.0")
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(file)
    except ScheduleError:
        raise
    except Exception as error:  # numpy parses the header as Python source, and says so in many ways
        raise ScheduleError(
            f"the .npy header cannot be read ({type(error).__name__}): was the file cut off?"
        ) from error
    if dtype.hasobject or dtype.kind not in "biu":
        raise ScheduleError(
            f"the .npy file holds {str(dtype)[:40]}: expected whole numbers or booleans, and never "
            "Python objects"
        )
    size, rest = math.prod(shape) * dtype.itemsize, len(data) - file.tell()
    if len(shape) > 3 or min(shape, default=0) < 1 or size != rest:
        raise ScheduleError(
            f"the .npy header says {str(shape)[:60]} of {dtype}, {size} bytes, and {rest} follow: "
            "expected one to three dimensions and just as many bytes; was the file cut off?"
        )
    found: NDArray[Any] = np.load(BytesIO(data), allow_pickle=False)
    return found
