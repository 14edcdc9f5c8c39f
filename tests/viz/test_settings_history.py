"""Settings are part of the history: class, seed, guidance, sampler, steps, and their results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from caching.errors import ScheduleError
from caching.schedule import Schedule
from tests.viz.visits import given, stroke
from viz.grid.ops import Lock, Paint, Peek, Pin, Redo, Travel, Undo
from viz.pages.handlers import Handlers
from viz.pages.share import Share
from viz.pages.visit import Visit, start_visit
from viz.place import Place
from viz.reducer import update
from viz.state import (
    Configure,
    Entry,
    Gather,
    ModelFacts,
    Resteps,
    Settings,
    Show,
    Strokes,
    ViewState,
)

FIRST = Settings(0, 7, 2.0, "ddim")


def start() -> ViewState:
    facts = ModelFacts("tiny", 2, ("attn", "mlp"), ("ball", "cube"))
    return ViewState(facts, FIRST, Entry("start", Schedule.full(6, 2)))


def with_settings(state: ViewState, **changes: Any) -> ViewState:
    return update(state, Configure(replace(state.settings, **changes)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"label": 1}, "class cube"),
        ({"seed": 41}, "seed 41"),
        ({"cfg_scale": 3.5}, "guidance 3.5"),
        ({"sampler": "euler"}, "sampler euler"),
        ({"label": 1, "seed": 3}, "class cube, seed 3"),
    ],
)
def test_each_setting_is_a_step_with_its_name(changes: dict[str, Any], words: str) -> None:
    painted = update(start(), Strokes((Paint(1, 1, ((1, 3),)),)))
    after = with_settings(painted, **changes)
    assert after.undo_label == words and after.settings == replace(FIRST, **changes)
    assert after.schedule == painted.schedule
    back = update(after, Strokes((Undo(2),)))
    assert (back.settings, back.schedule) == (FIRST, painted.schedule)
    again = update(back, Strokes((Redo(3),)))
    assert again.settings == after.settings and again.redo_label is None
    first = update(again, Strokes((Travel(4, 0),)))
    assert first.settings == FIRST and first.schedule.is_full


def test_a_control_that_moves_on_is_one_step_and_another_control_another_one() -> None:
    state = start()
    for seed in (8, 9, 10):
        state = with_settings(state, seed=seed)
    state = with_settings(state, cfg_scale=4.0)
    assert [e.what for e in state.timeline] == ["start", "seed 10", "guidance 4"]
    assert with_settings(state, cfg_scale=4.0) is state
    back = update(state, Strokes((Undo(1), Undo(2))))
    assert back.settings == FIRST


def test_settings_and_strokes_in_turn_come_back_in_turn() -> None:
    state = with_settings(start(), seed=8)
    state = update(state, Strokes((Paint(1, 1, ((1, 1),)),)))
    state = update(state, Resteps(5))
    state = with_settings(state, seed=9)
    told = []
    for rev in range(2, 6):
        told.append((state.settings.seed, state.schedule.steps, state.schedule.is_full))
        state = update(state, Strokes((Undo(rev),)))
    told.append((state.settings.seed, state.schedule.steps, state.schedule.is_full))
    assert told == [(9, 5, False), (8, 5, False), (8, 6, False), (8, 6, True), (7, 6, True)]


def test_a_pin_and_the_previous_schedule_keep_their_settings() -> None:
    state = update(start(), Strokes((Pin(1, "A"),)))
    state = with_settings(state, seed=8)
    pinned, previous = state.pin_a, state.entry("previous")
    assert pinned is not None and pinned.settings == FIRST
    assert previous is not None and previous.settings == FIRST


def test_a_locked_picture_stays_whatever_is_undone() -> None:
    state = with_settings(start(), seed=8, cfg_scale=3.0)
    state = update(state, Show(Place("lessons", keeps=True)))
    back = update(state, Strokes((Undo(1),)))
    assert back.settings == Settings(0, 8, 2.0, "ddim")  # guidance is not locked
    with pytest.raises(ScheduleError, match="locked"):
        with_settings(back, seed=7)


def test_what_was_one_act_is_one_step() -> None:
    before = update(start(), Strokes((Paint(1, 1, ((1, 1),)),)))
    state = update(with_settings(before, label=1, seed=3), Resteps(4))
    state = update(state, Gather(before))
    assert [e.what for e in state.timeline] == ["start", "paint reuse on 1 cell", "4 steps"]
    back = update(state, Strokes((Undo(2),)))
    assert (back.settings, back.schedule) == (FIRST, before.schedule)
    assert update(before, Gather(before)) is before
    there_and_back = with_settings(with_settings(before, seed=9), seed=7)
    assert update(there_and_back, Gather(before)) == before


def test_undo_brings_setting_and_result_back_at_once(handlers: Handlers) -> None:
    visit = start_visit()
    first, old = visit.result, visit.state.settings
    handlers.configure(old.label, 99, old.cfg_scale, old.sampler, visit)
    assert "stale" in visit.numbers()
    second = replace(first, seed=99, recorded=None)
    visit.result = second
    visit.kept.keep(second)
    parts = handlers.strokes((Undo(1),), visit)
    assert visit.state.settings == old and visit.result is first
    assert parts["seed"]["value"] == old.seed and "stale" not in parts["numbers"]
    assert "compare" in parts and "run before" in parts["notice"]
    parts = handlers.strokes((Redo(2),), visit)
    assert visit.result is second and parts["seed"]["value"] == 99
    handlers.strokes((Peek(3, "previous"),), visit)
    assert visit.shown is first  # looked at for a moment, with its own seed


def test_undo_of_a_sampler_brings_its_timesteps_and_the_method_box(handlers: Handlers) -> None:
    visit = start_visit()
    handlers.choose("fora", visit)
    s = visit.state.settings
    there = handlers.configure(s.label, s.seed, s.cfg_scale, "euler", visit)
    assert "about" in there and there["grid"]["spec"]["timesteps"] is None
    back = handlers.strokes((Undo(1),), visit)
    assert "about" in back and back["grid"]["spec"]["timesteps"] is not None
    assert back["sampler"]["value"] == "ddim"


def test_a_method_is_still_named_in_the_link_when_settings_change(handlers: Handlers) -> None:
    visit = start_visit()
    handlers.turn(*given("fora", interval=5), visit)
    s = visit.state.settings
    handlers.configure(s.label, 41, s.cfg_scale, s.sampler, visit)
    assert len(handlers.copy_link(visit)["link"]) < 150
    other = start_visit()
    handlers.open_link(handlers.copy_link(visit)["link"], other)
    assert other.method == visit.method and other.state.settings == visit.state.settings
    handlers.strokes((stroke(1, length=19, to=1),), visit)  # painted over: no longer the method's
    assert other.method is not None
    handlers.open_link(handlers.copy_link(visit)["link"], other)
    assert other.state.now.painted_by[0] == "link"


def test_opening_a_link_is_one_step(handlers: Handlers) -> None:
    sender, visit = start_visit(), start_visit()
    handlers.configure(2, 5, 3.0, "euler", sender)
    handlers.resteps(9, sender)
    before = visit.state
    parts = handlers.open_link(handlers.copy_link(sender)["link"], visit)
    assert len(visit.state.past) == 1 == len(parts["grid"]["value"]["history"]["names"]) - 1
    handlers.strokes((Undo(1),), visit)
    assert (visit.state.settings, visit.state.schedule) == (before.settings, before.schedule)


def test_locks_travel_in_files_and_pictures(
    handlers: Handlers, visit: Visit, tmp_path: Path
) -> None:
    share = Share(handlers)
    handlers.strokes((Lock(1, True, ((1, 4), (30, 2))),), visit)
    file = tmp_path / "locked.json"
    file.write_text(handlers.save_file(visit))
    other = start_visit()
    parts = share.open_file(str(file), other)
    assert other.state.now.locks == visit.state.now.locks == ((1, 4), (30, 2))
    assert parts["grid"]["value"]["locks"] == [1, 4, 30, 2]
    # A file without a word of locks leaves those of the page where they are.
    file.write_text(handlers.save_file(start_visit()))
    share.open_file(str(file), other)
    assert other.state.now.locks == ((1, 4), (30, 2))
    # And so does one whose picture is of another grid than the locks.
    plain = saved_locks(share, visit, tmp_path)
    assert plain == ((1, 4), (30, 2))
    handlers.strokes((Paint(2, 0, ((10, 5),)),), visit)
    assert saved_locks(share, visit, tmp_path) == ()


def saved_locks(share: Share, visit: Visit, folder: Path) -> Any:
    """The locks a fresh page has after opening the picture that a visit saves."""
    import base64
    import json

    made = json.loads(share.picture(visit)["export_file"])
    path = folder / "locked.png"
    path.write_bytes(base64.b64decode(made["base64"]))
    other = start_visit()
    share.open_file(str(path), other)
    return other.state.now.locks
