"""A method chosen on the painter's line: rows at once, boxes with the event that follows."""

from __future__ import annotations

from typing import Any

from viz.pages.methods import Methods
from viz.pages.visit import Visit


def chosen(handlers: Methods, name: str, visit: Visit) -> dict[str, Any] | None:
    """Paint what a method makes, and leave the rest of the page for the event of the list.

    Args:
        handlers: of the page.
        name: of the method, as anybody may have sent it.
        visit: whose grid it is.

    Returns:
        What the painter must know besides its value; None if the shape of the grid has changed,
        with which more comes than a line should bring.
    """
    before = visit.before
    parts = handlers.choose_once(name, visit)
    visit.rest = {**visit.rest, **parts}
    if visit.state.schedule.actions.shape != before.schedule.actions.shape:
        return None
    spec = parts.get("grid", {}).get("spec")
    return {} if spec is None else {"spec": spec}
