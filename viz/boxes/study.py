"""The Study box: the recorded comparison of all methods, any row of it to put on the grid."""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz import studies, text
from viz.boxes.wiring import FAST, Wiring
from viz.pages.method_box import NUMBERS, WORDS
from viz.pages.studies import FIRST_TARGET, recorded


def build() -> dict[str, Any]:
    """The box, closed; nothing where no study ships."""
    study = recorded()
    parts: dict[str, Any] = {}
    if study is None:
        return {}
    first = FIRST_TARGET if FIRST_TARGET in study.targets else study.targets[0]
    with gr.Accordion(text.STUDY_TITLE, open=False, elem_id="study-box"):
        gr.HTML(studies.intro_html(study), padding=False)
        with gr.Row(elem_classes="cb-study-row"):
            parts["study_target"] = gr.Radio(
                [(studies.target_words(t), t) for t in study.targets],
                value=first,
                label="Speed-up in MACs",
                elem_id="study-target",
            )
            parts["study_row"] = gr.Dropdown(
                studies.choices(study, first),
                value=None,
                label="Put a row on the grid",
                elem_id="study-choice",
                filterable=True,
            )
        parts["study"] = gr.HTML(studies.table_html(study, first), elem_id="study", padding=False)
        with gr.Accordion(text.PUBLISHED_TITLE, open=False, elem_id="published-box"):
            gr.HTML(studies.published_html(), padding=False)
    return parts


def wire(page: Wiring) -> None:
    """Another speed-up, or a row for the grid."""
    parts, handlers, visit = page.parts, page.handlers, page.visit
    if "study" not in parts:
        return
    parts["study_target"].input(
        page.named(handlers.show_study), [parts["study_target"], visit],
        page.of("study", "study_row", "notice"), **FAST,
    )  # fmt: skip
    slots = page.of("method", *NUMBERS, *WORDS)
    page.then_run(
        parts["study_row"].select(
            page.named(handlers.paint_row), [parts["study_row"], visit],
            [*page.edit, *page.box, *slots], **FAST,
        )
    )  # fmt: skip
