"""The one function that changes a visitor's state.

`update` is pure. A refused event raises and leaves the state as it was, so nothing is ever lost; of
several operations of the painter, one that is refused costs none of the others.
"""

from __future__ import annotations

from dataclasses import replace

from caching.errors import ScheduleError
from caching.schedule import Schedule
from viz.brushes import Canvas, edit
from viz.grid.ops import Op, Peek, Pin, Redo, Runs, Travel, Undo
from viz.locks import merged, resampled
from viz.state import (
    Configure,
    Entry,
    Event,
    Gather,
    PinEntry,
    Recall,
    Refusal,
    Refuse,
    Repaint,
    Resteps,
    Restore,
    Settings,
    Show,
    Strokes,
    UseModel,
    ViewState,
)

MAX_HISTORY = 500


def _held(state: ViewState) -> Entry:
    """The present as an entry that can be gone back to, with its settings."""
    return replace(state.now, settings=state.settings)


def _push(state: ViewState, now: Entry) -> ViewState:
    """Another present; the one before is gone back to by undo, unless both are of one group."""
    past = state.past
    if now.group is None or now.group != state.now.group or not past:
        past = (*past, _held(state))[-MAX_HISTORY:]
    return replace(state, now=now, past=past, future=(), settings=now.settings or state.settings)


def _paint(state: ViewState, what: str, canvas: Canvas, group: str | None = None) -> ViewState:
    if canvas == state.now.canvas:
        return state
    entry = Entry(what, canvas.schedule, group, canvas.hues, canvas.locks, state.settings)
    return _push(state, entry)


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
    after = _paint(state, what, Canvas(schedule, now.hues, locks), group)
    return after if after.kept == kept else replace(after, kept=kept)


def _travel(state: ViewState, to: int) -> ViewState:
    """The present moved to an entry of the history; nothing of it is lost."""
    here = len(state.past)
    entries = (*state.past, _held(state), *reversed(state.future))
    if to >= len(entries):
        raise ValueError(f"entry {to} of the history is gone: it has {len(entries)}")
    if to == here:
        return state
    then, now = entries[to].settings or state.settings, state.settings
    if state.place.keeps:  # the picture is locked here, also against going back to another one
        then = replace(then, label=now.label, seed=now.seed)
    return replace(
        state,
        settings=then,
        now=replace(entries[to], settings=then),
        past=entries[:to],
        future=tuple(reversed(entries[to + 1 :])),
    )


def _checked(state: ViewState, settings: Settings) -> Settings:
    """The settings; ScheduleError where the model or the page does not have them."""
    if not 0 <= settings.label < len(state.model.class_names):
        raise ScheduleError(
            f"class {settings.label} was given, expected 0 to {len(state.model.class_names) - 1}."
        )
    now = state.settings
    if state.place.keeps and (settings.label, settings.seed) != (now.label, now.seed):
        raise ScheduleError("class and seed are locked here: this page keeps its picture.")
    return settings


def _configure(state: ViewState, settings: Settings) -> ViewState:
    """Other settings as a step of the history; a control that moves on is still the same step."""
    if _checked(state, settings) == state.settings:
        return state
    names = {
        "label": f"class {state.model.class_names[settings.label]}",
        "seed": f"seed {settings.seed}",
        "cfg_scale": f"guidance {settings.cfg_scale:g}",
        "sampler": f"sampler {settings.sampler}",
    }
    changed = [name for name in names if getattr(settings, name) != getattr(state.settings, name)]
    what, group = ", ".join(names[name] for name in changed), f"setting {' '.join(changed)}"
    now = replace(
        state.now, what=what, group=group, settings=settings, painted=state.now.painted_by
    )
    return _push(state, now)


def _restore(state: ViewState, event: Restore) -> ViewState:
    """The schedule of an earlier run with its settings; what is locked stays so, as now painted."""
    schedule, left = event.schedule, state.now
    if (schedule, event.settings) == (state.schedule, state.settings):
        return state
    locks = left.locks if schedule.actions.shape == state.schedule.actions.shape else ()
    settings = _checked(state, event.settings)
    now = Entry(event.what, schedule, None, left.hues, locks, settings)
    return replace(_push(state, now), kept=0)


def _recall(state: ViewState, event: Recall) -> ViewState:
    """The history and pins of an earlier visit; the present stays."""
    classes = len(state.model.class_names)
    for entry in (*event.past, *event.future, event.pin_a, event.pin_b):
        if entry is None:
            continue
        entry.schedule.check_fits(blocks=state.model.blocks, branches=state.model.branches)
        if entry.settings is None or not 0 <= entry.settings.label < classes:
            raise ScheduleError(f"an entry of a history names no class of 0 to {classes - 1}.")
    past = event.past[-MAX_HISTORY:] or state.past
    future = event.future[-MAX_HISTORY:]
    return replace(state, past=past, future=future, pin_a=event.pin_a, pin_b=event.pin_b)


def _gather(state: ViewState, before: ViewState) -> ViewState:
    """The steps since `before` as one; none where nothing is other than it was."""
    if state.now is before.now or state.model != before.model:
        return state
    if (state.now.canvas, state.settings) == (before.now.canvas, before.settings):
        return replace(state, now=before.now, past=before.past, future=before.future)
    return replace(state, past=(*before.past, _held(before))[-MAX_HISTORY:], future=())


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
            entry = None if clear else _held(state)
            return replace(state, pin_a=entry) if slot == "A" else replace(state, pin_b=entry)
        case Peek(at=at):
            if at is not None and state.entry(at) is None:
                raise ValueError(f"there is nothing to compare with: {at} is empty")
            return replace(state, peek=at)
    edited = edit(state.now.canvas, op)
    return _paint(state, edited.what, edited.canvas)


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
        case Recall():
            return _recall(state, event)
        case Gather(before):
            return _gather(state, before)
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
