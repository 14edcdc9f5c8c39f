"""The engine of the page: models come and go, full runs are made once, every run gets its turn."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import app
from caching.errors import ModelError, RequestError, ScheduleError
from caching.measure.comparison import Progress
from caching.measure.result import Result
from caching.schedule import Schedule
from tests.caching.tiny import save_pipeline
from viz import live
from viz.live import Engine, repeats_from
from viz.state import Entry, ModelFacts, Settings, ViewState

S = 5


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three small models of the kind of DiT-XL; the first has two blocks."""
    first = tmp_path_factory.mktemp("models") / "a"
    save_pipeline(first)
    copies = [first.with_name(name) for name in ("b", "c")]
    return [str(first), *(str(shutil.copytree(first, copy)) for copy in copies)]


@pytest.fixture
def engine() -> Engine:
    return Engine(repeats=1)


def asked(name: str, *, blocks: int = 2, sampler: str = "ddim", **settings: Any) -> ViewState:
    model = ModelFacts(name, blocks, ("attn", "mlp"), tuple(map(str, range(1000))))
    chosen = Settings(**{"label": 3, "seed": 7, "cfg_scale": 2.0, "sampler": sampler, **settings})
    return ViewState(model, chosen, Entry("start", Schedule.every(S, blocks, 2)))


def finish(events: Iterator[Progress | Result]) -> tuple[list[str], Result]:
    """Which runs were seen on the way, in order, and the result."""
    *steps, result = events
    assert isinstance(result, Result)
    seen = [item.which for item in steps if isinstance(item, Progress)]
    return list(dict.fromkeys(seen)), result


def is_free(engine: Engine) -> bool:
    """Whether the next run would get its turn at once."""
    free = engine.turn.acquire(blocking=False)
    if free:
        engine.turn.release()
    return free


@pytest.mark.parametrize(("given", "count"), [(None, 3), ("", 3), ("0", 0), ("20", 20)])
def test_how_often_runs_are_timed_comes_from_the_environment(given, count) -> None:
    assert repeats_from(given) == count


@pytest.mark.parametrize("given", ["21", "-1", "x", "1.5", "²", "9" * 40])
def test_no_number_of_timings_is_refused(given) -> None:
    with pytest.raises(RequestError, match=r"CACHEBRUSH_REPEATS .* expected a whole number"):
        repeats_from(given)


@pytest.mark.parametrize(
    ("name", "wrong"), [("CACHEBRUSH_REPEATS", "21"), ("CACHEBRUSH_CALIBRATE", "0")]
)
def test_a_wrong_environment_ends_the_server_in_words(
    monkeypatch: pytest.MonkeyPatch, name: str, wrong: str
) -> None:
    monkeypatch.setenv(name, wrong)
    with pytest.raises(SystemExit, match=f"{name} is '{wrong}', expected a whole number"):
        app.main()


def test_a_model_loads_once_however_many_ask(engine: Engine, folders: list[str]) -> None:
    assert engine.get(folders[0]) is None
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(engine.wait, [folders[0]] * 8))
    assert all(one is found[0] for one in found) and engine.get(folders[0]) is found[0]
    facts = found[0].facts
    assert (facts.name, facts.blocks, facts.branches) == (folders[0], 2, ("attn", "mlp"))
    assert (len(facts.class_names), facts.class_names[731]) == (1000, "thing 731")
    assert found[0].times.compute_ms.shape == (2, 2) and "thread" in found[0].device


def test_the_model_not_used_for_longest_goes(
    engine: Engine, folders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MAX_MODELS", 2)
    a, b, c = folders
    for name in (a, b):
        finish(engine.compare(asked(name)))
    assert engine.get(a) is not None
    engine.wait(c)
    assert [engine.get(name) is not None for name in folders] == [True, False, True]
    finish(engine.compare(asked(b)))  # comes back when it is asked for
    assert engine.get(b) is not None


def test_the_full_run_is_made_once_and_kept(engine: Engine, folders: list[str]) -> None:
    state = asked(folders[0])
    seen, first = finish(engine.compare(state))
    assert seen == ["full", "cached", "fewer", "timing"]
    again = ViewState(state.model, state.settings, Entry("other", Schedule.every(S, 2, 3)))
    seen, second = finish(engine.compare(again))
    assert "cached" in seen and "full" not in seen
    assert np.array_equal(first.pictures["full"].final, second.pictures["full"].final)
    assert np.array_equal(second.executed, again.schedule.actions)


@pytest.mark.parametrize(
    "changed", [{"seed": 8}, {"label": 4}, {"cfg_scale": 3.0}, {"sampler": "euler"}]
)
def test_another_request_gets_a_full_run_of_its_own(
    engine: Engine, folders: list[str], changed: dict[str, Any]
) -> None:
    finish(engine.compare(asked(folders[0])))
    seen, result = finish(engine.compare(asked(folders[0], **changed)))
    assert seen[0] == "full"
    assert {name: getattr(result, name) for name in changed} == changed


def test_full_runs_that_are_kept_are_small(engine: Engine, folders: list[str]) -> None:
    finish(engine.compare(asked(folders[0])))
    loaded = engine.get(folders[0])
    assert loaded is not None
    runs = list(loaded.known._full.values())
    assert len(runs) == 2  # the full run and its rival
    for run in runs:
        # A view would keep all of what it is a view of.
        for tensor in (run.latents, run.clean):
            assert tensor.untyped_storage().nbytes() == tensor.nbytes


BAD_FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda f: f.mkdir(), "model_index.json is missing"),
    "no folder": (lambda f: None, "is not a folder"),
    "another family": (
        lambda f: (
            save_pipeline(f),
            (f / "transformer" / "config.json").write_text(json.dumps({"_class_name": "UNet"})),
        ),
        "expected a DiT",
    ),
    "no weights": (
        lambda f: (save_pipeline(f), next((f / "transformer").glob("*.safetensors")).unlink()),
        "could not be loaded",
    ),
}


@pytest.mark.parametrize("name", BAD_FOLDERS)
def test_what_is_not_a_dit_is_refused_in_words_and_may_be_tried_again(
    engine: Engine, tmp_path: Path, name: str
) -> None:
    make, words = BAD_FOLDERS[name]
    folder = tmp_path / "model"
    make(folder)
    with pytest.raises(ModelError, match=words):
        engine.wait(str(folder))
    assert words in str(engine.error(str(folder)))
    with pytest.raises(ModelError, match=words):
        list(engine.compare(asked(str(folder))))
    assert is_free(engine)
    shutil.rmtree(folder, ignore_errors=True)
    save_pipeline(folder)
    assert engine.wait(str(folder)).facts.blocks == 2
    assert engine.error(str(folder)) is None


def test_reasons_are_not_kept_without_end(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MAX_ERRORS", 2)
    names = [str(tmp_path / name) for name in "xyz"]
    for name in names:
        with pytest.raises(ModelError):
            engine.wait(name)
    assert [engine.error(name) is not None for name in names] == [False, True, True]


REFUSED: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "schedule of another model": ({"blocks": 3}, ScheduleError),
    "class that does not exist": ({"label": 1000}, RequestError),
    "sampler that does not exist": ({"sampler": "magic"}, RequestError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_run_raises_and_gives_its_turn_back(
    engine: Engine, folders: list[str], name: str
) -> None:
    changes, kind = REFUSED[name]
    with pytest.raises(kind):
        list(engine.compare(asked(folders[0], **changes)))
    assert is_free(engine)


def test_a_run_left_in_the_middle_gives_its_turn_back(engine: Engine, folders: list[str]) -> None:
    events = engine.compare(asked(folders[0]))
    assert isinstance(next(events), Progress)
    assert not is_free(engine)
    events.close()
    assert is_free(engine)
    finish(engine.compare(asked(folders[0])))


def test_a_stopped_run_ends_without_a_result(engine: Engine, folders: list[str]) -> None:
    stop = threading.Event()
    seen = []
    for item in engine.compare(asked(folders[0]), stopped=stop.is_set):
        seen.append(item)
        if len(seen) == 2:
            stop.set()
    assert len(seen) == 2 and is_free(engine)


def test_a_run_can_be_stopped_while_it_waits_for_its_turn_or_its_model(
    engine: Engine, folders: list[str]
) -> None:
    with engine.turn:  # measuring a model's times waits for it too, so it cannot finish loading
        assert list(engine.compare(asked(folders[0]), stopped=lambda: True)) == []
        assert engine.get(folders[0]) is None
        assert engine.wait_unless(folders[0], lambda: True) is None
    engine.wait(folders[0])
    with engine.turn:
        assert list(engine.compare(asked(folders[0]), stopped=lambda: True)) == []
