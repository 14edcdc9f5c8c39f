"""The Method box: what choosing, turning, calibrating and deciding do to a visit and its page."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
import pytest

from caching.engine.executor import Stopped
from caching.errors import RequestError
from caching.methods import METHODS
from caching.methods.base import Method, Plan, Setting, number
from caching.predictors import Reuse
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule
from tests.viz.visits import JUNK, given, kinds, refused, stroke, turned
from viz.grid.ops import Undo
from viz.live import Engine
from viz.methods import SLOTS, method_from
from viz.pages.edits import Parts
from viz.pages.handlers import Handlers
from viz.pages.method_box import as_known
from viz.pages.visit import Visit

BUTTONS = ("calibrate", "to_learn", "decide", "bake")


def buttons(parts: Parts) -> set[str]:
    """The buttons of the box that an update shows."""
    assert all("visible" in parts[name] for name in BUTTONS)
    return {name for name in BUTTONS if parts[name]["visible"]}


def undo(handlers: Handlers, visit: Visit) -> None:
    handlers.strokes((Undo(visit.state.ack + 1),), visit)


@dataclass(frozen=True)
class Held(Method):
    """A method of the tests whose calibration waits for them; it reuses `share` of the steps."""

    share: float = number(0.5, 0, 1, "share")

    name = "held"
    title = "Held"
    about = because = "For tests."
    faithfulness = "analogue"
    needs = "calibration"

    def plan(self, setting: Setting) -> Plan:
        count = setting.table("held", measured)
        full = setting.full()
        cells = np.zeros(full.actions.shape, bool)
        cells[setting.steps - round(self.share * count) :] = True
        return Plan(full.paint(cells, Reuse()))


class Gate:
    """Holds a calibration in its middle until a test lets it go."""

    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()
        self.runs = 0


gate = Gate()


def measured(model: Any, tell: Any, stopped: Any) -> int:
    gate.runs += 1
    tell("full runs", 1, 4)
    gate.reached.set()
    while not gate.go.wait(0.01):
        if stopped():
            raise Stopped("stopped by the test")
    return 4


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Gate:
    global gate
    gate = Gate()
    monkeypatch.setattr("caching.methods.METHODS", {**METHODS, "held": Held})
    monkeypatch.setattr("tests.viz.visits.kind_of", lambda name: {**METHODS, "held": Held}[name])
    return gate


@pytest.fixture
def fresh(handlers: Handlers, small: Visit) -> Visit:
    """As `small`, of whose model nothing was calibrated yet."""
    handlers.engine.wait(small.state.model.name).shelf.tables.clear()
    return small


# -- choosing and turning ------------------------------------------------------------------


def test_choosing_paints_at_once_and_one_undo_brings_the_old_grid_back(
    handlers: Handlers, visit: Visit
) -> None:
    before = visit.state.schedule
    parts = handlers.choose("fora", visit)
    assert parts["notice"] == "" and visit.state.schedule == Schedule.every(20, 12, 2)
    for interval in (3, 4, 5):
        turned(handlers, visit, "fora", interval=interval)
    assert visit.state.schedule == Schedule.every(20, 12, 5)
    assert parts["grid"]["value"]["undo"].startswith("FORA, N 2")
    undo(handlers, visit)
    assert visit.state.schedule == before


def test_the_places_take_the_controls_of_the_chosen_method(
    handlers: Handlers, visit: Visit
) -> None:
    parts = handlers.choose("fora", visit)
    interval = parts["number0"]
    assert (interval["visible"], interval["label"], interval["value"]) == (True, "N", 2)
    assert (interval["minimum"], interval["maximum"], interval["step"]) == (2, 10, 1)
    assert not parts["word0"]["visible"] and not parts["number1"]["visible"]
    align = parts["word1"]
    assert align["visible"] and align["choices"] == ["end", "start"] and align["value"] == "end"
    rest = [parts[f"{kind}{k}"]["visible"] for kind in ("number", "word") for k in range(2, SLOTS)]
    assert not any(rest)
    full = handlers.choose("full", visit)
    assert not any(full[f"{kind}{k}"]["visible"] for kind in ("number", "word") for k in range(4))


def test_controls_are_found_again_as_they_were_left(handlers: Handlers, visit: Visit) -> None:
    turned(handlers, visit, "fora", interval=7)
    handlers.choose("full", visit)
    assert not visit.state.schedule.actions.any()
    assert handlers.choose("fora", visit)["number0"]["value"] == 7
    assert visit.state.schedule == Schedule.every(20, 12, 7)


def test_brushes_of_methods_tried_on_the_way_leave_the_palette_and_own_ones_stay(
    handlers: Handlers, visit: Visit
) -> None:
    turned(handlers, visit, "fora")
    own = visit.state.schedule.legend
    for order in (1, 2, 3):
        turned(handlers, visit, "taylorseer", order=order)
    assert visit.state.schedule.legend == (Taylor(3), *own)
    # A stroke makes the grid one's own, with all that is in it.
    handlers.strokes((stroke(1, to=0),), visit)
    turned(handlers, visit, "fora")
    assert set(visit.state.schedule.legend) == {*own, Taylor(3)}


def test_choosing_the_same_again_paints_over_strokes_and_says_nothing_where_nothing_changes(
    handlers: Handlers, visit: Visit
) -> None:
    handlers.choose("fora", visit)
    assert "notice" not in handlers.choose("fora", visit)
    handlers.strokes((stroke(1, to=0, length=4),), visit)
    assert visit.state.schedule != Schedule.every(20, 12, 2)
    assert handlers.choose("fora", visit)["notice"] == ""
    assert visit.state.schedule == Schedule.every(20, 12, 2)


@pytest.mark.parametrize("value", JUNK, ids=lambda v: repr(v)[:12])
def test_hostile_controls_are_refused_and_change_nothing(
    handlers: Handlers, visit: Visit, value: Any
) -> None:
    handlers.choose("fora", visit)
    before = visit.state
    for control in ("interval", "align"):
        refused(turned(handlers, visit, "fora", **{control: value}), "FORA", "expected")
    assert visit.state is before and visit.method == METHODS["fora"]()


@pytest.mark.parametrize("name", [None, "", "../full", 3, [], "x" * 9999], ids=lambda v: str(v)[:9])
def test_unknown_methods_are_refused(handlers: Handlers, visit: Visit, name: Any) -> None:
    before = visit.state
    values = given("fora")[1:]
    refused(handlers.choose(name, visit), "is not known")
    refused(handlers.turn(name, *values, visit), "is not known")
    for stream in (handlers.calibrate, handlers.run_policy):
        (only,) = stream(name, *values, visit)
        refused(only, "is not known")
    assert visit.state is before and visit.method is None


@pytest.mark.parametrize("name", METHODS)
def test_every_method_can_be_chosen_before_any_model_is_loaded(name: str, visit: Visit) -> None:
    """On the recorded run alone: painted, or told in words what there has to be first."""
    handlers = Handlers(Engine())
    before = visit.state
    parts = handlers.choose(name, visit)
    kind = METHODS[name]
    assert f'data-method="{name}"' in parts["about"] and 'data-kind="error"' not in parts["notice"]
    painted = visit.state is not before
    if kind.faithfulness == "does not apply":
        assert "cb-needs" in parts["about"] and not painted
    elif kind.needs in ("nothing", "trace"):
        assert painted or "decide" in buttons(parts), parts["about"]
    if "cb-needs" in parts["about"]:
        assert not painted and buttons(parts) <= {"bake"}


def test_a_method_that_does_not_apply_says_why_and_is_no_error(
    handlers: Handlers, visit: Visit
) -> None:
    before = visit.state
    parts = handlers.choose("cdt", visit)
    assert "cb-needs" in parts["about"] and parts["notice"] == "" and buttons(parts) == set()
    assert visit.state is before and not list(handlers.run_if_wanted(True, (), visit))


def test_what_a_method_cannot_do_here_is_an_error_in_words(
    handlers: Handlers, visit: Visit, monkeypatch: pytest.MonkeyPatch, held: Gate
) -> None:
    for error, words in (
        (RequestError("too few blocks"), "Too few blocks"),
        (KeyError(3), "failed"),
    ):

        def broken(self: Any, setting: Setting, error: Exception = error) -> Plan:
            raise error

        monkeypatch.setattr(Held, "plan", broken)
        refused(handlers.choose("held", visit), words)
        (only,) = handlers.calibrate(*given("held"), visit)
        refused(only, words)


def test_the_threshold_of_the_chosen_method_is_drawn_into_the_curves(
    handlers: Handlers, visit: Visit
) -> None:
    def lines() -> list[Any]:
        return list(handlers.threshold_curves(visit)["curves"].layout.shapes)

    assert lines() == []
    turned(handlers, visit, "smoothcache", alpha=0.25)
    assert lines() and all(shape.y0 == shape.y1 == 0.25 for shape in lines())
    handlers.choose("fora", visit)
    assert lines() == []


# -- calibrating -----------------------------------------------------------------------------


def test_before_the_first_run_of_a_model_a_threshold_asks_for_a_calibration(
    handlers: Handlers, fresh: Visit
) -> None:
    before = fresh.state
    parts = turned(handlers, fresh, "smoothcache", alpha=2.0)
    assert buttons(parts) == {"calibrate"} and "press Calibrate" in parts["about"]
    assert fresh.state is before and parts["notice"] == ""
    assert not list(handlers.run_if_wanted(True, (), fresh))  # nothing was painted
    events = list(handlers.calibrate(*given("smoothcache", alpha=2.0), fresh))
    assert kinds(events) == ["busy", "ready"]
    assert any("Calibrating SmoothCache: full runs" in p["notice"] for p in events if "notice" in p)
    assert buttons(events[-1]) == set() and "cb-needs" not in events[-1]["about"]
    assert fresh.state.schedule.actions.any() and fresh.state.undo_label == "SmoothCache, α 2"
    # From now on its slider repaints at once.
    turned(handlers, fresh, "smoothcache", alpha=0.0)
    assert not fresh.state.schedule.actions.any()


def test_a_calibration_is_made_once_for_all_visitors_and_again_for_another_guidance(
    handlers: Handlers, fresh: Visit, folder: str, held: Gate
) -> None:
    held.go.set()
    list(handlers.calibrate(*given("held"), fresh))
    assert held.runs == 1 and fresh.state.schedule.actions[3:].all()
    other = Visit(fresh.state, fresh.result, fresh.tables)
    assert buttons(handlers.choose("held", other)) == set()
    assert other.state.schedule.actions[3:].all() and held.runs == 1
    parts = handlers.configure(0, 7, 4.0, "ddim", fresh)
    assert buttons(parts) == {"calibrate"}
    assert buttons(handlers.configure(0, 7, 2.0, "ddim", fresh)) == set()
    assert "about" not in handlers.configure(0, 8, 2.0, "ddim", fresh)
    assert buttons(handlers.resteps(6, fresh)) == {"calibrate"}
    assert held.runs == 1


def test_a_button_goes_by_the_controls_that_the_server_knows(visit: Visit) -> None:
    handlers = Handlers(Engine())
    handlers.choose("fora", visit)
    assert as_known("fora", visit)[0] == 2
    handlers.turn(*given("fora", interval=5), visit)
    assert as_known("fora", visit)[0] == as_known("fora", visit)[SLOTS] == 5
    handlers.choose("taylorseer", visit)  # the page may still show what belongs to another
    assert as_known("fora", visit)[0] == 5 and as_known("no such method", visit) == []
    for name in METHODS:
        assert method_from(name, as_known(name, visit)[:SLOTS], as_known(name, visit)[SLOTS:])


def test_a_calibration_stops_and_leaves_the_engine_free(
    handlers: Handlers, fresh: Visit, held: Gate
) -> None:
    before = fresh.state
    events = handlers.calibrate(*given("held"), fresh)
    seen = [next(events)]
    assert held.reached.is_set() and handlers.engine.turn.locked()
    # The calibration has the last word, whichever answer is the later one.
    assert handlers.stop(fresh) == {"notice": gr.skip()}
    seen += list(events)
    assert "Stopped" in seen[-1]["notice"] and fresh.state is before
    assert fresh.busy is None and handlers.engine.turn.acquire(timeout=30)
    handlers.engine.turn.release()
    assert buttons(handlers.choose("held", fresh)) == {"calibrate"}


def test_a_page_closed_during_a_calibration_leaves_the_engine_free(
    handlers: Handlers, fresh: Visit, held: Gate
) -> None:
    events = handlers.calibrate(*given("held"), fresh)
    next(events)
    events.close()
    assert fresh.busy is None and handlers.engine.turn.acquire(timeout=30)
    handlers.engine.turn.release()


def test_while_one_calibrates_strokes_are_taken_and_others_choose_methods(
    handlers: Handlers, fresh: Visit, held: Gate
) -> None:
    events = handlers.calibrate(*given("held"), fresh)
    next(events)
    other = Visit(fresh.state, fresh.result, fresh.tables)
    assert buttons(handlers.choose("smoothcache", other)) == {"calibrate"}
    assert handlers.choose("full", other)["notice"] == ""
    assert not other.state.schedule.actions.any()
    # One's own strokes are taken too, and no run by itself ends the calibration.
    handlers.strokes((stroke(1, to=1, of=20),), fresh)
    assert not list(handlers.run_if_wanted(True, (), fresh))
    held.go.set()
    *_, last = events
    assert "Calibrated" in last["notice"] and fresh.state.schedule.actions[3:].all()


def test_what_was_calibrated_for_other_steps_paints_nothing(
    handlers: Handlers, fresh: Visit, held: Gate
) -> None:
    events = handlers.calibrate(*given("held"), fresh)
    next(events)
    handlers.resteps(6, fresh)
    before = fresh.state
    held.go.set()
    *_, last = events
    assert fresh.state is before and buttons(last) == {"calibrate"}


def test_a_calibration_that_breaks_says_so(
    handlers: Handlers, fresh: Visit, held: Gate, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setitem(globals(), "measured", lambda *_: 1 / 0)
    *_, last = handlers.calibrate(*given("held"), fresh)
    refused(last, "calibration failed", "ZeroDivisionError")
    assert "a calibration failed" in caplog.text and fresh.busy is None
    assert not handlers.engine.turn.locked()
