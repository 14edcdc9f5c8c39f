"""The Demo: what a visitor asks first, answered by the run on show, and four schedules to try."""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz import text
from viz.boxes.wiring import AGAIN, FAST, Wiring
from viz.glossary import terms_html
from viz.pages.edits import SETTINGS
from viz.pages.views import Views, demo_html, presets
from viz.pages.visit import Visit


def build(start: Visit) -> dict[str, Any]:
    """The answers, the presets, another picture."""
    parts: dict[str, Any] = {}
    with gr.Column(elem_classes="cb-demo", elem_id="demo-box"):
        parts["demo"] = gr.HTML(demo_html(start), elem_id="demo", padding=False)
        parts["preset"] = gr.Radio(
            [(one.title, one.name) for one in presets()], value=None,
            label=text.DEMO_PRESETS, elem_id="preset",
        )  # fmt: skip
        parts["another"] = gr.Button(text.DEMO_ANOTHER, size="sm", elem_id="another")
        words = f'<p class="cb-figure-words">{text.DEMO_PAINT}</p>'
        gr.HTML(words + terms_html("block", "step", "work", "reuse", "PSNR"), padding=False)
    return parts


def wire(page: Wiring) -> None:
    """A preset paints and runs; so does another picture."""
    parts, visit, views = page.parts, page.visit, Views(page.handlers)
    painted = page.grid_first(
        parts["preset"].input, views.preset, [parts["preset"], visit], page.edit
    )
    painted.then(page.stream(views.run), visit, page.live, **AGAIN)
    another = parts["another"].click(
        page.named(views.another), visit,
        [*page.of("numbers", "notice", "grid", "compare", "curves", "words", *SETTINGS), *page.box],
        **FAST,
    )  # fmt: skip
    another.then(page.stream(views.run), visit, page.live, **AGAIN)
