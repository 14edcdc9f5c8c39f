"""Messages of the painter: what is read, what is refused, and what a stroke does to a grid."""

from __future__ import annotations

import math
from typing import Any

import gradio as gr
import numpy as np
import pytest

from viz import palette
from viz.grid import (
    AddBrush,
    Op,
    Paint,
    PaintSteps,
    Recolour,
    Redo,
    RemoveBrush,
    ReplaceBrush,
    ScheduleGrid,
    Undo,
    check,
    paint,
    parse_ops,
)
from viz.grid.ops import Lock, Peek, Pin, Put, Travel, number_of
from viz.grid.parse import MAX_FIELDS, MAX_KEY, MAX_OPS, MAX_RUNS, MAX_TEXT


def stroke(**changes: Any) -> dict[str, Any]:
    return {"rev": 1, "op": "paint", "to": 1, "cells": [1, 3], **changes}


def steps(**changes: Any) -> dict[str, Any]:
    return {"rev": 1, "op": "steps", "to": 1, "steps": [1, 3], **changes}


def add(**changes: Any) -> dict[str, Any]:
    return {"rev": 1, "op": "add", "in": "cells", "brush": {"predictor": "skip"}, **changes}


def remove(**changes: Any) -> dict[str, Any]:
    return {"rev": 1, "op": "remove", "in": "cells", "index": 1, **changes}


def put(**changes: Any) -> dict[str, Any]:
    raw = {"rev": 1, "op": "put", "verb": "mirror", "cells": [1, 2, 9, 1], "to": "10z"}
    return {**raw, **changes}


def lock(**changes: Any) -> dict[str, Any]:
    return {"rev": 1, "op": "lock", "on": True, "cells": [1, 3], **changes}


def test_ops_arrive_in_order() -> None:
    payload = {"ops": [stroke(of=40), {"rev": 2, "op": "undo"}, {"rev": 9, "op": "redo"}]}
    assert parse_ops(payload) == (Paint(1, 1, ((1, 3),), 40), Undo(2), Redo(9))


TAYLOR = {"predictor": "taylor", "order": 2}


@pytest.mark.parametrize(
    ("raw", "op"),
    [
        (stroke(brush="R"), Paint(1, 1, ((1, 3),), None, "R")),
        ({"rev": 1, "op": "steps", "to": 2, "steps": [3, 1], "of": 20, "brush": "S"},
         PaintSteps(1, 2, ((3, 1),), 20, "S")),
        ({"rev": 1, "op": "add", "in": "cells", "brush": TAYLOR}, AddBrush(1, "cells", TAYLOR)),
        ({"rev": 1, "op": "replace", "in": "steps", "index": 2, "brush": {"a": 0.5}, "was": "S"},
         ReplaceBrush(1, "steps", 2, {"a": 0.5}, "S")),
        ({"rev": 1, "op": "remove", "in": "cells", "index": 3}, RemoveBrush(1, "cells", 3)),
        ({"rev": 1, "op": "recolour", "in": "cells", "index": 1, "hue": 7, "was": "R"},
         Recolour(1, "cells", 1, 7, "R")),
        ({"rev": 1, "op": "recolour", "in": "steps", "index": 1, "hue": None},
         Recolour(1, "steps", 1, None)),
        (put(), Put(1, "mirror", ((1, 2), (9, 1)), bytes([1, 0, 35]))),
        (put(of=24, brushes={"1": "R", "z": "S"}),
         Put(1, "mirror", ((1, 2), (9, 1)), bytes([1, 0, 35]), 24, ((1, "R"), (35, "S")))),
        ({**put(of=24), "in": "steps"},
         Put(1, "mirror", ((1, 2), (9, 1)), bytes([1, 0, 35]), 24, (), "steps")),
        (lock(of=24), Lock(1, True, ((1, 3),), 24)),
        (lock(on=False), Lock(1, False, ((1, 3),))),
        ({"rev": 1, "op": "travel", "to": 7}, Travel(1, 7)),
        ({"rev": 1, "op": "pin", "slot": "A"}, Pin(1, "A")),
        ({"rev": 1, "op": "pin", "slot": "B", "clear": True}, Pin(1, "B", True)),
        ({"rev": 1, "op": "peek", "at": "previous"}, Peek(1, "previous")),
        ({"rev": 1, "op": "peek", "at": None}, Peek(1, None)),
    ],
)  # fmt: skip
def test_every_operation_is_read(raw: dict[str, Any], op: Op) -> None:
    assert parse_ops({"ops": [raw]}) == (op,)


@pytest.mark.parametrize("payload", [None, {"ops": []}, {"told": '{"rows": ["01"]}'}])
def test_no_ops(payload: object) -> None:
    assert parse_ops(payload) == ()


HOSTILE: list[tuple[object, str]] = [
    ({"ops": [{**put(), "in": "rows"}]}, "expected a brush in cells or steps"),
    ("everything", "expected an object"),
    ([stroke()], "expected an object"),
    ({}, "expected"),
    ({"ops": "paint"}, "must be a list"),
    ({"ops": [None]}, "expected an object"),
    ({"ops": [stroke()] * (MAX_OPS + 1)}, "at most"),
    ({"ops": [stroke(op="fill")]}, "'fill'"),
    ({"ops": [stroke(op=None)]}, "got nothing"),
    ({"ops": [stroke(op="x" * 100_000)]}, "got 'xxxxx"),
    ({"ops": [stroke(rev=0)]}, "rev"),
    ({"ops": [stroke(rev=True)]}, "rev"),
    ({"ops": [stroke(rev=1.0)]}, "rev"),
    ({"ops": [stroke(rev=math.nan)]}, "nan"),
    ({"ops": [stroke(rev="1")]}, "text"),
    ({"ops": [stroke(rev=2**60)]}, "huge"),
    ({"ops": [stroke(rev=10**5000)]}, "huge"),
    ({"ops": [stroke(), stroke()]}, "greater than 1"),
    ({"ops": [stroke(rev=5), {"rev": 4, "op": "undo"}]}, "greater than 5"),
    ({"ops": [stroke(to=-1)]}, "action"),
    ({"ops": [stroke(to=36)]}, "action"),
    ({"ops": [stroke(to=math.inf)]}, "inf"),
    ({"ops": [stroke(cells=None)]}, "cells must be a list"),
    ({"ops": [stroke(cells=[1])]}, "cells must be a list"),
    ({"ops": [stroke(cells={"0": 1})]}, "cells must be a list"),
    ({"ops": [stroke(cells=[-1, 2])]}, "start"),
    ({"ops": [stroke(cells=[1, 0])]}, "length"),
    ({"ops": [stroke(cells=[1, -2])]}, "length"),
    ({"ops": [stroke(cells=[1, math.nan])]}, "nan"),
    ({"ops": [stroke(cells=[5, 2, 1, 2])]}, "sort"),
    ({"ops": [stroke(cells=[1, 3, 3, 2])]}, "sort"),
    ({"ops": [stroke(cells=[1, 10**9])]}, "length"),
    ({"ops": [stroke(cells=[999_999, 2])]}, "beyond"),
    ({"ops": [stroke(cells=[x for n in range(MAX_RUNS + 1) for x in (2 * n, 1)])]}, "runs"),
    ({"ops": [stroke(of="480")]}, "text"),
    ({"ops": [stroke(brush=3)]}, "key of a brush, got a number"),
    ({"ops": [stroke(brush="x" * (MAX_KEY + 1))]}, "key of a brush, got text"),
    ({"ops": [steps(steps=None)]}, "steps must be a list"),
    ({"ops": [steps(steps=[0])]}, "steps must be a list"),
    ({"ops": [steps(cells=[0, 1], steps=5)]}, "steps must be a list"),
    ({"ops": [steps(to=99)]}, "action"),
    ({"ops": [add(**{"in": None})]}, "cells or steps, got nothing"),
    ({"ops": [add(**{"in": "x" * 100_000})]}, "cells or steps, got 'xxxxx"),
    ({"ops": [add(brush=None)]}, "with its parameters, got nothing"),
    ({"ops": [add(brush={})]}, "with its parameters"),
    ({"ops": [add(brush=[1])]}, "with its parameters, got a list"),
    ({"ops": [add(brush={f"p{n}": 1 for n in range(MAX_FIELDS + 1)})]}, "with its parameters"),
    ({"ops": [add(brush={"x" * (MAX_TEXT + 1): 1})]}, "usual length"),
    ({"ops": [add(brush={"a": None})]}, "a number or a short text, got nothing"),
    ({"ops": [add(brush={"a": [1]})]}, "got a list"),
    ({"ops": [add(brush={"a": {"b": 1}})]}, "got an object"),
    ({"ops": [add(brush={"a": math.nan})]}, "nan"),
    ({"ops": [add(brush={"a": -math.inf})]}, "inf"),
    ({"ops": [add(brush={"a": 10**400})]}, "a number"),
    ({"ops": [add(brush={"a": "x" * (MAX_TEXT + 1)})]}, "got text"),
    ({"ops": [remove(index=0)]}, "brush is 0"),
    ({"ops": [remove(index=36)]}, "brush is 36"),
    ({"ops": [remove(index="1")]}, "text"),
    ({"ops": [remove(was=[])]}, "key of a brush, got a list"),
    ({"ops": [remove(op="recolour", hue=len(palette.BRUSHES))]}, "colour is 8"),
    ({"ops": [remove(op="recolour", hue=-1)]}, "colour is -1"),
    ({"ops": [remove(op="recolour", hue="red")]}, "colour must be"),
    ({"ops": [remove(op="replace")]}, "with its parameters"),
    ({"ops": [put(verb="explode")]}, "verb must be one of .*got 'explode'"),
    ({"ops": [put(verb=["mirror"])]}, "got a list"),
    ({"ops": [put(to="10")]}, "expected 3 digits, one for each cell, got 2 digits"),
    ({"ops": [put(to=[1, 0, 0])]}, "got a list"),
    ({"ops": [put(to="1é0")]}, "is no action"),
    ({"ops": [put(to="1A0")]}, "'A' is no action"),
    ({"ops": [put(cells=[5, 2, 1, 1])]}, "sort"),
    ({"ops": [put(brushes=[1])]}, "keys by number, got a list"),
    ({"ops": [put(brushes={"11": "R"})]}, "keys by number"),
    ({"ops": [put(brushes={"1": "x" * (MAX_KEY + 1)})]}, "keys by number"),
    ({"ops": [put(brushes={"1": 3})]}, "keys by number"),
    ({"ops": [lock(on=1)]}, "on must be true or false"),
    ({"ops": [lock(cells=None)]}, "cells must be a list"),
    ({"ops": [{"rev": 1, "op": "travel", "to": -1}]}, "entry"),
    ({"ops": [{"rev": 1, "op": "travel", "to": "1"}]}, "text"),
    ({"ops": [{"rev": 1, "op": "pin", "slot": "C"}]}, "slot must be one of A, B"),
    ({"ops": [{"rev": 1, "op": "peek", "at": "later"}]}, "at must be one of previous"),
]


@pytest.mark.parametrize(("payload", "words"), HOSTILE)
def test_hostile_messages_are_refused_with_short_words(payload: object, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        parse_ops(payload)
    assert len(str(caught.value)) < 200
    with pytest.raises(gr.Error, match="could not be read"):
        ScheduleGrid().preprocess(payload)


@pytest.mark.parametrize(
    ("op", "words"),
    [
        (Paint(1, 2, ((1, 3),)), "legend ends at 1"),
        (Paint(1, 1, ((1, 3), (478, 3))), "cell 480 does not exist"),
        (Paint(1, 1, ((1, 3),), of=2800), "painted on a grid of 2,800 cells"),
        (PaintSteps(1, 2, ((1, 3),)), "legend ends at 1"),
        (PaintSteps(1, 1, ((479, 2),)), "step 480 does not exist"),
        (PaintSteps(1, 1, ((1, 3),), of=20), "painted on a grid of 20 steps"),
        (Put(1, "fill", ((1, 2),), bytes([0, 2])), "action 2 does not exist"),
        (Put(1, "fill", ((479, 2),), bytes([0, 1])), "cell 480 does not exist"),
        (Put(1, "fill", ((479, 2),), bytes([0, 1]), where="steps"), "step 480 does not exist"),
        (Put(1, "fill", ((1, 1),), bytes([1]), 20, (), "steps"), "painted on a grid of 20 steps"),
        (Lock(1, True, ((479, 2),)), "cell 480 does not exist"),
        (Lock(1, True, ((1, 2),), of=24), "grid of 24 cells"),
    ],
)
def test_ops_that_do_not_fit_the_grid(op: Op, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check(op, 480, 1)


def test_ops_that_fit_the_grid() -> None:
    for op in (Paint(1, 1, ((0, 480),), of=480), Paint(2, 0, ()), Undo(3), Redo(4)):
        check(op, 480, 1)


def test_painting_copies_and_leaves_step_zero_alone() -> None:
    flat = np.zeros(12, dtype=np.uint8)
    painted = paint(flat, Paint(1, 1, ((2, 5),)), steps=4)
    assert painted.tolist() == [0, 0, 1, 1, 0, 1, 1, 0, 0, 0, 0, 0]
    assert not flat.any()
    assert paint(painted, Paint(2, 0, ((0, 12),)), steps=4).tolist() == [0] * 12


REUSE, TAYLOR_1, TAYLOR_2 = (
    '{"predictor":"reuse"}', '{"predictor":"taylor","order":1}', '{"predictor":"taylor","order":2}',
)  # fmt: skip


@pytest.mark.parametrize(
    ("to", "key", "keys", "number"),
    [
        (0, TAYLOR_1, [REUSE], 0),  # compute is in no legend
        (2, None, [REUSE], 2),  # a page that does not say is taken by its word
        (2, TAYLOR_1, [REUSE, TAYLOR_1], 2),
        (2, TAYLOR_1, [TAYLOR_1, REUSE], 1),  # it has moved
        (2, TAYLOR_1, [REUSE, TAYLOR_2], 2),  # it has got another order
        (2, TAYLOR_1, [TAYLOR_2, TAYLOR_1], 2),
    ],
)
def test_a_brush_is_found_in_a_legend_that_changed(
    to: int, key: str | None, keys: list[str], number: int
) -> None:
    assert number_of(to, key, keys) == number


@pytest.mark.parametrize("keys", [[], [REUSE], [TAYLOR_2], [REUSE, REUSE]])
def test_a_brush_that_left_is_not_another_one(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="choose it again"):
        number_of(2, TAYLOR_1, keys)
