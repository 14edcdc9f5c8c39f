"""What the painter's server side accepts, refuses and sends."""

from __future__ import annotations

import base64
import gc
import json
import re
import time
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import gradio as gr
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from viz import palette, served
from viz.grid import (
    REUSE,
    Brush,
    Paint,
    ScheduleGrid,
    StepBrush,
    Tables,
    actions_from_rows,
    grid_layer,
    grid_live,
    grid_spec,
    grid_value,
    line,
    rows_from_actions,
)
from viz.grid import grid as component
from viz.grid.encode import REFUSED, Expected


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


def test_a_layer_through_zero_has_it_in_the_middle() -> None:
    values = np.array([-2.0, 0.0, 4.0, np.nan]).reshape(4, 1, 1)
    layer = grid_layer(values, label="causes", high=4.0, signed=True, of="run7")
    # 94 levels from -4 to 4: -2 is a quarter of the way, 0 between the two in the middle.
    codes = [ord(c) - 33 for c in layer["data"]]
    assert (layer["min"], codes[0], codes[2], codes[3]) == (-4.0, 23, 93, -1)
    assert codes[1] in (46, 47) and layer["signed"] and layer["of"] == "run7"
    plain = grid_layer(values, label="change", lag=1)
    assert (plain["lag"], plain["signed"], plain["of"]) == (1, False, None)


def test_live_text_only_grows() -> None:
    executed = np.array([[[0, 1]], [[2, REFUSED]], [[0, 0]]], dtype=np.uint8)  # (3, 1, 2)
    texts = [grid_live("a", executed[:n], total=3)["data"] for n in range(4)]
    assert texts == ["", "01", "012!", "012!00"]
    done = grid_live("a", executed, total=3, done=True, ms=[1.234], asked=executed % 3)
    assert done["step"] == 2 and done["ms"] == [1.23] and done["asked"] == ["020", "100"]


def test_live_tells_lower_orders_covered_cells_and_whole_steps() -> None:
    executed = np.array([[[0, 1]], [[1 | 128, 32 | 128]], [[127, 126]]], dtype=np.uint8)
    live = grid_live(
        "a", executed, total=3, executed_actions=np.array([0, 0, 2 | 128], np.uint8),
        decided=[(None, None), (0.0312345678, 0.05), (float("inf"), 0.05)], policy="TeaCache",
        legend=[REUSE], step_legend=[StepBrush("residual", "delta", "Residual", covers=(0, 1))],
        asked=np.zeros((3, 1, 2), np.uint8), asked_steps=np.array([0, 0, 1], np.uint8),
    )  # fmt: skip
    # 64 + number for a lower order: A is brush 1, ` is brush 32, B is action 2.
    assert (live["data"], live["steps"]) == ("01A`#%", "00B")
    assert live["decided"] == [[None, None], [0.0312346, 0.05], [None, 0.05]]
    assert (live["asked_steps"], live["policy"]) == ("001", "TeaCache")
    assert live["step_legend"][0]["covers"] == [0, 1] and live["legend"][0]["name"] == "reuse"
    json.dumps(live, allow_nan=False)


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
        {
            "name": "reuse", "kind": "reuse", "label": "Reuse", "colour": None, "letter": "R",
            "key": None, "hue": None, "macs_share": [], "notes": False,
        },
    ]  # fmt: skip
    assert spec["step_legend"] == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: grid_spec(steps=0, blocks=2),
        lambda: grid_spec(steps=3, blocks=2, timesteps=[1.0]),
        lambda: grid_spec(steps=3, blocks=2, legend=()),
        lambda: grid_spec(steps=3, blocks=2, legend=[REUSE] * 36),
        lambda: grid_spec(steps=3, blocks=2, step_legend=[StepBrush("a", "delta", "A")] * 36),
        lambda: grid_spec(steps=3, blocks=2, legend=[Brush("a", "b", "C", macs_share=(1.0,))]),
        lambda: grid_value(np.zeros((3, 1, 2), np.uint8), step_actions=np.zeros(4, np.uint8)),
        lambda: grid_spec(steps=4, blocks=2, tables=tables()),
        lambda: grid_spec(steps=3, blocks=3, tables=tables()),
        lambda: rows_from_actions(np.full((2, 1, 2), 36, dtype=np.uint8)),
        lambda: rows_from_actions(np.zeros((2, 2), dtype=np.uint8)),
    ],
)
def test_shapes_that_do_not_fit(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        make()


def told(value: Any) -> Any:
    """What a value says, out of the one text that it travels as."""
    return json.loads(value["told"])


def test_the_component_round_trip() -> None:
    actions = np.zeros((4, 1, 2), np.uint8)
    grid = ScheduleGrid(
        grid_value(
            actions, ack=3, undo="stroke", step_actions=np.array([0, 0, 1, 0], np.uint8),
            refused=(2, "no"), expected=Expected(38.2, 35.0, 41.0, "a test"),
            keys={"cells": ("reuse",), "steps": ()},
        )
    )  # fmt: skip
    assert list(grid.value) == ["told"] and told(grid.value) == {
        "rows": ["0000", "0000"], "steps": "0010", "ack": 3, "undo": "stroke", "redo": None,
        "refused": {"rev": 2, "words": "no"},
        "expected": {"db": 38.2, "low_db": 35.0, "high_db": 41.0, "source": "a test",
                     "here": None},
        "keys": {"cells": ["reuse"], "steps": []},
        "locks": [], "kept": 0, "history": None, "others": {}, "at": None,
    }  # fmt: skip
    message = {"ops": [{"rev": 1, "op": "paint", "to": 1, "cells": [1, 3]}]}
    assert grid.preprocess(message) == (Paint(1, 1, ((1, 3),)),)
    assert grid.preprocess(grid.example_payload()) == (Paint(1, 1, ((1, 3),)),)
    assert told(grid.postprocess(grid.example_value()))["rows"] == ["0110", "0101"]
    assert grid.postprocess(None) is None
    with pytest.raises(ValueError, match="grid_value"):
        grid.postprocess({"rows": [1, 2]})


def test_props_are_baked_once_and_never_events() -> None:
    grid = ScheduleGrid(spec=grid_spec(steps=4, blocks=1), elem_id="painter")
    for name in component.PROPS:
        assert not hasattr(grid, name)  # else Gradio would send a function in its place
    config = grid.get_config()
    mine, rest = config["js_on_load"].split(";\n", 1)
    assert json.loads(mine.removeprefix("const MINE = "))["props"]["spec"]["steps"] == 4
    assert component.ADDRESS in rest and grid.js_on_load == ""
    assert len(json.dumps(config)) < 4000  # all of it is cloned with every event it has a part in


def test_heavy_props_travel_as_texts_and_addresses() -> None:
    spec, layer = {"steps": 4, "legend": [1, 2]}, {"data": "!!"}
    update = gr.update(spec=spec, layer=layer, live={"run": "a"}, quality={"key": "k", "big": [1]})
    made = component.light(update)
    assert json.loads(made["spec"]) == spec and json.loads(made["layer"]) == layer
    assert made["live"] == {"run": "a"} and made["__type__"] == "update"
    assert made["quality"]["key"] == "k" and list(made["quality"]) == ["key", "at"]
    found = served._FILES[made["quality"]["at"]]
    assert json.loads(found.body) == {"key": "k", "big": [1]}
    assert component.light(made) == made  # once is enough
    # Gradio does not deliver None.
    nothing = component.light(gr.update(layer=None, quality=None, live=None, value=None))
    assert [nothing[name] for name in ("layer", "quality", "live")] == [False] * 3
    assert nothing["value"] is None
    assert component.light(None) is None


def test_no_script_takes_a_name_of_another() -> None:
    """They share one scope, where the later function would silently take the place of the first."""
    found = re.findall(
        r"^(?:async )?(?:function|const|let) (\w+)", component.script(), re.MULTILINE
    )
    assert len(found) > 300 and sorted(found) == sorted(set(found))


def test_a_line_answers_who_knows_its_name_while_somebody_holds_it() -> None:
    heard: list[object] = []
    client = TestClient(Starlette(routes=line.routes()))

    def post(message: object, **more: Any) -> Any:
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        return client.post("/gradio_api/cachebrush/line", content=body, **more)

    value = grid_value(np.zeros((3, 1, 1), np.uint8), ack=7)
    held = line.open_line(
        heard.append,
        lambda: value,
        lambda name: heard.append(name) or ({"spec": {"a": 1}} if name == "known" else None),
    )
    stroke = {"rev": 1, "op": "paint", "to": 1, "cells": [1, 1]}
    message = {"line": held.token, "ops": [stroke]}
    began = time.time()
    found = post(message)
    assert found.json() == value and heard == [(Paint(1, 1, ((1, 1),)),)]
    name, _, at = found.headers["server-timing"].partition(";dur=")
    assert name == "taken" and began * 1000 <= float(at) <= time.time() * 1000
    long = [{**stroke, "rev": n} for n in range(1, 1500)]  # answered by another thread
    assert post({**message, "ops": long}).json() == value and len(heard.pop()) == 1499
    assert post({**message, "ops": [], "choose": "known"}).json() == {**value, "spec": {"a": 1}}
    assert post({**message, "ops": [], "choose": "other"}).json() is None
    assert heard[1:] == [(), "known", (), "other"]
    for junk in (
        None, 3, "x", [], [message], {}, {"line": held.token}, {"line": 7, "ops": []},
        {"line": "", "ops": []}, {"line": held.token + "x", "ops": []},
        {"line": held.token, "ops": [{"rev": 1, "op": "burn"}]}, {"line": [held.token], "ops": []},
        b"", b"{", b"\xff", b"[" * 100_000, b'{"choose": ' * 9000,
    ):  # fmt: skip
        found = post(junk)
        assert (found.status_code, found.text) == (200, "null"), str(junk)[:80]
    assert post(b" " * (line.MAX_BYTES + 1)).status_code == 413
    assert client.get("/gradio_api/cachebrush/line").status_code == 405
    count = len(heard)
    del held
    gc.collect()
    assert post(message).json() is None and len(heard) == count


def test_legend_colours_travel() -> None:
    legend = [REUSE, Brush("taylor", "forecast", "Taylor", "#AA00AA")]
    assert grid_spec(steps=4, blocks=1, legend=legend)["legend"][1]["colour"] == "#AA00AA"


def test_both_themes_hold_the_same_roles_and_the_style_only_uses_them() -> None:
    assert palette.LIGHT.keys() == palette.DARK.keys()
    files = [component._FOLDER.joinpath(name) for name in component.STYLES]
    style = "".join(file.read_text(encoding="utf-8") for file in files)
    for role in ("compute", "reuse", "forecast"):
        assert f"var(--cb-{role})" in style
    assert "#" not in style  # colours live in palette.py
    for n in range(len(palette.BRUSHES)):
        assert f"var(--cb-brush-{n})" in style and f"--cb-on-brush-{n}:" in palette.css_variables()
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


# How people see who lack one kind of cone (Machado, Oliveira, Fernandes 2009), on linear RGB.
VISIONS: Mapping[str, list[list[float]]] = {
    "full": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protan": [
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}  # fmt: skip


def oklab(colour: str, vision: str) -> np.ndarray:
    """A colour in OKLab (Ottosson 2020) as somebody sees it."""
    rgb = np.array(palette.rgb(colour)) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(VISIONS[vision]) @ linear, 0, 1)
    cones = np.array([
        [0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ])  # fmt: skip
    lab = np.array([
        [0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ])  # fmt: skip
    return lab @ np.cbrt(cones @ seen)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize(
    ("theme", "brushes"),
    [(palette.LIGHT, palette.BRUSHES), (palette.DARK, palette.BRUSHES_DARK)],
    ids=["light", "dark"],
)
def test_brushes_are_told_apart_by_colour_alone(
    theme: Mapping[str, str], brushes: list[str], vision: str
) -> None:
    assert len(brushes) == len(palette.BRUSH_NAMES) == len(palette.BRUSHES)
    colours = [theme["compute"], theme["reuse"], *brushes]
    seen = [oklab(colour, vision) for colour in colours]
    for (a, one), (b, other) in combinations(enumerate(seen), 2):
        assert np.linalg.norm(one - other) >= 0.1, (colours[a], colours[b])


@pytest.mark.parametrize("fill", [*palette.BRUSHES, *palette.BRUSHES_DARK])
def test_letters_on_brushes_can_be_read(fill: str) -> None:
    assert palette.contrast(palette.legible(fill), fill) >= 4.5


def test_ramp_hits_its_ends() -> None:
    colours = palette.ramp(palette.SEQUENTIAL, 94)
    assert len(colours) == 94
    assert (colours[0], colours[-1]) == (palette.SEQUENTIAL[0], palette.SEQUENTIAL[-1])
