"""Strokes on the painter's line: the value at once, the rest of the page with the next event."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import gradio as gr

from tests.viz.visits import refused, stroke
from viz.boxes.wiring import Wiring
from viz.grid.line import answer
from viz.grid.ops import Peek, Undo
from viz.pages.handlers import Handlers
from viz.pages.visit import Visit


def test_the_answer_is_what_the_event_would_have_said(handlers: Handlers, visit: Visit) -> None:
    before = visit.state
    handlers.ahead((stroke(1),), visit)
    told, value = visit.told(), visit.value()
    assert value == {**told, "expected": value["expected"], "history": value["history"]}
    assert told["ack"] == 1 and "expected" not in told and "history" not in told
    assert visit.state is not before and visit.before is before
    handlers.ahead((stroke(1), stroke(2, start=30)), visit)  # the first came twice
    assert visit.state.ack == 2 and len(visit.state.past) == 2 and visit.before is before
    parts = handlers.strokes((), visit)
    assert parts["grid"]["value"] == visit.value() and "cb-stale" in parts["numbers"]
    assert visit.before is visit.state  # all of it has been told


def test_what_else_a_stroke_changes_is_told_with_the_event(
    handlers: Handlers, visit: Visit
) -> None:
    s = visit.state.settings
    handlers.configure(s.label, 99, s.cfg_scale, s.sampler, visit)
    handlers.ahead((Undo(visit.state.ack + 1),), visit)
    assert visit.state.settings.seed == s.seed and visit.told()["ack"] == visit.state.ack
    parts = handlers.strokes((), visit)
    assert parts["seed"] == gr.update(value=s.seed)
    handlers.strokes((stroke(visit.state.ack + 1),), visit)
    handlers.ahead((Peek(visit.state.ack + 1, "previous"),), visit)
    assert "compare" in handlers.strokes((), visit)


def test_a_refusal_is_in_the_value_and_then_in_a_notice(handlers: Handlers, visit: Visit) -> None:
    handlers.ahead((stroke(1, start=470, length=30),), visit)
    value = visit.told()
    assert value["ack"] == 1 and value["refused"]["rev"] == 1
    refused(handlers.strokes((), visit))


def test_another_edit_tells_what_strokes_before_it_changed(
    handlers: Handlers, visit: Visit
) -> None:
    handlers.strokes((stroke(1),), visit)
    handlers.ahead((Peek(2, "previous"),), visit)
    s = visit.state.settings
    assert "compare" in handlers.configure(s.label, s.seed + 1, s.cfg_scale, s.sampler, visit)


def test_an_opened_page_is_given_its_own_line(handlers: Handlers, visit: Visit) -> None:
    first = next(handlers.arrive("", visit))
    assert visit.line is not None and first["grid"]["line"] == visit.line.token
    message = {
        "line": visit.line.token,
        "ops": [asdict(stroke(1)) | {"op": "paint", "cells": [1, 3]}],
    }
    found = answer(json.dumps(message).encode())
    assert json.loads(found.body)["ack"] == 1 == visit.state.ack and found.taken_s > 0


def test_a_method_on_the_line_paints_and_its_event_brings_the_rest(
    handlers: Handlers, visit: Visit
) -> None:
    next(handlers.arrive("", visit))
    assert visit.line is not None

    def choose(name: object) -> Any:
        message = {"line": visit.line.token, "ops": [], "choose": name}
        return json.loads(answer(json.dumps(message).encode()).body)

    value = choose("fora")
    fora = "".join("0" if s == 0 or (19 - s) % 2 == 0 else "1" for s in range(20))  # as its code
    assert value["rows"] == [fora] * 24 and "spec" not in value  # no brush is new
    state, parts = visit.state, dict(visit.rest)
    assert parts["grid"]["value"]["rows"] == value["rows"] and {"about", "numbers"} <= set(parts)
    assert handlers.choose_once("fora", visit) == {} and visit.state is state
    value = choose("taylorseer")  # brings a brush, in whose numbers its rows are
    assert {"taylor"} <= {brush["name"] for brush in value["spec"]["legend"]}
    state = visit.state
    assert choose("no such method")["rows"] == value["rows"] and visit.state is state
    assert "no such method" in visit.rest["notice"]
    assert choose(["fora"])["rows"] == value["rows"]  # none was named
    handlers.resteps(10, visit)
    handlers.ahead((Undo(visit.state.ack + 1),), visit)  # the page shows 10 steps still
    assert choose("fora") is None and visit.state.schedule.steps == 20


def test_every_answer_says_how_old_it_is(handlers: Handlers, visit: Visit) -> None:
    before = visit.told()["at"]
    handlers.resteps(10, visit)  # no operation of the painter, so that its `ack` tells nothing
    assert visit.told()["at"] == visit.value()["at"] == [before[0], before[1] + 1]
    assert "grid" not in handlers.resteps(10, visit)  # Enter, and then the field is left


def test_one_choice_told_twice_paints_once(handlers: Handlers, visit: Visit) -> None:
    assert "grid" in handlers.choose_once("fora", visit)
    state = visit.state
    assert handlers.choose_once("fora", visit) == {} and visit.state is state
    handlers.strokes((stroke(state.ack + 1, length=4),), visit)
    assert "grid" in handlers.choose_once("fora", visit)  # chosen again after painting
    assert "grid" in handlers.choose_at("random", visit.state.ack, visit)
    state = handlers.strokes((stroke(state.ack + 2, length=5),), visit) and visit.state
    assert handlers.choose_at("random", state.ack - 1, visit) == {}  # told a second time, too late
    assert visit.state is state and "grid" in handlers.choose_at("random", state.ack, visit)
    assert "curves" in handlers.curves_once(visit)
    assert handlers.curves_once(visit)["curves"] == gr.skip()


def test_the_grid_comes_first_and_the_boxes_after_it(handlers: Handlers, visit: Visit) -> None:
    asked: list[tuple[Any, ...]] = []

    class Event:
        def then(self, *given: Any, **options: Any) -> Event:
            asked.append(given)
            return self

    def listen(*given: Any, **options: Any) -> Event:
        asked.append(given)
        return Event()

    parts = {name: object() for name in ("grid", "numbers", "notice", "visit")}
    page = Wiring(handlers, parts)
    answers = [{"grid": {"value": 1}, "numbers": "a", "notice": "b"}, {"notice": "c"}, {}]
    page.grid_first(listen, lambda visit: answers.pop(0), [], [parts["grid"], parts["numbers"]])
    (first, _, outputs), (rest, _, boxes) = asked
    assert outputs == [parts["grid"]] and boxes == [parts["grid"], parts["numbers"]]
    assert first(visit) == {parts["grid"]: {"value": 1}}
    assert first(visit) == {parts["grid"]: gr.skip()}  # another before the boxes were asked for
    assert rest(visit) == {parts["numbers"]: "a", parts["notice"]: "c"}
    first(visit)
    assert rest(visit) == {parts["notice"]: gr.skip()}
    visit.rest = {"grid": {"value": 2}, "numbers": "d"}  # of what came on the line before
    answers.append({"notice": "e"})
    assert first(visit) == {parts["grid"]: {"value": 2}}
    assert rest(visit) == {parts["numbers"]: "d", parts["notice"]: "e"}
