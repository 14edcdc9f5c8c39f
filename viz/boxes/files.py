"""Files and links: save, open, copy a link, picture, report, figures, export for other programs."""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz import sharetext as text
from viz.boxes.wiring import FAST, Wiring
from viz.pages import saved, studio
from viz.pages.look import LINK_JS, SAVE_JS
from viz.pages.share import Share

OPENS = (".json", ".pt", ".npy", ".png", ".yaml", ".yml", ".txt", ".py")
SETTINGS = ("label", "seed", "cfg", "sampler")


def build() -> dict[str, Any]:
    """The buttons, the boxes, and hidden texts that the page's scripts read."""
    parts: dict[str, Any] = {}
    with gr.Column(elem_classes="cb-files"):
        with gr.Row():
            parts["save"] = gr.Button("Save", size="sm", elem_id="save", min_width=60)
            parts["open"] = gr.UploadButton(
                "Open", file_types=list(OPENS), size="sm", elem_id="open", min_width=60
            )
            parts["copy_link"] = gr.Button("Link", size="sm", elem_id="copy-link", min_width=60)
        with gr.Row():
            parts["picture"] = gr.Button(
                text.PICTURE, size="sm", elem_id="save-picture", min_width=60
            )
            parts["report"] = gr.Button(text.REPORT, size="sm", elem_id="report", min_width=60)
    with gr.Accordion(text.DOWNLOADS, open=False, elem_id="download-box"):
        parts["what"] = gr.Dropdown(
            saved.CHOICES, value="grid.svg", label=text.WHAT, elem_id="what"
        )
        parts["download"] = gr.Button(text.DOWNLOAD, size="sm", elem_id="download")
    with gr.Accordion("Export", open=False, elem_id="export-box"):
        parts["target"] = gr.Dropdown(
            studio.EXPORTS, value="diffusers", label="For", elem_id="target"
        )
        parts["export"] = gr.Button("Export", size="sm", elem_id="export")
        parts["exported"] = gr.HTML("", elem_id="exported", padding=False)
    for name, elem_id in (("export_file", "export-text"), ("file", "file-text")):
        parts[name] = gr.Textbox(visible="hidden", elem_id=elem_id, show_label=False)
    parts["link"] = gr.Textbox(visible="hidden", elem_id="link-text", show_label=False)
    return parts


def wire(page: Wiring) -> None:
    """Each button, and the script that hands the browser what it made."""
    parts, handlers, visit = page.parts, page.handlers, page.visit
    share = Share(handlers)
    made = page.of("export_file", "notice")
    parts["save"].click(handlers.save_file, visit, parts["file"], **FAST).then(
        None, parts["file"], None, js=SAVE_JS
    )
    for name, handler, given in (
        ("picture", share.picture, [visit]),
        ("report", share.report, [visit]),
        ("download", share.download, [parts["what"], visit]),
        ("export", share.export, [parts["target"], visit]),
    ):
        said = page.of("exported") if name == "export" else []
        parts[name].click(page.named(handler), given, [*made, *said], **FAST).then(
            None, parts["export_file"], None, js=SAVE_JS
        )
    parts["copy_link"].click(
        page.named(handlers.copy_link), visit, page.of("link", "notice"), **FAST
    ).then(None, parts["link"], None, js=LINK_JS)
    page.then_run(
        parts["open"].upload(
            page.named(share.open_file), [parts["open"], visit],
            [*page.edit, *page.of(*SETTINGS), *page.box], **FAST,
        )
    )  # fmt: skip
