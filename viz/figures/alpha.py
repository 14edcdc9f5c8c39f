"""The threshold that a person drags on the curves of changes: what threshold.js is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from viz.figures.page import Trace

MEAN = "#C2185B"  # 4:1 or more on both papers, and in no scale of depth
Rows = Mapping[str, Sequence[tuple[float, str]]]


@dataclass(frozen=True)
class Alpha:
    """A threshold α on the change of a branch, and what a method makes of every value of it.

    Attributes:
        title: of the method it belongs to.
        value: where the line stands.
        on: whether the method is in use; else the line waits to be dragged.
        least, most, step: its range.
        rows: by branch, (α from which on, pattern of steps: "1" reused), rising; empty: known only
            once the method has been asked.
    """

    title: str
    value: float
    on: bool
    least: float = 0.0
    most: float = 2.0
    step: float = 0.005
    rows: Rows = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For the layout of the figure, where threshold.js finds it."""
        return {
            "title": self.title, "value": self.value, "on": self.on, "least": self.least,
            "most": self.most, "step": self.step,
            "rows": {branch: [list(pair) for pair in pairs] for branch, pairs in self.rows.items()},
        }  # fmt: skip


def mean_line(change: np.ndarray, name: str, axis: str) -> Trace:
    """The mean over blocks of `change` (S, L), which is what SmoothCache holds against α."""
    known = ~np.isnan(change).all(1)
    mean = [
        float(f"{np.nanmean(row):.5g}") if ok else None
        for row, ok in zip(change, known, strict=True)
    ]
    return {
        "x": list(range(1, len(change))),
        "y": mean[1:],
        "mode": "lines",
        "line": {"color": MEAN, "width": 2, "dash": "dot"},
        "name": f"mean, {name}",
        "hovertemplate": (
            f"mean over blocks, {name}, step %{{x}}:<br>E₁ = %{{y:.1%}}, compared with α"
            "<extra></extra>"
        ),
        "xaxis": "x",
        "yaxis": axis,
    }
