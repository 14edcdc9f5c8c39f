"""The Method box: one list of all methods, the controls of the chosen one, and what it says."""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr

from viz import methods, text
from viz.boxes.wiring import AGAIN, FAST, Wiring
from viz.glossary import terms_html
from viz.pages.look import CHOOSE_JS
from viz.pages.methods import BUTTONS, NUMBERS, WORDS


def build() -> dict[str, Any]:
    """The list, places for controls, and buttons."""
    parts: dict[str, Any] = {}
    with gr.Group(elem_id="method-box"):
        parts["method"] = gr.Dropdown(
            methods.choices(), value=None, label="Method", info=text.METHOD_INFO, elem_id="method",
            filterable=True,
        )  # fmt: skip
        for k, (number, word) in enumerate(zip(NUMBERS, WORDS, strict=True)):
            parts[number] = gr.Slider(0, 1, value=0, visible=False, elem_id=f"control-{k}")
            parts[word] = gr.Dropdown([], visible=False, elem_id=f"choice-{k}")
        parts["about"] = gr.HTML(
            text.CHOOSE, elem_id="method-about", elem_classes="cb-about-box", padding=False
        )
        gr.HTML(
            terms_html("method", "calibration", "router", "policy"),
            elem_classes="cb-about-box",
            padding=False,
        )
        with gr.Row(elem_classes="cb-method-buttons"):
            titles = ("Calibrate", "Run policy", "Bake", "Learn …")
            for name, title in zip(BUTTONS, titles, strict=True):
                parts[name] = gr.Button(
                    title, size="sm", visible=False, elem_id=name.replace("_", "-"), min_width=60
                )
    return parts


def wire(page: Wiring) -> None:
    """Choosing a method, turning its controls, its buttons."""
    parts, handlers, visit = page.parts, page.handlers, page.visit
    chosen, settled = [parts["method"], *page.slots, visit], [*page.edit, *page.box]

    def then_curves(event: Any) -> None:
        page.then_run(event.then(page.named(handlers.settled), visit, settled, **FAST))

    # A choice by keyboard is a change and no selection; the same one again, no change.
    both = partial(gr.on, [parts["method"].select, parts["method"].change])
    then_curves(
        page.grid_first(
            both, handlers.choose_once, [parts["method"], visit],
            [*page.edit, *page.box, *page.slots], js=CHOOSE_JS,
        )
    )  # fmt: skip
    for name in NUMBERS:
        parts[name].input(page.named(handlers.turn), chosen, [*page.edit, *page.box], **FAST)
        page.then_run(parts[name].release(page.named(handlers.settled), visit, settled, **FAST))
    for name in WORDS:
        then_curves(
            parts[name].input(page.named(handlers.turn), chosen, [*page.edit, *page.box], **FAST)
        )
    page.then_run(
        parts["calibrate"].click(
            page.stream(handlers.calibrate), chosen, [*page.edit, *page.box], **AGAIN
        )
    )
    parts["decide"].click(
        page.stream(handlers.run_policy), chosen, [*page.live, parts["steps"]], **AGAIN
    )
    page.then_run(parts["bake"].click(page.named(handlers.bake), visit, page.edit, **FAST))
