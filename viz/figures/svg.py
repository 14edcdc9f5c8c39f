"""SVG as plain strings: elements with escaped words, numbers without noise, and whole documents."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Final

from viz import palette

FONT: Final = "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif"
DIGITS = 2

Ink = Mapping[str, str]
"""Role of the palette -> what to write for its colour."""

PRINT: Ink = {
    **palette.LIGHT,
    **{f"brush-{n}": fill for n, fill in enumerate(palette.BRUSHES)},
    **{f"on-brush-{n}": palette.legible(fill) for n, fill in enumerate(palette.BRUSHES)},
}
"""Colours as they are, for files that other programs open."""

PAGE: Ink = {role: f"var(--cb-{role})" for role in PRINT}
"""Colours of the page around, which follow its theme."""


def number(value: float) -> str:
    """A coordinate: no more digits than can be seen."""
    said = f"{value:.{DIGITS}f}".rstrip("0").rstrip(".")
    return "0" if said == "-0" else said


def tag(name: str, /, *inside: str, **attributes: float | str | None) -> str:
    """An element; `inside` is SVG already, attributes are escaped, None leaves one out.

    An underscore in a name stands for a hyphen, and one at the end for nothing.
    """
    words = []
    for key, value in attributes.items():
        if value is None:
            continue
        said = value if isinstance(value, str) else number(value)
        words.append(f' {key.rstrip("_").replace("_", "-")}="{html.escape(said)}"')
    body = "".join(inside)
    return f"<{name}{''.join(words)}>{body}</{name}>" if body else f"<{name}{''.join(words)}/>"


def text(words: str, x: float, y: float, **attributes: float | str | None) -> str:
    """A line of words at a place."""
    return tag("text", html.escape(words), x=x, y=y, **attributes)


def document(width: float, height: float, title: str, *inside: str, ink: Ink, style: str) -> str:
    """A whole picture with its title, which screen readers say.

    Args:
        width, height: in pixels.
        title: what it shows.
        inside: SVG.
        ink: PRINT draws it on white paper, PAGE on that of the page.
        style: CSS for it alone; every class must be its own, because pictures in one page share it.
    """
    paper = tag("rect", width=width, height=height, fill=ink["paper"]) if ink is PRINT else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{number(width)}" '
        f'height="{number(height)}" viewBox="0 0 {number(width)} {number(height)}" role="img" '
        f'aria-label="{html.escape(title)}" font-family="{FONT}" font-size="11" '
        f'fill="{ink["ink"]}"><title>{html.escape(title)}</title><style>{style}</style>'
        f"{paper}{''.join(inside)}</svg>"
    )
