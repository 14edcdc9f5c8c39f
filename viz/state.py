"""The state of one visitor's page, and the one function that changes it.

Strokes, undo, presets, controls and opened files are all events; `update` is pure and the only
writer. A refused event raises and leaves the state as it was, so nothing is ever lost; of several
operations of the painter, one that is refused costs none of the others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from caching.errors import ScheduleError
from caching.schedule import Schedule
from viz.brushes import Canvas, Hues, edit
from viz.grid.ops import Op, Redo, Undo

MAX_HISTORY = 500


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
    """One state of the grid and the words that name the edit which led to it."""

    what: str
    schedule: Schedule
    group: str | None = None  # edits of one group in a row, such as a moving slider, are one step
    hues: Hues = ()  # the colours chosen for brushes, undone and redone with the rest

    @property
    def canvas(self) -> Canvas:
        return Canvas(self.schedule, self.hues)


@dataclass(frozen=True)
class Refusal:
    """An operation of the painter that was not taken, and why."""

    rev: int
    words: str


class Refused(ValueError):
    """Raised when the state has changed, but for operations of the painter that were not taken."""


@dataclass(frozen=True)
class ViewState:
    """Everything a page shows that a person decided.

    `ack` is the last operation of the painter that was dealt with; `refused` the last one that was
    not taken, until a message comes that is taken in whole.
    """

    model: ModelFacts
    settings: Settings
    now: Entry
    past: tuple[Entry, ...] = ()
    future: tuple[Entry, ...] = ()
    ack: int = 0
    refused: Refusal | None = None

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
    """A preset or an opened file takes the place of the grid; one step of undo per group."""

    what: str
    schedule: Schedule
    group: str | None = None


@dataclass(frozen=True)
class Resteps:
    """Another number of steps: the grid is carried over."""

    steps: int


@dataclass(frozen=True)
class Configure:
    """Class, seed, guidance or sampler changed."""

    settings: Settings


@dataclass(frozen=True)
class UseModel:
    """Another model: grid and history start anew, because cells mean other blocks."""

    model: ModelFacts
    settings: Settings
    schedule: Schedule


Event = Strokes | Refuse | Repaint | Resteps | Configure | UseModel


def _push(state: ViewState, what: str, canvas: Canvas, group: str | None = None) -> ViewState:
    if canvas == state.now.canvas:
        return state
    past = state.past
    if group is None or group != state.now.group or not past:
        past = (*past, state.now)[-MAX_HISTORY:]
    now = Entry(what, canvas.schedule, group, canvas.hues)
    return replace(state, now=now, past=past, future=())


def _repaint(
    state: ViewState, what: str, schedule: Schedule, group: str | None = None
) -> ViewState:
    return _push(state, what, Canvas(schedule, state.now.hues), group)


def _apply(state: ViewState, op: Op) -> ViewState:
    if isinstance(op, Undo):
        if not state.past:
            return state
        return replace(
            state, now=state.past[-1], past=state.past[:-1], future=(*state.future, state.now)
        )
    if isinstance(op, Redo):
        if not state.future:
            return state
        return replace(
            state, now=state.future[-1], past=(*state.past, state.now), future=state.future[:-1]
        )
    edited = edit(state.now.canvas, op)
    return _push(state, edited.what, edited.canvas)


def _strokes(state: ViewState, ops: tuple[Op, ...]) -> ViewState:
    """Every operation that is new and fits; the last one that does not is noted with the reason."""
    fresh = [op for op in ops if op.rev > state.ack]
    if fresh:  # a message that is sent again must not wipe the reason of the first time
        state = replace(state, refused=None)
    for op in fresh:
        try:
            state = _apply(state, op)
        except ValueError as error:
            state = replace(state, refused=Refusal(op.rev, str(error)))
        state = replace(state, ack=op.rev)
    return state


def update(state: ViewState, event: Event) -> ViewState:
    """The state after `event`.

    Raises:
        ScheduleError, ValueError: the event does not fit the grid; the old state still holds. An
            operation of the painter raises nothing: see `ViewState.refused`.
    """
    match event:
        case Strokes(ops):
            return _strokes(state, ops)
        case Refuse(rev):
            return replace(state, ack=max(state.ack, rev))
        case Repaint(what, schedule, group):
            schedule.check_fits(blocks=state.model.blocks, branches=state.model.branches)
            return _repaint(state, what, schedule, group)
        case Resteps(steps):
            if steps == state.schedule.steps:
                return state
            schedule = state.schedule.resample(steps)
            return _repaint(state, f"{steps} steps", schedule, "steps")
        case Configure(settings):
            if not 0 <= settings.label < len(state.model.class_names):
                raise ScheduleError(
                    f"class {settings.label} was given, expected 0 to "
                    f"{len(state.model.class_names) - 1}."
                )
            return replace(state, settings=settings)
        case UseModel(model, settings, schedule):
            return replace(
                state,
                model=model,
                settings=settings,
                now=Entry("start", schedule, hues=state.now.hues),
                past=(),
                future=(),
            )


class Session:
    """Holds one visitor's state; `dispatch` is the only way to change it, one event at a time.

    Gradio copies the initial value for every visitor and then hands the same object to every
    handler, which may run at the same time.
    """

    def __init__(self, state: ViewState) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._run = 0
        self._rest = True

    def __deepcopy__(self, memo: dict[int, object]) -> Session:
        return Session(self._state)

    @property
    def state(self) -> ViewState:
        return self._state

    def dispatch(self, event: Event) -> ViewState:
        """Apply one event and return the new state; raises what `update` raises.

        Raises:
            Refused: operations of the painter were not taken; the others were, and the state holds.
        """
        with self._lock:
            before, self._state = self._state, update(self._state, event)
            refused = self._state.refused
            if isinstance(event, Strokes) and refused and refused is not before.refused:
                raise Refused(refused.words)
            return self._state

    def begin_run(self) -> Callable[[], bool]:
        """Take over from any run in progress; the answer says when this one is out of date."""
        with self._lock:
            self._run += 1
            self._rest = False
            mine = self._run
        return lambda: self._run != mine

    def end_runs(self) -> None:
        """Ask the run in progress, if any, to stop; nothing takes over."""
        with self._lock:
            self._run += 1
            self._rest = True

    @property
    def at_rest(self) -> bool:
        """Whether nothing has begun since `end_runs`."""
        return self._rest
