"""Strokes, controls, presets and files: what each event does, and what hostile values do not."""

from __future__ import annotations

import copy
import json
import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import app
from caching.errors import StochasticSamplerWarning
from caching.schedule import Schedule
from tests.caching.tiny import save_pipeline
from viz.grid.encode import actions_from_rows
from viz.grid.ops import Paint, Undo
from viz.live import Engine
from viz.pages import studio
from viz.pages.handlers import Handlers, Parts
from viz.pages.visit import Visit, start_visit

CELLS = 20 * 12 * 2
HUGE = 10**400
# No control of the page sends these, but anybody can send them to its address.
JUNK = [None, math.nan, math.inf, -math.inf, HUGE, -1, 1.5, True, "7", "", "x" * 9999, [], {}, [3]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("models") / "tiny"
    save_pipeline(path)
    return str(path)


@pytest.fixture(scope="module")
def shared() -> Engine:
    """One engine for tests that only need a model to be there."""
    return Engine(repeats=1)


@pytest.fixture
def handlers(shared: Engine) -> Handlers:
    return Handlers(shared)


@pytest.fixture
def visit() -> Visit:
    return start_visit()


@pytest.fixture
def small(handlers: Handlers, visit: Visit, folder: str) -> Visit:
    """A visit on the small model, with five steps of which some are reused."""
    *_, last = handlers.use_model(folder, visit)
    assert 'data-kind="ready"' in last["notice"], last["notice"]
    handlers.resteps(5, visit)
    handlers.repaint("fora", 2, 0.1, 3, 3, visit)
    return visit


def stroke(rev: int, start: int = 1, length: int = 3, to: int = 0, of: int = CELLS) -> Paint:
    return Paint(rev, to, ((start, length),), of)


def refused(parts: Parts, *words: str) -> None:
    """The notice is an error, in words, and short."""
    notice = parts["notice"]
    assert 'data-kind="error"' in notice and len(notice) < 900, notice
    assert all(word in notice for word in words), notice
    assert "Traceback" not in notice and "ufunc" not in notice and "NoneType" not in notice


def kinds(events: list[Parts]) -> list[str]:
    """The kinds of the notices, repeats left out."""
    found = [p["notice"].split('data-kind="')[1].split('"')[0] for p in events if p.get("notice")]
    return [k for n, k in enumerate(found) if not n or found[n - 1] != k]


# -- strokes -------------------------------------------------------------------------------


def test_a_stroke_is_taken_in_and_acknowledged(handlers: Handlers, visit: Visit) -> None:
    before = visit.state.schedule
    parts = handlers.strokes((stroke(1),), visit)
    assert parts["notice"] == "" and parts["grid"]["value"]["ack"] == 1
    rows = parts["grid"]["value"]["rows"]
    assert np.array_equal(actions_from_rows(rows), visit.state.schedule.actions)
    changed = np.argwhere(before.actions != visit.state.schedule.actions)
    assert changed.tolist() == [[1, 0, 0], [2, 0, 0], [3, 0, 0]]
    assert "press Run" in parts["numbers"]


REFUSED_STROKES = {
    "another grid": stroke(1, of=7),
    "unknown action": stroke(1, to=9),
    "beyond the grid": Paint(1, 1, ((CELLS, 1),)),
}


@pytest.mark.parametrize("name", REFUSED_STROKES)
def test_a_refused_stroke_is_acknowledged_and_changes_nothing(
    handlers: Handlers, visit: Visit, name: str
) -> None:
    before = visit.state
    parts = handlers.strokes((REFUSED_STROKES[name],), visit)
    refused(parts)
    assert parts["grid"]["value"]["ack"] == 1
    assert visit.state.now is before.now and visit.state.past == ()


# -- values of controls --------------------------------------------------------------------


def good_settings(visit: Visit) -> dict[str, Any]:
    s = visit.state.settings
    return {"label": s.label, "seed": s.seed, "cfg_scale": s.cfg_scale, "sampler": s.sampler}


ALLOWED = {("seed", 1e3), ("cfg_scale", 1.5)}


@pytest.mark.parametrize("control", ["label", "seed", "cfg_scale", "sampler"])
@pytest.mark.parametrize("value", JUNK, ids=lambda v: repr(v)[:12])
def test_hostile_settings_are_refused(
    handlers: Handlers, visit: Visit, control: str, value: Any
) -> None:
    if (control, value) == ("cfg_scale", 1.5):
        pytest.skip("a good guidance")
    before = visit.state
    parts = handlers.configure(**{**good_settings(visit), control: value}, visit=visit)
    word = {"label": "class", "cfg_scale": "guidance"}.get(control, control)
    refused(parts, word)
    assert visit.state is before


def test_a_cleared_seed_says_what_is_expected(handlers: Handlers, visit: Visit) -> None:
    parts = handlers.configure(**{**good_settings(visit), "seed": None}, visit=visit)
    refused(parts, "seed nothing was given", "whole number")


@pytest.mark.parametrize("label", [12, 2**53 - 1])
def test_a_class_the_model_lacks_is_refused(handlers: Handlers, visit: Visit, label: int) -> None:
    before = visit.state
    refused(handlers.configure(label, 7, 2.0, "ddim", visit), f"class {label}", "0 to 11")
    assert visit.state is before


def test_good_settings_are_taken_and_make_the_numbers_old(handlers: Handlers, visit: Visit) -> None:
    parts = handlers.configure(3, 8.0, 4, "ddim", visit)
    assert parts["notice"] == "" and "press Run" in parts["numbers"] and "grid" not in parts
    assert vars(visit.state.settings) == {
        "label": 3, "seed": 8, "cfg_scale": 4.0, "sampler": "ddim"
    }  # fmt: skip
    back = handlers.configure(9, 7, 2.0, "ddim", visit)
    assert "press Run" not in back["numbers"]


def test_a_stochastic_sampler_is_warned_of_in_words(handlers: Handlers, visit: Visit) -> None:
    parts = handlers.configure(9, 7, 2.0, "ddpm", visit)
    assert "draws noise at every step" in parts["notice"] and "cb-error" not in parts["notice"]
    assert "draws noise" not in handlers.configure(9, 7, 2.0, "ddim", visit)["notice"]


def test_the_page_knows_the_samplers_of_the_engine() -> None:
    from caching.engine.samplers import SAMPLERS

    assert list(studio.SAMPLER_NAMES) == list(SAMPLERS)
    assert {name for name, info in SAMPLERS.items() if info.stochastic} == studio.STOCHASTIC


def test_timesteps_of_another_sampler_are_not_shown(handlers: Handlers, visit: Visit) -> None:
    assert visit.spec()["timesteps"][0] == 999.0
    parts = handlers.configure(9, 7, 2.0, "euler", visit)
    assert parts["grid"]["spec"]["timesteps"] is None
    back = handlers.configure(9, 7, 2.0, "ddim", visit)
    assert back["grid"]["spec"]["timesteps"][0] == 999.0


@pytest.mark.parametrize("steps", [*JUNK, 4, 101, 5.5], ids=lambda v: repr(v)[:12])
def test_hostile_steps_are_refused_and_the_slider_goes_back(
    handlers: Handlers, visit: Visit, steps: Any
) -> None:
    before = visit.state
    parts = handlers.resteps(steps, visit)
    refused(parts, "expected 5 to 100")
    assert parts["steps"]["value"] == 20 and visit.state is before


def test_other_steps_bring_a_grid_spec_layer_and_curves_that_fit(
    handlers: Handlers, visit: Visit
) -> None:
    parts = handlers.resteps(30.0, visit)
    assert parts["steps"]["value"] == visit.state.schedule.steps == 30
    grid = parts["grid"]
    assert (grid["spec"]["steps"], grid["spec"]["timesteps"], grid["live"]) == (30, None, None)
    assert len(grid["layer"]["data"]) == 30 * 24 == sum(map(len, grid["value"]["rows"]))
    assert "carried over from 20 steps" in grid["spec"]["tables"]["source"]
    assert len(parts["curves"].data[0].x) == 29


GOOD = {"name": "fora", "interval": 2, "alpha": 0.1, "first": 3, "last": 3}


@pytest.mark.parametrize("control", ["interval", "alpha", "first", "last"])
@pytest.mark.parametrize("value", JUNK, ids=lambda v: repr(v)[:12])
def test_hostile_preset_controls_are_refused(
    handlers: Handlers, visit: Visit, control: str, value: Any
) -> None:
    if (control, value) == ("alpha", 1.5):
        pytest.skip("a large but good threshold")
    before = visit.state
    refused(handlers.repaint(**{**GOOD, control: value}, visit=visit), "expected")
    assert visit.state is before
    curves = handlers.threshold_curves("smoothcache", value, visit)["curves"]
    assert len(curves.data[0].x) == 19


@pytest.mark.parametrize("name", [None, "", "../full", 3, [], "x" * 9999], ids=lambda v: str(v)[:9])
def test_unknown_presets_are_refused(handlers: Handlers, visit: Visit, name: Any) -> None:
    before = visit.state
    refused(handlers.repaint(**{**GOOD, "name": name}, visit=visit), "is not known")
    assert visit.state is before
    assert not handlers.threshold_curves(name, 0.1, visit)["curves"].layout.shapes


def test_a_preset_repaints_and_undo_brings_the_old_grid_back(
    handlers: Handlers, visit: Visit
) -> None:
    before = visit.state.schedule
    parts = handlers.repaint(**GOOD, visit=visit)
    assert parts["grid"]["value"]["undo"] == "FORA, every 2"
    assert visit.state.schedule == Schedule.every(20, 12, 2)
    handlers.strokes((Undo(1),), visit)
    assert visit.state.schedule == before


# -- files ---------------------------------------------------------------------------------


def test_what_was_saved_opens_again(handlers: Handlers, visit: Visit, tmp_path: Path) -> None:
    handlers.strokes((stroke(1),), visit)
    painted = visit.state.schedule
    path = tmp_path / "schedule.json"
    path.write_text(handlers.save_file(visit), encoding="utf-8")
    handlers.repaint(**GOOD, visit=visit)
    parts = handlers.open_file(str(path), visit)
    assert "Opened: 20 steps" in parts["notice"] and "Note" not in parts["notice"]
    assert visit.state.schedule == painted
    assert painted.context is not None and painted.context.model_hash == "ae8fc69fe8699719"


def test_a_saved_file_says_what_the_page_asked_for(handlers: Handlers, visit: Visit) -> None:
    handlers.configure(9, 7, 1, "euler", visit)
    context = json.loads(handlers.save_file(visit))["context"]
    assert context == {
        "steps": 20, "sampler": "euler", "model_id": "scenes-dit", "guidance": "none",
        "reuse": "before gate",
    }  # fmt: skip


def test_a_file_made_for_something_else_opens_with_a_note(
    handlers: Handlers, visit: Visit, tmp_path: Path
) -> None:
    file = json.loads(handlers.save_file(visit))
    file["context"] |= {"sampler": "euler", "timesteps": list(range(20, 0, -1))}
    path = tmp_path / "other.json"
    path.write_text(json.dumps(file), encoding="utf-8")
    notice = handlers.open_file(str(path), visit)["notice"]
    assert "made for sampler" in notice and "other timesteps" in notice


def test_a_file_without_reuse_can_still_be_painted(
    handlers: Handlers, visit: Visit, tmp_path: Path
) -> None:
    handlers.repaint("full", 2, 0.1, 3, 3, visit)
    file = json.loads(handlers.save_file(visit))
    file["legend"] = {"C": "compute"}
    path = tmp_path / "full.json"
    path.write_text(json.dumps(file), encoding="utf-8")
    handlers.open_file(str(path), visit)
    parts = handlers.strokes((stroke(1, to=1),), visit)
    assert parts["notice"] == "" and visit.state.schedule.actions.sum() == 3


@pytest.mark.parametrize(
    "path", [None, "", ".", "/", "/etc/passwd", "../../../etc/passwd", "a\0b", 7, [], "x" * 9999],
    ids=lambda v: repr(v)[:12],
)  # fmt: skip
def test_paths_that_are_no_schedule_are_refused(
    handlers: Handlers, visit: Visit, path: Any
) -> None:
    before = visit.state
    parts = handlers.open_file(path, visit)
    refused(parts, "The file was not opened")
    assert "root:" not in parts["notice"] and visit.state is before


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


def test_no_threshold_before_the_first_run_of_a_model(
    handlers: Handlers, visit: Visit, folder: str
) -> None:
    list(handlers.use_model(folder, visit))
    before = visit.state
    parts = handlers.repaint("smoothcache", 2, 0.3, 3, 3, visit)
    refused(parts, "press Run")
    assert visit.state is before
    assert not list(handlers.run_if_wanted(True, (), visit))  # the words stay


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
    arrival = handlers.arrive(visit)
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
    assert handlers.repaint("smoothcache", 2, 9.0, 3, 3, small)["notice"] == ""
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


def test_a_newer_run_takes_over_and_speaks(handlers: Handlers, small: Visit) -> None:
    older = handlers.run((), small)
    next(older)
    newer = handlers.run((), small)
    # The newer one waits until the older has let go; each has a thread of its own on the server.
    found: list[Parts] = []
    thread = threading.Thread(target=lambda: found.extend(newer))
    while small.session.at_rest:
        pytest.fail("a run has begun")
    thread.start()
    while not found:  # it has begun and speaks
        thread.join(0.01)
    rest = list(older)
    thread.join()
    assert [p for p in rest if "notice" in p] == [] and rest[-1]["compare"]["live"]["done"]
    assert "Done" in found[-1]["notice"]


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
    handlers.repaint(**GOOD, visit=visit)
    assert list(handlers.run_if_wanted(True, (), visit)) == []


def test_on_the_page_every_generator_yields(handlers: Handlers, visit: Visit) -> None:
    """Gradio empties the outputs of one that does not."""
    events: dict[str, Callable[[], Iterator[Parts]]] = {
        "nothing to run": lambda: handlers.run_if_wanted(False, (), visit),
        "refused": lambda: handlers.use_model("", visit),
    }
    for name, event in events.items():
        parts = {"notice": "the notice"}
        found = list(app._stream(lambda event=event: event(), parts)())
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
