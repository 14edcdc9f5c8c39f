"""The state of one visitor's page, and the one function that changes it.

Strokes, undo, presets, controls and opened files are all events; `update` is pure and the only
writer. A refused event raises and leaves the state as it was, so nothing is ever lost; of several
operations of the painter, one that is refused costs none of the others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from caching.errors import ScheduleError
from caching.schedule import Schedule
from viz.brushes import Canvas, Hues, edit
from viz.grid.ops import Op, Peek, Pin, Redo, Runs, Slot, Travel, Undo
from viz.locks import merged, resampled
from viz.place import FIRST, Place

MAX_HISTORY = 500
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
    """One state of the grid and the words that name the edit which led to it."""

    what: str
    schedule: Schedule
    group: str | None = None  # edits of one group in a row, such as a moving slider, are one step
    hues: Hues = ()  # the colours chosen for brushes, undone and redone with the rest
    locks: Runs = ()  # likewise the locked cells
    settings: Settings | None = None  # of the picture, where restoring a run led here or away

    @property
    def canvas(self) -> Canvas:
        return Canvas(self.schedule, self.hues, self.locks)


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
    not taken, until a message comes that is taken in whole. `kept` is how many locked cells the
    last preset, method or file would have changed. `pin_a` and `pin_b` are schedules to compare
    with; `peek` names the one whose result is shown instead of the present one's.
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
    """An earlier run comes back, exactly as it was; one step of undo, its settings with it."""

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
    """Class, seed, guidance or sampler changed."""

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


Event = Strokes | Refuse | Repaint | Restore | PinEntry | Resteps | Configure | UseModel | Show


def _push(state: ViewState, what: str, canvas: Canvas, group: str | None = None) -> ViewState:
    if canvas == state.now.canvas:
        return state
    past = state.past
    if group is None or group != state.now.group or not past:
        past = (*past, state.now)[-MAX_HISTORY:]
    now = Entry(what, canvas.schedule, group, canvas.hues, canvas.locks)
    return replace(state, now=now, past=past, future=())


def _repaint(
    state: ViewState,
    what: str,
    schedule: Schedule,
    group: str | None = None,
    locks: Runs | None = None,
) -> ViewState:
    now, kept = state.now, 0
    if locks is None:
        same = schedule.actions.shape == now.schedule.actions.shape
        schedule, kept = merged(schedule, now.schedule, now.locks)
        locks = now.locks if same else ()
    after = _push(state, what, Canvas(schedule, now.hues, locks), group)
    return after if after.kept == kept else replace(after, kept=kept)


def _travel(state: ViewState, to: int) -> ViewState:
    """The present moved to an entry of the history; nothing of it is lost."""
    entries, here = state.timeline, len(state.past)
    if to >= len(entries):
        raise ValueError(f"entry {to} of the history is gone: it has {len(entries)}")
    if to == here:
        return state
    return replace(
        state,
        settings=entries[to].settings or state.settings,
        now=entries[to],
        past=entries[:to],
        future=tuple(reversed(entries[to + 1 :])),
    )


def _configure(state: ViewState, settings: Settings) -> ViewState:
    """Other settings; ScheduleError where the model or the page does not have them."""
    if not 0 <= settings.label < len(state.model.class_names):
        raise ScheduleError(
            f"class {settings.label} was given, expected 0 to {len(state.model.class_names) - 1}."
        )
    now = state.settings
    if state.place.keeps and (settings.label, settings.seed) != (now.label, now.seed):
        raise ScheduleError("class and seed are locked here: this page keeps its picture.")
    held = state.now if state.now.settings is None else replace(state.now, settings=settings)
    return replace(state, settings=settings, now=held)


def _restore(state: ViewState, event: Restore) -> ViewState:
    """The schedule of an earlier run with its settings; what is locked stays so, as now painted."""
    schedule, left = event.schedule, replace(state.now, settings=state.settings)
    if (schedule, event.settings) == (state.schedule, state.settings):
        return state
    locks = left.locks if schedule.actions.shape == state.schedule.actions.shape else ()
    now = Entry(event.what, schedule, None, left.hues, locks, event.settings)
    past = (*state.past, left)[-MAX_HISTORY:]
    return replace(_configure(state, event.settings), now=now, past=past, future=(), kept=0)


def _apply(state: ViewState, op: Op) -> ViewState:
    here = len(state.past)
    match op:
        case Undo():
            return _travel(state, max(0, here - 1))
        case Redo():
            return _travel(state, min(here + 1, here + len(state.future)))
        case Travel(to=to):
            return _travel(state, to)
        case Pin(slot=slot, clear=clear):
            entry = None if clear else state.now
            return replace(state, pin_a=entry) if slot == "A" else replace(state, pin_b=entry)
        case Peek(at=at):
            if at is not None and state.entry(at) is None:
                raise ValueError(f"there is nothing to compare with: {at} is empty")
            return replace(state, peek=at)
    edited = edit(state.now.canvas, op)
    return _push(state, edited.what, edited.canvas)


def _strokes(state: ViewState, ops: tuple[Op, ...]) -> ViewState:
    """Every operation that is new and fits; the last one that does not is noted with the reason."""
    fresh = [op for op in ops if op.rev > state.ack]
    if fresh:  # a message that is sent again must not wipe the reason of the first time
        state = replace(state, refused=None, kept=0, peek=None)
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
        case Repaint(what, schedule, group, locks):
            schedule.check_fits(blocks=state.model.blocks, branches=state.model.branches)
            return _repaint(state, what, schedule, group, locks)
        case Resteps(steps):
            if steps == state.schedule.steps:
                return state
            locks = resampled(state.now.locks, state.schedule, steps)
            schedule = state.schedule.resample(steps)
            return _repaint(state, f"{steps} steps", schedule, "steps", locks)
        case Configure(settings):
            return _configure(state, settings)
        case Restore(_, schedule, _):
            schedule.check_fits(blocks=state.model.blocks, branches=state.model.branches)
            return _restore(state, event)
        case PinEntry(slot, entry):
            return replace(state, pin_a=entry) if slot == "A" else replace(state, pin_b=entry)
        case Show(place):
            return replace(state, place=place)
        case UseModel(model, settings, schedule):
            return replace(
                state,
                model=model,
                settings=settings,
                now=Entry("start", schedule, hues=state.now.hues),
                past=(),
                future=(),
                kept=0,
                pin_a=None,
                pin_b=None,
                peek=None,
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
