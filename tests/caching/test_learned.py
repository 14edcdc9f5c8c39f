"""What was learned: its files, whole and damaged, and the schedules routers become."""

import dataclasses
import json

import numpy as np
import pytest

from caching import Model
from caching.errors import RequestError
from caching.learn import store
from caching.learn.store import Learned, load_learned, save_learned
from caching.methods import method_of
from caching.methods.setting import ModelSetting, Shelf
from tests.caching import tiny

STEPS, BLOCKS = 6, 2


@pytest.fixture(scope="module")
def model():
    return Model.from_modules(tiny.dit(blocks=BLOCKS), scheduler=tiny.V)


def learned_of(model, logits, method="l2c", **changes):
    made = Learned(
        method=method,
        model=model.name,
        weights_hash=model.weights_hash,
        steps=logits.shape[1],
        cfg_scale=1.0,
        sampler="ddim",
        data="nothing",
        command="",
        seed=0,
        iterations=1,
        seconds=0.0,
        setting="CPU",
        curve={"iteration": (1.0,), "loss": (0.5,)},
        values={"logits": logits, "weights": np.arange(1.0, len(logits) + 1)},
    )
    return dataclasses.replace(made, **changes)


def setting_of(model, learned, steps=STEPS):
    shelf = Shelf()
    shelf.learned.append(learned)
    return ModelSetting(model, steps=steps, cfg_scale=2.0, sampler="ddim", shelf=shelf)


def test_a_title_says_how_much_went_into_a_training(model):
    long = learned_of(model, hand_made(), options={"batch": 64, "rate": 0.001, "weight": 1e-4})
    assert "1 iterations of 64 pictures at a rate of 0.001 on nothing, seed 0" in long.title
    assert "1 iterations on nothing, seed 0" in learned_of(model, hand_made()).title


def test_a_file_keeps_everything(model, tmp_path):
    learned = learned_of(model, hand_made(), options={"rate": 0.1}, command="as called", seed=9)
    kept = load_learned(save_learned(learned, tmp_path))
    for name in (f.name for f in dataclasses.fields(Learned) if f.name not in ("values", "curve")):
        assert getattr(kept, name) == getattr(learned, name), name
    assert kept.curve == dict(learned.curve)
    assert all((kept.values[n] == v).all() for n, v in learned.values.items())
    assert set(kept.values) == set(learned.values)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda j, a: j.unlink(), "missing"),
        (lambda j, a: a.unlink(), "missing"),
        (lambda j, a: j.write_text("[1]"), "kind cachebrush_learned"),
        (lambda j, a: j.write_text("{" * 5000), "cannot be read"),
        (lambda j, a: a.write_bytes(b"PK\x03\x04 no archive"), "cannot be read"),
        (lambda j, a: np.savez(a, x=np.array([{}], object)), "cannot be read"),
        (lambda j, a: np.savez(a, logits=np.array([np.nan])), "not finite"),
        (lambda j, a: np.savez(a, logits=np.array(["text"])), "cannot be read"),
        (lambda j, a: edit(j, curve=[1]), "cannot be read"),
        (lambda j, a: edit(j, surprise=1), "cannot be read"),
        (lambda j, a: edit(j, steps="20"), "steps is '20'"),
        (lambda j, a: edit(j, options=[1]), "options is"),
        (lambda j, a: np.savez_compressed(a, x=np.zeros(2**20)), "unpack to 83"),
        (lambda j, a: a.write_bytes(a.read_bytes()[:-40]), "cannot be read"),
    ],
)
def test_a_damaged_file_is_refused_in_words(model, tmp_path, monkeypatch, damage, words):
    monkeypatch.setattr(store, "MAX_ARRAY_BYTES", 2**20)
    path = save_learned(learned_of(model, np.zeros((1, STEPS, BLOCKS, 2), np.float32)), tmp_path)
    damage(path, path.with_suffix(".npz"))
    with pytest.raises(RequestError, match=words):
        load_learned(path)


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def hand_made():
    """Two routers whose probabilities are 0.1 (reuse) and 0.9 where named, 0.5 elsewhere."""
    logits = np.zeros((2, STEPS, BLOCKS, 2), np.float32)
    low = np.log(1 / 9)
    logits[0, 1, 0, 0] = logits[0, 2, 1, 1] = low - 0.01  # of step 2 L2C reads nothing
    logits[0, 3] = -low
    logits[1] = low - 0.01
    return logits


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("l2c", {}, [(1, 0, 0)]),
        ("harmonica", {}, [(1, 0, 0), (2, 1, 1)]),
        ("l2c", {"theta": 0.09}, []),
        ("l2c", {"theta": 0.5}, [(s, b, r) for s in (1, 5) for b in (0, 1) for r in (0, 1)]),
        ("l2c", {"router": 2}, [(s, b, r) for s in (1, 3, 5) for b in (0, 1) for r in (0, 1)]),
        ("l2c", {"router": 9}, [(s, b, r) for s in (1, 3, 5) for b in (0, 1) for r in (0, 1)]),
    ],
)
def test_a_router_becomes_a_schedule(model, name, options, expected):
    setting = setting_of(model, learned_of(model, hand_made(), name))
    plan = method_of(name, **options).plan(setting)
    assert [tuple(map(int, cell)) for cell in np.argwhere(plan.schedule.actions)] == expected
    assert plan.policy is None and "router" in plan.notes[1]


def test_the_ladder_goes_from_most_work_to_least(model):
    rungs = method_of("l2c").ladder(setting_of(model, learned_of(model, hand_made())))
    setting = setting_of(model, learned_of(model, hand_made()))
    left = [int(rung.plan(setting).schedule.computed.sum()) for rung in rungs]
    assert left == [24, 23, 16, 12]
    # Both routers can reuse nothing or all; the first is nearer to nothing at 0.1, the second has
    # all there.
    assert [rung.router for rung in rungs] == [1, 1, 1, 2]
    assert rungs == method_of("l2c", router=2, theta=0.3).ladder(setting)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"logits": np.zeros((1, STEPS, BLOCKS + 1, 2))},
        {"logits": np.zeros((STEPS, BLOCKS, 2))},
        {"logits": np.zeros((0, STEPS, BLOCKS, 2))},
        {"logits": np.zeros((1, STEPS, BLOCKS, 2), int)},
        {"logits": np.full((1, STEPS, BLOCKS, 2), np.nan)},
    ],
)
def test_a_router_of_another_grid_is_refused(model, values):
    learned = dataclasses.replace(learned_of(model, hand_made()), values=values)
    with pytest.raises(RequestError, match="learn it again"):
        method_of("l2c").plan(setting_of(model, learned))


def test_a_router_of_another_number_of_steps_is_named(model):
    setting = setting_of(model, learned_of(model, hand_made()), steps=8)
    with pytest.raises(RequestError, match=f"there is {STEPS}"):
        method_of("l2c").plan(setting)
