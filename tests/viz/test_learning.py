"""The Learn panel: what it takes, what it shows while something learns, and how that ends."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np
import pytest

from caching.errors import RequestError
from caching.learn.base import LearnStep
from caching.learn.l2c import L2cTrainer
from caching.learn.store import Learned
from caching.learn.trainers import TRAINERS
from caching.methods import METHODS
from tests.viz.test_method_handlers import buttons
from tests.viz.visits import JUNK, given, kinds, refused, stroke, turned
from viz.learning import (
    Learning,
    layer_of,
    offered,
    panel_html,
    power_of,
    price_of,
    smoothed,
    trainer_from,
)
from viz.pages.handlers import Handlers
from viz.pages.visit import Visit

PANEL = ("l2c", -4.0, 0.1, 3)
WAIT_S = 60


@pytest.fixture
def fresh(handlers: Handlers, small: Visit) -> Visit:
    handlers.engine.wait(small.state.model.name).shelf.tables.clear()
    return small


class Gate:
    """A training of three iterations that a test lets go, and what it was asked."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked: list[dict[str, Any]] = []

    def learn(self, trainer: Any, model: Any, **asked: Any) -> Iterator[LearnStep | Learned]:
        self.asked.append(asked)
        stopped = asked["stopped"]
        shape = (asked["steps"], model.blocks, len(model.branches))
        done = 0
        while done < 3 and not stopped():
            if done and not self.go.wait(0.01):
                continue
            done += 1
            yield LearnStep(done, 3, 1.0 / done, 0.25, np.full(shape, 0.5, np.float32), 6.0)
        logits = np.full((1, *shape), 5.0, np.float32)
        logits[:, -1] = -5.0
        yield Learned(
            "l2c", model.name, model.weights_hash, asked["steps"], 1.0, "ddim", "nothing", "test",
            0, done, 61.0, "here", curve={"iteration": (1.0,), "loss": (1.0,), "share": (0.2,)},
            values={"logits": logits, "weights": np.array([1e-4])},
        )  # fmt: skip


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    made = Gate()
    monkeypatch.setattr(L2cTrainer, "learn", lambda self, *a, **k: made.learn(self, *a, **k))
    monkeypatch.setattr(L2cTrainer, "takes_data", False)
    return made


# -- what is taken ---------------------------------------------------------------------------


def test_every_training_that_a_method_reads_is_on_offer() -> None:
    names = [name for _, name in offered()]
    assert set(names) == set(TRAINERS) & set(METHODS) and names[0] == "l2c"
    assert {"l2c", "harmonica"} <= set(names)


@pytest.mark.parametrize("name", [name for _, name in offered()])
def test_a_panel_at_its_defaults_is_the_training_at_its_defaults(name: str) -> None:
    kind = TRAINERS[name]
    plain = kind()
    price = price_of(kind)
    power = power_of(price) if price else None
    made = trainer_from(name, power, getattr(plain, "theta", None), plain.iterations)  # type: ignore[attr-defined]
    if price is not None:  # rounded to a tenth of a power of ten
        ratio = getattr(made, price.name) / getattr(plain, price.name)
        assert math.isclose(ratio, 1.0, rel_tol=0.13)
        made = replace(made, **{price.name: getattr(plain, price.name)})
    assert made == plain


def test_the_price_is_a_power_of_ten() -> None:
    assert trainer_from("l2c", -3.0, 0.3, 40.0) == L2cTrainer(
        weight=0.001, theta=0.3, iterations=40
    )


HOSTILE = [
    (place, value)
    for place in range(1, 4)
    for value in JUNK
    if (place, value) != (1, -1)  # a power of ten like others
]


@pytest.mark.parametrize(("place", "value"), HOSTILE, ids=lambda v: repr(v)[:12])
def test_hostile_options_are_refused_in_words(place: int, value: Any) -> None:
    options: list[Any] = list(PANEL)
    options[place] = value
    with pytest.raises(RequestError, match="expected") as caught:
        trainer_from(*options)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "name", [None, "", "fora", 3, [], {}, "x" * 9999], ids=lambda v: repr(v)[:9]
)
def test_unknown_trainings_are_refused(handlers: Handlers, visit: Visit, name: Any) -> None:
    with pytest.raises(RequestError, match="is not known"):
        trainer_from(name, -4.0, 0.1, 3)
    (only,) = handlers.learn(name, -4.0, 0.1, 3, visit)
    refused(only, "is not known")
    refused(handlers.choose_training(name, visit), "is not known")


# -- what is shown ---------------------------------------------------------------------------


def test_the_curve_is_the_mean_of_stretches() -> None:
    assert smoothed([1.0, 3.0, 5.0, 7.0], 2).tolist() == [2.0, 6.0]
    assert smoothed([4.0], 2).tolist() == [4.0] and smoothed([]).size == 0


def test_the_panel_says_how_far_it_is_and_draws_the_loss() -> None:
    probs = np.linspace(0, 1, 8, dtype=np.float32).reshape(2, 2, 2)
    halfway = Learning(50, 100, [0.9, 0.3, 0.1], 0.25, probs, 125.0, "learning")
    words = panel_html(halfway)
    assert "50 of 100, about 2 min left; 25% of the cells reused" in words
    assert 'aria-label="loss, from 0.9 to 0.1"' in words and words.count(",") >= 3
    assert "<polyline" in words and 'data-done="false"' in words
    before = Learning(0, 100, [], 0.0, probs, math.nan, "drawing pictures <3>")
    assert "Drawing pictures &lt;3&gt; …" in panel_html(before) and "polyline" not in panel_html(
        before
    )
    assert panel_html(None) == ""
    layer = layer_of(halfway)
    assert (layer["min"], layer["max"]) == (0.0, 1.0) and layer["data"][0] == "!"


def test_a_curve_with_numbers_that_cannot_be_drawn_is_left_out() -> None:
    probs = np.zeros((1, 1, 1), np.float32)
    for losses in ([math.nan] * 3, [0.0, 0.0], [math.inf, 1.0]):
        assert "polyline" not in panel_html(Learning(3, 3, losses, 0, probs, 0.0, ""))


def test_another_training_brings_its_own_sliders(handlers: Handlers, visit: Visit) -> None:
    for _, name in offered():
        parts = handlers.choose_training(name, visit)
        kind = TRAINERS[name]
        assert kind.about.split(":")[0][:20] in parts["learn_about"]
        assert parts["iterations"]["value"] == kind().iterations  # type: ignore[attr-defined]
        price = price_of(kind)
        assert parts["price"]["visible"] == (price is not None)
        if price is not None:
            low, value, high = (parts["price"][k] for k in ("minimum", "value", "maximum"))
            assert low < value < high and price.label in parts["price"]["label"]


# -- learning --------------------------------------------------------------------------------


def test_a_method_without_its_training_offers_to_learn_it(handlers: Handlers, fresh: Visit) -> None:
    before = fresh.state
    parts = handlers.choose("l2c", fresh)
    assert buttons(parts) == {"to_learn"} and "nothing was trained" in parts["about"]
    assert fresh.state is before
    opened = handlers.to_learn(fresh)
    assert opened["learn_box"]["open"] and opened["training"]["value"] == "l2c"
    handlers.choose("fora", fresh)
    refused(handlers.to_learn(fresh), "Choose a method that is trained")


def test_a_router_is_learned_on_the_model_and_painted(handlers: Handlers, fresh: Visit) -> None:
    """The real training, few iterations on a small model."""
    events = list(handlers.learn(*PANEL, fresh))
    assert kinds(events) == ["busy", "ready"]
    (learned,) = fresh.learned
    loaded = handlers.engine.wait(fresh.state.model.name)
    assert (learned.iterations, learned.steps) == (3, 5)
    assert learned.weights_hash == loaded.model.weights_hash
    layers = [p["grid"]["layer"] for p in events if "layer" in p.get("grid", {})]
    assert layers and layers[0]["label"] == "probability to compute"
    last = events[-1]
    assert last["method"]["value"] == "l2c" and 'data-done="true"' in last["learning"]
    assert last["grid"]["layer"] == fresh.layer() and "value" in last["grid"]
    assert isinstance(fresh.method, METHODS["l2c"]) and "learned for 5 steps" in last["notice"]
    # θ moves the paint at once, and all of it is reused below the top where the router may.
    turned(handlers, fresh, "l2c", theta=0.99)
    reused = fresh.state.schedule.actions.any(axis=(1, 2))
    assert list(np.flatnonzero(reused)) == [2, 4]  # of 5 steps counted down, the even ones
    assert fresh.busy is None and not handlers.engine.turn.locked()
    assert "nothing was trained" not in handlers.choose("l2c", fresh)["about"]
    # The pictures it learns from are drawn once.
    again = list(handlers.learn(*PANEL, fresh))
    assert "Drawing" in str(events) and "Drawing" not in str(again) and len(fresh.learned) == 2


def test_while_it_learns_the_grid_shows_the_router_and_strokes_are_taken(
    handlers: Handlers, fresh: Visit, gate: Gate
) -> None:
    events = handlers.learn(*PANEL, fresh)
    seen = [next(events)]
    while "grid" not in seen[-1]:
        seen.append(next(events))
    assert "1 of 3, about 6 s left; 25% of the cells reused" in seen[-1]["notice"]
    assert set(seen[-1]["grid"]["layer"]["data"]) == {chr(33 + round(0.5 * 93))}
    assert seen[0]["keep"]["interactive"] and "<svg" in seen[-1]["learning"]
    parts = handlers.strokes((stroke(1, to=1, of=20),), fresh)
    assert parts["notice"] == "" and not list(handlers.run_if_wanted(True, (), fresh))
    gate.go.set()
    assert "learned for 5 steps" in list(events)[-1]["notice"]
    assert gate.asked[0]["cfg_scale"] == 2.0 and gate.asked[0]["steps"] == 5
    assert fresh.state.schedule.actions[-1].all() and not fresh.state.schedule.actions[:-1].any()
    # The list of methods tells of what it was set to as of a choice: that one has been answered.
    assert handlers.choose_once("l2c", fresh) == {}


def test_stop_ends_a_training_and_nothing_is_kept(
    handlers: Handlers, fresh: Visit, gate: Gate
) -> None:
    before = fresh.state
    events = handlers.learn(*PANEL, fresh)
    while "grid" not in next(events):
        pass
    handlers.stop(fresh)
    *_, last = events
    assert "Stopped" in last["notice"] and last["grid"]["layer"] == fresh.layer()
    assert not last["keep"]["interactive"]
    assert fresh.learned == [] and fresh.state is before and fresh.busy is None
    assert handlers.engine.turn.acquire(timeout=WAIT_S)
    handlers.engine.turn.release()


def test_keep_ends_a_training_with_what_there_is(
    handlers: Handlers, fresh: Visit, gate: Gate
) -> None:
    refused(handlers.keep(fresh), "Nothing is being learned")
    events = handlers.learn(*PANEL, fresh)
    while "grid" not in next(events):
        pass
    assert handlers.keep(fresh) == {"notice": gr.skip()}  # may come after the words of the end
    *_, last = events
    assert fresh.learned[0].iterations == 1 and fresh.state.schedule.actions[-1].all()
    assert "learned for 5 steps" in last["notice"] and "and 1 iterations" in last["learning"]


def test_a_page_closed_while_it_learns_leaves_the_engine_free(
    handlers: Handlers, fresh: Visit, gate: Gate
) -> None:
    events = handlers.learn(*PANEL, fresh)
    while "grid" not in next(events):
        pass
    events.close()  # type: ignore[attr-defined]
    assert fresh.busy is None and handlers.engine.turn.acquire(timeout=WAIT_S)
    handlers.engine.turn.release()


def test_what_was_learned_for_other_steps_is_kept_and_not_painted(
    handlers: Handlers, fresh: Visit, gate: Gate
) -> None:
    events = handlers.learn(*PANEL, fresh)
    next(events)
    handlers.resteps(6, fresh)
    before = fresh.state
    gate.go.set()
    *_, last = events
    assert fresh.state is before and fresh.learned[0].steps == 5
    assert "there is 5" in last["about"]
    handlers.resteps(5, fresh)
    handlers.choose("l2c", fresh)
    assert fresh.state.schedule.actions[-1].all()


def test_what_one_visitor_learned_is_nobody_elses(
    handlers: Handlers, fresh: Visit, gate: Gate
) -> None:
    gate.go.set()
    list(handlers.learn(*PANEL, fresh))
    other = Visit(fresh.state, fresh.result, fresh.tables)
    assert buttons(handlers.choose("l2c", other)) == {"to_learn"}


def test_a_training_that_breaks_says_so(
    handlers: Handlers, fresh: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(L2cTrainer, "learn", lambda self, *a, **k: 1 / 0)
    *_, last = handlers.learn(*PANEL, fresh)
    refused(last, "training failed", "ZeroDivisionError")
    assert fresh.busy is None and not handlers.engine.turn.locked()
    assert not last["keep"]["interactive"]
    assert given("fora")  # the page goes on
    assert turned(handlers, fresh, "fora", interval=3)["notice"] == ""
