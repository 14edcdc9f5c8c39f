"""What the page offers the painter's command palette besides the painter's own commands.

Methods and classes are chosen by name, as if in their lists; buttons are pressed where they are.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz import methods
from viz.pages.edits import Parts
from viz.pages.handlers import Handlers
from viz.pages.visit import Visit

# Label, group, and where the page has the button.
BUTTONS: tuple[tuple[str, str, str], ...] = (
    ("Run", "Run", "#run"),
    ("Stop", "Run", "#stop"),
    ("Run on release", "Run", "#auto"),
    ("Save the schedule", "File", "#save"),
    ("Open a schedule", "File", "#open"),
    ("Copy a link to this state", "File", "#copy-link"),
)


def offers() -> dict[str, Any]:
    """The painter's `offers`: buttons of the page, and every method by label and name."""
    buttons = [{"label": label, "group": group, "selector": at} for label, group, at in BUTTONS]
    return {"buttons": buttons, "methods": [list(pair) for pair in methods.choices()]}


class Offers:
    """The handler of what is chosen in the palette."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    def choose(self, group: Any, value: Any, visit: Visit) -> Parts:
        """A method by its name, or a class by its number; ignores what is neither."""
        if group == "method" and isinstance(value, str):
            parts = self._handlers.choose(value, visit)
            known = visit.method is not None and visit.method.name == value
            return {**parts, "method": gr.update(value=value)} if known else parts
        if group == "class":
            s = visit.state.settings
            parts = self._handlers.configure(value, s.seed, s.cfg_scale, s.sampler, visit)
            return {**parts, "label": gr.update(value=visit.state.settings.label)}
        return {}
