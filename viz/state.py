"""The state of one visitor's page, and the events that change it, as plain values.

Strokes, undo, presets, controls and opened files are all events; `viz.reducer.update` is the one
function that takes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from caching.schedule import Schedule
from viz.brushes import Canvas, Hues
from viz.grid.ops import Op, Runs, Slot
from viz.place import FIRST, Place

At = Literal["previous"] | Slot


@dataclass(frozen=True)
class ModelFacts:
    """What the page must know of a model, without the model: names, shape, classes."""

    name: str
    blocks: int
    branches: tuple[str, ...]
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """What decides the picture besides the schedule; the step count is the schedule's own."""

    label: int
    seed: int
    cfg_scale: float
    sampler: str


@dataclass(frozen=True)
class Entry:
    """One state of the grid and the picture's settings, and the words that name what led to it."""

    what: str
    schedule: Schedule
    group: str | None = None  # edits of one group in a row, such as a moving slider, are one step
    hues: Hues = ()  # the colours chosen for brushes, undone and redone with the rest
    locks: Runs = ()  # likewise the locked cells
    settings: Settings | None = None  # of the picture; None only before anything has happened
    painted: tuple[str, str | None] | None = None  # see `painted_by`

    @property
    def canvas(self) -> Canvas:
        return Canvas(self.schedule, self.hues, self.locks)

    @property
    def painted_by(self) -> tuple[str, str | None]:
        """Words and group of the edit that the grid is from, whatever settings changed since."""
        return self.painted or (self.what, self.group)


@dataclass(frozen=True)
class Refusal:
    """An operation of the painter that was not taken, and why."""

    rev: int
    words: str


@dataclass(frozen=True)
class ViewState:
    """Everything a page shows that a person decided.

    `ack` is the last operation of the painter that was dealt with; `refused` the last one that was
    not taken, until a message comes that is taken in whole. `kept` is how many locked cells the
    last preset, method or file would have changed. `pin_a` and `pin_b` are schedules to compare
    with; `peek` names the one whose result is shown instead of the present one's. `age` is how many
    events of its visit had changed it by then: answers may overtake each other.
    """

    model: ModelFacts
    settings: Settings
    now: Entry
    past: tuple[Entry, ...] = ()
    future: tuple[Entry, ...] = ()
    ack: int = 0
    refused: Refusal | None = None
    kept: int = 0
    pin_a: Entry | None = None
    pin_b: Entry | None = None
    peek: At | None = None
    place: Place = FIRST
    age: int = field(default=0, compare=False)

    @property
    def schedule(self) -> Schedule:
        return self.now.schedule

    @property
    def undo_label(self) -> str | None:
        """What undo would take back, or None."""
        return self.now.what if self.past else None

    @property
    def redo_label(self) -> str | None:
        return self.future[-1].what if self.future else None

    @property
    def timeline(self) -> tuple[Entry, ...]:
        """The whole history, oldest first; the present is entry `len(past)`."""
        return (*self.past, self.now, *reversed(self.future))

    def entry(self, at: At) -> Entry | None:
        """The schedule to compare with, if there is one."""
        if at == "previous":
            return self.past[-1] if self.past else None
        return self.pin_a if at == "A" else self.pin_b


@dataclass(frozen=True)
class Strokes:
    """What the painter sent: every operation not yet acknowledged, oldest first."""

    ops: tuple[Op, ...]


@dataclass(frozen=True)
class Refuse:
    """Operations up to `rev` could not be applied; the painter must stop sending them."""

    rev: int


@dataclass(frozen=True)
class Repaint:
    """A preset, method or opened file takes the place of the grid; one step of undo per group.

    Locked cells stay as they are, unless it brings locks of its own.
    """

    what: str
    schedule: Schedule
    group: str | None = None
    locks: Runs | None = None


@dataclass(frozen=True)
class Restore:
    """An earlier run comes back, exactly as it was, its settings with it; one step of undo."""

    what: str
    schedule: Schedule
    settings: Settings


@dataclass(frozen=True)
class PinEntry:
    """A schedule from elsewhere than the grid to compare with, or None to empty the slot."""

    slot: Slot
    entry: Entry | None


@dataclass(frozen=True)
class Resteps:
    """Another number of steps: the grid is carried over."""

    steps: int


@dataclass(frozen=True)
class Configure:
    """Class, seed, guidance or sampler changed; one step of undo for each of them in a row."""

    settings: Settings


@dataclass(frozen=True)
class UseModel:
    """Another model: grid and history start anew, because cells mean other blocks."""

    model: ModelFacts
    settings: Settings
    schedule: Schedule


@dataclass(frozen=True)
class Show:
    """Another view or lesson, or other parts of the page put away."""

    place: Place


@dataclass(frozen=True)
class Recall:
    """What an earlier visit could go back to; an empty past leaves the present one's."""

    past: tuple[Entry, ...]
    future: tuple[Entry, ...]
    pin_a: Entry | None
    pin_b: Entry | None


@dataclass(frozen=True)
class Gather:
    """Everything since `before` was one act, such as opening a link: one step of undo."""

    before: ViewState


Event = (
    Strokes
    | Refuse
    | Repaint
    | Restore
    | PinEntry
    | Resteps
    | Configure
    | UseModel
    | Show
    | Recall
    | Gather
)
