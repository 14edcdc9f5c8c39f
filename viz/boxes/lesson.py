"""The lesson panel: the list, the open lesson's tasks, and the buttons around them."""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz import text
from viz.boxes.wiring import FAST, Wiring
from viz.pages.course import Course
from viz.pages.lessons import Lessons, choices, panel
from viz.pages.look import SAY_JS
from viz.pages.method_box import BUTTONS, NUMBERS, WORDS
from viz.pages.visit import Visit

# What a lesson's own look may change, and what opening one or a link may.
PANEL = ("lesson", "lessons", "lesson_next", "lesson_again", "lesson_leave", "demo", "preset")
OPENED = (
    "grid", "compare", "numbers", "notice", "steps", "curves", "words", "about", "method", "label",
    "seed", "cfg", "sampler", *BUTTONS, *NUMBERS, *WORDS,
    "view", "place", "another", "again", "calibrating", "known", *PANEL,
)  # fmt: skip


def build(start: Visit) -> dict[str, Any]:
    """The panel, on the list."""
    parts: dict[str, Any] = {}
    with gr.Column(elem_classes="cb-lessons", elem_id="lesson-box"):
        parts["lesson"] = gr.HTML(panel(start), elem_id="lesson", padding=False)
        with gr.Row(elem_classes="cb-lesson-buttons"):
            parts["lesson_next"] = gr.Button(
                text.LESSON_NEXT, variant="primary", size="sm", elem_id="lesson-next",
                visible=False, min_width=60,
            )  # fmt: skip
            parts["lesson_again"] = gr.Button(
                text.LESSON_AGAIN, size="sm", elem_id="lesson-again", visible=False, min_width=60
            )
            parts["lesson_leave"] = gr.Button(
                text.LESSON_LEAVE, size="sm", elem_id="lesson-leave", visible=False, min_width=60
            )
        parts["lessons"] = gr.Radio(
            choices(Course()), value=None, label=text.LESSONS, elem_id="lessons"
        )
        parts["lesson_open"] = gr.UploadButton(
            text.LESSON_OPEN, file_types=[".json"], size="sm", elem_id="lesson-open", min_width=60
        )
    return parts


def wire(page: Wiring) -> None:
    """Opening and leaving lessons; looking at the tasks after every edit and every result."""
    parts, visit, lessons = page.parts, page.visit, Lessons(page.handlers)
    opened, shown = page.of(*OPENED), page.of(*PANEL)
    parts["lessons"].input(page.named(lessons.choose), [parts["lessons"], visit], opened, **FAST)
    parts["lesson_open"].upload(
        page.named(lessons.upload), [parts["lesson_open"], visit], opened, **FAST
    )
    for name, handler in (
        ("lesson_next", lessons.next),
        ("lesson_again", lessons.again),
        ("again", lessons.again),
        ("lesson_leave", lessons.leave),
    ):
        parts[name].click(page.named(handler), visit, opened, **FAST)
    gr.on(
        [parts["grid"].change, parts["compare"].change, parts["about"].change],
        page.named(lessons.look), visit, shown, **FAST,
    ).then(None, None, None, js=SAY_JS)  # fmt: skip
