"""The papers' own tables, quoted as data: each on its own axes, none of them ours."""

from __future__ import annotations

from dataclasses import dataclass

Cell = str | float | None


@dataclass(frozen=True)
class Published:
    """One quoted table.

    Attributes:
        title: whose, and where it stands.
        setting: model, steps, guidance, machine, as far as the source says.
        columns: the first names the row.
        rows: as printed there; None where the source prints nothing.
        remark: what a reader has to know before comparing rows, may be empty.
    """

    title: str
    setting: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    remark: str = ""


XL = "DiT-XL/2 256×256 on ImageNet"

L2C = Published(
    "Learning-to-Cache (arXiv 2406.01733), README of horseee/learning-to-cache",
    f"{XL}, DDIM, guidance 1.5",
    ("", "FID", "sFID", "IS", "precision", "recall", "latency s", "speed-up"),
    (
        ("DDIM, 50 steps", 2.264, 4.290, 238.64, 80.16, 59.89, 7.245, None),
        ("L2C, 50 steps", 2.269, 4.226, 244.14, 80.91, 58.80, 5.568, 1.30),
        ("DDIM, 20 steps", 3.484, 4.892, 223.49, 78.76, 57.07, 2.869, None),
        ("L2C, 20 steps", 3.455, 4.644, 227.04, 79.16, 55.58, 2.261, 1.27),
    ),
    "The README's column heads sFID and FID are swapped; they are put right here.",
)

_SMOOTH_COLUMNS = ("", "FID", "sFID", "IS", "TMACs", "latency s")


def _smoothcache(steps: int, *rows: tuple[Cell, ...]) -> Published:
    return Published(
        f"SmoothCache (arXiv 2411.10510), table 1, {steps} steps",
        f"{XL}, DDIM, guidance 1.5",
        _SMOOTH_COLUMNS,
        rows,
    )


SMOOTHCACHE = (
    _smoothcache(
        30,
        ("no cache", 2.66, 4.42, 234.6, 219.36, 4.88),
        ("FORA, N 2", 3.79, 5.72, 222.2, 117.08, 3.13),
        ("SmoothCache, α 0.35", 3.72, 5.51, 222.9, 117.08, 3.13),
    ),
    _smoothcache(
        50,
        ("no cache", 2.28, 4.30, 241.6, 365.59, 8.34),
        ("L2C", 2.27, 4.23, 245.8, 278.71, 6.85),
        ("SmoothCache, α 0.08", 2.28, 4.29, 241.8, 336.37, 7.62),
        ("FORA, N 2", 2.65, 4.69, 238.5, 190.25, 5.17),
        ("SmoothCache, α 0.18", 2.65, 4.65, 238.7, 175.65, 4.85),
        ("FORA, N 3", 3.31, 5.71, 230.1, 131.81, 4.12),
        ("SmoothCache, α 0.22", 3.14, 5.19, 231.7, 131.81, 4.11),
    ),
    _smoothcache(
        70,
        ("no cache", 2.17, 4.33, 242.3, 511.83, 11.47),
        ("FORA, N 2", 2.36, 4.46, 242.2, 263.43, 7.15),
        ("SmoothCache, α 0.08", 2.37, 4.29, 242.6, 248.8, 6.9),
        ("FORA, N 3", 2.80, 5.38, 238.0, 175.77, 5.61),
        ("SmoothCache, α 0.12", 2.68, 4.90, 238.8, 175.77, 5.62),
    ),
)

_HARMONICA_COLUMNS = ("", "IS", "FID", "sFID", "cells reused %", "latency s")


def _harmonica(steps: int, *rows: tuple[Cell, ...]) -> Published:
    return Published(
        f"HarmoniCa (arXiv 2410.01723), slides page 7, {steps} steps",
        f"{XL}, DDIM, guidance 1.5, H800",
        _HARMONICA_COLUMNS,
        rows,
        "Its L2C was trained again and reuses other cells than the router L2C's authors ship.",
    )


HARMONICA = (
    _harmonica(
        50,
        ("no cache", 240.37, 2.27, 4.25, None, 1.767),
        ("DDIM, 39 steps", 237.84, 2.37, 4.32, None, 1.379),
        ("L2C, trained again", 233.26, 2.62, 4.50, 23.39, 1.419),
        ("HarmoniCa", 238.74, 2.36, 4.24, 23.68, 1.361),
    ),
    _harmonica(
        20,
        ("no cache", 224.37, 3.52, 4.96, None, 0.658),
        ("DDIM, 14 steps", 201.83, 5.77, 6.61, None, 0.466),
        ("L2C, trained again", 201.37, 5.34, 6.36, 35.60, 0.468),
        ("HarmoniCa", 206.57, 4.88, 5.91, 37.50, 0.456),
    ),
    _harmonica(
        10,
        ("no cache", 159.93, 12.16, 11.31, None, 0.332),
        ("L2C, trained again", 145.09, 14.59, 11.58, 19.11, 0.279),
        ("HarmoniCa", 151.83, 13.35, 11.13, 22.86, 0.270),
    ),
)

TAYLORSEER = Published(
    "TaylorSeer (arXiv 2503.06923) and papers that follow it, 50 steps",
    f"{XL}, DDIM, 50 steps; second hand, from other papers' tables",
    ("", "speed-up", "FID", "sFID", "IS"),
    (
        ("DDIM, 50 steps", None, 2.32, 4.32, 241.25),
        ("FORA, N 3", 2.77, 3.55, 6.36, 229.02),
        ("DuCa, N 3", 2.48, 2.88, 4.66, 233.37),
        ("TaylorSeer, N 3, order 3", 2.77, 2.34, 4.69, 238.42),
        ("FORA, N 5", 4.53, 6.58, 11.29, 193.01),
        ("DuCa, N 5", 3.78, 6.06, 6.72, 198.46),
        ("TaylorSeer, N 5, order 3", 4.53, 2.65, 5.36, 231.59),
    ),
    "Run again by others: DuCa N 3 FID 2.85 at 2.49×; TaylorSeer N 3 order 1 FID 2.49 at 2.77×; "
    "ClusCa N 5 K 16 FID 2.65 at 3.97×; at 20 steps, base FID 3.56, TaylorSeer N 3 order 2 FID "
    "7.84 at 1.44×: forecasting degrades at few steps.",
)

CLAIMS = Published(
    "Speed-ups that papers state and whose tables were not read",
    "model and steps as each paper has them",
    ("", "speed-up"),
    (
        ("SpeCa (arXiv 2509.11628)", 7.3),
        ("FoCa (arXiv 2508.16211)", 4.53),
        ("ProCache (AAAI 2026)", 2.90),
        ("InvarDiff (arXiv 2512.05134)", 2.86),
    ),
)

PUBLISHED: tuple[Published, ...] = (L2C, *SMOOTHCACHE, *HARMONICA, TAYLORSEER, CLAIMS)
