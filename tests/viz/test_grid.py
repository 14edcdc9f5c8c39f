"""What the painter's server side accepts, refuses and sends."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from typing import Any

import gradio as gr
import numpy as np
import pytest

from viz import palette
from viz.grid import (
    REUSE,
    Brush,
    Paint,
    Redo,
    ScheduleGrid,
    Tables,
    Undo,
    actions_from_rows,
    check,
    grid_layer,
    grid_live,
    grid_spec,
    grid_value,
    paint,
    parse_ops,
    rows_from_actions,
)
from viz.grid import grid as component
from viz.grid.encode import REFUSED
from viz.grid.ops import MAX_OPS, MAX_RUNS


def stroke(**changes: Any) -> dict[str, Any]:
    return {"rev": 1, "op": "paint", "to": 1, "cells": [1, 3], **changes}


def test_ops_arrive_in_order() -> None:
    payload = {"ops": [stroke(of=40), {"rev": 2, "op": "undo"}, {"rev": 9, "op": "redo"}]}
    assert parse_ops(payload) == (Paint(1, 1, ((1, 3),), 40), Undo(2), Redo(9))


@pytest.mark.parametrize("payload", [None, {"ops": []}, {"rows": ["01"], "ack": 3}])
def test_no_ops(payload: object) -> None:
    assert parse_ops(payload) == ()


HOSTILE: list[tuple[object, str]] = [
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
    ],
)
def test_ops_that_do_not_fit_the_grid(op: Paint, words: str) -> None:
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


def test_rows_are_block_major_and_come_back() -> None:
    actions = np.zeros((3, 2, 2), dtype=np.uint8)
    actions[1, 0, 1] = 1  # block 0, mlp
    actions[2, 1, 0] = 35  # block 1, attn
    rows = rows_from_actions(actions)
    assert rows == ["000", "010", "00z", "000"]
    np.testing.assert_array_equal(actions_from_rows(rows), actions)


@pytest.mark.parametrize("rows", [[], ["01"], ["01", "0"], ["01", "0?"], ["", ""]])
def test_bad_rows(rows: list[str]) -> None:
    with pytest.raises(ValueError, match="rows"):
        actions_from_rows(rows)


def test_layer_levels_and_gaps() -> None:
    values = np.array([0.0, 0.5, 1.0, np.nan]).reshape(4, 1, 1)
    layer = grid_layer(values, label="change")
    assert layer["data"] == "!P~ " or layer["data"] == "!O~ "
    assert (layer["min"], layer["max"], layer["over"]) == (0.0, 1.0, False)
    assert grid_layer(values, label="change", high=0.5)["over"] is True
    empty = grid_layer(np.full((2, 1, 1), np.nan), label="change")
    assert empty["data"] == "  " and json.dumps(empty, allow_nan=False)


def test_live_text_only_grows() -> None:
    executed = np.array([[[0, 1]], [[2, REFUSED]], [[0, 0]]], dtype=np.uint8)  # (3, 1, 2)
    texts = [grid_live("a", executed[:n], total=3)["data"] for n in range(4)]
    assert texts == ["", "01", "012!", "012!00"]
    done = grid_live("a", executed, total=3, done=True, ms=[1.234], asked=executed % 3)
    assert done["step"] == 2 and done["ms"] == [1.23] and done["asked"] == ["020", "100"]


def tables(shape: tuple[int, int, int] = (3, 2, 2), lags: int = 2) -> Tables:
    grid = np.ones(shape[1:])
    change = np.full((*shape, lags), np.nan)
    change[1:] = 0.25
    return Tables(1.0, grid, 0.1 * grid, 5, 7 * grid.astype(int), change, "measured here")


def test_spec_is_plain_json_without_nan() -> None:
    spec = grid_spec(steps=3, blocks=2, timesteps=[9, 5, 1], tables=tables())
    text = json.dumps(spec, allow_nan=False)
    assert json.loads(text) == spec
    raw = base64.b64decode(spec["tables"]["change"]["data"])
    half = np.frombuffer(raw, dtype="<f2").reshape(3, 2, 2, 2)
    assert half[0].max() == 0 and half[1:].min() == 0.25
    assert spec["legend"] == [
        {"name": "reuse", "kind": "reuse", "label": "Reuse", "colour": None},
    ]


@pytest.mark.parametrize(
    "make",
    [
        lambda: grid_spec(steps=0, blocks=2),
        lambda: grid_spec(steps=3, blocks=2, timesteps=[1.0]),
        lambda: grid_spec(steps=3, blocks=2, legend=()),
        lambda: grid_spec(steps=3, blocks=2, legend=[REUSE] * 36),
        lambda: grid_spec(steps=4, blocks=2, tables=tables()),
        lambda: grid_spec(steps=3, blocks=3, tables=tables()),
        lambda: rows_from_actions(np.full((2, 1, 2), 36, dtype=np.uint8)),
        lambda: rows_from_actions(np.zeros((2, 2), dtype=np.uint8)),
    ],
)
def test_shapes_that_do_not_fit(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        make()


def test_the_component_round_trip() -> None:
    grid = ScheduleGrid(grid_value(np.zeros((4, 1, 2), dtype=np.uint8), ack=3, undo="stroke"))
    assert grid.value == {"rows": ["0000", "0000"], "ack": 3, "undo": "stroke", "redo": None}
    assert grid.preprocess({"ops": [stroke()]}) == (Paint(1, 1, ((1, 3),)),)
    assert grid.postprocess(None) is None
    with pytest.raises(ValueError, match="grid_value"):
        grid.postprocess({"rows": [1, 2]})


def test_props_are_baked_once_and_never_events() -> None:
    grid = ScheduleGrid(spec=grid_spec(steps=4, blocks=1), elem_id="painter")
    for name in component.PROPS:
        assert not hasattr(grid, name)  # else Gradio would send a function in its place
    config = grid.get_config()
    baked, rest = config["js_on_load"].split(";\n", 1)
    assert json.loads(baked.removeprefix("const BAKED = "))["props"]["spec"]["steps"] == 4
    assert rest == grid.js_on_load
    json.dumps(config)


def test_legend_colours_travel() -> None:
    legend = [REUSE, Brush("taylor", "forecast", "Taylor", "#AA00AA")]
    assert grid_spec(steps=4, blocks=1, legend=legend)["legend"][1]["colour"] == "#AA00AA"


def test_both_themes_hold_the_same_roles_and_the_style_only_uses_them() -> None:
    assert palette.LIGHT.keys() == palette.DARK.keys()
    style = component._FOLDER.joinpath("grid.css").read_text(encoding="utf-8")
    for role in palette.STATES.values():
        assert f"var(--cb-{role})" in style
    assert "#" not in style.replace("#slow", "")  # colours live in palette.py
    for role in palette.LIGHT:
        assert f"--cb-{role}:" in palette.css_variables()


@pytest.mark.parametrize("theme", [palette.LIGHT, palette.DARK])
def test_contrast(theme: dict[str, str]) -> None:
    for one, other, least in (
        ("ink", "paper", 7.0), ("ink-soft", "panel", 4.5), ("compute", "reuse", 4.5),
        ("reuse-dot", "reuse", 3.0), ("differ", "reuse", 4.5), ("focus", "paper", 4.5),
        ("tip-soft", "tip", 4.5),
    ):  # fmt: skip
        assert palette.contrast(theme[one], theme[other]) >= least, (one, other)


def test_ramp_hits_its_ends() -> None:
    colours = palette.ramp(palette.SEQUENTIAL, 94)
    assert len(colours) == 94
    assert (colours[0], colours[-1]) == (palette.SEQUENTIAL[0], palette.SEQUENTIAL[-1])
