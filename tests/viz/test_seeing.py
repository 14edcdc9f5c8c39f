"""The Look closer box: what the paint uses, where the time goes, and words for each figure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from caching.measure.likeness import Likeness
from caching.predictors import Reuse
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule
from viz.figures import closer
from viz.pages import seeing
from viz.pages.visit import Visit, start_visit
from viz.state import Repaint


@pytest.fixture
def visit() -> Visit:
    """The recorded comparison, its full run's products being those of a steady drift."""
    start = start_visit()
    result = start.result
    steps = len(result.timesteps)
    at = np.arange(steps, dtype=np.float32) + 1  # y_s = (s + 1) e, so |y_s - y_j| / |y_s| is known
    products = np.broadcast_to(np.outer(at, at), (result.blocks, 2, steps, steps))
    start.result = replace(result, products=products)
    return start


def test_what_each_step_uses() -> None:
    actions = np.zeros((6, 1, 2), np.uint8)
    actions[:, 0, 0] = [0, 1, 1, 0, 2, 1]
    schedule = Schedule(actions, (Reuse(), Taylor(1)))
    # A forecast is no earlier output; what was last computed is, whatever stood in between.
    assert seeing.used_of(schedule, 0, 0) == [0, 0, 0, 3, -1, 3]
    assert seeing.used_of(schedule, 0, 1) == [0, 1, 2, 3, 4, 5]


def test_the_words_say_how_far_off_the_paint_is(visit: Visit) -> None:
    steps = len(visit.result.timesteps)
    actions = np.zeros((steps, visit.result.blocks, 2), np.uint8)
    actions[[2, 4], 1, 1] = 1  # off by 1/3 and by 1/5
    visit.session.dispatch(Repaint("test", Schedule(actions, (Reuse(),))))
    figure, words = seeing.seen("alike", 3, visit)
    assert "block 1, MLP" in words and "2 of 20 steps" in words
    assert "26.7% on average and by 33.3% at step 2, which uses step 1's" in words
    held = figure.data[1]
    assert list(held.x) == [2, 4] and list(held.y) == [1, 3]
    assert figure.data[0].z[1][2] == pytest.approx(1 / 3, abs=1e-3)
    assert figure.data[0].z[2][1] is None or np.isnan(figure.data[0].z[2][1])
    _, untouched = seeing.seen("path", 0, visit)
    assert "no step uses an earlier output" in untouched


def test_the_parts_of_the_time_add_up(visit: Visit) -> None:
    result = visit.result
    executed = np.zeros_like(result.executed)
    executed[1:, :, 0] = 1  # attention computed once
    parts = seeing.parts_of(result, executed, 1000.0)
    attn, mlp, held, fixed, rest = parts
    steps = len(executed)
    assert attn == pytest.approx(result.tables.compute_ms[:, 0].sum())
    assert mlp == pytest.approx(steps * result.tables.compute_ms[:, 1].sum())
    assert held == pytest.approx((steps - 1) * result.tables.reuse_ms[:, 0].sum())
    assert fixed == pytest.approx(steps * result.tables.fixed_ms)
    assert sum(parts) == pytest.approx(1000.0) and rest > 0


@pytest.mark.parametrize("kind", seeing.KINDS)
def test_every_figure_is_drawn_and_told(visit: Visit, kind: str) -> None:
    parts = seeing.Seeing().look(kind, 2, True, visit)
    assert parts["seen"]["visible"] and len(parts["seen_words"]) > 60
    assert parts["seen_row"]["visible"] is (kind in seeing.OF_ROW)


@pytest.mark.parametrize("kind", seeing.OF_ROW)
def test_without_a_run_of_this_grid_it_says_so(kind: str, visit: Visit) -> None:
    visit.session.dispatch(Repaint("test", Schedule.full(9, visit.result.blocks)))
    parts = seeing.Seeing().look(kind, 0, True, visit)
    assert not parts["seen"]["visible"] and "press Run" in parts["seen_words"]
    visit.result = replace(visit.result, products=None)
    assert "press Run" in seeing.Seeing().look(kind, 0, True, visit)["seen_words"]


@pytest.mark.parametrize(
    ("kind", "row"), [("junk", 0), (None, None), ("path", 10**9), ("path", -1)]
)
def test_what_a_browser_may_send_draws_something(visit: Visit, kind: object, row: object) -> None:
    assert seeing.Seeing().look(kind, row, True, visit)["seen"]["visible"]


def test_a_closed_box_costs_nothing(visit: Visit) -> None:
    assert list(seeing.Seeing().look("path", 0, False, visit)) == ["seen"]


def test_a_path_of_two_steps_can_be_drawn() -> None:
    likeness = Likeness(np.ones((1, 1, 2, 2), np.float32))
    figure = closer.feature_path(likeness, [0, 0], block=0, branch=0, name="block 0")
    assert list(figure.data[2].marker.symbol) == ["circle", "circle-open"]
