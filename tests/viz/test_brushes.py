"""Edits of the legends: what each does to schedule and colours, and what is refused in words."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from caching.actions.cond_only import CondOnly
from caching.actions.hidden import FinalHidden
from caching.actions.residual import Residual
from caching.actions.scale import ScaleEps
from caching.checks import MAX_LEGEND
from caching.predictors import Reuse
from caching.predictors.hermite import Hermite
from caching.predictors.skip import Skip
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule
from viz.brushes import Canvas, edit, hues_of, key_of, title_of
from viz.grid.ops import AddBrush, Op, Paint, PaintSteps, Put, Recolour, RemoveBrush, ReplaceBrush
from viz.palette import BRUSHES

# Four steps, one block: attention is row 0, feed-forward row 1.
CANVAS = Canvas(
    Schedule.from_rows(
        ["CRTT", "CCRC"],
        legend=(Reuse(), Taylor(2), Skip()),
        step_row="CCCS",
        step_legend=(Residual(), CondOnly()),
    )
)


def after(op: Op, canvas: Canvas = CANVAS) -> Canvas:
    return edit(canvas, op).canvas


def test_adding_a_brush_appends_it_and_keeps_everything_painted() -> None:
    done = edit(CANVAS, AddBrush(1, "cells", {"predictor": "hermite", "order": 3, "sigma": 1}))
    schedule = done.canvas.schedule
    assert done.what == "add brush Hermite (3, 1)"
    assert schedule.legend == (Reuse(), Taylor(2), Skip(), Hermite(3, 1.0))
    assert schedule.rows() == CANVAS.schedule.rows()
    assert after(AddBrush(1, "steps", {"action": "hidden"})).schedule.step_legend == (
        Residual(), CondOnly(), FinalHidden(),
    )  # fmt: skip


def test_an_edit_of_chosen_steps_is_put_on_the_step_row_by_the_keys_of_its_brushes() -> None:
    assert CANVAS.schedule.step_row() == "CCCS"
    done = edit(CANVAS, Put(1, "mirror", ((1, 3),), bytes([1, 0, 2]), 4, (), "steps"))
    assert done.what == "mirror in time, 3 steps"
    assert done.canvas.schedule.step_actions.tolist() == [0, 1, 0, 2]
    np.testing.assert_array_equal(done.canvas.schedule.actions, CANVAS.schedule.actions)
    keys = ((1, key_of(CondOnly())), (2, key_of(Residual())))  # as numbered on the page
    moved = after(Put(1, "move", ((1, 2),), bytes([1, 2]), 4, keys, "steps"))
    assert moved.schedule.step_actions.tolist() == [0, 2, 1, 1]
    # Step 0 has nothing before it, so only what may stand there is taken.
    first = after(Put(1, "fill", ((0, 2),), bytes([1, 1]), 4, (), "steps"))
    assert first.schedule.step_actions.tolist() == [0, 1, 0, 1]
    scaled = Canvas(dataclasses.replace(CANVAS.schedule, step_legend=(ScaleEps(), CondOnly())))
    first = after(Put(1, "fill", ((0, 2),), bytes([1, 1]), 4, (), "steps"), scaled)
    assert first.schedule.step_actions.tolist() == [1, 1, 0, 1]


def test_replacing_a_brush_takes_its_cells_along() -> None:
    done = edit(CANVAS, ReplaceBrush(1, "cells", 2, {"predictor": "taylor", "order": 0}))
    assert done.what == "Taylor (2) to Taylor (0)"
    assert done.canvas.schedule.legend == (Reuse(), Taylor(0), Skip())
    np.testing.assert_array_equal(done.canvas.schedule.actions, CANVAS.schedule.actions)
    one = Canvas(Schedule.full(4, 3))
    one = after(AddBrush(1, "steps", {"action": "residual", "first": 0, "last": 0}), one)
    one = after(PaintSteps(2, 1, ((2, 1),)), one)
    one = after(ReplaceBrush(3, "steps", 1, {"action": "residual", "first": 1, "last": 1}), one)
    assert np.argwhere(one.schedule.covered[..., 0]).tolist() == [[2, 1]]


def test_replacing_a_brush_by_itself_changes_nothing() -> None:
    assert after(ReplaceBrush(1, "cells", 2, {"predictor": "taylor", "order": 2})) == CANVAS


def test_removing_an_unused_brush_moves_those_after_it() -> None:
    canvas = after(AddBrush(1, "cells", {"predictor": "taylor", "order": 0}))
    canvas = after(Paint(2, 4, ((1, 1),)), canvas)
    done = edit(canvas, RemoveBrush(3, "cells", 3))
    assert done.what == "remove brush skip"
    assert done.canvas.schedule.legend == (Reuse(), Taylor(2), Taylor(0))
    assert done.canvas.schedule.actions[:, 0, 0].tolist() == [0, 3, 2, 2]
    left = after(RemoveBrush(1, "steps", 2)).schedule
    assert left.step_legend == (Residual(),) and left.step_actions.tolist() == [0, 0, 0, 1]


def test_a_brush_that_moved_meanwhile_is_found_by_its_key() -> None:
    """The page asks for brush 3 of a legend from which brush 1 has gone."""
    key = key_of(Skip())
    moved = Canvas(Schedule.full(4, 1).paint([[1, 0, 0]], Skip()))
    assert after(Paint(1, 3, ((2, 1),), brush=key), moved).schedule.rows() == {
        "block 0 attn": "CZZC", "block 0 mlp": "CCCC",
    }  # fmt: skip
    hued = after(Recolour(1, "cells", 3, 5, was=key), moved)
    assert hues_of(hued) == ((None, 5), ())


def test_steps_are_painted_and_step_zero_only_with_what_may_stand_there() -> None:
    done = edit(CANVAS, PaintSteps(1, 2, ((0, 3),), of=4))
    assert done.what == "paint conditional half (1.1, 1.1) on 3 steps"
    assert done.canvas.schedule.step_actions.tolist() == [0, 2, 2, 1]
    scaled = after(AddBrush(1, "steps", {"action": "scale", "delta": 0.97}))
    assert scaled.schedule.step_legend[2] == ScaleEps(0.97)
    assert after(PaintSteps(2, 3, ((0, 1),)), scaled).schedule.step_actions.tolist() == [3, 0, 0, 1]
    assert after(PaintSteps(1, 0, ((0, 4),))).schedule.step_actions.tolist() == [0, 0, 0, 0]


REFUSED: dict[str, tuple[Any, str]] = {
    "used by cells": (RemoveBrush(1, "cells", 2), r"Taylor \(2\) is painted on 2 cells"),
    "used by a step": (RemoveBrush(1, "steps", 1), "is painted on 1 step:"),
    "no such brush": (RemoveBrush(1, "cells", 4), "brush 4 does not exist, the legend ends at 3"),
    "no such step brush": (Recolour(1, "steps", 3, 0), "the legend ends at 2"),
    "another brush now": (RemoveBrush(1, "cells", 1, was=key_of(Hermite())), "choose it again"),
    "twice": (AddBrush(1, "cells", {"predictor": "skip"}), "skip is in the legend already"),
    "twice by change": (
        ReplaceBrush(1, "cells", 1, {"predictor": "skip"}),
        "skip is in the legend already",
    ),
    "unknown": (AddBrush(1, "cells", {"predictor": "magic"}), "'magic' is unknown"),
    "action for cells": (AddBrush(1, "cells", {"action": "residual"}), "is not a predictor"),
    "name is a number": (AddBrush(1, "cells", {"predictor": 3}), "is not a predictor"),
    "missing parameter": (AddBrush(1, "cells", {"predictor": "taylor"}), "expected 'order'"),
    "other parameter": (
        AddBrush(1, "cells", {"predictor": "skip", "x": 1}),
        "given the parameters 'x', expected none",
    ),
    "beyond its limits": (
        AddBrush(1, "cells", {"predictor": "taylor", "order": 7}),
        "order is 7: expected a whole number from 0 to 6",
    ),
    "half an order": (AddBrush(1, "cells", {"predictor": "taylor", "order": 1.5}), "order is 1.5"),
    "a flag": (AddBrush(1, "cells", {"predictor": "taylor", "order": True}), "order is True"),
    "no block between": (
        AddBrush(1, "steps", {"action": "residual", "first": 1, "last": 0}),
        "the model has 1",
    ),
    "no such action": (Paint(1, 4, ((1, 1),)), "action 4 does not exist"),
    "no such step action": (PaintSteps(1, 3, ((1, 1),)), "action 3 does not exist"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_in_words(name: str) -> None:
    op, words = REFUSED[name]
    with pytest.raises(ValueError, match=words) as caught:
        edit(CANVAS, op)
    assert len(str(caught.value)) < 250


def test_the_last_brush_of_the_cells_stays_and_the_step_legend_may_be_empty() -> None:
    with pytest.raises(ValueError, match="is the last brush"):
        edit(Canvas(Schedule.full(4, 1)), RemoveBrush(1, "cells", 1))
    bare = after(PaintSteps(1, 0, ((3, 1),)))
    bare = after(RemoveBrush(2, "steps", 1), bare)
    assert after(RemoveBrush(3, "steps", 1), bare).schedule.step_legend == ()


def test_a_legend_does_not_grow_for_ever() -> None:
    canvas = Canvas(Schedule.full(2, 1))
    for n in range(MAX_LEGEND - 1):
        canvas = after(AddBrush(1, "cells", {"predictor": "extrapolate", "w": n / 20}), canvas)
    with pytest.raises(ValueError, match="the legend is full with 32 brushes"):
        edit(canvas, AddBrush(1, "cells", {"predictor": "skip"}))


# -- colours -------------------------------------------------------------------------------


def test_every_brush_has_a_colour_of_its_own_but_reuse() -> None:
    assert hues_of(CANVAS) == ((None, 0, 1), (2, 3))


def test_a_colour_is_chosen_taken_back_and_kept_when_parameters_change() -> None:
    red = after(Recolour(1, "cells", 2, 7))
    assert edit(CANVAS, Recolour(1, "cells", 2, 7)).what == "recolour Taylor (2)"
    assert hues_of(red) == ((None, 7, 0), (1, 2)) and red.schedule == CANVAS.schedule
    changed = after(ReplaceBrush(2, "cells", 2, {"predictor": "taylor", "order": 3}), red)
    assert hues_of(changed)[0] == (None, 7, 0)
    assert key_of(Taylor(2)) not in dict(changed.hues)  # nothing is kept of the brush that left
    # Its own first colour is no longer free: skip has it, and keeps it.
    assert hues_of(after(Recolour(3, "cells", 2, None), changed)) == ((None, 3, 0), (1, 2))
    assert hues_of(after(Recolour(1, "cells", 1, 4)))[0] == (4, 0, 1)


def test_a_brush_keeps_its_colour_when_another_one_is_removed() -> None:
    canvas = after(AddBrush(1, "cells", {"predictor": "taylor", "order": 0}))
    assert hues_of(canvas) == ((None, 0, 1, 4), (2, 3))  # 4: the first that none of them has
    canvas = after(RemoveBrush(2, "cells", 3), canvas)
    assert hues_of(canvas) == ((None, 0, 4), (2, 3))


def test_colours_repeat_when_there_are_more_brushes_than_colours() -> None:
    legend = tuple(Taylor(n) for n in range(7)) + tuple(Hermite(n) for n in range(4))
    hues, _ = hues_of(Canvas(Schedule(np.zeros((2, 1, 2), np.uint8), legend)))
    assert hues == (*range(len(BRUSHES)), 0, 1, 2)


def test_keys_tell_brushes_apart_and_titles_begin_with_a_capital() -> None:
    assert key_of(Taylor(2)) == '{"predictor":"taylor","order":2}'
    assert key_of(Residual(1, 2)) == '{"action":"residual","first":1,"last":2}'
    assert (title_of(Reuse()), title_of(Residual(1, 2))) == ("Reuse", "Block residual (1, 2)")
