"""The Look closer box: drift, time, how alike steps are, a branch's path, where attention goes."""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz import text
from viz.boxes.wiring import AGAIN, FAST, Wiring
from viz.glossary import terms_html
from viz.pages.seeing import KINDS, Seeing, rows_of
from viz.pages.visit import Visit


def build(start: Visit) -> dict[str, Any]:
    """The box, closed."""
    parts: dict[str, Any] = {"seeing_open": gr.State(False)}
    with gr.Accordion(text.SEEING_TITLE, open=False, elem_id="seeing-box") as parts["seeing_box"]:
        with gr.Row(elem_classes="cb-study-row"):
            parts["seen_kind"] = gr.Radio(
                [(title, name) for name, title in KINDS.items()],
                value="drift", label="Figure", elem_id="seen-kind",
            )  # fmt: skip
            parts["seen_row"] = gr.Dropdown(
                [(name, k) for k, name in enumerate(rows_of(start.result))],
                value=0, label="Branch", elem_id="seen-row", visible=False, filterable=True,
            )  # fmt: skip
        parts["seen_measure"] = gr.Button(
            text.FOCUS_MEASURE, size="sm", elem_id="seen-measure", visible=False, min_width=60
        )
        parts["seen"] = gr.Plot(None, show_label=False, elem_id="seen", container=False)
        parts["seen_words"] = gr.HTML("", elem_classes="cb-note", elem_id="seen-words")
        gr.HTML(terms_html("drift", "similarity", "foreground"), padding=False)
    return parts


def wire(page: Wiring) -> None:
    """Opening the box, another figure or branch, and whatever changes the result or the paint."""
    parts, seeing = page.parts, Seeing(page.handlers)
    inputs = [*page.of("seen_kind", "seen_row", "seeing_open"), page.visit]
    outputs = page.of("seen", "seen_words", "seen_row", "seen_measure")
    look = {"fn": page.named(seeing.look), "inputs": inputs, "outputs": outputs, **FAST}
    box = parts["seeing_box"]
    box.expand(lambda: True, None, parts["seeing_open"], **FAST).then(**look)
    box.collapse(lambda: False, None, parts["seeing_open"], **FAST)
    parts["seen_measure"].click(
        page.stream(seeing.measure), page.visit, [*outputs, parts["notice"]], **AGAIN
    )
    # The table of numbers changes with every edit and every run.
    for event in (parts["seen_kind"].input, parts["seen_row"].input, parts["numbers"].change):
        event(**look)
