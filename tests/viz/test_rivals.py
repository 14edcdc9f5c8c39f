"""Rivals at the work of the grid: tuned to it, run on the page's picture, one point each."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from caching.measure.cost import cost_of
from caching.methods import METHODS
from tests.viz.visits import kinds, refused, stroke, turned
from viz.numbers import psnr_words
from viz.pages.handlers import Handlers
from viz.pages.pareto import _schedules
from viz.pages.rivals import RIVALS, Met, Rivals, rivalry_html
from viz.pages.visit import Visit, start_visit


@pytest.fixture
def half(handlers: Handlers, small: Visit) -> Visit:
    """Six steps, every second one reused whole: a work that FORA can match."""
    handlers.resteps(6, small)
    turned(handlers, small, "fora", interval=2)
    of = small.state.schedule.actions.size
    handlers.strokes((stroke(1, 1, 1, 1 - int(small.state.schedule.actions[1, 0, 0]), of),), small)
    return small


def test_rivals_match_the_work_and_become_points_and_nothing_else_changes(
    handlers: Handlers, half: Visit
) -> None:
    state, result, count = half.state, half.result, len(half.history.runs)
    events = list(Rivals(handlers).run("psnr", "time", half))
    assert kinds(events) == ["busy", "ready"]
    assert half.state == state and half.result is result  # the grid and its pictures stay
    added = half.history.runs[count:]
    assert {"FORA", "TaylorSeer"} <= {run.what.split(",")[0] for run in added}
    loaded = handlers.engine.get(state.model.name)
    assert loaded is not None
    wanted = cost_of(loaded.model, state.schedule).macs
    for run in added:
        assert run.settings == state.settings and run.schedule.steps == 6
        assert 0.95 <= wanted / cost_of(loaded.model, run.schedule).macs <= 1.25
        assert f"r{run.number}" in _schedules(half)
    table = events[-1]["rivalry"]
    for run in added:
        assert psnr_words(run.cached.psnr_db) in table
    # What cannot be had without training or files is said, not left out.
    for name in RIVALS:
        assert METHODS[name].title.split(" (")[0] in table


def test_the_closest_stands_first_and_words_are_escaped(visit: Visit) -> None:
    figures = visit.result.figures["cached"]
    met = [
        Met("<i>far</i>", replace(figures, psnr_db=20.0)),
        Met("near", replace(figures, psnr_db=60.0)),
        Met("gone", None, "it <b> is not there"),
    ]
    table = rivalry_html(met, visit)
    assert table.index("near") < table.index("Your schedule") < table.index("far")
    assert "<i>" not in table and "<b>" not in table and "it &lt;b&gt; is" in table
    assert re.search(r'class="cb-mine"><th scope="row">Your schedule, recorded', table)


def test_without_a_model_or_without_paint_it_says_what_is_missing(
    handlers: Handlers, small: Visit
) -> None:
    visit = start_visit()
    if handlers.engine.get(visit.state.model.name) is None:
        (said,) = Rivals(handlers).run("psnr", "time", visit)
        refused(said, "still loading")
    turned(handlers, small, "full")
    (said,) = Rivals(handlers).run("psnr", "time", small)
    refused(said, "paint a schedule first")


def test_stop_ends_it(handlers: Handlers, half: Visit) -> None:
    events = Rivals(handlers).run("psnr", "time", half)
    next(events)
    handlers.stop(half)
    *_, last = events
    assert "Stopped" in last["notice"]
    assert handlers.engine.turn.acquire(blocking=False)
    handlers.engine.turn.release()
