"""The top of the page: the switch between the three ways in, the link to all of it, glossary."""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz import text
from viz.boxes.wiring import FAST, Wiring
from viz.glossary import glossary_html, opener_html, terms_html
from viz.pages.look import CLASS_JS, LINK_JS
from viz.pages.views import Views, place_html
from viz.pages.visit import Visit
from viz.place import HIDEABLE

CLASS_LINK = (
    f'<p id="class-link" hidden><input readonly aria-label="{text.TEACH_LINK}"> '
    f'<a target="_blank" rel="noopener">{text.TEACH_SEE}</a></p>'
)
SWITCH = (("Demo", "demo"), ("Lessons", "lessons"), ("Studio", "studio"))


def build(start: Visit) -> dict[str, Any]:
    """The switch and what stands beside it."""
    parts: dict[str, Any] = {}
    parts["view"] = gr.Radio(
        list(SWITCH), value=start.state.place.view, label="View", show_label=False,
        elem_id="view", container=False,
    )  # fmt: skip
    parts["place"] = gr.HTML(place_html(start), elem_classes="cb-place", padding=False)
    parts["again"] = gr.Button(
        text.LESSON_AGAIN, size="sm", elem_id="again", visible=False, min_width=60
    )
    parts["share"] = gr.Button("Copy link", size="sm", elem_id="share", min_width=60)
    gr.HTML(
        opener_html(text.GLOSSARY) + glossary_html() + text.SAYS,
        elem_classes="cb-glossary-box", padding=False,
    )  # fmt: skip
    return parts


def build_teacher() -> dict[str, Any]:
    """The box that makes links for a class, closed."""
    parts: dict[str, Any] = {}
    with gr.Accordion(text.TEACH_TITLE, open=False, elem_id="teach-box"):
        parts["teach_hide"] = gr.CheckboxGroup(
            [(words, name) for name, (_, words) in HIDEABLE.items()],
            label=text.TEACH_HIDE, elem_id="teach-hide",
        )  # fmt: skip
        parts["teach_keep"] = gr.Checkbox(False, label=text.TEACH_KEEP, elem_id="teach-keep")
        parts["teach"] = gr.Button(text.TEACH_COPY, size="sm", elem_id="teach")
        gr.HTML(CLASS_LINK + f'<p class="cb-figure-words">{text.TEACH_INFO}</p>', padding=False)
    return parts


def grid_terms() -> str:
    """The terms of the grid, each a link to the glossary."""
    return terms_html(
        "cell", "step", "timestep", "block", "attn", "mlp", "compute", "reuse", "forecast",
        "whole step", "age", "work", "speed-up", "drift", "PSNR", "similarity", "lag", "threshold",
        "schedule",
    )  # fmt: skip


def wire(page: Wiring) -> None:
    """Another view, and the links."""
    parts, visit, views = page.parts, page.visit, Views(page.handlers)
    told = page.of("link", "notice")
    parts["view"].input(
        page.named(views.show), [parts["view"], visit], page.of("place", "notice"), **FAST
    )
    parts["share"].click(page.named(views.share), [parts["view"], visit], told, **FAST).then(
        None, parts["link"], None, js=LINK_JS
    )
    parts["teach"].click(
        page.named(views.teach), [*page.of("teach_hide", "teach_keep"), visit], told, **FAST
    ).then(None, parts["link"], None, js=CLASS_JS)
