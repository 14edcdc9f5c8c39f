"""Another model: a hub id or a folder, loaded only when a person asks for it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz import text
from viz.boxes.calibrate import wire_loaded
from viz.boxes.wiring import LOAD, Wiring


def build() -> dict[str, Any]:
    """The box, closed."""
    parts: dict[str, Any] = {}
    with gr.Accordion("Another model", open=False, elem_id="model-box"):
        parts["model"] = gr.Textbox(
            label="Hub id or folder", placeholder="facebook/DiT-XL-2-256", elem_id="model"
        )
        parts["load"] = gr.Button("Load", size="sm", elem_id="load")
        gr.Markdown(text.MODEL_INFO, elem_classes="cb-note")
    return parts


def wire(page: Wiring) -> None:
    """Load by button or by Enter."""
    parts = page.parts
    event = gr.on(
        [parts["load"].click, parts["model"].submit],
        page.stream(page.handlers.use_model), [parts["model"], page.visit],
        [*page.edit, *page.of("label"), *page.box], **LOAD,
    )  # fmt: skip
    wire_loaded(page, event)
