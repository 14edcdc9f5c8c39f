"""A closer look at a run: how far it strays, where the time goes, what the cache stands in for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from caching.measure.likeness import Likeness
from viz import palette
from viz.figures.page import AXIS, DEPTH, SERIES, axis, layout, title

TALL_PX = 300
NAMES = {"attn": "attention", "mlp": "MLP"}
HOLD = "#C2185B"  # what the cache stands in with; 4:1 or more on both papers
STEP_TITLE = "step (0 is the noisiest)"


def drift_curve(drift: Sequence[float], reused: Sequence[float]) -> go.Figure:
    """How far the predicted clean picture is from the full run's, step by step.

    `drift` (S,) relative L2 of the latents; `reused` (S,) share of cells that were not computed,
    drawn below so that cause and effect stand over each other.
    """
    steps = list(range(len(drift)))
    figure = go.Figure()
    figure.add_scatter(
        x=steps, y=[round(float(v), 6) for v in drift], mode="lines+markers",
        line={"color": SERIES["cached"], "width": 2}, marker={"size": 5},
        hovertemplate="after step %{x}: %{y:.2%} from the full run<extra></extra>",
        customdata=[[None, None]] * len(steps),
    )  # fmt: skip
    figure.add_bar(
        x=steps, y=[round(float(v), 4) for v in reused], yaxis="y2",
        marker={"color": palette.LIGHT["reuse-dot"]},
        hovertemplate="step %{x}: %{y:.0%} of the cells not computed<extra></extra>",
    )  # fmt: skip
    figure.update_layout(
        layout(
            "steps", TALL_PX,
            xaxis=axis(title=title(STEP_TITLE), anchor="y2", range=[-0.6, len(drift) - 0.4]),
            yaxis=axis(domain=[0.38, 1], tickformat=".1%", rangemode="tozero", nticks=5),
            yaxis2=axis(domain=[0, 0.26], tickformat=".0%", range=[0, 1], nticks=3),
            annotations=[
                _heading("Distance from the full run (relative L2)", 1),
                _heading("Cells not computed", 0.26),
            ],
        )
    )  # fmt: skip
    return figure


def time_bars(
    rows: Sequence[tuple[str, Sequence[float]]],
    names: Sequence[str],
    formulas: Sequence[Sequence[str]],
) -> go.Figure:
    """Where the milliseconds go: `rows` of (run, ms by part), one stacked bar each.

    `formulas`: for each row and part, how its number came about.
    """
    colours = palette.ramp(DEPTH, max(len(names), 2))
    figure = go.Figure()
    for k, name in enumerate(names):
        figure.add_bar(
            y=[run for run, _ in rows], x=[round(parts[k], 2) for _, parts in rows],
            orientation="h", name=name, marker={"color": colours[k]},
            customdata=[[None, None, None, row[k]] for row in formulas],
            hovertemplate="%{y}, " + name + ": %{x:.1f} ms<br>%{customdata[3]}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        layout(
            "times", 130 + 46 * len(rows), barmode="stack", showlegend=True,
            legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
            margin={"l": 100, "r": 8, "t": 56, "b": 40},
            xaxis=axis(title=title("ms"), rangemode="tozero"),
            yaxis=axis(autorange="reversed", showgrid=False),
        )
    )  # fmt: skip
    return figure


def likeness_map(
    likeness: Likeness, used: Sequence[int], *, block: int, branch: int, name: str
) -> go.Figure:
    """Relative change between all pairs of steps of one branch, and what the paint makes of it.

    Row = the step whose output stands in, column = the step that needs one; `used` (S,): whose
    output each step uses, itself where it is computed, -1 where nothing says so.
    """
    change = likeness.change(block, branch)
    steps = likeness.steps
    earlier = np.tril(np.ones((steps, steps), bool))  # only the past can stand in
    shown = np.where(earlier & np.isfinite(change), change, np.nan).T
    top = float(np.nanpercentile(shown, 95)) if np.isfinite(shown).any() else 1.0
    figure = go.Figure()
    figure.add_heatmap(
        z=[[None if np.isnan(v) else round(float(v), 4) for v in row] for row in shown],
        zmin=0, zmax=max(top, 1e-3), colorscale=palette.plotly_scale(palette.SEQUENTIAL),
        colorbar={"thickness": 8, "outlinewidth": 0, "tickformat": ".0%", "nticks": 5},
        customdata=[[[block, branch, j] for _ in range(steps)] for j in range(steps)],
        hovertemplate=(
            f"{name}: the output of step %{{y}} in place of step %{{x}}<br>"
            "would be off by %{z:.1%}<extra></extra>"
        ),
    )  # fmt: skip
    held = [s for s in range(steps) if 0 <= used[s] < s]
    figure.add_scatter(
        x=held, y=[used[s] for s in held], mode="markers",
        marker={"symbol": "circle-open", "size": 8, "color": HOLD, "line": {"width": 2}},
        customdata=[[block, branch, used[s], round(float(change[s, used[s]]), 4)] for s in held],
        hovertemplate=(
            "as painted, step %{x} uses the output of step %{y},<br>"
            "off by %{customdata[3]:.1%}<extra></extra>"
        ),
    )  # fmt: skip
    figure.update_layout(
        layout(
            "cells", TALL_PX + 60,
            margin={"l": 48, "r": 8, "t": 12, "b": 40},
            xaxis=axis(title=title("step that needs an output"), showgrid=False, nticks=12),
            yaxis=axis(
                title=title("step whose output stands in"), autorange="reversed", showgrid=False,
                nticks=12,
            ),
            meta={"cachebrush": "cells", "link": "pairs", "block": block, "branch": branch},
        )
    )  # fmt: skip
    return figure


def feature_path(
    likeness: Likeness, used: Sequence[int], *, block: int, branch: int, name: str
) -> go.Figure:
    """The outputs of one branch over all steps as a path in their main plane.

    Dotted lines lead from where an output should be to the one that stands in for it as painted;
    `used` as in `likeness_map`.
    """
    path = likeness.path(block, branch)
    points, steps = path.points, likeness.steps
    change = likeness.change(block, branch)
    figure = go.Figure()
    figure.add_scatter(
        x=_short(points[:, 0]), y=_short(points[:, 1]), mode="lines",
        line={"color": AXIS, "width": 1}, hoverinfo="skip",
    )  # fmt: skip
    held = [s for s in range(steps) if 0 <= used[s] < s]
    ends_x: list[float | None] = []
    ends_y: list[float | None] = []
    for s in held:
        ends_x += [float(points[s, 0]), float(points[used[s], 0]), None]
        ends_y += [float(points[s, 1]), float(points[used[s], 1]), None]
    figure.add_scatter(
        x=ends_x, y=ends_y, mode="lines", hoverinfo="skip",
        line={"color": HOLD, "width": 1.5, "dash": "dot"},
    )  # fmt: skip
    figure.add_scatter(
        x=_short(points[:, 0]), y=_short(points[:, 1]), mode="markers+text",
        text=[str(s) if s in (0, steps - 1) or s % 5 == 0 else "" for s in range(steps)],
        textposition="top center", textfont={"size": 10},
        customdata=[[block, branch, s, _use_words(s, used, change)] for s in range(steps)],
        marker={
            "size": 9, "color": list(range(steps)), "cmin": 0, "cmax": max(steps - 1, 1),
            "colorscale": palette.plotly_scale(DEPTH),
            "symbol": ["circle-open" if s in held else "circle" for s in range(steps)],
            "line": {"width": 2},
            "colorbar": {"thickness": 8, "outlinewidth": 0, "title": {"text": "step"}, "nticks": 5},
        },
        hovertemplate=f"{name}, step %{{customdata[2]}}<br>%{{customdata[3]}}<extra></extra>",
    )  # fmt: skip
    first, second = path.explained
    figure.update_layout(
        layout(
            "cells", TALL_PX + 60,
            margin={"l": 48, "r": 8, "t": 12, "b": 40},
            xaxis=axis(title=title(f"main direction, {first:.0%} of the variance")),
            yaxis=axis(
                title=title(f"second, {second:.0%}"), scaleanchor="x", scaleratio=1,
            ),
        )
    )  # fmt: skip
    return figure


def _use_words(s: int, used: Sequence[int], change: np.ndarray) -> str:
    if used[s] == s:
        return "computed, as painted"
    if used[s] < 0:
        return "as painted, something else than an earlier output stands in"
    return f"as painted, the output of step {used[s]} stands in, off by {change[s, used[s]]:.1%}"


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{v:.5g}") for v in values]


def _heading(text: str, y: float) -> dict[str, object]:
    return {
        "text": f"<b>{text}</b>", "x": 0, "xanchor": "left", "y": y, "yref": "paper",
        "xref": "paper", "showarrow": False, "yanchor": "bottom",
    }  # fmt: skip
