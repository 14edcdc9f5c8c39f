"""Figures made without plotly's checks pass them, and are sent as plotly itself would send them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from viz.figures import page
from viz.figures.alpha import Alpha
from viz.figures.curves import similarity_curves
from viz.figures.pareto import LOOKS, QUALITIES, Point, pareto

ALPHA = Alpha("SmoothCache", 0.05, on=True, rows={"attn": ((0.0, "000"), (0.1, "010"))})
POINTS = [
    Point(
        f"{series} {k}", series, f"{series} <b>", 1.2 + k, 1.3 + k, 30.0 + k, 0.9, 0.1, here=k < 2
    )
    for series in LOOKS
    for k in range(3)
]


def curves(*, steps: int = 5, **more: Any) -> go.Figure:
    change = np.linspace(0.01, 0.5, steps * 3 * 2).reshape(steps, 3, 2)
    change[0] = np.nan
    return similarity_curves(change, **more)


FIGURES = {
    "curves": curves,
    "curves of one step": lambda: curves(steps=1),
    "curves with a threshold": lambda: curves(
        threshold=0.1, highlight=(1, "mlp"), timesteps=range(5)
    ),
    "curves with a line to drag": lambda: curves(threshold=0.05, alpha=ALPHA),
    "no runs": lambda: pareto([]),
    **{f"runs by {q}": lambda q=q: pareto(POINTS, quality=q, cost="macs") for q in QUALITIES},
    "runs pinned": lambda: pareto(POINTS, current="cached 0", pins={"cached 1": "A"}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_what_is_sent_is_what_plotly_s_checks_let_through_unchanged(name: str) -> None:
    sent = FIGURES[name]().to_json()
    # Raises for a property it does not know; drops what is empty and turns values to their kinds.
    checked = go.Figure(json.loads(sent)).to_json()
    assert _sorted(checked) == _sorted(sent)
    assert "axis" in json.dumps(json.loads(sent)["layout"]["template"]), "in full, not by its name"


def test_a_figure_that_is_changed_leaves_the_next_as_it_was() -> None:
    before = pareto([]).to_json()
    changed = pareto([])
    changed.layout.template.layout.font.color = "#123456"
    changed.layout.font.size = 99
    assert changed.to_json() != before and pareto([]).to_json() == before


@pytest.mark.parametrize(("traces", "more"), [([{"lines": 1}], {}), ([], {"colour": "red"})])
def test_nothing_is_checked_while_a_page_is_served(traces: Any, more: dict[str, Any]) -> None:
    figure = page.scatter_figure(traces, page.layout("odd", 100, **more))
    with pytest.raises(ValueError, match="Invalid property"):
        go.Figure(json.loads(figure.to_json()))


def _sorted(sent: str) -> str:
    """Keys in order; unlike a comparison of values this tells 1, 1.0 and true apart."""
    return json.dumps(json.loads(sent), sort_keys=True)
