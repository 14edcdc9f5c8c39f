"""The state of one visitor's page, and the one function that changes it.

Strokes, undo, presets, controls and opened files are all events; `update` is pure and the only
writer. A refused event raises and leaves the state as it was, so nothing is ever lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from caching.errors import ScheduleError
from caching.predictors import Predictor
from caching.schedule import Schedule
from viz.grid.ops import Op, Paint, Redo, Undo, check, paint

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


@dataclass(frozen=True)
class ViewState:
    """Everything a page shows that a person decided. `ack` is the last stroke that was taken in."""

    model: ModelFacts
    settings: Settings
    now: Entry
    past: tuple[Entry, ...] = ()
    future: tuple[Entry, ...] = ()
    ack: int = 0

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


def flat_actions(schedule: Schedule) -> np.ndarray:
    """The painter's cell order: uint8 (L * R * S,), block-major rows of steps."""
    flat: np.ndarray = schedule.actions.transpose(1, 2, 0).reshape(-1)
    return flat


def _from_flat(flat: np.ndarray, like: Schedule) -> Schedule:
    steps, blocks, branches = like.actions.shape
    actions = flat.reshape(blocks, branches, steps).transpose(2, 0, 1)
    return Schedule(actions, like.legend, like.branches, like.context)


def _push(state: ViewState, what: str, schedule: Schedule, group: str | None = None) -> ViewState:
    if schedule == state.schedule:
        return state
    past = state.past
    if group is None or group != state.now.group or not past:
        past = (*past, state.now)[-MAX_HISTORY:]
    return replace(state, now=Entry(what, schedule, group), past=past, future=())


def _stroke_words(op: Paint, legend: tuple[Predictor, ...]) -> str:
    cells = sum(length for _, length in op.runs)
    action = legend[op.to - 1].label if op.to else "compute"
    return f"paint {action} on {cells} cell{'s' if cells != 1 else ''}"


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
    schedule = state.schedule
    check(op, schedule.actions.size, len(schedule.legend))
    flat = paint(flat_actions(schedule), op, steps=schedule.steps)
    return _push(state, _stroke_words(op, schedule.legend), _from_flat(flat, schedule))


def _strokes(state: ViewState, ops: tuple[Op, ...]) -> ViewState:
    for op in ops:
        if op.rev > state.ack:
            state = replace(_apply(state, op), ack=op.rev)
    return state


def update(state: ViewState, event: Event) -> ViewState:
    """The state after `event`.

    Raises:
        ScheduleError, ValueError: the event does not fit the grid; the old state still holds.
    """
    match event:
        case Strokes(ops):
            return _strokes(state, ops)
        case Refuse(rev):
            return replace(state, ack=max(state.ack, rev))
        case Repaint(what, schedule, group):
            schedule.check_fits(blocks=state.model.blocks, branches=state.model.branches)
            return _push(state, what, schedule, group)
        case Resteps(steps):
            if steps == state.schedule.steps:
                return state
            schedule = state.schedule.resample(steps)
            return _push(state, f"{steps} steps", schedule, "steps")
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
                now=Entry("start", schedule),
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
        """Apply one event and return the new state; raises what `update` raises."""
        with self._lock:
            self._state = update(self._state, event)
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
