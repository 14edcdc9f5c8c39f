"""Where a command writes at its end: looked at before it begins, as its work may take long."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile

from caching.errors import RequestError


def check_places(option: str, *places: Path | str | None) -> None:
    """Raises RequestError where no file can be written; None is nowhere. Leaves nothing behind.

    Args:
        option: as the shell names it, for the message.
        places: of the files; folders on the way there may still have to be made.
    """
    for place in places:
        if place is not None and (why := _why_not(Path(place))):
            raise RequestError(
                f"{option} {str(place)!r:.200} cannot be written ({why}), expected a place for a "
                "file: give another one."
            )


def beside(option: str, prefix: str, *endings: str) -> tuple[Path, ...]:
    """PREFIX with each of the endings, where files can be written."""
    target = Path(prefix)
    if target.name in ("", ".."):
        raise RequestError(
            f"{option} {prefix!r:.200} was given, expected how the names of files begin, such as "
            "out/mine."
        )
    found = tuple(target.with_name(target.name + ending) for ending in endings)
    check_places(option, *found)
    return found


def _why_not(place: Path) -> str:
    """Why no file can be written there; empty where one can."""
    try:
        if place.is_dir():
            return "it is a folder"
        if place.is_file():
            with place.open("r+b"):
                return ""
        if place.exists():  # a device or a pipe, which to open may be to wait for
            return ""
        target = place.resolve()
        here = next(folder for folder in target.parents if folder.exists())
        if not here.is_dir():
            return f"{here} is a file and no folder"
        with TemporaryFile(dir=here):
            return ""
    except (OSError, RuntimeError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
