"""Figures as data: what is drawn, what a point says of itself, and the same in words."""

import json
import math

import numpy as np
import pytest

from viz import palette
from viz.figures import (
    FIGURE_CSS,
    HOVER_HEAD,
    BudgetPoint,
    budget_curve,
    similarity_curves,
    text_summary,
)
from viz.figures.alpha import Alpha
from viz.figures.page import DEPTH, SERIES

S, L = 6, 3


def change() -> np.ndarray:
    """(S, L, 2): attention peaks at steps 4–5 in block 2, the MLP at step 1 in block 0."""
    out = np.full((S, L, 2), 0.02)
    out[4:, :, 0] = 0.30
    out[5, 2, 0] = 0.42
    out[1, :, 1] = 0.10
    out[1, 0, 1] = 0.25
    out[0] = np.nan
    return out


def curves(figure) -> list:
    return [trace for trace in figure.data if trace.mode == "lines"]


def test_one_line_per_block_and_branch_with_its_cell():
    figure = similarity_curves(change(), timesteps=[999, 800, 600, 400, 200, 1], threshold=0.05)
    lines = curves(figure)
    assert len(lines) == L * 2
    assert sorted({(t.customdata[0][0], t.customdata[0][1]) for t in lines}) == [
        (block, branch) for block in range(L) for branch in range(2)
    ]
    line = next(t for t in lines if tuple(t.customdata[0][:2]) == (2, 0))
    assert list(line.x) == [1, 2, 3, 4, 5]
    assert line.y[-1] == pytest.approx(0.42)
    assert list(line.customdata[-1]) == [2, 0, 4, " (t 1)"]
    assert "attention, step %{x}%{customdata[3]}:<br>changed %{y:.1%}" in line.hovertemplate
    assert {t.yaxis for t in lines if t.customdata[0][1] == 1} == {"y2"}
    assert len({t.line.color for t in lines if t.customdata[0][1] == 0}) == L


def test_threshold_is_dashed_in_every_panel():
    shapes = similarity_curves(change(), threshold=0.05).layout.shapes
    assert [(s.y0, s.y1, s.line.dash, s.yref) for s in shapes] == [
        (0.05, 0.05, "dash", "y"),
        (0.05, 0.05, "dash", "y2"),
    ]
    assert not similarity_curves(change()).layout.shapes


def test_highlight_is_thick_on_top_and_the_rest_recedes():
    lines = curves(similarity_curves(change(), highlight=(0, "attn")))
    attention = [t for t in lines if t.customdata[0][1] == 0]
    assert tuple(attention[-1].customdata[0][:2]) == (0, 0)
    assert attention[-1].line.width == 3 and attention[-1].opacity == 1
    assert all(t.opacity < 1 and t.line.width < 2 for t in lines if t is not attention[-1])
    with pytest.raises(ValueError, match=r"highlight \(9, 'attn'\)"):
        similarity_curves(change(), highlight=(9, "attn"))


def test_gaps_stay_gaps_and_the_figure_is_json():
    holes = change()
    holes[2:4, 1] = np.nan
    figure = similarity_curves(holes)
    line = next(t for t in curves(figure) if tuple(t.customdata[0][:2]) == (1, 0))
    assert list(line.y)[1:3] == [None, None]
    json.loads(figure.to_json())
    assert figure.layout.meta["cachebrush"] == "curves"
    assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)"


@pytest.mark.parametrize(
    ("array", "kwargs"),
    [
        (np.zeros((4, 3)), {}),
        (np.zeros((4, 3, 2, 4)), {}),
        (np.zeros((4, 3, 3)), {}),
        (np.zeros((4, 3, 2)), {"timesteps": [3, 2, 1]}),
    ],
)
def test_shapes_that_do_not_fit_are_refused(array, kwargs):
    with pytest.raises(ValueError, match=r"expected"):
        similarity_curves(array, **kwargs)


def test_a_single_step_or_block_still_draws():
    assert curves(similarity_curves(np.full((1, 2, 2), np.nan)))
    assert curves(similarity_curves(change()[:, :1]))


def test_words_name_the_peak_and_the_share_below_the_threshold():
    words = text_summary(change(), threshold=0.05)
    attention, mlp = words.split(" MLP")
    assert "Attention changes most at steps 4–5" in attention
    assert "strongest in block 2 (42.0% at step 5)" in attention
    assert "60% of its cells change less than 5.0%" in attention
    assert "changes most at step 1 (" in mlp and "strongest in block 0 (25.0% at step 1)" in mlp
    assert "threshold" not in text_summary(change()) and "cells" not in text_summary(change())


def test_words_without_measurements():
    empty = np.full((4, 2, 2), np.nan)
    assert text_summary(empty) == "Attention: nothing measured yet. MLP: nothing measured yet."
    partly = change()
    partly[3] = np.nan  # a step that was never measured
    assert "steps 4–5" in text_summary(partly)


def test_lines_are_seen_on_both_papers():
    papers = (palette.LIGHT["paper"], "#27272A")  # the second is gradio's dark block
    for colour in palette.ramp(DEPTH, 24):
        assert min(palette.contrast(colour, paper) for paper in papers) >= 2.5
    for colour in SERIES.values():
        assert min(palette.contrast(colour, paper) for paper in papers) >= 3


def test_budget_draws_runs_against_plain_steps():
    points = [
        BudgetPoint("16 plain steps", 400, 30.0, "fewer"),
        BudgetPoint("8 plain steps", 200, 20.0, "fewer"),
        BudgetPoint("Every 2nd step", 290, 31.0),
        BudgetPoint("All computed", 520, math.inf),
    ]
    figure = budget_curve(points, full_ms=520, current="Every 2nd step")
    plain, cached = figure.data
    assert list(plain.x) == [0.2, 0.4] and list(plain.y) == [20.0, 30.0]
    assert plain.mode == "lines+markers" and cached.mode == "markers"
    assert list(cached.y) == [31.0, 60.0]
    assert list(cached.customdata[1]) == ["All computed", "identical"]
    assert cached.marker.size[0] > cached.marker.size[1]
    assert figure.layout.shapes[0].x0 == 0.52
    assert len(budget_curve([]).data) == 0


@pytest.mark.parametrize(
    ("time_ms", "psnr", "series"), [(0, 20, "cached"), (10, math.nan, "cached"), (10, 20, "full")]
)
def test_a_budget_point_checks_itself(time_ms, psnr, series):
    with pytest.raises(ValueError, match="expected"):
        BudgetPoint("run", time_ms, psnr, series)


def test_what_the_page_gets_is_complete():
    assert "--cb-ink:" in FIGURE_CSS and ".js-plotly-plot" in FIGURE_CSS
    assert HOVER_HEAD.startswith("<script>") and HOVER_HEAD.count("</script>") == 2


def test_the_line_to_drag_brings_its_method_and_the_mean_it_is_held_against():
    alpha = Alpha("SmoothCache", 0.05, on=True, rows={"attn": ((0.0, "000"), (0.1, "010"))})
    figure = similarity_curves(change(), threshold=0.05, alpha=alpha)
    told = figure.layout.meta["alpha"]
    assert (told["title"], told["value"], told["on"]) == ("SmoothCache", 0.05, True)
    assert json.loads(json.dumps(told["rows"])) == {"attn": [[0.0, "000"], [0.1, "010"]]}
    means = [t for t in figure.data if t.name and t.name.startswith("mean")]
    # Attention: two of three blocks at .30, one at .42 at step 5; the MLP .25, .10, .10 at step 1.
    assert means[0].y[-1] == pytest.approx((0.30 * 2 + 0.42) / 3)
    assert means[1].y[0] == pytest.approx(0.45 / 3) and means[1].yaxis == "y2"
    assert not any("dashed" in note.text for note in figure.layout.annotations)
