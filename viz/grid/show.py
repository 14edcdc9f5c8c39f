"""What the painter shows of a page's state and of a run: brushes, value, spec and live marks.

Not imported by the package itself, because a state is built on the package's operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from caching.formats.rows import letters_of
from caching.predict.proxy import Tables
from caching.predict.shares import with_shares
from caching.predictors import Predictor
from caching.schedule import Schedule
from viz.brushes import Canvas, hues_of, key_of, title_of
from viz.grid.encode import Brush, Expected, StepBrush, grid_live, grid_spec, grid_value
from viz.state import At, Entry, ViewState

if TYPE_CHECKING:
    from caching.models.family import Family


def cell_brushes(canvas: Canvas, tables: Tables | None = None) -> list[Brush]:
    """The brushes of the cells; `tables` say what each one computes of a branch."""
    schedule = canvas.schedule
    hues, _ = hues_of(canvas)
    return [
        Brush(
            name=p.name,
            kind=p.kind,
            label=title_of(p),
            letter=letter,
            key=key_of(p),
            hue=hue,
            macs_share=_share(p, tables),
            notes=p.computes or p.watches,
        )
        for p, letter, hue in zip(schedule.legend, schedule.letters[1:], hues, strict=True)
    ]


def step_brushes(canvas: Canvas) -> list[StepBrush]:
    """The brushes of the step row."""
    schedule = canvas.schedule
    _, hues = hues_of(canvas)
    letters = letters_of(schedule.step_legend)[1:]
    brushes = []
    for action, letter, hue in zip(schedule.step_legend, letters, hues, strict=True):
        covers = action.covers(schedule.blocks)
        brushes.append(
            StepBrush(
                name=action.name,
                kind=action.kind,
                label=title_of(action),
                letter=letter,
                key=key_of(action),
                hue=hue,
                covers=(covers.start, covers.stop),
                embeds=action.embeds,
                heads=action.heads,
                half=action.half,
                at_first=action.at_first,
            )
        )
    return brushes


MAX_NAMES = 300  # of entries of the history, around the present one, that a page is told of
MAX_NAME = 80
_AT: tuple[At, ...] = ("previous", "A", "B")


def value_of(
    state: ViewState,
    expected: Expected | None = None,
    measured: Callable[[Entry], str | None] | None = None,
    of: str | None = None,
) -> dict[str, Any]:
    """The painter's value for a state.

    Args:
        state: what the page shows.
        expected: what is predicted for its schedule.
        measured: the result that is kept for an entry of the history, in few words, or None.
        of: the name of the session whose state it is; None: of nobody's.
    """
    refused, schedule = state.refused, state.schedule
    return grid_value(
        state.schedule.actions,
        ack=state.ack,
        undo=state.undo_label,
        redo=state.redo_label,
        step_actions=state.schedule.step_actions,
        refused=None if refused is None else (refused.rev, refused.words),
        expected=expected,
        keys=_keys(schedule),
        locks=state.now.locks,
        kept=state.kept,
        history=_history(state, measured or (lambda entry: None)),
        others=_others(state),
        at=None if of is None else (of, state.age),
    )


def _keys(schedule: Schedule) -> dict[str, list[str]]:
    return {
        "cells": [key_of(p) for p in schedule.legend],
        "steps": [key_of(a) for a in schedule.step_legend],
    }


def _history(state: ViewState, measured: Callable[[Entry], str | None]) -> dict[str, Any]:
    """The entries around the present one: their names, and the numbers of those that ran."""
    entries, at = state.timeline, len(state.past)
    first = max(0, min(at - MAX_NAMES // 2, len(entries) - MAX_NAMES))
    shown = entries[first : first + MAX_NAMES]
    return {
        "first": first,
        "at": at,
        "total": len(entries),
        "names": [entry.what[:MAX_NAME] for entry in shown],
        "measured": {
            str(first + k): words for k, entry in enumerate(shown) if (words := measured(entry))
        },
    }


def _others(state: ViewState) -> dict[str, Any]:
    """Schedules to compare with; one of another shape can be neither shown nor compared."""
    found: dict[str, Any] = {}
    for at in _AT:
        entry = state.entry(at)
        if entry is None:
            continue
        fits = entry.schedule.actions.shape == state.schedule.actions.shape
        value = grid_value(entry.schedule.actions, step_actions=entry.schedule.step_actions)
        rows = {"rows": value["rows"], "steps": value["steps"]} if fits else {"rows": None}
        found[at] = {"what": entry.what[:MAX_NAME], "keys": _keys(entry.schedule), **rows}
    return found


def spec_of(
    state: ViewState,
    tables: Tables | None = None,
    timesteps: Sequence[float] | None = None,
    family: Family | None = None,
) -> dict[str, Any]:
    """The painter's spec for a state.

    Args:
        state: what the page shows.
        tables: prediction tables for the state's own number of steps.
        timesteps: (S,), where they are known.
        family: the loaded model, which knows what predictors compute of a branch; without it the
            shapes that the tables imply must tell.
    """
    schedule = state.schedule
    if tables is not None:
        tables = with_shares(tables, schedule.legend, family)
    spec = grid_spec(
        steps=schedule.steps,
        blocks=schedule.blocks,
        branches=schedule.branches,
        timesteps=timesteps,
        legend=cell_brushes(state.now.canvas, tables),
        step_legend=step_brushes(state.now.canvas),
        tables=tables,
    )
    return {**spec, "classes": list(state.model.class_names)}


def live_of(
    run: str,
    schedule: Schedule,
    executed: np.ndarray,
    executed_actions: np.ndarray | None = None,
    *,
    step: int | None = None,
    done: bool = False,
    ms: Sequence[float] = (),
    decided: Sequence[tuple[float | None, float | None]] = (),
    policy: str | None = None,
) -> dict[str, Any]:
    """The live marks of a run.

    Args:
        run: its name; a new one clears the marks of the run before.
        schedule: what the run was started with, in whose legends the marks are numbered; of a
            policy, any schedule with its legends.
        executed: uint8 (n, L, R), as `Run.executed`, of the steps so far.
        executed_actions: uint8 (n,), as `Run.executed_actions`; None: all ran their blocks.
        step, done, ms: as in `grid_live`.
        decided: score and limit of the steps so far, under a policy.
        policy: its name; None: the schedule itself decided.
    """
    canvas = Canvas(schedule)
    return grid_live(
        run,
        executed,
        total=schedule.steps,
        step=step,
        done=done,
        ms=ms,
        asked=schedule.actions,
        executed_actions=executed_actions,
        asked_steps=schedule.step_actions,
        legend=cell_brushes(canvas),
        step_legend=step_brushes(canvas),
        decided=decided,
        policy=policy,
    )


def _share(predictor: Predictor, tables: Tables | None) -> tuple[float, ...] | None:
    """(L * R,) what a predictor computes of a branch; () for nothing, None if nobody knows."""
    if type(predictor).macs is Predictor.macs:
        return ()
    share = None if tables is None else tables.shares.get(predictor)
    return None if share is None else tuple(share.reshape(-1).tolist())
