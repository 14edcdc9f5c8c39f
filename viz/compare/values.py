"""What CompareView shows, as checked values: sources with trajectories, and the live preview.

Each value checks itself in Python and lowers to the plain JSON that the browser side reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from viz.images import Sheet, picture_uri, require_uri, sprite_sheet

MAX_SOURCES = 6
MAX_TEXT = 160  # characters: labels are set in small type and must not push the picture away
_KEY = re.compile(r"[a-z][a-z0-9_]{0,23}")


@dataclass(frozen=True)
class Source:
    """One named picture with the trajectory that led to it; no sheet means "not there yet"."""

    label: str
    caption: str
    sheet: Sheet | None = None  # predicted clean picture after each step; the last one is final
    final: str | None = None  # lossless data URI of the final picture

    def __post_init__(self) -> None:
        _text(self.label, "label", empty=False)
        _text(self.caption, "caption")
        if (self.sheet is None) != (self.final is None):
            raise ValueError(
                f"source {self.label!r} has {'no ' if self.sheet is None else 'a '}sheet and "
                f"{'no ' if self.final is None else 'a '}final picture: expected both or neither"
            )
        if self.final is not None:
            require_uri(self.final, "final")

    def lower(self) -> dict[str, Any]:
        """Plain JSON for the page."""
        words = {"label": self.label, "caption": self.caption}
        if self.sheet is None:
            return words
        return {
            **words,
            "src": self.sheet.src,
            "frames": self.sheet.frames,
            "columns": self.sheet.columns,
            "size": self.sheet.size_px,
            "lossless": self.sheet.lossless,
            "final": self.final,
        }


@dataclass(frozen=True)
class Comparison:
    """Everything on the stage. `rev` must grow with every new comparison sent to one page."""

    rev: int
    held: str  # what is held equal: "same noise, seed 7 · class mushroom · 20 steps"
    sources: Mapping[str, Source]  # usually full, cached, fewer; shown in this order
    badge: str | None = None  # where and when it was recorded; None for a live result

    def __post_init__(self) -> None:
        if not isinstance(self.rev, int) or self.rev < 0:
            raise ValueError(f"rev = {self.rev!r}: expected a whole number from 0 up")
        _text(self.held, "held", empty=False)
        if self.badge is not None:
            _text(self.badge, "badge", empty=False)
        if len(self.sources) > MAX_SOURCES:
            raise ValueError(f"{len(self.sources)} sources: expected at most {MAX_SOURCES}")
        for key, part in self.sources.items():
            if not isinstance(key, str) or not _KEY.fullmatch(key):
                raise ValueError(f"source key {key!r}: expected a short word such as 'cached'")
            if not isinstance(part, Source):
                raise ValueError(f"source {key!r} is {type(part).__name__}: expected a Source")

    def lower(self) -> dict[str, Any]:
        """Plain JSON for the page."""
        sources = {key: part.lower() for key, part in self.sources.items()}
        return {"rev": self.rev, "held": self.held, "sources": sources, "badge": self.badge}


@dataclass(frozen=True)
class LiveFrame:
    """The newest preview of a run in progress; each one replaces the one before."""

    run: str  # one id per run
    source: str  # key of the source that is being made
    step: int  # 0 .. total - 1, the step this preview was taken after
    total: int  # S of that run
    label: str  # "running the cached schedule …"
    src: str | None = None  # data URI; None while there is nothing to see yet
    done: bool = False  # True takes the preview off the stage (finished, stopped or failed)
    held: str | None = None  # what is held equal, of a run of another picture than the one on show
    title: str | None = None  # what the picture is called, where the source had another before

    def __post_init__(self) -> None:
        if not self.run or not _KEY.fullmatch(self.source):
            raise ValueError(
                f"live frame of run {self.run!r}, source {self.source!r}: expected a run id and "
                "a short source key such as 'cached'"
            )
        if not 0 <= self.step < self.total:
            raise ValueError(f"live step {self.step} of {self.total}: expected 0 .. total - 1")
        _text(self.label, "label", empty=False)
        for name in ("held", "title"):
            if getattr(self, name) is not None:
                _text(getattr(self, name), name, empty=False)
        if self.src is not None:
            require_uri(self.src, "src")

    def lower(self) -> dict[str, Any]:
        """Plain JSON for the page."""
        return {
            "run": self.run,
            "source": self.source,
            "step": self.step,
            "total": self.total,
            "label": self.label,
            "src": self.src,
            "done": self.done,
            "held": self.held,
            "title": self.title,
        }


@dataclass(frozen=True)
class Region:
    """A rectangle of a picture: left, top, right and bottom as shares of its sides."""

    box: tuple[float, float, float, float]

    def __post_init__(self) -> None:
        left, top, right, bottom = self.box
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise ValueError("a region: expected left < right and top < bottom, all of 0 to 1")

    @property
    def words(self) -> str:
        """Where it is, for people."""
        left, top, right, bottom = (int(100 * x + 0.5) for x in self.box)
        return f"{left}–{right} % across, {top}–{bottom} % down"


def region_of(payload: object) -> Region:
    """A region as the page sends it; ValueError for anything else, which anybody may send."""
    box = payload.get("box") if isinstance(payload, dict) else None
    wrong = ValueError("a region: expected four numbers from 0 to 1")
    if not isinstance(box, list) or len(box) != 4:
        raise wrong
    if any(isinstance(x, bool) or not isinstance(x, int | float) for x in box):
        raise wrong
    # Whole numbers may be of any length: compared as they are, they are safe.
    if not all(0 <= x <= 1 for x in box):
        raise wrong
    left, top, right, bottom = map(float, box)
    return Region((left, top, right, bottom))


def source(label: str, caption: str, frames: np.ndarray, final: np.ndarray | None = None) -> Source:
    """A source from arrays: frames uint8 (S, H, H, 3), final uint8 (H, H, 3) or the last frame."""
    sheet = sprite_sheet(frames)
    return Source(label, caption, sheet, picture_uri(frames[-1] if final is None else final))


def pending(label: str, caption: str = "not run yet") -> Source:
    """A source without a picture; its caption tells the reader why or what to do."""
    return Source(label, caption)


def live_frame(
    run: str,
    source: str,
    step: int,
    total: int,
    image: np.ndarray | None,
    label: str,
    *,
    done: bool = False,
    held: str | None = None,
    title: str | None = None,
) -> dict[str, Any]:
    """For `gr.update(live=...)`: the newest preview, uint8 (H, H, 3), or None before the first."""
    src = None if image is None else picture_uri(image, form="webp")
    return LiveFrame(run, source, step, total, label, src, done, held, title).lower()


def _text(text: object, name: str, *, empty: bool = True) -> None:
    if not isinstance(text, str) or len(text) > MAX_TEXT or not (empty or text.strip()):
        raise ValueError(
            f"{name} = {str(text)[:60]!r}: expected {'up to' if empty else '1 to'} {MAX_TEXT} "
            "characters of text"
        )
