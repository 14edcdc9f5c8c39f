"""Improve on the page: what it paints while it searches, how it ends, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.viz.visits import JUNK, kinds, refused, stroke
from viz import improving
from viz.grid.ops import Undo
from viz.improving import Wish, wish_of
from viz.pages.handlers import Handlers
from viz.pages.improve import Improves, _Search
from viz.pages.visit import Visit

WISH = (5, "latent", 8, "psnr", "macs")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(improving.CACHE, str(tmp_path))
    monkeypatch.setattr("caching.improve.search.PROPOSALS", 8)
    monkeypatch.setattr("caching.improve.search.LATER", 2)
    return tmp_path


@pytest.fixture
def box(handlers: Handlers) -> Improves:
    return Improves(handlers)


def test_better_grids_are_painted_and_noted_and_one_undo_takes_them_back(
    box: Improves, handlers: Handlers, small: Visit, cache: Path
) -> None:
    start, events = small.state, []
    for parts in box.improve(*WISH, small):
        events.append(parts)
        if small.history.better:  # the start is not among them
            handlers.stop(small)
    assert kinds(events)[-2:] == ["busy", "ready"]
    assert "Improved by" in events[-1]["notice"] and 'data-done="true"' in events[-1]["improving"]
    found = small.history.better
    assert small.state.schedule.compact() == found[-1].schedule.compact()
    painted = [p for p in events if "grid" in p]
    assert len(painted) == len(found) > 0 and all("pareto_table" in p for p in painted)
    assert len(small.state.past) == len(start.past) + 1
    handlers.strokes((Undo(1),), small)
    assert small.state.schedule == start.schedule and small.busy is None
    assert list(cache.rglob("*.journal"))


def test_all_that_one_search_paints_is_one_step_of_undo(handlers: Handlers, small: Visit) -> None:
    from caching.improve import Step

    start = small.state
    search = _Search(small, Wish(1, "latent", 8), 1, start)
    for k, cell in enumerate([(1, 0, 0), (1, 0, 1)]):
        best = start.schedule.paint([cell], 0)
        search.take(Step(k, 30.0, best, 30.0, 0.5, 20.0, True, False, 0, "a test", 1.0))
        assert small.state.schedule.actions[cell] == 0
    assert len(small.history.better) == 2 and len(small.state.past) == len(start.past) + 1
    handlers.strokes((Undo(1),), small)
    assert small.state.schedule == start.schedule


def test_stop_before_anything_is_measured_changes_nothing(
    box: Improves, handlers: Handlers, small: Visit
) -> None:
    before = small.state
    search = box.improve(*WISH, small)
    handlers.engine.turn.acquire()
    try:
        first = next(search)  # it waits for the run before it
        assert "Waiting" in first["notice"]
        handlers.stop(small)
    finally:
        handlers.engine.turn.release()
    *_, last = search
    assert "before anything" in last["notice"] and small.state is before


def test_paint_of_somebody_ends_it_and_stays(
    box: Improves, handlers: Handlers, small: Visit
) -> None:
    search = box.improve(*WISH, small)
    for parts in search:
        if "improving" in parts:
            break
    cells = small.state.schedule.actions.size
    handlers.strokes((stroke(1, start=1, length=2, to=0, of=cells),), small)
    mine = small.state.schedule
    *_, last = search
    assert "because the page changed" in last["notice"] and small.state.schedule == mine


def test_nothing_to_move_is_said(box: Improves, handlers: Handlers, small: Visit) -> None:
    from tests.viz.visits import turned

    turned(handlers, small, "full")
    *_, last = box.improve(*WISH, small)
    refused(last, "nothing can be moved")


@pytest.mark.parametrize("junk", JUNK)
def test_junk_is_refused(box: Improves, small: Visit, junk: Any) -> None:
    for place in range(3):
        given: list[Any] = [0.5, "psnr", 8]
        if junk == 1.5 and place == 0:
            continue  # a number of minutes
        given[place] = junk
        (parts,) = box.improve(*given, "psnr", "time", small)
        refused(parts)
    assert small.busy is None


def test_wishes_are_taken() -> None:
    assert wish_of(2, "psnr", 8) == Wish(2.0, "psnr", 8)


def test_the_cache_is_bounded(cache: Path) -> None:
    folder = cache / "cachebrush" / "improve"
    folder.mkdir(parents=True)
    for k in range(improving.MOST_KEPT + 5):
        (folder / f"{k}.journal").touch()
    model = type("Model", (), {"weights_hash": "abc"})()
    assert improving.storage_of(model) == folder / "abc.journal"
    assert len(list(folder.iterdir())) == improving.MOST_KEPT
