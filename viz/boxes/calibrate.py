"""The line under the grid that says how sure predictions are, with Calibrate and Stop beside it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz import text
from viz.boxes.wiring import AGAIN, FAST, Wiring
from viz.pages.calibrate import Calibrates

# Minutes long: it must not take the place of somebody's run.
CALIBRATE: dict[str, Any] = {**AGAIN, "concurrency_id": "calibrate", "concurrency_limit": 8}


def build() -> dict[str, Any]:
    """The line, empty until a model is live; its words say which button is there."""
    parts: dict[str, Any] = {}
    with gr.Row(elem_classes="cb-sure-row", elem_id="sure-row"):
        parts["calibrating"] = gr.HTML("", elem_id="calibrating", padding=False)
        parts["calibrate_psnr"] = gr.Button(
            text.CALIBRATE, size="sm", elem_id="calibrate-psnr", min_width=60, scale=0
        )
        parts["stop_calibrating"] = gr.Button(
            "Stop", size="sm", elem_id="stop-calibrating", min_width=60, scale=0
        )
    return parts


def wire(page: Wiring) -> None:
    """Beginning and ending a calibration."""
    parts, visit, box = page.parts, page.visit, Calibrates(page.handlers)
    outputs = page.of("calibrating", "grid", "notice", "known")
    parts["calibrate_psnr"].click(page.stream(box.calibrate), visit, outputs, **CALIBRATE)
    parts["stop_calibrating"].click(page.named(box.stop), visit, page.of("calibrating"), **FAST)


def wire_loaded(page: Wiring, event: Any) -> None:
    """After a model was loaded: calibrate it where that is soon done."""
    outputs = page.of("calibrating", "grid", "notice", "known")
    box = Calibrates(page.handlers)
    event.then(page.stream(box.begin), page.visit, outputs, **CALIBRATE)
