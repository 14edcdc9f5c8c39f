"""Fields that were left show what is in force, and words on opened files outlive what follows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.viz.visits import JUNK, given, kinds, refused, stroke, turned
from viz.grid.ops import Paint
from viz.link import from_link
from viz.pages import asked
from viz.pages.edits import Edits
from viz.pages.handlers import Handlers
from viz.pages.links import home
from viz.pages.share import Share
from viz.pages.visit import Visit, start_visit


def now(visit: Visit) -> tuple[int, int, float, str]:
    s = visit.state.settings
    return s.label, s.seed, s.cfg_scale, s.sampler


@pytest.mark.parametrize("seed", [one for one in JUNK if one != 1.5] + [10**12, 2**31, -7])
def test_a_refused_seed_leaves_its_field(handlers: Handlers, visit: Visit, seed: Any) -> None:
    label, mine, guidance, sampler = now(visit)
    parts = handlers.wished(label, seed, guidance, sampler, visit)
    assert parts["seed"]["value"] == mine == visit.state.settings.seed
    refused(parts, "seed", "expected a whole number from 0 to 2,147,483,647")


@pytest.mark.parametrize("wish", [None, 0.5, 99, "x"])
def test_a_refused_guidance_leaves_its_field(handlers: Handlers, visit: Visit, wish: Any) -> None:
    label, seed, guidance, sampler = now(visit)
    parts = handlers.wished(label, seed, wish, sampler, visit)
    assert parts["cfg"]["value"] == guidance and "label" not in parts
    refused(parts, "guidance")


def test_a_seed_that_was_taken_is_shown_and_says_nothing_twice(
    handlers: Handlers, visit: Visit
) -> None:
    label, _, guidance, sampler = now(visit)
    handlers.configure(label, 12, guidance, sampler, visit)
    parts = handlers.wished(label, 12, guidance, sampler, visit)
    assert parts["seed"]["value"] == 12 and "grid" not in parts
    assert "cfg" not in parts, "somebody may be dragging it"


def test_an_emptied_field_is_no_wish_yet(handlers: Handlers, visit: Visit) -> None:
    label, seed, guidance, sampler = now(visit)
    parts = handlers.typed(label, None, guidance, sampler, visit)
    assert "value" not in parts["notice"] and visit.state.settings.seed == seed
    assert kinds([handlers.typed(label, -1, guidance, sampler, visit)]) == ["error"]


def test_every_seed_of_the_page_goes_into_a_link(handlers: Handlers, visit: Visit) -> None:
    label, _, guidance, sampler = now(visit)
    handlers.configure(label, asked.MAX_SEED, guidance, sampler, visit)
    link = from_link(handlers.copy_link(visit)["link"], model=home())
    assert link.settings.seed == asked.MAX_SEED


# -- controls of a method ------------------------------------------------------------------


@pytest.mark.parametrize("junk", [one for one in JUNK if one not in (True, 1)] + [2.5, 99])
def test_a_refused_control_goes_back(handlers: Handlers, visit: Visit, junk: Any) -> None:
    turned(handlers, visit, "fora", interval=4)
    before = visit.state
    name, _, *rest = given("fora", interval=4)
    parts = handlers.left_at(name, junk, *rest, visit)
    assert parts["number0"]["value"] == 4 and visit.state is before
    refused(parts, "FORA", "expected")


def test_a_control_that_was_left_is_in_force(handlers: Handlers, visit: Visit) -> None:
    turned(handlers, visit, "fora", interval=4)
    before = visit.state
    assert "grid" not in handlers.left_at(*given("fora", interval=4), visit)
    assert visit.state is before
    # The page itself takes a number out of bounds to the bound, and tells of no other event.
    assert "grid" in handlers.left_at(*given("fora", interval=2), visit)
    assert visit.method is not None and visit.method.words.startswith("FORA, N 2")


def test_an_emptied_control_is_no_value_yet(handlers: Handlers, visit: Visit) -> None:
    name, _, *rest = given("fora")
    parts = handlers.typed_in(name, None, *rest, visit)
    assert not isinstance(parts["notice"], str)


# -- an opened file right after a stroke ----------------------------------------------------


def opened(handlers: Handlers, visit: Visit, tmp_path: Any) -> str:
    """Open a file that another visit has saved; its notice."""
    other = start_visit()
    handlers.strokes((stroke(1, 5, 9, 1),), other)
    path = tmp_path / "schedule.json"
    path.write_text(handlers.save_file(other))
    return str(Share(handlers).open_file(path, visit)["notice"])


def test_a_stroke_on_the_line_whose_rest_comes_late_takes_no_words_away(
    handlers: Handlers, visit: Visit, tmp_path: Any
) -> None:
    ops = (stroke(1, 30, 4, 1),)
    handlers.ahead(ops, visit)
    assert "Opened" in opened(handlers, visit, tmp_path)
    late = handlers.strokes(ops, visit)
    assert not isinstance(late["notice"], str), "gr.skip(): the words stay"
    # A stroke after it does.
    handlers.ahead((stroke(2, 30, 4, 0),), visit)
    assert handlers.strokes((stroke(2, 30, 4, 0),), visit)["notice"] == ""


def test_a_file_opened_while_a_stroke_is_answered_keeps_its_words(
    handlers: Handlers, visit: Visit, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = Edits._changed

    def meanwhile(self: Edits, of: Visit, before: Any) -> Any:
        monkeypatch.setattr(Edits, "_changed", changed)
        assert "Opened" in opened(handlers, of, tmp_path)
        return changed(self, of, before)

    monkeypatch.setattr(Edits, "_changed", meanwhile)
    ops: tuple[Paint, ...] = (stroke(1, 30, 4, 1),)
    assert not isinstance(handlers.strokes(ops, visit)["notice"], str)


def test_words_on_an_opened_file_are_said_again_after_its_run(
    handlers: Handlers, visit: Visit, tmp_path: Any
) -> None:
    opened(handlers, visit, tmp_path)
    assert visit.said.startswith("Opened")
    finished = handlers._finished(visit, "run1", visit.result)
    assert "Opened" in finished["notice"] and "Done" in finished["notice"]
    assert "Opened" not in handlers._finished(visit, "run2", visit.result)["notice"]
    opened(handlers, visit, tmp_path)
    handlers.strokes((stroke(9, 40, 4, 1),), visit)
    assert visit.said == ""
