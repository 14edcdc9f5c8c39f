"""The dragged threshold: the line on the curves of changes sets α of the method it belongs to."""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz.methods import DRAGGED, kind_of, slots_of, threshold_of
from viz.pages.edits import Parts
from viz.pages.handlers import Handlers
from viz.pages.method_box import slot_parts
from viz.pages.visit import Visit

JS = "(alpha, visit) => [window.cbAlpha ?? null, visit]"


class Threshold:
    """The handler of the line."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers

    def drag(self, alpha: Any, visit: Visit) -> Parts:
        """The line was let go at `alpha`: SmoothCache paints it, or the chosen method with an α."""
        method = visit.method
        if method is None or threshold_of(method) is None:
            method = visit.left.get(DRAGGED) or kind_of(DRAGGED)()
        numbers, words = [], []
        for slot in slots_of(method):
            is_alpha = slot.control is not None and slot.control.name == "alpha"
            numbers.append(alpha if is_alpha else slot.value)
            words.append(slot.value)
        parts = self.handlers.turn(method.name, *numbers, *words, visit)
        if visit.method is None or visit.method.name != method.name:
            return parts  # refused
        return {**parts, **slot_parts(visit.method), "method": gr.update(value=method.name)}
