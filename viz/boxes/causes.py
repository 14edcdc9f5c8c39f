"""Why is it bad here: what stands under the picture once a region of its difference is chosen."""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz import text
from viz.boxes.wiring import AGAIN, FAST, Wiring
from viz.pages.causes import BUTTONS, JS, Why


def build() -> dict[str, Any]:
    """The words, two buttons, and the hidden parts by which the page tells Python."""
    parts: dict[str, Any] = {}
    parts["why"] = gr.HTML("", elem_id="why", padding=False)
    with gr.Row(elem_classes="cb-method-buttons cb-why-buttons"):
        for name, title in zip(BUTTONS, (text.WHY_MEASURE, text.WHY_PAINT), strict=True):
            parts[name] = gr.Button(
                title, size="sm", visible=False, elem_id=name.replace("_", "-"), min_width=60
            )
    parts["region_do"] = gr.Button("", visible="hidden", elem_id="region-do")
    parts["region_gone"] = gr.Button("", visible="hidden", elem_id="region-gone")
    parts["region_asked"] = gr.JSON(visible=False)
    return parts


def wire(page: Wiring) -> None:
    """A region, the two buttons, and whatever changes the result."""
    parts, visit, why = page.parts, page.visit, Why(page.handlers)
    told = page.of("why", *BUTTONS, "grid", "notice")
    parts["region_do"].click(
        page.stream(why.ask), [parts["region_asked"], visit], told, js=JS, **AGAIN
    )
    parts["why_measure"].click(page.stream(why.measure), visit, told, **AGAIN)
    page.then_run(parts["why_paint"].click(page.named(why.paint), visit, page.edit, **FAST))
    # Pressed by the page when other pictures have come, so that a stroke costs nothing more.
    parts["region_gone"].click(page.named(why.look), visit, page.of("why", *BUTTONS), **FAST)
