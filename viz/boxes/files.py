"""Files and links: save, open, copy a link, export for other programs."""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz.boxes.wiring import FAST, Wiring
from viz.pages import studio
from viz.pages.look import LINK_JS, SAVE_JS

OPENS = (".json", ".pt", ".npy", ".png", ".yaml", ".yml", ".txt", ".py")


def build() -> dict[str, Any]:
    """The buttons, the Export box, and hidden texts that the page's scripts read."""
    parts: dict[str, Any] = {}
    with gr.Row():
        parts["save"] = gr.Button("Save", size="sm", elem_id="save", min_width=60)
        parts["open"] = gr.UploadButton(
            "Open", file_types=list(OPENS), size="sm", elem_id="open", min_width=60
        )
        parts["copy_link"] = gr.Button("Link", size="sm", elem_id="copy-link", min_width=60)
    with gr.Accordion("Export", open=False, elem_id="export-box"):
        parts["target"] = gr.Dropdown(
            studio.EXPORTS, value="diffusers", label="For", elem_id="target"
        )
        parts["export"] = gr.Button("Export", size="sm", elem_id="export")
    for name, elem_id in (("export_file", "export-text"), ("file", "file-text")):
        parts[name] = gr.Textbox(visible="hidden", elem_id=elem_id, show_label=False)
    parts["link"] = gr.Textbox(visible="hidden", elem_id="link-text", show_label=False)
    return parts


def wire(page: Wiring) -> None:
    """Each button, and the script that hands the browser what it made."""
    parts, handlers, visit = page.parts, page.handlers, page.visit
    parts["save"].click(handlers.save_file, visit, parts["file"], **FAST).then(
        None, parts["file"], None, js=SAVE_JS
    )
    parts["export"].click(
        page.named(handlers.export), [parts["target"], visit],
        page.of("export_file", "notice"), **FAST,
    ).then(None, parts["export_file"], None, js=SAVE_JS)  # fmt: skip
    parts["copy_link"].click(
        page.named(handlers.copy_link), visit, page.of("link", "notice"), **FAST
    ).then(None, parts["link"], None, js=LINK_JS)
    page.then_run(
        parts["open"].upload(
            page.named(handlers.open_file), [parts["open"], visit], page.edit, **FAST
        )
    )
