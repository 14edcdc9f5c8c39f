"""Figures as SVG: every cell where it belongs, looks by kind, marks of what ran, coordinates."""

from __future__ import annotations

import dataclasses
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from caching.actions.residual import Residual
from caching.marks import COVERED, LOWERED, PARTLY
from caching.predictors import PREDICTORS, Reuse
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule
from viz import palette
from viz.brushes import Canvas
from viz.figures import curves_svg as curves
from viz.figures.curves_svg import curves_svg
from viz.figures.faces import Face, Size, cell
from viz.figures.grid_svg import Executed, grid_svg
from viz.figures.svg import PAGE, PRINT, number, tag, text

SVG = "{http://www.w3.org/2000/svg}"
ROWS = ["CRCR", "CCRC", "CRRR", "CCCC"]  # two blocks of two branches, four steps


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def uses(svg: str) -> list[tuple[str, float, float]]:
    """Every cell that is drawn: its look, and where."""
    found = parsed(svg).iter(f"{SVG}use")
    return [(u.attrib["href"], float(u.attrib["x"]), float(u.attrib["y"])) for u in found]


def words(svg: str) -> list[str]:
    return [t.text or "" for t in parsed(svg).iter(f"{SVG}text")]


def drawn(schedule: Schedule, executed: Executed | None = None, **more: Any) -> str:
    return grid_svg(Canvas(schedule), title="a title", executed=executed, **more)


# -- elements ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"), [(1.0, "1"), (1.005, "1"), (2.5, "2.5"), (0.0, "0"), (-0.001, "0"),
                            (1 / 3, "0.33"), (100.0, "100")]
)  # fmt: skip
def test_numbers_have_no_noise(value: float, expected: str) -> None:
    assert number(value) == expected


def test_whatever_is_written_is_escaped() -> None:
    hostile = '</text><script>alert("x")</script>'
    assert "<script" not in text(hostile, 0, 0)
    assert parsed(tag("g", a='"><x/>', b_c=1)).attrib == {"a": '"><x/>', "b-c": "1"}
    svg = grid_svg(Canvas(Schedule.from_rows(ROWS)), title=hostile)
    assert "<script" not in svg and parsed(svg).attrib["aria-label"] == hostile


# -- looks ---------------------------------------------------------------------------------

KINDS = sorted({kind.kind for kind in PREDICTORS.values()})


def test_every_kind_of_brush_has_a_pattern_of_its_own() -> None:
    faces = {k: cell(Face(k, k, hue=0), Size(20, 13), PRINT) for k in (*KINDS, "whole", "compute")}
    assert len(set(faces.values())) == len(faces), "two kinds of one colour must look different"
    assert {"reuse", "forecast"} <= set(faces)


def test_brushes_of_one_kind_differ_by_their_colour() -> None:
    one, two = (cell(Face("forecast", "x", hue=h), Size(20, 13), PRINT) for h in (0, 1))
    assert palette.BRUSHES[0] in one and palette.BRUSHES[1] in two


def test_a_letter_shows_only_where_there_is_room() -> None:
    assert ">T<" in cell(Face("forecast", "x", "T", 0), Size(20, 13), PRINT)
    assert ">T<" not in cell(Face("forecast", "x", "T", 0), Size(14, 9), PRINT)


def test_lines_of_a_pattern_end_inside_the_cell() -> None:
    for kind in (*KINDS, "whole", "covered", "partly"):
        for size in (Size(20, 13), Size(8, 6), Size(3, 9)):
            found = parsed(f"<g>{cell(Face(kind, kind, hue=0), size, PRINT)}</g>")
            for path in found.iter("path"):
                numbers = [float(n) for n in re.findall(r"-?[\d.]+", path.attrib["d"])]
                assert numbers and min(numbers) >= 0
                assert max(numbers) <= max(size.width, size.height)


# -- the grid ------------------------------------------------------------------------------


def test_the_grid_draws_each_cell_in_its_row_and_column() -> None:
    schedule = Schedule.from_rows(ROWS)
    found = uses(drawn(schedule))
    assert len(found) == schedule.actions.size == 16
    columns, rows = (sorted({place[k] for place in found}) for k in (1, 2))
    assert len(columns) == 4 and len(rows) == 4
    by_place = {(x, y): look for look, x, y in found}
    computed = by_place[columns[0], rows[0]]  # the first cell is "C"
    for r, row in enumerate(ROWS):
        for s, letter in enumerate(row):
            assert (by_place[columns[s], rows[r]] == computed) == (letter == "C"), (r, s)


def test_what_ran_stands_beside_it_and_differing_cells_are_framed() -> None:
    schedule = Schedule.from_rows(ROWS)
    ran = schedule.actions.copy()
    ran[1, 0, 0] = 0  # was asked to reuse, and was computed
    ran[3, 1, 0] |= LOWERED
    ran[2, 0, 0] = PARTLY
    svg = drawn(schedule, Executed(ran))
    assert len(uses(svg)) == 32
    frames = [r for r in parsed(svg).iter(f"{SVG}rect") if r.get("stroke") == PRINT["differ"]]
    assert len(frames) == 3
    said = words(svg)
    assert "Requested" in said and "Executed: 3 not as requested (framed)" in said
    assert "Reuse, at a lower order" in said and "computed for some pictures only" in said
    same = drawn(schedule, Executed(schedule.actions))
    assert "Executed" in words(same) and PRINT["differ"] not in same


def test_cells_that_a_step_leaves_out_are_neither_computed_nor_wrong() -> None:
    schedule = Schedule.from_rows(ROWS).paint_steps([2], Residual(first=1))
    ran = schedule.actions.copy()
    ran[2, 1:] = COVERED
    svg = drawn(schedule, Executed(ran, schedule.step_actions))
    assert "Executed" in words(svg)  # nothing framed
    assert "left out by the whole step" in words(svg) and "whole step" in words(svg)
    assert len(uses(svg)) == 2 * (16 + 4)  # and the step row
    ran[2, 1, 0] = 0
    assert "Executed: 1 not as requested (framed)" in words(
        drawn(schedule, Executed(ran, schedule.step_actions))
    )


def test_the_key_names_what_is_on_show_and_nothing_else() -> None:
    schedule = dataclasses.replace(Schedule.from_rows(ROWS), legend=(Reuse(), Taylor(2)))
    assert "Reuse" in words(drawn(schedule)) and "Taylor (2)" not in words(drawn(schedule))
    assert "Taylor (2)" in words(drawn(schedule.paint([[1, 0, 0]], Taylor(2))))


@pytest.mark.parametrize("steps", [4, 20, 50, 100])
def test_a_grid_of_any_length_fits_its_picture(steps: int) -> None:
    schedule = Schedule.every(steps, 3, 2)
    root = parsed(drawn(schedule, Executed(schedule.actions)))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    places = [(float(u.attrib["x"]), float(u.attrib["y"])) for u in root.iter(f"{SVG}use")]
    assert max(x for x, _ in places) < width and max(y for _, y in places) < height
    assert width <= 1100


def test_colours_are_those_of_the_page_where_it_is_part_of_one() -> None:
    schedule = Schedule.from_rows(ROWS)
    assert "var(" not in drawn(schedule, ink=PRINT)
    assert "#" not in re.sub(r'(href|id)="#?[^"]*"', "", drawn(schedule, ink=PAGE)).replace(
        "http://", ""
    )
    assert 'href="#here-0"' in drawn(schedule, name="here")


# -- curves --------------------------------------------------------------------------------


def test_a_curve_goes_through_its_values() -> None:
    change = np.full((3, 1, 1), np.nan)
    change[1:, 0, 0] = [0.25, 0.5]
    svg = curves_svg(change, branches=("attn",), title="x")
    (line,) = parsed(svg).iter(f"{SVG}polyline")
    (x1, y1), (x2, y2) = (map(float, p.split(",")) for p in line.attrib["points"].split())
    bottom, top = curves.TOP_PX + curves.PANEL_PX, curves.TOP_PX
    # The scale ends at 50 %: one value half-way up, the other at the top.
    assert (y1, y2) == pytest.approx(((bottom + top) / 2, top))
    assert x1 < x2 and x2 == pytest.approx(float(parsed(svg).attrib["width"]) - curves.RIGHT_PX)
    assert "50 %" in words(svg) and "0 %" in words(svg)


def test_a_line_for_every_block_and_a_panel_for_every_branch() -> None:
    change = np.random.default_rng(0).random((6, 5, 2)).astype(np.float32)
    svg = curves_svg(change, branches=("attn", "mlp"), title="x")
    lines = list(parsed(svg).iter(f"{SVG}polyline"))
    assert len(lines) == 10 and len({line.attrib["stroke"] for line in lines}) == 5
    assert {"Attention", "MLP"} <= set(words(svg))


def test_nothing_measured_says_so_and_draws_no_line() -> None:
    svg = curves_svg(np.full((4, 2, 2), np.nan), branches=("attn", "mlp"), title="x")
    assert all(not line.attrib["points"] for line in parsed(svg).iter(f"{SVG}polyline"))
    assert "nothing measured yet" in svg


@pytest.mark.parametrize(
    ("value", "expected"), [(0.81, 1), (0.2, 0.2), (0.21, 0.25), (0.3, 0.4), (3e-4, 4e-4), (7, 8)]
)
def test_a_scale_ends_at_a_round_number(value: float, expected: float) -> None:
    assert curves._round_up(value) == pytest.approx(expected)
