"""The Learn panel: what to learn, at which price, and how it goes."""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz import learning
from viz.boxes.picture import Bounded
from viz.boxes.wiring import AGAIN, FAST, Wiring
from viz.pages.learn import training_parts
from viz.pages.look import KEEPING_JS, LEARN_JS, REST_JS


def build() -> dict[str, Any]:
    """The panel, closed."""
    parts: dict[str, Any] = {}
    offered = learning.offered()
    with gr.Accordion("Learn a router", open=False, elem_id="learn-box") as parts["learn_box"]:
        first = offered[0][1] if offered else None
        parts["training"] = gr.Dropdown(offered, value=first, label="Training", elem_id="training")
        begun = training_parts(first) if first else {}
        made: dict[str, Any] = {
            "price": Bounded(-8, -2, value=-5, step=0.1, label="log₁₀ λ", elem_id="price"),
            "theta": Bounded(0, 1, value=0.1, step=0.01, label="θ", elem_id="theta"),
            "iterations": Bounded(
                1, learning.MOST_ITERATIONS, value=1000, step=1, label="Iterations",
                elem_id="iterations",
            ),
        }  # fmt: skip
        for name, component in made.items():
            for field, value in begun.get(name, {}).items():
                if field != "__type__":
                    setattr(component, field, value)
            parts[name] = component
        with gr.Row(elem_classes="cb-method-buttons"):
            parts["learn"] = gr.Button("Learn", size="sm", elem_id="learn", min_width=40)
            parts["keep"] = gr.Button(
                "Keep", size="sm", elem_id="keep", min_width=40, interactive=False
            )
            parts["stop_learning"] = gr.Button(
                "Stop", size="sm", elem_id="stop-learning", min_width=40
            )
        parts["learning"] = gr.HTML("", elem_id="learning", padding=False)
        parts["learn_about"] = gr.HTML(begun.get("learn_about", ""), padding=False)
    return parts


def wire(page: Wiring) -> None:
    """Choosing a training, beginning and ending it."""
    parts, handlers, visit = page.parts, page.handlers, page.visit
    sliders = page.of("price", "theta", "iterations")
    panel = [*sliders, *page.of("learn_about", "notice")]
    parts["training"].input(
        page.named(handlers.choose_training), [parts["training"], visit], panel, **FAST
    )
    parts["to_learn"].click(
        page.named(handlers.to_learn), visit, [*panel, *page.of("training", "learn_box")], **FAST
    )
    learned = page.of("method", "learning", "keep")
    ended = parts["learn"].click(
        page.stream(handlers.learn), [parts["training"], *sliders, visit],
        [*page.edit, *page.box, *page.slots, *learned], js=LEARN_JS, **AGAIN,
    )  # fmt: skip
    for end in (ended.success, ended.failure):
        end(None, None, None, js=REST_JS)
    page.then_run(ended)
    # Said before the server hears of it: its answer might come after the words of the end.
    parts["keep"].click(None, None, parts["notice"], js=KEEPING_JS)
    parts["keep"].click(page.named(handlers.keep), visit, page.of("notice"), **FAST)
    parts["stop_learning"].click(page.named(handlers.stop), visit, page.of("notice"), **FAST)
