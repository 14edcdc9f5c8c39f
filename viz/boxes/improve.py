"""The Improve box: for how long to search by measuring, by what, on how many pictures."""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz import text
from viz.boxes.picture import Bounded
from viz.boxes.wiring import AGAIN, FAST, Wiring
from viz.improving import MOST_MINUTES, OBJECTIVES, PICTURES
from viz.pages.improve import Improves
from viz.pages.pareto import SHOWN

# Minutes long: it must not take the place of somebody's run.
SEARCH: dict[str, Any] = {**AGAIN, "concurrency_id": "improve", "concurrency_limit": 4}


def build() -> dict[str, Any]:
    """The box, closed."""
    parts: dict[str, Any] = {}
    with gr.Accordion(text.IMPROVE_TITLE, open=False, elem_id="improve-box"):
        parts["improve_minutes"] = Bounded(
            0.5, MOST_MINUTES, value=5, step=0.5, label="Minutes", elem_id="improve-minutes"
        )
        parts["improve_by"] = gr.Dropdown(
            list(OBJECTIVES.items()), value="psnr", label="Better means", elem_id="improve-by"
        )
        parts["improve_pictures"] = gr.Dropdown(
            [(str(n), n) for n in PICTURES], value=32, label="Pictures", elem_id="improve-pictures"
        )
        with gr.Row(elem_classes="cb-method-buttons"):
            parts["improve"] = gr.Button("Improve", size="sm", elem_id="improve", min_width=40)
            parts["stop_improving"] = gr.Button(
                "Stop", size="sm", elem_id="stop-improving", min_width=40
            )
        parts["improving"] = gr.HTML("", elem_id="improving", padding=False)
        gr.HTML(f'<div class="cb-about"><p>{text.IMPROVE_INFO}</p></div>', padding=False)
    return parts


def wire(page: Wiring) -> None:
    """Beginning and ending a search; afterwards the best is run on the visitor's own picture."""
    parts, visit, box = page.parts, page.visit, Improves(page.handlers)
    wishes = page.of("improve_minutes", "improve_by", "improve_pictures")
    switches = page.of("pareto_quality", "pareto_cost")
    page.then_run(
        parts["improve"].click(
            page.stream(box.improve), [*wishes, *switches, visit],
            [*page.edit, *page.of("improving", *SHOWN)], **SEARCH,
        )
    )  # fmt: skip
    parts["stop_improving"].click(page.named(page.handlers.stop), visit, page.of("notice"), **FAST)
