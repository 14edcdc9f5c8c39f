"""Every colour of Cachebrush, in one place: CSS variables, painter and figures all read from here.

The idea behind the states is ink on paper. A computed cell is work, so it is drawn with ink; a
reused cell costs nothing, so it is almost paper. In dark mode paper is dark and ink is light, and
the meaning stays. No state relies on colour alone: reuse carries a dot, forecasts a hatch, and
every cell an outline (reuse on white is only 1.2:1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# The colours of brushes, by number; one name in both themes. Chosen by search so that any two of
# them, and each from compute and from reuse, lie at least 0.1 apart in OKLab for full and for red-,
# green- and blue-blind vision.
BRUSHES: Sequence[str] = (
    "#E69F00", "#D6611A", "#FED706", "#93CC9A", "#3E7D82", "#7E48CD", "#C09BDA", "#913E2A",
)  # fmt: skip
BRUSHES_DARK: Sequence[str] = (
    "#E69F00", "#BC6942", "#F4EA4E", "#A1F6D4", "#1A5C5C", "#7256AE", "#C9BCF6", "#9F2201",
)  # fmt: skip
BRUSH_NAMES: Sequence[str] = (
    "amber", "orange", "yellow", "green", "teal", "violet", "lilac", "brick",
)  # fmt: skip

# One entry per role; the two themes must hold the same roles (a test proves it).
LIGHT: Mapping[str, str] = {
    "paper": "#FFFFFF",
    "panel": "#F4F6F9",
    "ink": "#17212B",
    "ink-soft": "#52606D",  # 6.4:1 on paper
    "line": "#D5DCE4",
    "line-strong": "#AEB9C5",
    "accent": "#0B4F7D",
    "accent-soft": "#DCEBF6",
    "on-accent": "#FFFFFF",
    "focus": "#C2410C",
    "compute": "#0B4F7D",
    "compute-edge": "#083B5E",
    "compute-locked": "#5C7F99",
    "reuse": "#E8EDF2",
    "reuse-edge": "#B3C0CC",
    "reuse-dot": "#6C7D8E",
    "forecast": "#E69F00",
    "forecast-edge": "#A87400",
    "forecast-hatch": "#FBE3AE",
    "other": "#8E6BB0",
    "other-edge": "#6A4C8C",
    "done-on-compute": "#8FD3FF",
    "done-on-reuse": "#4E8DB8",
    "differ": "#C2185B",
    "differ-paper": "#FFE3EE",
    "playhead": "#17212B",
    "tip": "#17212B",
    "tip-ink": "#F7F9FB",
    "tip-soft": "#B6C2CE",
    "shadow": "#0B1B2B33",
}
DARK: Mapping[str, str] = {
    "paper": "#11161D",
    "panel": "#1A212B",
    "ink": "#E6EBF1",
    "ink-soft": "#A3B0BD",
    "line": "#2E3844",
    "line-strong": "#4B5866",
    "accent": "#6DB8EC",
    "accent-soft": "#173449",
    "on-accent": "#08131C",
    "focus": "#FFB38A",
    "compute": "#4A9FD6",
    "compute-edge": "#7CC0EE",
    "compute-locked": "#43637A",
    "reuse": "#232D39",
    "reuse-edge": "#414F5E",
    "reuse-dot": "#8496A8",
    "forecast": "#E69F00",
    "forecast-edge": "#FFC95C",
    "forecast-hatch": "#8A5F00",
    "other": "#A888CC",
    "other-edge": "#C9B1E6",
    "done-on-compute": "#0C3F62",
    "done-on-reuse": "#5BA6D6",
    "differ": "#FF7BAC",
    "differ-paper": "#4A1830",
    "playhead": "#F2F6FA",
    "tip": "#E9EEF4",
    "tip-ink": "#131A22",
    "tip-soft": "#52606D",
    "shadow": "#00000080",
}

# Anchors of the published scales cividis (Nuñez, Anderton, Renslow 2018) and cmocean balance.
SEQUENTIAL: Sequence[str] = (
    "#00224E", "#123570", "#3B496C", "#575D6D", "#707173",
    "#8A8678", "#A59C74", "#C3B369", "#E1CC55", "#FEE838",
)  # fmt: skip
DIVERGING: Sequence[str] = (
    "#171C42", "#293A8F", "#0B66BD", "#4590B9", "#8EB5C2", "#D2D8DB",
    "#E6D2CC", "#D59D89", "#C46548", "#AC2B24", "#780E28", "#3C0911",
)  # fmt: skip


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue (0..255) of "#RRGGBB"; an alpha pair at the end is ignored."""
    if len(colour) not in (7, 9) or not colour.startswith("#"):
        raise ValueError(f"colour {colour!r}: expected #RRGGBB or #RRGGBBAA")
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def ramp(anchors: Sequence[str], n: int) -> list[str]:
    """`n` colours (two or more) spaced evenly along straight lines between the anchors."""
    if n < 2:
        raise ValueError(f"a colour ramp of {n}: expected at least 2 colours")
    colours = []
    for i in range(n):
        place = i / (n - 1) * (len(anchors) - 1)
        left = min(int(place), len(anchors) - 2)
        part = place - left
        pair = zip(rgb(anchors[left]), rgb(anchors[left + 1]), strict=True)
        colours.append("#" + "".join(f"{round(a + (b - a) * part):02X}" for a, b in pair))
    return colours


def plotly_scale(anchors: Sequence[str]) -> list[tuple[float, str]]:
    """The anchors in the form plotly wants a colorscale: pairs of place (0..1) and colour."""
    return [(i / (len(anchors) - 1), colour) for i, colour in enumerate(anchors)]


def contrast(one: str, other: str) -> float:
    """WCAG contrast ratio (1..21) between two opaque colours."""

    def luminance(colour: str) -> float:
        parts = [c / 255 for c in rgb(colour)]
        lin = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * lin[0] + 0.7152 * lin[1] + 0.0722 * lin[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def legible(fill: str) -> str:
    """The better of near-black and white to write on a colour."""
    return max("#0B1015", "#FFFFFF", key=lambda ink: contrast(ink, fill))


def _brush_roles(fills: Sequence[str]) -> dict[str, str]:
    """`brush-n`, what brush n fills its cells with, and `on-brush-n`, what is written on it."""
    roles = {f"brush-{n}": fill for n, fill in enumerate(fills)}
    return roles | {f"on-brush-{n}": legible(fill) for n, fill in enumerate(fills)}


def css_variables() -> str:
    """Both themes as CSS: `--cb-<role>` on :root, and again under Gradio's class `.dark`."""
    themes = {**LIGHT, **_brush_roles(BRUSHES)}, {**DARK, **_brush_roles(BRUSHES_DARK)}
    light, dark = ("".join(f"--cb-{role}:{c};" for role, c in roles.items()) for roles in themes)
    return f":root{{{light}}}\n.dark{{{dark}}}\n"
