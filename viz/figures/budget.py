"""Quality against measured time for the runs of one visit, beside plain runs with fewer steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import plotly.graph_objects as go

from viz import palette
from viz.figures.page import AXIS, SERIES, axis, layout, title

TOP_DB = 60.0  # identical pictures have no finite PSNR; they are drawn here and named so


@dataclass(frozen=True)
class BudgetPoint:
    """One run: what it took and how close its picture is to the full one."""

    name: str  # "Every 2nd step" or "12 plain steps"
    time_ms: float  # measured
    psnr_db: float  # against the full picture of the same noise; infinite where identical
    series: Literal["cached", "fewer"] = "cached"

    def __post_init__(self) -> None:
        if self.series not in ("cached", "fewer"):
            raise ValueError(f"series {self.series!r}: expected 'cached' or 'fewer'")
        if not (math.isfinite(self.time_ms) and self.time_ms > 0) or math.isnan(self.psnr_db):
            raise ValueError(
                f"run {self.name!r} with {self.time_ms} ms and {self.psnr_db} dB: expected a "
                "measured time above 0 and a PSNR"
            )


def budget_curve(
    points: Sequence[BudgetPoint], *, full_ms: float | None = None, current: str | None = None
) -> go.Figure:
    """Points over time in seconds; plain runs form the curve to beat; `current` is ringed."""
    figure = go.Figure()
    plain = sorted((p for p in points if p.series == "fewer"), key=lambda p: p.time_ms)
    cached = [p for p in points if p.series == "cached"]
    _add(figure, plain, "fewer plain steps", SERIES["fewer"], "lines+markers", None)
    _add(figure, cached, "cached", SERIES["cached"], "markers", current)
    shapes, notes = [], []
    if full_ms is not None:
        line = {"dash": "dot", "width": 1.5, "color": AXIS}
        x = full_ms / 1000
        shapes.append(
            {
                "type": "line",
                "x0": x,
                "x1": x,
                "y0": 0,
                "y1": 1,
                "yref": "paper",
                "line": line,
                "opacity": 1,
            }
        )
        notes.append(
            {
                "text": "full",
                "x": x,
                "y": 1,
                "yref": "paper",
                "yanchor": "bottom",
                "showarrow": False,
            }
        )
    figure.update_layout(
        layout(
            "budget",
            280,
            xaxis=axis(title=title("measured time (s)"), rangemode="tozero"),
            yaxis=axis(title=title("PSNR to full (dB)")),
            showlegend=True,
            legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "xanchor": "left"},
            shapes=shapes,
            annotations=notes,
        )
    )
    return figure


def _add(
    figure: go.Figure,
    points: Sequence[BudgetPoint],
    name: str,
    colour: str,
    mode: str,
    current: str | None,
) -> None:
    if not points:
        return
    rings = [p.name == current for p in points]
    words = ["identical" if math.isinf(p.psnr_db) else f"{p.psnr_db:.1f} dB" for p in points]
    figure.add_scatter(
        x=[p.time_ms / 1000 for p in points],
        y=[min(p.psnr_db, TOP_DB) for p in points],
        name=name,
        mode=mode,
        customdata=[[p.name, text] for p, text in zip(points, words, strict=True)],
        hovertemplate="%{customdata[0]}: %{customdata[1]} in %{x:.2f} s<extra></extra>",
        line={"color": colour, "width": 1.5, "dash": "dot"},
        marker={
            "color": colour,
            "opacity": 1,
            "symbol": "square" if mode == "lines+markers" else "circle",
            "size": [13 if ring else 8 for ring in rings],
            "line": {
                "color": [palette.LIGHT["focus"] if ring else colour for ring in rings],
                "width": [2.5 if ring else 0 for ring in rings],
            },
        },
    )
