"""The curves of changes as SVG: a panel per branch, a line per block coloured by its depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from viz import palette
from viz.figures.curves import NAMES
from viz.figures.page import DEPTH
from viz.figures.svg import PRINT, Ink, document, number, tag, text

LEFT_PX, RIGHT_PX, TOP_PX, PANEL_PX, BETWEEN_PX, FOOT_PX = 44, 12, 24, 130, 26, 34
STEP_PX = 22
MOST_PX, LEAST_PX = 900, 360
TICKS = 4


def curves_svg(change: np.ndarray, *, branches: Sequence[str], title: str, ink: Ink = PRINT) -> str:
    """Relative L1 changes (S, L, R), NaN where unknown, as SVG."""
    steps, blocks, count = change.shape
    width = min(MOST_PX, max(LEAST_PX, LEFT_PX + RIGHT_PX + STEP_PX * steps))
    height = TOP_PX + count * PANEL_PX + (count - 1) * BETWEEN_PX + FOOT_PX
    colours = palette.ramp(DEPTH, max(blocks, 2))
    across = (width - LEFT_PX - RIGHT_PX) / max(1, steps - 1)
    known = change[np.isfinite(change)]
    parts = []
    for r, branch in enumerate(branches):
        top = TOP_PX + r * (PANEL_PX + BETWEEN_PX)
        part = change[:, :, r]
        high = float(np.nanmax(part)) if np.isfinite(part).any() else 1.0
        scale = _round_up(high if high > 0 else 1.0)
        parts.append(_axes(branch, top, width, scale, ink))
        for block in range(blocks):
            places = [
                (LEFT_PX + s * across, top + PANEL_PX * (1 - float(part[s, block]) / scale))
                for s in range(steps)
                if np.isfinite(part[s, block])
            ]
            points = " ".join(f"{number(x)},{number(y)}" for x, y in places)
            line = tag("title", f"block {block}, {NAMES.get(branch, branch)}")
            parts.append(
                tag("polyline", line, points=points, fill="none", stroke=colours[block],
                    stroke_width=1.3)
            )  # fmt: skip
    parts.append(_foot(height, steps, across, ink))
    parts.append(_depth(width, blocks, colours, ink))
    words = "" if known.size else " (nothing measured yet)"
    return document(width, height, title + words, *parts, ink=ink, style="")


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 4, 5 or 8 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(k * power for k in (1, 2, 2.5, 4, 5, 8, 10) if k * power >= value * 0.999))


def _axes(branch: str, top: float, width: float, scale: float, ink: Ink) -> str:
    """The heading of a panel and its level lines with their values."""
    name = NAMES.get(branch, branch)
    parts = [text(name[:1].upper() + name[1:40], LEFT_PX, top - 6, font_weight=700, font_size=12)]
    for k in range(TICKS + 1):
        y = top + PANEL_PX * (1 - k / TICKS)
        strong = ink["line-strong"] if k == 0 else ink["line"]
        parts.append(tag("line", x1=LEFT_PX, x2=width - RIGHT_PX, y1=y, y2=y, stroke=strong))
        value = f"{100 * scale * k / TICKS:.3g} %"
        parts.append(text(value, LEFT_PX - 6, y + 3.5, text_anchor="end", font_size=10))
    return tag("g", *parts)


def _foot(height: float, steps: int, across: float, ink: Ink) -> str:
    """Step numbers under the last panel."""
    every = next(k for k in (1, 2, 5, 10, 20, 50, 100, 250, 500, 1000) if k * across >= 20)
    y = height - FOOT_PX + 14
    numbers = [
        text(str(s), LEFT_PX + s * across, y, text_anchor="middle", font_size=10)
        for s in range(0, steps, every)
    ]
    words = "step, in execution order; change since the step before, relative L1"
    return tag("g", *numbers, text(words, LEFT_PX, y + 15, font_size=10), fill=ink["ink-soft"])


def _depth(width: float, blocks: int, colours: Sequence[str], ink: Ink) -> str:
    """Which colour is which end of the stack."""
    if blocks < 2:
        return ""
    each, y = 96 / blocks, 8
    left = width - RIGHT_PX - 96
    bars = [
        tag("rect", x=left + b * each, y=y, width=each + 0.3, height=5, fill=colours[b])
        for b in range(blocks)
    ]
    soft = ink["ink-soft"]
    return tag(
        "g", *bars,
        text("block 0", left - 5, y + 6.5, text_anchor="end", font_size=10, fill=soft),
        text(str(blocks - 1), left + 92, y + 16, font_size=10, fill=soft),
    )  # fmt: skip
