"""Bringing an author's file here: only when asked, over https, to the length and hash of the table.

    path = fetch(file_of("l2c-20"))  # ~/.cache/cachebrush/authors/l2c-20.pt

A file gets its name only once it is whole and its hash is right; what is kept is checked again
before it is used, so that nothing else can stand in for it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from caching.errors import FetchError
from caching.formats.authors import AuthorsFile

TIMEOUT_S = 20.0
CHUNK_BYTES = 16 * 1024


class Answer(Protocol):
    """What an opener gives: bytes to read, a few at a time."""

    def read(self, count: int, /) -> bytes: ...


Opener = Callable[[str], AbstractContextManager[Answer]]


def authors_folder() -> Path:
    """Where fetched files are kept: CACHEBRUSH_CACHE, else in the user's cache folder."""
    own, shared = os.environ.get("CACHEBRUSH_CACHE"), os.environ.get("XDG_CACHE_HOME")
    if own:
        return Path(own) / "authors"
    # The standard says that a path which is not absolute is to be ignored.
    base = Path(shared) if shared and os.path.isabs(shared) else Path.home() / ".cache"
    return base / "cachebrush" / "authors"


def kept(file: AuthorsFile, folder: Path | None = None) -> Path | None:
    """The file if it has been fetched before and is still what it was, else None."""
    path = (folder or authors_folder()) / file.filename
    try:
        if path.stat().st_size != file.size:
            return None
        return path if hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256 else None
    except OSError:
        return None


def fetch(file: AuthorsFile, *, opener: Opener | None = None, folder: Path | None = None) -> Path:
    """The file, from the cache or from its authors' repository.

    Args:
        file: which one.
        opener: opens an address; None: over https alone, also when it is redirected.
        folder: where files are kept; None: `authors_folder()`.

    Raises:
        FetchError: no connection, another length or hash than the table says, or no place for it;
            nothing is left behind.
    """
    target = (folder or authors_folder()) / file.filename
    if found := kept(file, folder):
        return found
    data = _read(file, opener or open_https)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=target.parent, suffix=".partial")
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(data)
            os.replace(partial, target)
        finally:
            Path(partial).unlink(missing_ok=True)
    except OSError as error:
        raise FetchError(
            f"{str(target)!r} cannot be written ({error.strerror}): check the folder and its "
            "permissions, or set CACHEBRUSH_CACHE to another one."
        ) from error
    return target


def _read(file: AuthorsFile, opener: Opener) -> bytes:
    """The bytes behind the address, their number bounded while they come, their hash checked."""
    data = bytearray()
    try:
        with opener(file.address) as answer:
            # One byte more than it should have shows a file that is too long.
            while part := answer.read(min(CHUNK_BYTES, file.size + 1 - len(data))):
                data += part
                if len(data) > file.size:
                    raise FetchError(
                        f"{file.address} sends more than the {file.size:,} bytes it should have: "
                        "it is another file now, and was not kept."
                    )
    except urllib.error.HTTPError as error:
        error.close()
        raise FetchError(
            f"{file.address} was answered with {error.code} {error.reason}: the authors may have "
            "removed the file."
        ) from error
    except (OSError, HTTPException) as error:
        if isinstance(error, FetchError):
            raise
        reason = getattr(error, "reason", None) or error
        raise FetchError(
            f"{urlsplit(file.address).hostname} cannot be reached ({reason!s:.200}): fetching "
            "needs a connection to the internet; a file that you have opens without one."
        ) from error
    if len(data) != file.size:
        raise FetchError(
            f"{file.address} sent {len(data):,} bytes, expected {file.size:,}: it was cut off, or "
            "is another file now; it was not kept."
        )
    found = hashlib.sha256(data).hexdigest()
    if found != file.sha256:
        raise FetchError(
            f"{file.address} has the SHA-256 {found}, expected {file.sha256}: it is another file, "
            "and was not kept."
        )
    return bytes(data)


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Follows a redirection only to https."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        check_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def check_https(address: str) -> None:
    """Raises FetchError unless the address is one of https."""
    if urlsplit(address).scheme != "https":
        raise FetchError(f"{address!r:.200} is no https address: nothing else is fetched from.")


def open_https(address: str) -> AbstractContextManager[Answer]:
    """What stands behind an https address."""
    check_https(address)
    request = urllib.request.Request(address, headers={"User-Agent": "cachebrush"})
    answer: AbstractContextManager[Answer] = urllib.request.build_opener(_OnlyHttps()).open(
        request, timeout=TIMEOUT_S
    )
    return answer
