"""Fetch from the authors: what a published file is, under which licence, and the button for it."""

from __future__ import annotations

import html
from typing import Any

import gradio as gr

from caching.formats.authors import FILES
from viz import sharetext as text
from viz.boxes.files import SETTINGS
from viz.boxes.wiring import FAST, LOAD, Wiring
from viz.pages.authors import CHOICES, FIRST, Authors, facts_html
from viz.pages.visit import Visit


def build(start: Visit) -> dict[str, Any]:
    """The box, closed."""
    parts: dict[str, Any] = {}
    with gr.Accordion(text.AUTHORS, open=False, elem_id="authors-box"):
        parts["author_file"] = gr.Dropdown(
            CHOICES, value=FIRST, label=text.AUTHORS_WHICH, elem_id="author-file"
        )
        parts["author_facts"] = gr.HTML(
            facts_html(FILES[FIRST], start.state.model.blocks),
            elem_id="author-facts",
            padding=False,
        )
        parts["author_fetch"] = gr.Button(text.AUTHORS_BUTTON, size="sm", elem_id="author-fetch")
        gr.HTML(f'<p class="cb-author-info">{html.escape(text.AUTHORS_INFO)}</p>', padding=False)
    return parts


def wire(page: Wiring) -> None:
    """Another file shows its facts; the button fetches and opens it."""
    parts, visit = page.parts, page.visit
    authors = Authors(page.handlers)
    facts = page.of("author_facts", "author_fetch")
    parts["author_file"].input(
        page.named(authors.choose), [parts["author_file"], visit],
        [*facts, *page.of("notice")], **FAST,
    )  # fmt: skip
    page.then_run(
        parts["author_fetch"].click(
            page.stream(authors.fetch), [parts["author_file"], visit],
            [*facts, *page.edit, *page.of(*SETTINGS), *page.box], **LOAD,
        )
    )  # fmt: skip
