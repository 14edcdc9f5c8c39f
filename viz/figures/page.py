"""What every figure shares: a theme-neutral layout, CSS with the page's colours, hover link.

A figure reaches the page as JSON and does not know whether the page is dark, so text and axes get
their colours from CSS; the app hands `FIGURE_CSS` and `HOVER_HEAD` to `launch(css=..., head=...)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import plotly.graph_objects as go
import plotly.io as pio

from viz import palette

Trace = dict[str, Any]
TEMPLATE = "simple_white"

FONT = {"family": "sans-serif", "size": 12}
GRID = "rgba(128, 140, 152, 0.25)"  # seen on white and on near-black
AXIS = "rgba(128, 140, 152, 0.9)"

# Lines must be seen on both papers: the middle of a blue-to-amber scale, at least 2.5:1 on each.
# Hue carries the order for every kind of colour vision, since blue and yellow stay apart in all.
DEPTH = ("#3D7BC7", "#4A94A6", "#84976A", "#B58C38", "#C96F30")

# The palette's two run colours, at a lightness that holds 3:1 on both papers.
SERIES = {"cached": "#1F83C6", "fewer": "#D9661F"}

# Plotly writes colours into style attributes, so only !important wins.
FIGURE_CSS = (
    palette.css_variables()
    + """
.js-plotly-plot .main-svg text { fill: var(--cb-ink) !important; font-family: inherit !important; }
.js-plotly-plot .hovertext text { fill: var(--cb-tip-ink) !important; }
.js-plotly-plot .hovertext path { fill: var(--cb-tip) !important;
  stroke: var(--cb-tip) !important; }
.js-plotly-plot .modebar { display: none !important; }
.js-plotly-plot .cb-quiet { opacity: 0.35 !important; }
.js-plotly-plot .cb-loud path.js-line { stroke-width: 3px !important; }
.cb-plot-rule { position: absolute; width: 0; border-left: 2px solid var(--cb-forecast);
  pointer-events: none; z-index: 2; }
.cb-plot-ring { position: absolute; width: 13px; height: 13px; margin: -7px 0 0 -7px;
  border: 2px solid var(--cb-ink); border-radius: 50%; box-shadow: 0 0 0 2px var(--cb-paper);
  pointer-events: none; z-index: 4; }
.js-plotly-plot.cb-has-alpha .shapelayer { display: none; }
.cb-alpha { position: absolute; inset: 0; pointer-events: none; z-index: 3; }
.cb-alpha-line { position: absolute; height: 18px; margin-top: -9px; pointer-events: auto;
  cursor: ns-resize; touch-action: none; }
.cb-alpha-line::before { content: ""; position: absolute; left: 0; right: 0; top: 8px;
  border-top: 2px dotted var(--cb-ink-soft); }
.cb-on .cb-alpha-line::before { border-top: 2px dashed var(--cb-focus); }
.cb-alpha-handle { position: absolute; transform: translateY(-50%); padding: 2px 8px;
  pointer-events: auto; cursor: ns-resize; touch-action: none; z-index: 1;
  user-select: none; -webkit-user-select: none;
  border: 1px solid var(--cb-line-strong); border-radius: 10px; background: var(--cb-panel);
  color: var(--cb-ink); font-size: 12px; line-height: 16px; font-variant-numeric: tabular-nums; }
.cb-on .cb-alpha-handle { border-color: var(--cb-focus); }
.cb-alpha-handle:hover, .cb-alpha-handle:focus-visible { outline: 2px solid var(--cb-focus);
  outline-offset: 1px; }
@media (pointer: coarse) {
  .cb-alpha-line { pointer-events: none; }
  .cb-alpha-handle { padding: 10px 12px; border-radius: 20px; }
}
"""
)

HOVER_HEAD = "".join(
    "<script>" + (files(__package__) / name).read_text(encoding="utf-8") + "</script>"
    for name in ("hover.js", "threshold.js")
)


def layout(name: str, height_px: int, **more: Any) -> dict[str, Any]:
    """Layout of figure `name`: transparent, small margins, no legend box; `more` goes on top."""
    return {
        "template": TEMPLATE,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 48, "r": 8, "t": 30, "b": 40},
        "height": height_px,
        "autosize": True,
        "font": FONT,
        "showlegend": False,
        "dragmode": False,
        "hovermode": "closest",
        "hoverlabel": {"font": {"size": 12}, "align": "left"},
        "meta": {"cachebrush": name},
        **more,
    }


def scatter_figure(traces: Sequence[Trace], layout: Mapping[str, Any]) -> go.Figure:
    """The figure of `traces`, scatters as plain dicts, on a `layout` of this module.

    Nothing is checked: plotly's checks take ten times as long as the rest, and these figures come
    with nearly every edit. The tests pass what is made here through them instead. What is None must
    be left out, it would be sent.
    """
    data = [{"type": "scatter", **trace} for trace in traces]
    # Its own name for a template is looked up in the course of checking.
    spec = {"data": data, "layout": {**layout, "template": _template()}}
    return go.Figure(spec, _validate=False)


@cache
def _template() -> dict[str, Any]:
    """Plotly's template in full; figures copy it."""
    found: dict[str, Any] = pio.templates[TEMPLATE].to_plotly_json()
    return found


def title(text: str) -> dict[str, Any]:
    """An axis title in the size of the tick labels."""
    return {"text": text, "standoff": 6, "font": {"size": 12}}


def axis(**more: Any) -> dict[str, Any]:
    """An axis with quiet lines; `more` goes on top."""
    return {
        "gridcolor": GRID,
        "linecolor": AXIS,
        "tickcolor": AXIS,
        "showgrid": True,
        "zeroline": False,
        "fixedrange": True,
        **more,
    }
