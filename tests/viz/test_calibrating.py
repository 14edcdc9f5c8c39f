"""Predictions calibrated on the page: shared, gone on with, stopped, and others' turns kept."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caching.errors import RequestError
from caching.predict.evidence import BEST_DB
from caching.predict.kept import For
from tests.viz.visits import stroke
from viz.calibrating import (
    AUTO_S,
    ROUNDS,
    Known,
    Predictions,
    Stand,
    budget_from,
    folder_of,
    rounds_of,
)
from viz.live import Engine
from viz.pages.calibrate import Calibrates
from viz.pages.handlers import Handlers
from viz.pages.sure import begins_by_itself, line_html, sure_words
from viz.pages.visit import Visit, start_visit

WAIT_S = 60


def opened(engine: Engine, folder: str, steps: int = 5) -> tuple[Calibrates, Visit]:
    """A visit on the small model."""
    handlers, visit = Handlers(engine), start_visit()
    *_, last = handlers.use_model(folder, visit)
    assert 'data-kind="ready"' in last["notice"], last["notice"]
    handlers.resteps(steps, visit)
    return Calibrates(handlers), visit


def free(turn: threading.Lock) -> bool:
    """Whether the turn has been given back, now or soon."""
    if not turn.acquire(timeout=WAIT_S):
        return False
    turn.release()
    return True


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def done(folder: str, kept: Path) -> tuple[Engine, Visit, list[Any]]:
    """One calibration of the small model, from its first word to its last."""
    engine = Engine(repeats=1, predictions=Predictions(budget=24, folder=kept))
    box, visit = opened(engine, folder)
    assert 'data-state="open"' in box.look(visit)["calibrating"] and visit.quality() is None
    return engine, visit, list(box.calibrate(visit))


def test_a_calibration_ends_in_numbers_and_says_how_sure(
    done: tuple[Engine, Visit, list[Any]], kept: Path
) -> None:
    engine, visit, events = done
    busy = [e["calibrating"] for e in events[:-1]]
    assert len(busy) >= 2 and all('data-state="busy"' in words for words in busy)
    (data,) = [e["grid"]["quality"] for e in events if "grid" in e]
    assert data == visit.quality() and data["shape"][:3] == [5, 2, 2]
    found = visit.predictions.find(visit.setting)  # type: ignore[union-attr]
    assert found is not None and len(found.estimator.known) == 24
    assert "24 schedules" in data["source"] and "calibrated here" in data["source"]
    last = events[-1]["calibrating"]
    assert 'data-state="done"' in last and f"±{found.estimator.median_db:.1f} dB" in last
    assert visit.calibrating is None and free(engine.turn)
    Handlers(engine).strokes((stroke(1, to=1, of=20),), visit)
    expected = visit.expected()
    assert expected is not None and expected.low_db < expected.db <= BEST_DB
    assert len(list(kept.glob("*.npz"))) == 1


def test_other_visitors_have_it_and_other_settings_do_not(
    done: tuple[Engine, Visit, list[Any]], folder: str
) -> None:
    engine, visit, _ = done
    box, other = opened(engine, folder)
    assert other.quality() == visit.quality()
    assert 'data-state="done"' in box.look(other)["calibrating"]
    parts = Handlers(engine).resteps(6, other)
    assert 'data-state="open"' in parts["calibrating"] and parts["grid"]["quality"] is None
    assert "Cells not computed" in parts["calibrating"]  # before a run nobody knows any change


def test_the_next_start_reads_what_was_kept_and_nothing_else(
    done: tuple[Engine, Visit, list[Any]], kept: Path, tmp_path: Path
) -> None:
    of = done[1].setting
    again = Predictions(budget=24, folder=kept)
    found = again.find(of)
    assert found is not None and again.left(of) == 0
    before = done[0].predictions.find(of)
    assert before is not None and np.array_equal(found.estimator.known, before.estimator.known)
    assert Predictions(budget=60, folder=kept).left(of) == 36
    (path,) = kept.glob("*.npz")
    for content in (b"", b"junk", path.read_bytes()[:-900]):
        (tmp_path / path.name).write_bytes(content)
        assert Predictions(folder=tmp_path).known(of).kept is None
    other = For("0" * 16, of.steps, of.cfg_scale, of.sampler)
    assert Predictions(folder=kept).find(other) is None


def test_a_stopped_calibration_keeps_what_it_has_and_goes_on(folder: str) -> None:
    engine = Engine(repeats=1, predictions=Predictions(budget=24))
    box, visit = opened(engine, folder, steps=6)
    events = box.calibrate(visit)
    known = engine.predictions.known
    while known(visit.setting).response is None:
        next(events)
    assert 'data-state="open"' in box.stop(visit)["calibrating"]
    assert not any("calibrating" in e for e in events) and free(engine.turn)
    assert free(engine.predictions._turn) and known(visit.setting).kept is None
    response = known(visit.setting).response
    *_, last = box.calibrate(visit)
    assert 'data-state="done"' in last["calibrating"]
    assert known(visit.setting).response is response


def test_whoever_waits_for_the_turn_gets_it_before_the_end(folder: str) -> None:
    engine = Engine(repeats=1, predictions=Predictions(budget=24))
    box, visit = opened(engine, folder, steps=7)
    events = box.calibrate(visit)
    next(events), next(events)
    assert engine.turn.acquire(timeout=WAIT_S)
    assert engine.predictions.running(visit.setting)
    engine.turn.release()
    box.handlers.resteps(8, visit)  # its setting left: nobody watches any more
    assert 'data-state="open"' in [e for e in events if "calibrating" in e][-1]["calibrating"]
    assert free(engine.turn) and visit.calibrating is None


def test_two_visitors_watch_one_calibration(folder: str) -> None:
    engine = Engine(repeats=1, predictions=Predictions(budget=24))
    (box, one), (_, two) = opened(engine, folder), opened(engine, folder)
    first, second = box.calibrate(one), box.calibrate(two)
    next(first), next(first), next(second), next(second)
    box.stop(one)
    list(first)
    *_, last = second  # goes on for the other
    assert 'data-state="done"' in last["calibrating"] and one.quality() == two.quality()


def test_what_fails_is_said(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(repeats=1, predictions=Predictions(budget=24))
    box, visit = opened(engine, folder)

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RequestError("nothing works today.")

    monkeypatch.setattr("caching.predict.calibration.build_response", broken)
    events = list(box.calibrate(visit))
    assert any("nothing works today" in str(e.get("notice")) for e in events)
    assert 'data-state="open"' in events[-1]["calibrating"] and free(engine.turn)


@pytest.mark.parametrize(
    ("budget", "seconds", "expected"),
    [(None, AUTO_S, True), (None, AUTO_S + 1, False), (24, 1.0, False)],
)
def test_a_new_model_begins_by_itself_where_that_is_soon_done(
    folder: str, monkeypatch: pytest.MonkeyPatch, budget: int | None, seconds: float, expected: bool
) -> None:
    engine = Engine(repeats=1, predictions=Predictions(budget=budget))
    _, visit = opened(engine, folder)
    monkeypatch.setattr(Predictions, "estimate_s", lambda *given: seconds)
    assert begins_by_itself(visit, engine) is expected
    visit.calibrating = object()
    assert not begins_by_itself(visit, engine)


def test_what_begins_by_itself_is_a_calibration_like_any_other(folder: str) -> None:
    predictions = Predictions()
    predictions.rounds = (24,)
    box, visit = opened(Engine(repeats=1, predictions=predictions), folder)
    first, *events = box.begin(visit)
    assert 'data-state="open"' in first["calibrating"]
    assert 'data-state="done"' in events[-1]["calibrating"] and visit.quality() is not None
    (only,) = box.begin(visit)  # nothing is left to do
    assert 'data-state="done"' in only["calibrating"]


def test_the_page_opens_without_the_line_and_the_shipped_setting_needs_none() -> None:
    assert line_html(start_visit(), Engine()) == ""


def test_the_estimate_is_full_runs_times_what_they_take(folder: str) -> None:
    engine = Engine(repeats=1)
    _, visit = opened(engine, folder)
    of, loaded = visit.setting, engine.get(folder)
    assert loaded is not None
    times = loaded.times
    run_s = (
        times.start_ms + 5 * (times.fixed_ms + times.busy_ms + times.compute_ms.sum())
    ) / 1000  # fmt: skip
    # A response of three pictures along four directions, and 160 schedules.
    assert engine.predictions.estimate_s(of, loaded) == pytest.approx(
        run_s * (3 * (8 + 4 * 2.3) + 160 * 1.75)
    )


@pytest.mark.parametrize(
    ("given", "expected"), [(None, None), ("", None), ("24", 24), ("2000", 2000)]
)
def test_the_budget_of_the_environment(given: str | None, expected: int | None) -> None:
    assert budget_from(given) == expected


@pytest.mark.parametrize("given", ["0", "23", "2001", "-24", "24.0", "many", "9" * 400, "²⁴"])
def test_budgets_that_are_none(given: str) -> None:
    with pytest.raises(RequestError, match="expected a whole number from 24 to 2000"):
        budget_from(given)


@pytest.mark.parametrize(
    ("budget", "expected"), [(None, ROUNDS), (24, (24,)), (60, (24, 48, 60)), (96, (24, 48, 96))]
)
def test_rounds_grow_up_to_the_budget(budget: int | None, expected: tuple[int, ...]) -> None:
    assert rounds_of(budget) == expected


def test_words_of_the_line(visit: Visit) -> None:
    visit.predictions = Predictions()
    engine = Engine()
    words = line_html(visit, engine, Stand(0.25, "response: <1>", 95.0))
    assert 'value="0.250"' in words and "first-order response, &lt;1&gt;, about 2 min left" in words
    assert "once the model is loaded" in line_html(visit, engine)
    assert "±1.3 dB" in sure_words(1.26, 48) and "from 48 schedules" in sure_words(1.26, 48)


def test_what_is_known_is_bounded() -> None:
    predictions = Predictions()
    for steps in range(2, 60):
        predictions.note(For("f" * 16, steps, 2.0, "ddim"), Known(done=steps))
    assert len(predictions._known) == 16
    assert predictions.known(For("f" * 16, 59, 2.0, "ddim")).done == 59


def test_the_folder_is_the_users_own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folder_of() == tmp_path / "cachebrush" / "predictions"
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert folder_of() is None
