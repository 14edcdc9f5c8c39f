"""Drafts: the quiet line that offers what was last painted here, or a page as new."""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz import sharetext as text
from viz.boxes.files import SETTINGS
from viz.boxes.wiring import FAST, Wiring
from viz.pages.keep import AFRESH_JS, KEEP_JS, TAKE_JS
from viz.pages.share import Share
from viz.text import AFRESH


def build() -> dict[str, Any]:
    """The line, hidden until the browser has a draft, and what its script works with."""
    parts: dict[str, Any] = {}
    parts["restore"] = gr.Button(text.DRAFT, size="sm", elem_id="restore-draft", min_width=60)
    parts["afresh"] = gr.Button(AFRESH, size="sm", elem_id="afresh", min_width=60)
    parts["keep_draft"] = gr.Button(visible="hidden", elem_id="keep-draft")
    parts["draft"] = gr.Textbox(visible="hidden", elem_id="draft-text", show_label=False)
    return parts


def wire(page: Wiring) -> None:
    """The script presses the hidden button once edits have settled, and keeps what it gives."""
    parts, visit, share = page.parts, page.visit, Share(page.handlers)
    parts["keep_draft"].click(share.draft, visit, parts["draft"], **FAST).then(
        None, parts["draft"], None, js=KEEP_JS
    )
    parts["restore"].click(
        page.named(share.restore), [parts["draft"], visit],
        [*page.edit, *page.of("method", *SETTINGS), *page.box, *page.slots], js=TAKE_JS, **FAST,
    )  # fmt: skip
    parts["afresh"].click(None, None, None, js=AFRESH_JS)
