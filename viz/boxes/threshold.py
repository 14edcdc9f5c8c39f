"""The line to drag on the curves of changes: the hidden parts by which the page tells Python."""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz.boxes.wiring import FAST, Wiring
from viz.pages.threshold import JS, Threshold


def build() -> dict[str, Any]:
    """A button that the page's script presses, and the place of what it says."""
    return {
        "alpha_do": gr.Button("", visible="hidden", elem_id="alpha-do"),
        "alpha_asked": gr.JSON(visible=False),
    }


def wire(page: Wiring) -> None:
    """One event per drag; a run follows where that is asked for."""
    parts, line = page.parts, Threshold(page.handlers)
    page.then_run(
        parts["alpha_do"].click(
            page.named(line.drag), [parts["alpha_asked"], page.visit],
            [*page.edit, *page.box, *page.slots, parts["method"]], js=JS, **FAST,
        )
    )  # fmt: skip
