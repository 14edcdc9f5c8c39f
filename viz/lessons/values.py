"""What a lesson is, and the facts its conditions are judged by; nothing here runs anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


class LessonError(ValueError):
    """A lesson file that cannot be used: where, what was given, what was expected."""


@dataclass(frozen=True)
class Score:
    """One finished run of this visit, for the leaderboard.

    Attributes:
        title: for people.
        method: its name, "" for what was painted by hand.
        picture: what must be equal for two scores to be compared.
        work: share of the full run's multiply-accumulates.
        psnr_db: infinite when identical to the full picture.
    """

    title: str
    method: str
    picture: tuple[Any, ...]
    work: float
    psnr_db: float


@dataclass(frozen=True, eq=False)
class Facts:
    """What conditions are judged by: the page as it stands and its last run.

    Attributes:
        cells: uint8 (S, L, R), 0 where the branch is computed, else a number of `brushes`.
        brushes: names of brushes 1, 2, …
        branches: (R,).
        changed, another_picture: since the lesson began.
        method: that painted the grid, "" if a hand has been at it.
        learned: methods trained in this visit.
        ran: a run of what is shown has ended since the step began.
        last: the score of the last run if that is of what is shown, else None.
        speedup: of that run, in time.
        fewer_psnr_db: of its rival with fewer steps.
        board: every finished run of this visit.
        titles: of methods, by name.
    """

    cells: np.ndarray
    brushes: tuple[str, ...]
    branches: tuple[str, ...]
    changed: bool = False
    another_picture: bool = False
    method: str = ""
    learned: tuple[str, ...] = ()
    ran: bool = False
    last: Score | None = None
    speedup: float = math.nan
    fewer_psnr_db: float = math.nan
    board: tuple[Score, ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)

    def title(self, method: str) -> str:
        """A method's name for people."""
        return self.titles.get(method, method)


@dataclass(frozen=True)
class Region:
    """Which cells are counted; None: all."""

    branch: str | None = None
    steps: tuple[int, int] | None = None
    blocks: tuple[int, int] | None = None
    brush: str | None = None

    @property
    def words(self) -> str:
        parts = [self.branch] if self.branch else []
        for name, span in (("steps", self.steps), ("blocks", self.blocks)):
            if span:
                parts.append(f"{name} {span[0]}–{span[1]}" if span[0] < span[1] else
                             f"{name[:-1]} {span[0]}")  # fmt: skip
        return ", ".join(parts)

    def share(self, facts: Facts) -> float:
        """The share of the cells here that a brush stands in for; 0 where there is no such cell."""
        cells = facts.cells
        if self.branch is not None:
            cells = cells[:, :, [r == self.branch for r in facts.branches]]
        if self.steps is not None:
            cells = cells[self.steps[0] : self.steps[1] + 1]
        if self.blocks is not None:
            cells = cells[:, self.blocks[0] : self.blocks[1] + 1]
        if not cells.size:
            return 0.0
        if self.brush is None:
            return float((cells > 0).mean())
        wanted = [k for k, name in enumerate(facts.brushes, 1) if name == self.brush]
        return float(np.isin(cells, wanted).mean())


@dataclass(frozen=True)
class Status:
    """How one condition stands: what it asks for, whether it holds, and what it is at."""

    words: str
    holds: bool
    now: str = ""


@dataclass(frozen=True)
class Check:
    """One condition of a step."""

    kind: str
    value: Any
    region: Region = field(default_factory=Region)


@dataclass(frozen=True)
class Step:
    """One task."""

    text: str
    checks: tuple[Check, ...]
    hint: str = ""


@dataclass(frozen=True)
class Lesson:
    """A lesson that has been checked.

    Attributes:
        name: of the file, without its end.
        start: what the page is set to, by names of START; empty: the page stays as it is.
        show: boxes that it needs, of BOXES.
        keeps_seed: whether class and seed stay the lesson's own.
        source: the text of its file, where that is a visitor's own; "" for those that ship.
    """

    name: str
    title: str
    summary: str
    intro: str
    steps: tuple[Step, ...]
    ending: str
    start: Mapping[str, Any] = field(default_factory=dict)
    show: tuple[str, ...] = ()
    keeps_seed: bool = False
    source: str = ""


def db_words(value: float) -> str:
    """A PSNR in words."""
    return "identical" if math.isinf(value) else f"{value:.1f} dB"


def shown(value: Any) -> str:
    """A given value for a message, never long."""
    text = f"{value!r}" if not isinstance(value, int) or abs(value) < 10**18 else "a huge number"
    return text if len(text) <= 50 else f"{text:.50} …"
