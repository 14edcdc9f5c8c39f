"""Models and runs on the page: what streams, who speaks last, and that visitors share nothing."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from caching.errors import StochasticSamplerWarning
from tests.caching.tiny import save_pipeline
from tests.viz.visits import JUNK, kinds, refused, stroke, turned
from viz.boxes.wiring import Wiring
from viz.live import Engine
from viz.pages.edits import Parts
from viz.pages.handlers import Handlers
from viz.pages.visit import Visit, start_visit

# -- other models --------------------------------------------------------------------------


NO_MODELS = [*JUNK, "no such thing", "../../etc", "a\0b", "/etc", "owner/name/more", "~/x", "\n"]


@pytest.mark.parametrize("name", NO_MODELS, ids=lambda v: repr(v)[:12])
def test_what_is_no_model_is_refused_and_the_visit_stays(
    handlers: Handlers, visit: Visit, name: Any
) -> None:
    before, tables = visit.state, visit.tables
    *_, last = handlers.use_model(name, visit)
    refused(last)
    assert visit.state is before and visit.tables is tables


def test_a_space_opens_no_folders_of_the_server(
    handlers: Handlers, visit: Visit, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACE_ID", "somebody/something")
    for name in (folder, "presets/model", "."):
        (only,) = handlers.use_model(name, visit)
        refused(only, "folders cannot be opened here")


def test_another_model_starts_anew_and_claims_nothing(
    handlers: Handlers, visit: Visit, folder: str
) -> None:
    handlers.strokes((stroke(4),), visit)
    first, last = handlers.use_model(folder, visit)
    assert "Loading" in first["notice"] and "2 blocks" in last["notice"]
    assert len(last["label"]["choices"]) == 1000 and last["label"]["value"] == 0
    assert last["label"]["choices"][731] == ("thing 731", 731)
    spec = last["grid"]["spec"]
    assert (spec["blocks"], spec["steps"], spec["timesteps"]) == (2, 20, None)
    assert last["grid"]["value"]["rows"] == ["0" * 20] * 4 and last["grid"]["value"]["ack"] == 4
    assert last["grid"]["layer"] is None and last["grid"]["live"] is None
    assert "nothing measured yet" in last["words"]
    assert "not known before the first run" in spec["tables"]["source"]
    assert "Measured with scenes-dit" in last["numbers"] and "closer" not in last["numbers"]
    assert last["compare"]["value"].badge == "of scenes-dit"
    assert {v for line in last["curves"].data for v in line.y or () if v is not None} == set()
    file = json.loads(handlers.save_file(visit))
    assert file["context"]["model_id"] == folder and "timesteps" not in file["context"]


def test_only_the_newest_of_two_models_is_started_on(
    handlers: Handlers, visit: Visit, folder: str, tmp_path: Path
) -> None:
    save_pipeline(tmp_path / "other")
    older = handlers.use_model(str(tmp_path / "other"), visit)
    next(older)
    newer = list(handlers.use_model(folder, visit))
    assert list(older) == [] and kinds(newer) == ["busy", "ready"]
    assert visit.state.model.name == folder


def test_stop_gives_up_waiting_for_a_model(handlers: Handlers, visit: Visit, folder: str) -> None:
    events = handlers.use_model(folder, visit)
    next(events)
    assert "Stopped" in handlers.stop(visit)["notice"]
    assert list(events) == [] and visit.state.model.name == "scenes-dit"


def test_arriving_late_does_not_speak_for_another_model(
    handlers: Handlers, visit: Visit, folder: str
) -> None:
    arrival = handlers.arrive("", visit)
    assert "recorded result" in next(arrival)["notice"]
    list(handlers.use_model(folder, visit))
    tables = visit.tables
    assert list(arrival) == [] and visit.tables is tables


# -- runs ----------------------------------------------------------------------------------


def test_a_run_streams_progress_and_ends_in_what_was_painted(
    handlers: Handlers, small: Visit
) -> None:
    painted = small.state.schedule
    events = list(handlers.run((), small))
    assert kinds(events) == ["busy", "ready"] and "Done" in events[-1]["notice"]
    assert any("live" in p.get("compare", {}) for p in events[:-1])
    assert np.array_equal(small.result.executed, painted.actions) and painted.actions.any()
    last = events[-1]
    assert last["grid"]["live"]["done"] and last["grid"]["live"]["total"] == 5
    executed = [int(c) for c in last["grid"]["live"]["data"]]
    assert np.array_equal(np.reshape(executed, (5, 2, 2)), painted.actions)
    assert last["grid"]["spec"]["timesteps"] == list(small.result.timesteps)
    assert last["grid"]["layer"] is not None and "nothing measured" not in last["words"]
    assert 'data-source="live"' in last["numbers"] and "press Run" not in last["numbers"]
    assert last["compare"]["value"].badge is None
    assert "thing 0" in last["compare"]["value"].held
    context = json.loads(handlers.save_file(small))["context"]
    assert context["timesteps"] == list(small.result.timesteps)
    # Now that the changes are known, a threshold can be used.
    assert turned(handlers, small, "smoothcache", alpha=2.0)["notice"] == ""
    assert small.state.schedule.actions.any()


def test_strokes_on_their_way_are_run_too(handlers: Handlers, small: Visit) -> None:
    before = small.state.schedule
    list(handlers.run((stroke(1, start=1, length=4, to=1, of=20),), small))
    assert small.state.ack == 1 and small.state.schedule != before
    assert np.array_equal(small.result.executed, small.state.schedule.actions)


def test_a_run_of_a_refused_stroke_does_not_begin(handlers: Handlers, small: Visit) -> None:
    result = small.result
    (only,) = handlers.run((stroke(1, of=7),), small)
    refused(only, "paint it again")
    assert only["grid"]["value"]["ack"] == 1 and small.result is result


def test_stop_in_the_middle_keeps_the_last_result_and_has_the_last_word(
    handlers: Handlers, small: Visit
) -> None:
    result = small.result
    events = handlers.run((), small)
    next(events)
    assert "Stopped" in handlers.stop(small)["notice"]
    rest = list(events)
    assert "Stopped" in rest[-1]["notice"] and rest[-1]["compare"]["live"]["done"]
    assert small.result is result and handlers.engine.turn.acquire(blocking=False)
    handlers.engine.turn.release()


def test_previews_say_what_they_are_of_and_stay_while_all_are_timed(
    handlers: Handlers, small: Visit
) -> None:
    for other in (True, False):
        events = list(handlers.run((), small))
        frames = [p["compare"]["live"] for p in events if "live" in p.get("compare", {})][:-1]
        held = {frame["held"] for frame in frames}
        # The first run is of another model than the recorded pair; the next is of the same picture.
        assert len(held) == 1 and (held == {None}) != other
        assert not other or "thing 0" in held.pop()
        assert {frame["run"] for frame in frames} == {frames[0]["run"]}
        titles = {frame["source"]: frame["title"] for frame in frames}
        assert titles["cached"] == "Your schedule"
        assert titles.get("full", "Full, 5 steps") == "Full, 5 steps"
        last = frames[-1]
        assert "Timing" in last["label"] and last["src"] is not None
        handlers.strokes(
            (stroke(small.state.ack + 1, to=1, of=small.state.schedule.actions.size),), small
        )


def test_a_newer_run_takes_over_and_speaks(handlers: Handlers, small: Visit) -> None:
    older = handlers.run((), small)
    next(older)
    newer = handlers.run((), small)
    # The newer one waits until the older has let go; each has a thread of its own on the server.
    found: list[Parts] = []
    thread = threading.Thread(target=lambda: found.extend(newer))
    thread.start()
    while not found and thread.is_alive():  # it has begun and speaks
        thread.join(0.01)
    rest = list(older)
    thread.join()
    assert [p for p in rest if "notice" in p] == [] and rest[-1]["compare"]["live"]["done"]
    assert "Done" in found[-1]["notice"]


def test_run_pressed_again_goes_on_but_after_a_stroke_or_stop_a_new_one_begins(
    handlers: Handlers, small: Visit
) -> None:
    older = handlers.press((), small)
    next(older)
    assert list(handlers.press((), small)) == []  # the very same is in progress
    assert handlers.strokes((), small)["notice"] == gr.skip()  # the run speaks
    op = stroke(small.state.ack + 1, to=1, of=small.state.schedule.actions.size)
    newer = handlers.press((op,), small)
    assert "Waiting for the run before" in next(newer)["notice"]
    list(older)
    handlers.stop(small)
    last = handlers.press((), small)
    assert "busy" in next(last)["notice"]
    for events in (newer, last):
        events.close()  # type: ignore[attr-defined]


def test_a_page_closed_in_the_middle_leaves_the_engine_free(
    handlers: Handlers, small: Visit
) -> None:
    events = handlers.run((), small)
    next(events)
    events.close()
    assert handlers.engine.turn.acquire(blocking=False)
    handlers.engine.turn.release()


def test_a_run_of_a_model_left_behind_is_not_shown(
    handlers: Handlers, small: Visit, tmp_path: Path
) -> None:
    save_pipeline(tmp_path / "other", blocks=3)
    # Measuring a new model waits for the run in progress, so it is there before.
    handlers.engine.wait(str(tmp_path / "other"))
    events = handlers.run((), small)
    next(events)
    list(handlers.use_model(str(tmp_path / "other"), small))
    rest = list(events)
    assert [p for p in rest if "notice" in p] == [] and small.result.model == "scenes-dit"
    assert small.tables.change.shape[1] == 3


def test_a_model_that_went_away_is_refused_in_words(
    handlers: Handlers, small: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Handlers(Engine())  # as after a restart of the server
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    path = Path(small.state.model.name)
    hidden = path.with_name("hidden")
    path.rename(hidden)
    try:
        *_, last = gone.run((), small)
    finally:
        hidden.rename(path)
    refused(last, "is not a folder")
    assert last["compare"]["live"]["done"]


def test_what_breaks_in_a_run_is_said_and_not_lost(
    handlers: Handlers, small: Visit, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    loaded = handlers.engine.wait(small.state.model.name)
    monkeypatch.setattr(loaded.model.family, "head", lambda *_: 1 / 0)
    handlers.configure(5, 99, 2.0, "ddim", small)
    *_, last = handlers.run((), small)
    refused(last, "The run failed", "ZeroDivisionError")
    assert "a run failed" in caplog.text and not handlers.engine.turn.locked()


def test_a_stochastic_run_says_so_at_its_end(handlers: Handlers, small: Visit) -> None:
    handlers.configure(0, 7, 2.0, "ddpm", small)
    with pytest.warns(StochasticSamplerWarning):
        *_, last = handlers.run((), small)
    assert "Done" in last["notice"] and "draws noise" in last["notice"]


def test_long_and_hostile_class_names_fit_the_page(handlers: Handlers, tmp_path: Path) -> None:
    save_pipeline(tmp_path)
    index = tmp_path / "model_index.json"
    value = json.loads(index.read_text())
    value["id2label"]["0"] = "<script>" * 100
    index.write_text(json.dumps(value))
    visit = start_visit()
    list(handlers.use_model(str(tmp_path), visit))
    handlers.resteps(5, visit)
    *_, last = handlers.run((), visit)
    assert "Done" in last["notice"] and len(last["compare"]["value"].held) <= 160


@pytest.mark.parametrize("wanted", [True, False, None])
def test_an_edit_runs_by_itself_only_when_asked_for(
    handlers: Handlers, small: Visit, wanted: Any
) -> None:
    assert bool(list(handlers.run_if_wanted(wanted, (), small))) is bool(wanted)
    assert list(handlers.run_if_wanted(wanted, (), small)) == [] or not wanted


def test_no_run_by_itself_before_the_model_is_there(visit: Visit) -> None:
    handlers = Handlers(Engine())
    turned(handlers, visit, "fora", interval=2)
    assert list(handlers.run_if_wanted(True, (), visit)) == []


def test_on_the_page_every_generator_yields(handlers: Handlers, visit: Visit) -> None:
    """Gradio empties the outputs of one that does not."""
    events: dict[str, Callable[[], Iterator[Parts]]] = {
        "nothing to run": lambda: handlers.run_if_wanted(False, (), visit),
        "refused": lambda: handlers.use_model("", visit),
    }
    for name, event in events.items():
        page = Wiring(handlers, {"notice": "the notice"})
        found = list(page.stream(lambda event=event: event())())
        assert found and all(set(p) == {"the notice"} for p in found), name


# -- visitors ------------------------------------------------------------------------------


def test_two_visits_share_nothing_that_changes(handlers: Handlers, folder: str) -> None:
    start = start_visit()
    mine, yours = copy.deepcopy(start), copy.deepcopy(start)
    before = yours.state
    handlers.strokes((stroke(1),), mine)
    handlers.configure(1, 1, 1, "euler", mine)
    list(handlers.use_model(folder, mine))
    handlers.stop(mine)
    assert yours.state is before is start.state
    assert yours.result is start.result and yours.tables is start.tables and yours.rev == 1
    assert yours.session is not start.session


def test_the_psnr_to_expect_is_of_what_the_prediction_knows(
    handlers: Handlers, visit: Visit
) -> None:
    assert visit.value()["expected"] is None  # until the model is there
    *_, last = handlers.arrive("", visit)
    grid = last["grid"]["value"]["expected"]
    assert grid["low_db"] < grid["db"] < grid["high_db"] and "schedules" in grid["source"]
    found = {n: turned(handlers, visit, "fora", interval=n) for n in (2, 4)}
    two, four = (found[n]["grid"]["value"]["expected"]["db"] for n in (2, 4))
    # The recorded study has 37.2 and 29.3 dB over 64 pictures.
    assert 35 < two < 39.5 and 27 < four < 31.5
    assert turned(handlers, visit, "full")["grid"]["value"]["expected"]["db"] is None
    for other in ("layerpruning", "deepcache"):  # other brushes, and whole-step actions
        assert turned(handlers, visit, other)["grid"]["value"]["expected"] is None
    assert turned(handlers, visit, "fora")["grid"]["value"]["expected"] is not None
    handlers.configure(0, 0, 3.5, "ddim", visit)  # nothing was calibrated for this guidance
    assert visit.value()["expected"] is None
