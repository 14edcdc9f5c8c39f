"""Quality against speed-up: runs of the visit, plain fewer steps, the recorded study, the front.

Every run has one colour wherever it appears: blue was cached, orange is plain sampling at fewer
steps. Size and filling say where a number is from; a dashed line is predicted, not measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import plotly.graph_objects as go

from viz import palette
from viz.figures.page import AXIS, SERIES, Trace, axis, layout, scatter_figure, title

Series = Literal["cached", "fewer", "better", "study", "study plain", "front"]
Quality = Literal["psnr", "ssim", "latent"]
Cost = Literal["time", "macs"]

QUALITIES: Mapping[Quality, str] = {
    "psnr": "PSNR to the full run (dB)",
    "ssim": "SSIM to the full run",
    "latent": "relative error of the final latent",
}
COSTS: Mapping[Cost, str] = {
    "time": "measured speed-up, each against its own full run (×)",
    "macs": "fewer multiply-accumulates than the full run (×)",
}
TOP_DB = 60.0  # identical pictures have no finite PSNR; they are drawn here and named so
LEAST_ERROR = 1e-3  # likewise at the foot of the logarithmic axis of errors
HEIGHT_PX = 380
_TICKS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
ERRORS: Mapping[str, Any] = {
    "type": "log",
    "autorange": "reversed",
    "tickvals": list(_TICKS),
    "ticktext": [f"{tick:.1%}" if tick < 0.01 else f"{tick:.0%}" for tick in _TICKS],
}


@dataclass(frozen=True)
class Point:
    """One run, or one schedule that was judged.

    Attributes:
        id: what a click names.
        series: decides colour and shape.
        name: for people.
        speedup: measured, None where no time was.
        macs: of the full run over its own.
        psnr_db, ssim, latent: None where not known.
        here: whether it is of the page's own class, seed, steps, guidance and sampler.
        note: where the numbers are from, where that is not this visit.
    """

    id: str
    series: Series
    name: str
    speedup: float | None
    macs: float
    psnr_db: float | None = None
    ssim: float | None = None
    latent: float | None = None
    here: bool = True
    note: str = ""

    def quality(self, which: Quality) -> float | None:
        """The number on the upright axis."""
        return {"psnr": self.psnr_db, "ssim": self.ssim, "latent": self.latent}[which]

    def cost(self, which: Cost) -> float | None:
        """The number on the level axis."""
        return self.speedup if which == "time" else self.macs


@dataclass(frozen=True)
class Look:
    """How a series is drawn: its name, colour, symbol, size, and whether a line joins it."""

    name: str
    colour: str
    symbol: str
    size: int
    line: str | None = None


LOOKS: Mapping[Series, Look] = {
    "study plain": Look("recorded: plain steps", SERIES["fewer"], "square", 5, "dot"),
    "study": Look("recorded: all methods", SERIES["cached"], "circle", 5),
    "front": Look("predicted: budget", SERIES["cached"], "circle", 3, "dash"),
    "fewer": Look("plain steps, measured here", SERIES["fewer"], "square", 9, "solid"),
    "better": Look("found by Improve", SERIES["cached"], "diamond", 9),
    "cached": Look("your runs", SERIES["cached"], "circle", 10),
}


def pareto(
    points: Sequence[Point],
    *,
    quality: Quality = "psnr",
    cost: Cost = "time",
    current: str | None = None,
    pins: Mapping[str, str] | None = None,
) -> go.Figure:
    """The figure; points without the two numbers asked for are left out.

    `current` is the id of the run on show, ringed; `pins` letters by id.
    """
    traces: list[Trace] = []
    rows = [(p, p.cost(cost), p.quality(quality)) for p in points]
    drawn = [(p, x, _drawn(y, quality)) for p, x, y in rows if x is not None and y is not None]
    for series, look in LOOKS.items():
        own = sorted((row for row in drawn if row[0].series == series), key=lambda row: row[1])
        if own:
            if series == "fewer":
                traces.append(_join(own, look))
            traces.append(_trace(own, series, look, quality, current, pins or {}))
    return scatter_figure(
        traces,
        layout(
            "pareto",
            HEIGHT_PX,
            margin={"l": 56, "r": 12, "t": 58, "b": 44},
            xaxis=axis(title=title(COSTS[cost]), type="log", **_ticks([x for _, x, _ in drawn])),
            yaxis=axis(
                title=title(QUALITIES[quality]),
                **(ERRORS if quality == "latent" else {}),
            ),
            showlegend=True,
            legend={"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom", "xanchor": "left"},
            meta={"cachebrush": "pareto"},
        ),
    )


def _trace(
    rows: Sequence[tuple[Point, float, float]],
    series: Series,
    look: Look,
    quality: Quality,
    current: str | None,
    pins: Mapping[str, str],
) -> Trace:
    points = [p for p, _, _ in rows]
    lettered = [pins.get(p.id, "") for p in points]
    rings = [p.id == current or bool(letter) for p, letter in zip(points, lettered, strict=True)]
    # Runs of other pictures than the page's are hollow, and no line joins different pictures.
    hollow = [not p.here and not p.series.startswith("study") for p in points]
    quiet = series.startswith("study")
    mode = "lines" if series == "front" else "markers+text" if any(lettered) else "markers"
    if look.line and series != "front" and series != "fewer":
        mode = f"lines+{mode}"
    trace: Trace = {
        "x": [round(x, 4) for _, x, _ in rows],
        "y": [float(f"{y:.5g}") for _, _, y in rows],
        "name": look.name,
        "mode": mode,
        "text": lettered,
        "textposition": "top center",
        "customdata": [[p.id, _words(p, quality)] for p in points],
        "hovertemplate": "%{customdata[1]}<extra></extra>",
        "line": {"color": look.colour, "width": 1.5, "dash": look.line or "solid"},
        "opacity": 0.55 if quiet else 1,
        "marker": {
            "color": ["rgba(0,0,0,0)" if empty else look.colour for empty in hollow],
            "symbol": look.symbol,
            "opacity": 1,
            "size": [look.size + 4 if ring else look.size for ring in rings],
            "line": {
                "color": [palette.LIGHT["focus"] if ring else look.colour for ring in rings],
                "width": [3 if ring else 1.5 if empty else 0
                          for ring, empty in zip(rings, hollow, strict=True)],
            },
        },
    }  # fmt: skip
    return {**trace, "hoverinfo": "skip"} if series == "front" else trace


def _join(rows: Sequence[tuple[Point, float, float]], look: Look) -> Trace:
    """The line through the plain runs of the page's own picture: what every method has to beat."""
    taken: dict[str, list[tuple[float, float]]] = {}
    for p, x, y in rows:
        if p.here:
            taken.setdefault(p.name, []).append((x, y))
    # As many steps were often run and timed several times.
    own = sorted((median(x for x, _ in some), some[0][1]) for some in taken.values())
    return {
        "x": [round(x, 4) for x, _ in own],
        "y": [float(f"{y:.5g}") for _, y in own],
        "mode": "lines",
        "hoverinfo": "skip",
        "showlegend": False,
        "line": {"color": look.colour, "width": 1.5, "dash": look.line},
    }


def _drawn(value: float, quality: Quality) -> float:
    if quality == "psnr":
        return min(value, TOP_DB)
    return max(value, LEAST_ERROR) if quality == "latent" else value


def _words(point: Point, quality: Quality) -> str:
    return f"<b>{_escaped(point.name)}</b><br>{value_words(point, quality)}, {cost_words(point)}"


def _escaped(text: str) -> str:
    """Plotly reads some tags in texts."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def value_words(point: Point, quality: Quality) -> str:
    """The quality in words."""
    value = point.quality(quality)
    if value is None:
        return "not measured"
    if quality == "psnr":
        return "identical" if math.isinf(value) else f"{value:.1f} dB"
    return f"SSIM {value:.3f}" if quality == "ssim" else f"latent error {value:.2%}"


def cost_words(point: Point) -> str:
    """Both costs in words."""
    took = "time not measured" if point.speedup is None else f"{point.speedup:.2f}× as fast"
    return f"{took}, {point.macs:.2f}× fewer MACs"


def _ticks(values: Sequence[float]) -> dict[str, Any]:
    """Readable ticks on a logarithmic axis of factors."""
    ticks = [0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 7, 10, 15, 20]
    if not values:
        return {"tickvals": ticks, "ticktext": [f"{t:g}×" for t in ticks]}
    low, high = min(0.98, *values) * 0.97, max(1.5, *values) * 1.06
    shown = [t for t in ticks if low <= t <= high]
    return {
        "tickvals": shown,
        "ticktext": [f"{t:g}×" for t in shown],
        "tickangle": 0,
        "range": [math.log10(low), math.log10(high)],
        "gridcolor": "rgba(128, 140, 152, 0.25)",
        "linecolor": AXIS,
    }
