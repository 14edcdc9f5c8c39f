"""Where attention goes: foreground against background, for every block and step."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from viz import palette
from viz.figures.page import axis, layout, title

TALL_PX = 330


def focus_map(lift: np.ndarray, *, attn: int) -> go.Figure:
    """Heatmap of `lift` (S, L), 1 where attention does not care; `attn`: number of its branch.

    Doubled and halved are as far from the middle: the scale is of log2.
    """
    steps, blocks = lift.shape
    log = np.log2(np.maximum(np.asarray(lift, np.float64), 1e-3)).T  # (L, S)
    high = max(0.25, float(np.nanmax(np.abs(log)))) if np.isfinite(log).any() else 1.0
    ticks = [t for t in (-3, -2, -1, -0.5, 0, 0.5, 1, 2, 3) if abs(t) <= high]
    figure = go.Figure()
    figure.add_heatmap(
        z=[[None if np.isnan(v) else round(float(v), 4) for v in row] for row in log],
        zmin=-high, zmax=high,
        # Without the ends, which dark paper would swallow.
        colorscale=palette.plotly_scale(palette.DIVERGING[1:-1]),
        customdata=[[[b, attn, s, round(float(lift[s, b]), 3)] for s in range(steps)]
                    for b in range(blocks)],
        colorbar={
            "thickness": 8, "outlinewidth": 0, "tickvals": ticks,
            "ticktext": [f"{2**t:.2g}×" for t in ticks],
        },
        hovertemplate=(
            "block %{y}, step %{x}: foreground tokens receive<br>%{customdata[3]}× their share "
            "of the attention<extra></extra>"
        ),
    )  # fmt: skip
    figure.update_layout(
        layout(
            "cells", TALL_PX,
            margin={"l": 48, "r": 8, "t": 12, "b": 40},
            xaxis=axis(title=title("step (0 is the noisiest)"), showgrid=False, nticks=12),
            yaxis=axis(title=title("block"), autorange="reversed", showgrid=False, dtick=1),
        )
    )  # fmt: skip
    figure.update_layout(meta={"cachebrush": "cells", "link": "rows", "branch": attn})
    return figure
