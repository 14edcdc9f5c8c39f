"""The Method box: one list of all methods, the controls of the chosen one, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gradio as gr

from viz import methods, text
from viz.boxes.picture import Bounded
from viz.boxes.wiring import AGAIN, FAST, Wiring
from viz.glossary import terms_html
from viz.pages.edits import Parts
from viz.pages.look import CHOOSE_JS
from viz.pages.method_box import BUTTONS, NUMBERS, WORDS, as_known
from viz.pages.visit import Visit


def build() -> dict[str, Any]:
    """The list, places for controls, and buttons."""
    parts: dict[str, Any] = {}
    with gr.Group(elem_id="method-box"):
        parts["method"] = gr.Dropdown(
            methods.choices(), value=None, label="Method", info=text.METHOD_INFO, elem_id="method",
            filterable=True,
        )  # fmt: skip
        parts["chosen_at"] = gr.JSON(visible=False)  # the painter's last operation by then
        for k, (number, word) in enumerate(zip(NUMBERS, WORDS, strict=True)):
            parts[number] = Bounded(0, 1, value=0, visible=False, elem_id=f"control-{k}")
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


def _as_known(handler: Callable[..., Iterator[Parts]]) -> Callable[[Any, Visit], Iterator[Parts]]:
    """A handler of a method and its controls, with the controls as the server knows them.

    Those on the page may still be of the method before, where a button is pressed soon after
    another was chosen.
    """

    def handle(name: Any, visit: Visit) -> Iterator[Parts]:
        return handler(name, *as_known(name, visit), visit)

    return handle


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
            both, handlers.choose_at, [parts["method"], parts["chosen_at"], visit],
            [*page.edit, *page.box, *page.slots], js=CHOOSE_JS,
        )
    )  # fmt: skip
    for name in NUMBERS:
        parts[name].input(page.named(handlers.typed_in), chosen, settled, **FAST)
        left = [*settled, *page.slots]
        page.then_run(parts[name].release(page.named(handlers.left_at), chosen, left, **FAST))
    for name in WORDS:
        then_curves(
            parts[name].input(page.named(handlers.turn), chosen, [*page.edit, *page.box], **FAST)
        )
    named = [parts["method"], visit]
    page.then_run(
        parts["calibrate"].click(
            page.stream(_as_known(handlers.calibrate)), named, [*page.edit, *page.box], **AGAIN
        )
    )
    parts["decide"].click(
        page.stream(_as_known(handlers.run_policy)), named, [*page.live, parts["steps"]], **AGAIN
    )
    page.then_run(parts["bake"].click(page.named(handlers.bake), visit, page.edit, **FAST))
