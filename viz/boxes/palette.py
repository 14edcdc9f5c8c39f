"""The command palette's way to the page: what was chosen in it reaches the same handlers."""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz.boxes.wiring import FAST, Wiring
from viz.pages.offers import Offers


def wire(page: Wiring) -> None:
    """The painter's `select` says which of the page's offers was chosen."""
    offers = Offers(page.handlers)

    def choose(event: gr.EventData, visit: Any) -> dict[Any, Any]:
        data = event._data if isinstance(event._data, dict) else {}
        return page.updates(offers.choose(data.get("index"), data.get("value"), visit))

    shown = [*page.edit, *page.box, *page.slots, *page.of("method", "label")]
    page.then_run(page.parts["grid"].select(choose, page.visit, shown, **FAST))
