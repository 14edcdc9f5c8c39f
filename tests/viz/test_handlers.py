"""Strokes, controls and files: what each event does, and what hostile values do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.viz.visits import CELLS, JUNK, refused, stroke, turned
from viz.grid.encode import actions_from_rows
from viz.grid.ops import Paint
from viz.pages import studio
from viz.pages.handlers import Handlers
from viz.pages.studio import EXPORTS
from viz.pages.visit import Visit


def pairs(controls: list[str]) -> list[tuple[str, Any]]:
    """Every control with every value that nobody should send."""
    return [(control, value) for control in controls for value in JUNK]


def without(given: list[tuple[str, Any]], control: str, good: Any) -> list[tuple[str, Any]]:
    """The pairs without one value that this control may well have."""
    return [pair for pair in given if pair[0] != control or pair[1] != good]


# -- strokes -------------------------------------------------------------------------------


def test_a_stroke_is_taken_in_and_acknowledged(handlers: Handlers, visit: Visit) -> None:
    before, op = visit.state.schedule, stroke(1)
    parts = handlers.strokes((op,), visit)
    assert parts["notice"] == "" and parts["grid"]["value"]["ack"] == 1
    rows = parts["grid"]["value"]["rows"]
    assert np.array_equal(actions_from_rows(rows), visit.state.schedule.actions)
    expected = before.actions.copy()
    expected[1:4, 0, 0] = op.to
    assert np.array_equal(visit.state.schedule.actions, expected)
    assert not np.array_equal(before.actions, expected)
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


@pytest.mark.parametrize(
    ("control", "value"),
    without(pairs(["label", "seed", "cfg_scale", "sampler"]), "cfg_scale", 1.5),
    ids=lambda v: repr(v)[:12],
)
def test_hostile_settings_are_refused(
    handlers: Handlers, visit: Visit, control: str, value: Any
) -> None:
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
    assert parts["notice"] == "" and "press Run" in parts["numbers"]
    assert "spec" not in parts["grid"] and parts["grid"]["value"] == visit.value()
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


# -- files ---------------------------------------------------------------------------------


def test_what_was_saved_opens_again(handlers: Handlers, visit: Visit, tmp_path: Path) -> None:
    handlers.strokes((stroke(1),), visit)
    painted = visit.state.schedule
    path = tmp_path / "schedule.json"
    path.write_text(handlers.save_file(visit), encoding="utf-8")
    turned(handlers, visit, "fora", interval=2)
    parts = handlers.open_file(str(path), visit)
    assert "20 steps" in parts["notice"] and "Note" not in parts["notice"]
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
    turned(handlers, visit, "full")
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


# -- other projects' files -----------------------------------------------------------------


def test_another_projects_file_opens_with_a_report(
    handlers: Handlers, visit: Visit, tmp_path: Path
) -> None:
    """SmoothCache's own form: 1 computes, one list for all attention and one for all MLPs."""
    path = tmp_path / "smooth.json"
    path.write_text(json.dumps({"attn1": [1, 0, 0, 1], "ff": [1, 0, 1, 1]}), encoding="utf-8")
    notice = handlers.open_file(str(path), visit)["notice"]
    assert "SmoothCache" in notice and "4 steps" in notice
    assert set(visit.state.schedule.rows().values()) == {"CRRC", "CRCC"}


@pytest.mark.parametrize("target", [name for _, name in EXPORTS])
def test_every_export_says_what_it_loses(handlers: Handlers, visit: Visit, target: str) -> None:
    turned(handlers, visit, "fora", interval=2)
    handlers.strokes((stroke(1),), visit)
    parts = handlers.export(target, visit)
    file = json.loads(parts["export_file"])
    assert f"<p>{file['name']}: " in parts["exported"]  # stays, unlike the notice
    assert file["name"].startswith("schedule") and len(file["text"]) > 50
    assert file["name"] in parts["notice"]


@pytest.mark.parametrize("target", ["", None, "nothing", "x" * 10_000])
def test_unknown_exports_are_refused(handlers: Handlers, visit: Visit, target: Any) -> None:
    parts = handlers.export(target, visit)
    assert "is not known" in parts["notice"] and "export_file" not in parts
