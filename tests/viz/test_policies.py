"""Methods that decide while a run goes on: run, calibrated first where they must be, baked."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from caching.marks import PARTLY
from caching.schedule import Schedule
from tests.viz.test_method_handlers import buttons, undo
from tests.viz.visits import given, refused, turned
from viz.pages.handlers import Handlers
from viz.pages.visit import Visit


@pytest.fixture
def fresh(handlers: Handlers, small: Visit) -> Visit:
    """As `small`, of whose model nothing was calibrated yet."""
    handlers.engine.wait(small.state.model.name).shelf.tables.clear()
    return small


def test_a_policy_decides_live_and_is_baked_into_paint(handlers: Handlers, small: Visit) -> None:
    painted = small.state.schedule
    steps = painted.steps
    chosen = handlers.choose("fbcache", small)
    assert buttons(chosen) == {"decide", "bake"} and small.state.schedule == painted
    assert not list(handlers.run_if_wanted(True, (), small))
    parts = list(handlers.run_policy(*given("fbcache", threshold=0.5), small))
    live = [p["grid"]["live"] for p in parts if "live" in p.get("grid", {})]
    assert live[-1]["policy"] and len(live[-1]["decided"]) == steps
    assert any("decides step by step" in p.get("notice", "") for p in parts)
    assert "Done" in parts[-1]["notice"] and "FBCache" in str(small.result.policy)
    # Nothing is painted until somebody says so, and the numbers are not called old.
    assert small.state.schedule == painted
    assert "decided this, not your paint" in small.numbers() and "cb-stale" not in small.numbers()
    decided = small.result.schedule
    assert decided.step_actions.any() and not decided.actions.any()
    scores = [score for score, _ in small.result.decided]
    assert scores[0] is None and any(score is not None for score in scores)
    baked = handlers.bake(small)
    assert baked["notice"] == "" and str(small.state.undo_label).startswith("bake")
    assert small.state.schedule.diff(decided).changed == 0
    assert small.state.schedule.step_row() == decided.step_row()
    # The same paint gives the same picture.
    before = small.result.pictures["cached"].final
    list(handlers.run((), small))
    assert small.result.policy is None
    assert np.array_equal(small.result.pictures["cached"].final, before)
    undo(handlers, small)
    assert small.state.schedule == painted


def test_a_policy_that_needs_it_is_calibrated_before_it_decides(
    handlers: Handlers, fresh: Visit
) -> None:
    assert buttons(handlers.choose("magcache", fresh)) == {"calibrate"}
    events = list(handlers.run_policy(*given("magcache"), fresh))
    assert any("Calibrating MagCache" in p.get("notice", "") for p in events)
    assert "Done" in events[-1]["notice"] and "MagCache" in str(fresh.result.policy)
    assert buttons(handlers.choose("magcache", fresh)) == {"decide", "bake"}
    again = list(handlers.run_policy(*given("magcache"), fresh))
    assert not any("Calibrating" in p.get("notice", "") for p in again)
    list(handlers.calibrate(*given("magcache"), fresh))
    assert fresh.state.schedule == Schedule.every(5, 2, 2)  # it painted nothing


@pytest.mark.parametrize("threshold", [-1, float("nan"), "0.1", 1e9, None])
def test_a_policy_with_a_hostile_threshold_does_not_run(
    handlers: Handlers, small: Visit, threshold: Any
) -> None:
    before = small.state
    (parts,) = handlers.run_policy(*given("fbcache", threshold=threshold), small)
    refused(parts, "expected 0 to")
    assert small.state is before


def test_what_paints_the_grid_decides_nothing(handlers: Handlers, small: Visit) -> None:
    *_, last = handlers.run_policy(*given("fora"), small)
    refused(last, "Press Run")


def test_there_is_nothing_to_bake_before_a_policy_has_run(handlers: Handlers, visit: Visit) -> None:
    before = visit.state
    assert "No policy has run" in handlers.bake(visit)["notice"]
    assert visit.state == before


def test_what_only_half_of_guidance_ran_is_not_baked(handlers: Handlers, small: Visit) -> None:
    handlers.choose("fbcache", small)
    list(handlers.run_policy(*given("fbcache", threshold=0.5), small))
    executed = small.result.executed.copy()
    executed[1, 0, 0] = PARTLY
    small.result = dataclasses.replace(small.result, executed=executed)
    painted = small.state.schedule
    assert "which no paint says" in handlers.bake(small)["notice"]
    assert small.state.schedule == painted


def test_an_edit_after_a_policy_runs_the_paint(handlers: Handlers, small: Visit) -> None:
    list(handlers.run_policy(*given("fbcache", threshold=0.5), small))
    turned(handlers, small, "fora", interval=3)
    list(handlers.run_if_wanted(True, (), small))
    assert small.result.policy is None
    assert small.result.schedule.diff(small.state.schedule).changed == 0


def test_a_run_that_is_going_on_is_not_begun_again_by_itself(
    handlers: Handlers, small: Visit
) -> None:
    events = handlers.run_if_wanted(True, (), small)
    next(events)
    assert list(handlers.run_if_wanted(True, (), small)) == []
    handlers.stop(small)
    again = handlers.run_if_wanted(True, (), small)
    list(events)
    assert "Done" in list(again)[-1]["notice"]
