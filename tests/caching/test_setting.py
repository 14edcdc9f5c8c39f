"""A setting on a model: what it may run, what it keeps and for whom, what it finds learned."""

import threading

import numpy as np
import pytest

from caching.engine.executor import Stopped
from caching.learn.store import Learned
from caching.measure import changes
from caching.methods import Unready
from caching.methods import setting as module
from caching.methods.setting import ModelSetting, Shelf
from tests.caching import tiny
from tests.caching.spy import own

RUN = {"steps": 6, "cfg_scale": 2.0, "sampler": "ddim"}


@pytest.fixture(scope="module")
def model():
    return own(tiny.dit(), tiny.EPSILON)


@pytest.fixture
def counted():
    """Something to make for a table that counts how often it was made."""
    made = []

    def make(model, tell, stopped):
        made.append((model, tell, stopped))
        return f"table {len(made)}"

    make.made = made
    return make


def learned(method="l2c", steps=20, weights="w", seed=0):
    return Learned(
        method, "toy", weights, steps, 1.0, "ddim", "renders", "learn", seed, 9, 1.0, "cpu"
    )


# -- tables --------------------------------------------------------------------------------


def test_a_table_is_made_once_and_told_of_progress(model, counted):
    tell, stopped = (lambda *args: None), (lambda: False)
    setting = ModelSetting(model, **RUN, tell=tell, stopped=stopped)
    assert [setting.table("a", counted), setting.table("a", counted)] == ["table 1", "table 1"]
    assert counted.made == [(model, tell, stopped)]


@pytest.mark.parametrize(
    "other",
    [{"steps": 7}, {"cfg_scale": 3.0}, {"sampler": "euler"}, {"kind": "b"}, {"seed": 1}],
    ids=lambda o: next(iter(o)),
)
def test_settings_share_a_shelf_and_tables_of_the_same_run_only(model, counted, other):
    shelf = Shelf()
    assert ModelSetting(model, **RUN, shelf=shelf).table("a", counted) == "table 1"
    assert ModelSetting(model, **RUN, shelf=shelf).table("a", counted) == "table 1"
    other = dict(other)
    kind, seed = other.pop("kind", "a"), other.pop("seed", 0)
    its = own(tiny.dit(seed=seed), tiny.EPSILON)
    assert ModelSetting(its, **{**RUN, **other}, shelf=shelf).table(kind, counted) == "table 2"
    assert ModelSetting(model, **RUN).table("a", counted) == "table 3"  # a shelf of its own


def test_a_shelf_is_bounded_and_the_oldest_table_goes(model, counted):
    setting = ModelSetting(model, **RUN)
    for number in range(module.MAX_TABLES + 1):
        setting.table(f"kind {number}", counted)
    assert len(setting.shelf.tables) == module.MAX_TABLES
    assert setting.table("kind 1", counted) == "table 2"
    assert setting.table("kind 0", counted) == f"table {module.MAX_TABLES + 2}"


def test_without_permission_nothing_is_run_and_what_is_kept_is_given(model, counted):
    shelf = Shelf()
    shut = ModelSetting(model, **RUN, shelf=shelf, may_run=False)
    for ask in (lambda: shut.table("a", counted), shut.change):
        with pytest.raises(Unready, match="press Calibrate"):
            ask()
    assert counted.made == [] and shelf.tables == {}
    ModelSetting(model, **RUN, shelf=shelf).table("a", counted)
    assert shut.table("a", counted) == "table 1" and len(counted.made) == 1


def test_what_was_stopped_is_not_kept(model, counted):
    def stop(model, tell, stopped):
        raise Stopped("stopped")

    setting = ModelSetting(model, **RUN)
    with pytest.raises(Stopped):
        setting.table("a", stop)
    assert setting.table("a", counted) == "table 1"


def test_two_threads_that_ask_at_once_calibrate_once(model):
    setting, made, begun, go = ModelSetting(model, **RUN), [], threading.Event(), threading.Event()

    def make(model, tell, stopped):
        made.append("made")
        begun.set()
        assert go.wait(10)
        return "table"

    found = []
    first, second = (
        threading.Thread(target=lambda: found.append(setting.table("a", make))) for _ in range(2)
    )
    first.start()
    assert begun.wait(10)
    second.start()
    second.join(0.1)  # time enough to begin a second calibration, were it not for the lock
    go.set()
    for one in (first, second):
        one.join(10)
    assert found == ["table", "table"] and made == ["made"]


# -- the trace -----------------------------------------------------------------------------


def test_a_trace_that_is_there_is_taken(model):
    given = np.ones((6, 2, 2, 3))
    assert ModelSetting(model, **RUN, change=given, may_run=False).change() is given


@pytest.mark.parametrize(("steps", "lags"), [(1, 1), (2, 1), (6, 5), (12, 8)])
def test_a_trace_is_made_as_far_back_as_there_are_steps_and_kept(model, steps, lags, monkeypatch):
    calls = []
    real = changes.mean_change
    monkeypatch.setattr(changes, "mean_change", lambda *a, **k: calls.append(k) or real(*a, **k))
    shelf = Shelf()
    run = {**RUN, "steps": steps}
    found = ModelSetting(model, **run, shelf=shelf).change()
    assert found.shape == (steps, 2, 2, lags)
    assert ModelSetting(model, **run, shelf=shelf, may_run=False).change() is found
    (asked,) = calls
    assert (asked["steps"], asked["cfg_scale"], asked["sampler"]) == (steps, 2.0, "ddim")


# -- what was learned ----------------------------------------------------------------------


def test_what_was_learned_is_chosen_by_method_weights_and_steps(model, monkeypatch):
    mine = model.weights_hash
    sold = learned(weights=mine, steps=6)
    monkeypatch.setattr(
        module,
        "_shipped",
        lambda: (
            learned(weights="another", steps=6),
            learned("harmonica", weights=mine, steps=6),
            learned(weights=mine, steps=20),
            sold,
        ),
    )
    shelf = Shelf()
    setting = ModelSetting(model, **RUN, shelf=shelf, may_run=False)
    assert setting.learned("l2c") is sold
    first, last = (learned(weights=mine, steps=6, seed=n) for n in (1, 2))
    shelf.learned += [first, last, learned(weights=mine, steps=7)]
    assert setting.learned("l2c") is last  # own before shipped, newest first


def test_what_was_not_learned_is_refused_with_the_steps_there_are(model, monkeypatch):
    mine = model.weights_hash
    kept = (learned(weights=mine, steps=50), learned(weights=mine, steps=20), learned(steps=6))
    monkeypatch.setattr(module, "_shipped", lambda: kept)
    setting = ModelSetting(model, **RUN)
    with pytest.raises(Unready, match="at 6 steps; there is 20, 50: use that many steps, or learn"):
        setting.learned("l2c")
    with pytest.raises(Unready, match="at 6 steps: learn it"):
        setting.learned("lazydit")
