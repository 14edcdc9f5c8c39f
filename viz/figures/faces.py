"""How a cell of the grid looks in SVG: a colour by brush, a pattern by kind, and its letter.

The same looks as those of the painter (viz/grid/cells.css), because a figure that somebody prints
must be read with what the page has taught them.
"""

from __future__ import annotations

from dataclasses import dataclass

from viz.figures.svg import Ink, number, tag, text

LETTER_PX = 12  # a cell this wide and high has room for its letter


@dataclass(frozen=True)
class Face:
    """The look of one brush.

    Attributes:
        kind: of the brush, or "compute", "run", "covered", "unknown", "partly", "other".
        label: what a person reads.
        letter: "" for none.
        hue: number of its colour, None for that of its kind.
    """

    kind: str
    label: str
    letter: str = ""
    hue: int | None = None


@dataclass(frozen=True)
class Size:
    """Of a cell, in pixels."""

    width: float
    height: float


def cell(face: Face, size: Size, ink: Ink) -> str:
    """A cell at the origin."""
    fill, edge, mark, on = _colours(face, ink)
    w, h = size.width, size.height
    box = tag("rect", width=w, height=h, rx=min(2, h / 6), fill=fill)
    rim = tag(
        "rect", x=0.5, y=0.5, width=w - 1, height=h - 1, rx=min(2, h / 6), fill="none", stroke=edge
    )
    art = _pattern(face.kind, size, mark)
    letter = ""
    if face.letter and min(w, h) >= LETTER_PX:
        letter = text(
            face.letter, w / 2, h / 2 + 3.5, text_anchor="middle", font_size=10, font_weight=700,
            fill=on, stroke=fill, stroke_width=3, paint_order="stroke",
        )  # fmt: skip
    return box + art + rim + letter


def _colours(face: Face, ink: Ink) -> tuple[str, str, str, str]:
    """Fill, edge, pattern and letter."""
    plain = {
        "compute": ("compute", "compute-edge", "compute-edge", "paper"),
        "reuse": ("reuse", "reuse-edge", "reuse-dot", "ink"),
        "forecast": ("forecast", "forecast-edge", "forecast-hatch", "ink"),
        "run": ("paper", "line-strong", "line", "ink"),
        "unknown": ("paper", "line", "line", "ink"),
        "partly": ("reuse", "reuse-edge", "compute", "ink"),
    }
    roles = plain.get(face.kind, ("other", "other-edge", "other-edge", "paper"))
    fill, edge, mark, on = (ink[role] for role in roles)
    if face.kind == "covered":  # no ink, only lines; which action it is stands in the step row
        return ink["paper"], ink["line"], ink["line-strong"], ink["ink"]
    if face.hue is not None:
        fill, on = ink[f"brush-{face.hue}"], ink[f"on-brush-{face.hue}"]
        return fill, on, on, on
    return fill, edge, mark, on


def _pattern(kind: str, size: Size, colour: str) -> str:
    w, h = size.width, size.height
    if kind in ("compute", "run", "unknown"):
        return ""
    if kind == "reuse":
        return tag("circle", cx=w / 2, cy=h / 2, r=max(0.8, min(1.8, h / 7)), fill=colour)
    if kind == "partly":
        return tag("path", d=f"M0 0H{number(w)}L0 {number(h)}Z", fill=colour)
    if kind == "skip":
        d = f"M0 0L{number(w)} {number(h)}M{number(w)} 0L0 {number(h)}"
    elif kind in ("whole", "covered"):
        d = "".join(f"M0 {number(y)}H{number(w)}" for y in _every(3, h))
    elif kind == "partial":
        d = "".join(f"M{number(x)} 0V{number(h)}" for x in _every(4, w))
    elif kind == "forecast":
        d = _slanted(size, rising=True)
    elif kind == "calibrated":
        d = _slanted(size, rising=False)
    else:
        d = _slanted(size, rising=True) + _slanted(size, rising=False)
    if not d:
        return ""  # a cell too small for it
    return tag("path", d=d, fill="none", stroke=colour, stroke_width=1, stroke_opacity=0.75)


def _every(gap: float, end: float) -> list[float]:
    """Places `gap` apart, inside 0 … end."""
    return [gap * k for k in range(1, int(end // gap) + 1) if gap * k < end]


def _slanted(size: Size, *, rising: bool) -> str:
    """Lines at 45 degrees that end at the rim of the cell."""
    w, h = size.width, size.height
    lines = []
    for c in _every(4, w + h):
        # From the top or the right rim to the left or the lower one, where x + y = c.
        x0, y0 = (c, 0.0) if c <= w else (w, c - w)
        x1, y1 = (0.0, c) if c <= h else (c - h, h)
        ends = ((x0, y0), (x1, y1)) if rising else ((w - x0, y0), (w - x1, y1))
        (a, b), (p, q) = ends
        lines.append(f"M{number(a)} {number(b)}L{number(p)} {number(q)}")
    return "".join(lines)
