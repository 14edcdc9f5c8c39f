"""ScheduleGrid: the painter as a Gradio component, built from plain JavaScript and CSS files.

A `gr.HTML` with a constant one-line template; the script builds and keeps its own DOM, so a
streaming run never re-mounts the page. `value` carries rows one way and operations the other;
everything else travels in props of its own, which an update of one leaves alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import gradio as gr
import numpy as np

from viz import palette, served
from viz.grid.catalogue import catalogue
from viz.grid.encode import grid_value
from viz.grid.line import ADDRESS as LINE
from viz.grid.ops import Op
from viz.grid.parse import parse_ops

# "spot" lights a cell; "focus" would be the natural name, but every gr.HTML has an event of it.
PROPS = ("spec", "layer", "live", "spot", "offers", "quality", "line")
# In this order they are one script: every file only uses what the files before it define, or
# functions, which JavaScript hoists.
SCRIPTS = (
    "model.js", "predict.js", "stands.js", "quality.js", "marginal.js", "state.js", "dom.js",
    "reshape.js", "brushes.js", "form.js", "popover.js",
    "commands.js", "palette.js", "help.js", "history.js", "toolbar.js", "readout.js", "view.js",
    "overlay.js", "faces.js", "steps.js", "layer.js", "live.js", "marks.js", "effects.js",
    "hover.js", "select.js", "clipboard.js", "hold.js", "paint.js", "keys.js", "sync.js",
    "preview.js", "main.js",
)  # fmt: skip
STYLES = ("grid.css", "cells.css", "effect.css", "brushes.css", "editing.css")

_FOLDER = files(__package__)
_STYLE = palette.css_variables() + "\n".join(
    (_FOLDER / name).read_text(encoding="utf-8") for name in STYLES
)


def _text(data: Any) -> str:
    return json.dumps(data, separators=(",", ":"), allow_nan=False)


def script() -> str:
    """The painter as one script that defines `cachebrushPaint`, with style and colours in it."""
    constants = {
        "style": _STYLE,
        "ramp": palette.ramp(palette.SEQUENTIAL, 94),
        # Without the ends, which dark paper would swallow; each with what is written on it.
        "diverging": [(c, palette.legible(c)) for c in palette.ramp(palette.DIVERGING[1:-1], 95)],
        "hues": list(palette.BRUSH_NAMES),
        "catalogue": catalogue(),
        "line": LINE,
    }
    text = _text(constants)
    return "\n".join((
        f"const CACHEBRUSH_LOOK = {text};",
        "function cachebrushPaint(element, trigger, props, watch, mine) {",
        "const BAKED = {...CACHEBRUSH_LOOK, ...mine};",
        *((_FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS),
        "}",
    ))  # fmt: skip


ADDRESS = served.put("painter.js", script())


def light(update: Any) -> Any:
    """An update of the painter with its heavy props as one text or one address each.

    Gradio's page clones and compares the props of a component value by value, with every event
    that has it for an input: of a spec and a calibration that took longer than the stroke itself.
    What is to be nothing comes as False.
    """
    if not isinstance(update, Mapping):
        return update
    # None never arrives: the page would go on with what it was told before, of another model even.
    made = {k: False if v is None and k in PROPS else v for k, v in update.items()}
    for name in ("spec", "layer", "offers"):
        if isinstance(made.get(name), Mapping):
            made[name] = _text(made[name])
    if isinstance(quality := made.get("quality"), Mapping) and "at" not in quality:
        at = served.put_json("quality.json", quality)
        made["quality"] = {"key": quality["key"], "at": at}
    return made


class ScheduleGrid(gr.HTML):
    """A grid of blocks and steps that a person paints with compute, reuse and other brushes.

    Make the arguments with `grid_value`, `grid_spec`, `grid_layer` and `grid_live`, and update
    them with `gr.update(value=..., spec=..., layer=..., live=..., spot=..., offers=...)`. Handlers
    receive a tuple of operations: all that the server has not acknowledged through the value's
    `ack`.
    Events: `input` after each stroke, and after keyboard edits have paused; `select` with an index
    (the group) and a value, when something of `offers` was chosen in the command palette.
    `offers` is what the page around can do, for that palette: see `viz.boxes.palette`. `quality` is
    the data of `caching.predict.packed.pack`, heavy, so send it once the page stands. `line` names
    the direct way for strokes, see `viz.grid.line`; without it they are events like any other.

    Keep it mounted (`visible="hidden"` rather than False, never in an unopened tab): Gradio loses
    custom props of a component that is not on the page.
    """

    def __init__(
        self,
        value: Mapping[str, Any] | None = None,
        *,
        spec: Mapping[str, Any] | None = None,
        layer: Mapping[str, Any] | None = None,
        live: Mapping[str, Any] | None = None,
        spot: Mapping[str, Any] | None = None,
        offers: Mapping[str, Any] | None = None,
        quality: Mapping[str, Any] | None = None,
        line: str | None = None,
        elem_id: str | None = None,
        elem_classes: list[str] | str | None = None,
        scale: int | None = None,
        min_width: int | None = None,
        visible: Any = True,
        key: Any = None,
        **kwargs: Any,
    ) -> None:
        fixed = {  # constant: Gradio would render templates anew at every change of a prop
            "html_template": '<div class="cb-grid"></div>',
            "css_template": "",
            "js_on_load": "",
            "apply_default_css": False,
        }
        props = {
            "spec": spec, "layer": layer, "live": live, "spot": spot, "offers": offers,
            "quality": quality, "line": line,
        }  # fmt: skip
        super().__init__(
            value=value,
            elem_id=elem_id,
            elem_classes=elem_classes,
            scale=scale,
            min_width=min_width,
            visible=visible,
            key=key,
            **{**kwargs, **fixed, **props},
        )

    def __getattr__(self, name: str) -> Any:
        """Keep Gradio from taking words that stand quoted in the script for events of ours."""
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def get_config(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The page's configuration, with the first props baked into the script.

        Gradio drops custom props when it mounts a component again after any update, so the
        script needs its own copy. Baked here and not in `__init__`, because every update of a
        prop builds a whole new component.
        """
        config: dict[str, Any] = super().get_config(*args, **kwargs)
        baked = {
            "key": self.elem_id or f"grid-{self._id}",
            "props": {name: self.props.get(name) for name in PROPS},
        }
        text = _text(baked)
        call = "cachebrushPaint(element, trigger, props, watch, {...MINE, base})"
        config["js_on_load"] = f"const MINE = {text};\n{served.loader(ADDRESS, call)}"
        config["props"] = {}  # the script has them; twice would only make the page heavier
        return config

    # gr.HTML itself only knows text.
    def preprocess(self, payload: Any) -> tuple[Op, ...]:  # type: ignore[override]
        """Operations from the page, or a message to it: anybody can send anything here."""
        try:
            return parse_ops(payload)
        except ValueError as error:
            raise gr.Error(f"The painter could not be read: {error}.") from error

    def postprocess(self, value: Any) -> dict[str, Any] | None:  # type: ignore[override]
        """The rows, step row, acknowledged revision, history labels and refusal as one text.

        Raises:
            ValueError: If the value is not what `grid_value` makes.
        """
        if value is None:
            return None
        rows = value.get("rows") if isinstance(value, Mapping) else None
        if not isinstance(rows, Sequence) or not all(isinstance(row, str) for row in rows):
            raise ValueError("painter value: expected what grid_value(actions, ack=...) returns")
        told = {
            "rows": list(rows),
            "steps": value.get("steps"),
            "ack": int(value.get("ack", 0)),
            "undo": value.get("undo"),
            "redo": value.get("redo"),
            "refused": value.get("refused"),
            "expected": value.get("expected"),
            "keys": value.get("keys"),
            "locks": list(value.get("locks") or ()),
            "kept": int(value.get("kept") or 0),
            "history": value.get("history"),
            "others": value.get("others") or {},
            "at": value.get("at"),
        }
        # Of a list of rows and names Gradio clones every one by itself, several times per stroke.
        return {"told": _text(told)}

    def api_info(self) -> dict[str, Any]:
        """What an outside caller may send."""
        return {"type": "object", "properties": {"ops": {"type": "array"}}, "required": ["ops"]}

    def example_payload(self) -> Any:
        """One stroke: reuse in the first row, steps 1 to 3."""
        return {"ops": [{"rev": 1, "op": "paint", "to": 1, "cells": [1, 3]}]}

    def example_value(self) -> Any:
        """One block with two branches and four steps."""
        return grid_value(np.array([[[0, 0]], [[1, 1]], [[1, 0]], [[0, 1]]], np.uint8))
