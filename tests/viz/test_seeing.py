"""The Look closer box: what the paint uses, where the time goes, and words for each figure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from caching.measure.focus import Focus
from caching.measure.likeness import Likeness
from caching.predictors import Reuse
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule
from viz.figures import closer
from viz.focus import focus_html, key_of
from viz.pages import seeing
from viz.pages.handlers import Handlers
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
    told = seeing.formulas_of(result, executed, parts, 1000.0)
    assert told[0].startswith(f"{result.blocks} cells × {attn / result.blocks:.3f} ms")
    assert told[2].startswith(f"{(steps - 1) * result.blocks} cells")
    assert told[3].startswith(f"{steps} steps ×") and told[4].endswith(f"= {rest:.1f} ms")


def invented(visit: Visit) -> Focus:
    """A quarter of the tokens is foreground; block 2 gives it all, the others are even."""
    received = np.full((20, visit.result.blocks, 64), 1 / 64, np.float32)
    mask = np.arange(64) < 16
    received[:, 2] = mask / 16
    return Focus(received, mask, np.full((64, 64, 3), 200, np.uint8))


def test_attention_is_drawn_by_its_lift_and_told(visit: Visit) -> None:
    visit.focus = key_of(visit.state), invented(visit)
    figure, words = seeing.seen("focus", 0, visit)
    assert figure.data[0].z[2][5] == 2 and figure.data[0].z[0][5] == 0  # log2 of 4 and of 1
    assert list(figure.data[0].customdata[2][5]) == [2, 0, 5, 4.0]
    assert "25% of the tokens. Block 2 attends to it most (4.00 times" in words
    html = focus_html(invented(visit))
    assert html.count("<img") == 1 and "arXiv 2504.03140" in html


def test_attention_is_measured_when_asked_for_and_belongs_to_its_picture(
    handlers: Handlers, small: Visit
) -> None:
    box = seeing.Seeing(handlers)
    before = box.look("focus", 0, True, small)
    assert before["seen_measure"]["visible"] and not before["seen"]["visible"]
    *_, last = box.measure(small)
    assert last["seen"]["visible"] and 'data-kind="ready"' in last["notice"]
    assert small.focus is not None and small.focus[1].lift.shape == (5, 2)
    handlers.configure(2, 9, 4.0, "ddim", small)
    assert box.look("focus", 0, True, small)["seen_measure"]["visible"]


@pytest.mark.parametrize("kind", seeing.KINDS)
def test_every_figure_is_drawn_and_told(handlers: Handlers, visit: Visit, kind: str) -> None:
    visit.focus = key_of(visit.state), invented(visit)
    parts = seeing.Seeing(handlers).look(kind, 2, True, visit)
    assert parts["seen"]["visible"] and len(parts["seen_words"]) > 60
    assert parts["seen_row"]["visible"] is (kind in seeing.OF_ROW)


@pytest.mark.parametrize("kind", seeing.OF_ROW)
def test_without_a_run_of_this_grid_it_says_so(kind: str, handlers: Handlers, visit: Visit) -> None:
    visit.session.dispatch(Repaint("test", Schedule.full(9, visit.result.blocks)))
    parts = seeing.Seeing(handlers).look(kind, 0, True, visit)
    assert not parts["seen"]["visible"] and "press Run" in parts["seen_words"]
    visit.result = replace(visit.result, products=None)
    assert "press Run" in seeing.Seeing(handlers).look(kind, 0, True, visit)["seen_words"]


@pytest.mark.parametrize(
    ("kind", "row"), [("junk", 0), (None, None), ("path", 10**9), ("path", -1)]
)
def test_what_a_browser_may_send_draws_something(
    handlers: Handlers, visit: Visit, kind: object, row: object
) -> None:
    assert seeing.Seeing(handlers).look(kind, row, True, visit)["seen"]["visible"]


def test_a_closed_box_costs_nothing(handlers: Handlers, visit: Visit) -> None:
    assert list(seeing.Seeing(handlers).look("path", 0, False, visit)) == ["seen"]


def test_a_path_of_two_steps_can_be_drawn() -> None:
    likeness = Likeness(np.ones((1, 1, 2, 2), np.float32))
    figure = closer.feature_path(likeness, [0, 0], block=0, branch=0, name="block 0")
    assert list(figure.data[2].marker.symbol) == ["circle", "circle-open"]
