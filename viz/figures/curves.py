"""How much branch outputs change from step to step: one thin line per block, and the words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from viz import palette
from viz.figures.alpha import Alpha, mean_line
from viz.figures.page import AXIS, DEPTH, Trace, axis, layout, scatter_figure, title

NAMES = {"attn": "attention", "mlp": "MLP"}
PANEL_PX = 170
NEAR_PEAK = 0.8  # steps within this share of the largest mean change count as "most"


def similarity_curves(
    change: np.ndarray,
    *,
    branches: Sequence[str] = ("attn", "mlp"),
    timesteps: Sequence[float] | None = None,
    threshold: float | None = None,
    highlight: tuple[int, str] | None = None,
    alpha: Alpha | None = None,
) -> go.Figure:
    """Curves of `change` (S, L, R), relative L1 at lag 1 (NaN at step 0), a panel per branch.

    `timesteps` (S,) falling; `threshold` in the unit of `change`; `highlight` (block, branch).
    Every point carries customdata [block, branch index, step before, timestep text], which
    hover.js turns into `cachebrush:hover`. With `alpha` the mean over blocks is drawn as well, and
    threshold.js makes the threshold a line that can be dragged. Raises ValueError for shapes that
    do not fit.
    """
    change = _check(change, branches, timesteps)
    steps, blocks, _ = change.shape
    if highlight is not None and (highlight[1] not in branches or not 0 <= highlight[0] < blocks):
        raise ValueError(f"highlight {highlight}: expected (block 0..{blocks - 1}, {branches})")
    colours = palette.ramp(DEPTH, max(blocks, 2))
    traces: list[Trace] = []
    for r, branch in enumerate(branches):
        for block in _order(blocks, highlight, branch):
            loud = highlight == (block, branch)
            traces.append(
                {
                    "x": list(range(1, steps)),
                    "y": [_number(v) for v in change[1:, block, r]],
                    "customdata": [
                        [block, r, s - 1, "" if timesteps is None else f" (t {timesteps[s]:.0f})"]
                        for s in range(1, steps)
                    ],
                    "mode": "lines",
                    "line": {"color": colours[block], "width": 3 if loud else 1.3},
                    "opacity": 1 if loud or highlight is None else 0.45,
                    "name": f"block {block}, {_name(branch)}",
                    "hovertemplate": (
                        f"block %{{customdata[0]}}, {_name(branch)}, step %{{x}}%{{customdata[3]}}:"
                        "<br>changed %{y:.1%} since step %{customdata[2]}<extra></extra>"
                    ),
                    "xaxis": "x",
                    "yaxis": _axis_id(r),
                }
            )
        if alpha is not None:
            traces.append(mean_line(change[:, :, r], _name(branch), _axis_id(r)))
    if blocks > 1:
        traces.append(_scale_of_depth(blocks))
    panels = _panels(branches, steps, threshold, says=alpha is None)
    if alpha is not None:
        panels["meta"] = {"cachebrush": "curves", "alpha": alpha.to_json()}
    return scatter_figure(traces, panels)


def text_summary(
    change: np.ndarray,
    *,
    branches: Sequence[str] = ("attn", "mlp"),
    threshold: float | None = None,
) -> str:
    """The figure in words: when and where each branch of `change` (S, L, R) changes most."""
    change = _check(change, branches, None)
    sentences = []
    for r, branch in enumerate(branches):
        part = change[1:, :, r]
        name = _name(branch)
        name = name[0].upper() + name[1:]
        if part.size == 0 or np.isnan(part).all():
            sentences.append(f"{name}: nothing measured yet.")
            continue
        mean = np.array([np.nan if np.isnan(row).all() else np.nanmean(row) for row in part])
        peak, quiet = int(np.nanargmax(mean)), int(np.nanargmin(mean))
        first = last = peak
        while first > 0 and mean[first - 1] >= NEAR_PEAK * mean[peak]:
            first -= 1
        while last < len(mean) - 1 and mean[last + 1] >= NEAR_PEAK * mean[peak]:
            last += 1
        step, block = np.unravel_index(int(np.nanargmax(part)), part.shape)
        steps = f"step {first + 1}" if first == last else f"steps {first + 1}–{last + 1}"
        words = (
            f"{name} changes most at {steps} (on average {mean[peak]:.1%} at step {peak + 1}), "
            f"strongest in block {block} ({part[step, block]:.1%} at step {step + 1}), "
            f"least at step {quiet + 1} ({mean[quiet]:.1%})"
        )
        if threshold is not None:
            known = part[~np.isnan(part)]
            below = np.count_nonzero(known < threshold) / known.size
            words += f"; {below:.0%} of its cells change less than {threshold:.1%}"
        sentences.append(words + ".")
    return " ".join(sentences)


def _panels(
    branches: Sequence[str], steps: int, threshold: float | None, *, says: bool
) -> dict[str, object]:
    """Stacked panels over one step axis, with their headings and threshold lines.

    `says`: the last heading names the threshold; a line that is dragged says itself where it is.
    """
    count = len(branches)
    gap = 0.12 if count > 1 else 0.0
    tall = (1 - gap * (count - 1)) / count
    shapes, notes, axes = [], [], {}
    for r, branch in enumerate(branches):
        top = 1 - r * (tall + gap)
        key = "yaxis" if r == 0 else f"yaxis{r + 1}"
        axes[key] = axis(
            domain=[max(0.0, top - tall), top], tickformat=".0%", rangemode="tozero", nticks=5
        )
        place = {"xref": "paper", "showarrow": False, "yanchor": "bottom"}
        heading = _name(branch)
        heading = f"<b>{heading[0].upper() + heading[1:]}</b>"
        if says and threshold is not None and r == count - 1:  # in the lines it would be unreadable
            heading += f"   dashed: threshold {threshold:.1%}"
        notes.append(
            {"text": heading, "x": 0, "xanchor": "left", "y": top, "yref": "paper", **place}
        )
        if threshold is not None:
            shapes.append(
                {
                    "type": "line",
                    "xref": "x",
                    "yref": _axis_id(r),
                    "x0": 0,
                    "x1": steps - 1,
                    "y0": threshold,
                    "y1": threshold,
                    "opacity": 1,
                    "line": {"dash": "dash", "width": 2, "color": AXIS},
                }
            )
    low = _axis_id(count - 1)
    return layout(
        "curves",
        PANEL_PX * count + 70,
        xaxis=axis(
            title=title("step (0 is the noisiest)"),
            anchor=low,
            range=[0, steps - 1],
            showspikes=False,
        ),
        annotations=notes,
        **({"shapes": shapes} if shapes else {}),
        **axes,
    )


def _scale_of_depth(blocks: int) -> Trace:
    """A thin colour bar at the top right: which end of the stack a line belongs to."""
    return {
        "x": [None],
        "y": [None],
        "mode": "markers",
        "hoverinfo": "skip",
        "marker": {
            "color": [0],
            "cmin": 0,
            "cmax": blocks - 1,
            "colorscale": palette.plotly_scale(DEPTH),
            "colorbar": {
                "orientation": "h",
                "x": 1,
                "xanchor": "right",
                "y": 1,
                "yanchor": "bottom",
                "ypad": 0,
                "xpad": 0,
                "len": 0.42,
                "thickness": 6,
                "outlinewidth": 0,
                "tickvals": [0, blocks - 1],
                "ticktext": ["block 0", str(blocks - 1)],
                "ticks": "",
                "tickfont": {"size": 11},
            },
        },
    }


def _order(blocks: int, highlight: tuple[int, str] | None, branch: str) -> list[int]:
    """Blocks in drawing order; the highlighted one comes last, on top."""
    order = list(range(blocks))
    if highlight is not None and highlight[1] == branch:
        order.append(order.pop(highlight[0]))
    return order


def _axis_id(panel: int) -> str:
    return "y" if panel == 0 else f"y{panel + 1}"


def _name(branch: str) -> str:
    return NAMES.get(branch, branch)


def _number(value: float) -> float | None:
    """A short JSON number; NaN becomes a gap."""
    return None if np.isnan(value) else round(float(value), 5)


def _check(
    change: np.ndarray, branches: Sequence[str], timesteps: Sequence[float] | None
) -> np.ndarray:
    change = np.asarray(change, dtype=np.float64)
    if change.ndim != 3 or change.shape[2] != len(branches) or change.shape[0] < 1:
        raise ValueError(
            f"change has shape {change.shape}: expected (S, L, {len(branches)}), one column per "
            f"branch of {tuple(branches)}; take lag 1 of a trace with change[..., 0]"
        )
    if timesteps is not None and len(timesteps) != change.shape[0]:
        raise ValueError(f"{len(timesteps)} timesteps: expected {change.shape[0]}, one per step")
    return change
