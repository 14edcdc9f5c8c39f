"""Modulation kept between runs: never made twice, and never the reason for another picture."""

import copy
import gc
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from caching import Model, Schedule, sample
from caching.models import dit_modulation
from caching.models.dit_modulation import Given, Kept, Table
from tests.caching import tiny
from tests.caching.spy import own

STEPS = 5
REUSED = Schedule.every(STEPS, 2, 2)


@pytest.fixture
def module():
    return tiny.dit(blocks=2)


@pytest.fixture
def model(module):
    return own(module, tiny.V)


@pytest.fixture
def made(monkeypatch):
    """The labels that modulation was made for, in turn."""
    seen, make = [], Given._make
    monkeypatch.setattr(
        Given, "_make", lambda given: (seen.append(tuple(given.unique)), make(given))[1]
    )
    return seen


def picture(model, schedule=None, **more):
    return sample(model, schedule, **{"label": 1, "seed": 2, "steps": STEPS, **more}).latents


def test_schedules_of_one_picture_share_what_the_first_made(model, made):
    first = [picture(model, schedule) for schedule in (None, REUSED)]
    again = [picture(model, schedule) for schedule in (None, REUSED)]
    assert made == [(1, 10)]
    for before, after in zip(first, again, strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize(
    "between",
    [
        {"label": 2},
        {"label": [1, 2, 1], "seed": 0},
        {"cfg_scale": 1.0},
        {"steps": 7},
        {"sampler": "euler"},
        {"label": [10 - 1, 0], "cfg_scale": 1.0},
    ],
    ids=str,
)
def test_a_picture_is_that_of_a_model_that_keeps_nothing(module, model, between):
    for asked in ({}, between, {}):
        assert torch.equal(picture(model, **asked), picture(own(module, tiny.V), **asked))


def doubled(module):
    with torch.no_grad():
        module.transformer_blocks[1].norm1.linear.weight.mul_(2)


def stepped(module):
    embedder = module.transformer_blocks[0].norm1.emb
    for p in embedder.parameters():
        p.grad = torch.ones_like(p)
    torch.optim.SGD(embedder.parameters(), lr=0.05).step()


def loaded(module):
    module.load_state_dict({k: v * 1.1 for k, v in module.state_dict().items()})


def replaced(module):
    p = module.proj_out_1.weight
    p.data = p.data * 3


@pytest.mark.parametrize("change", [doubled, stepped, loaded, replaced])
def test_weights_that_change_make_it_anew(model, change, made):
    module = model.family.module
    before = picture(model)
    change(module)
    after = picture(model)
    assert len(made) == 2 and not torch.equal(before, after)
    assert torch.equal(after, picture(own(module, tiny.V)))


def test_threads_get_what_each_would_get_alone(module):
    model, labels = own(module, tiny.V), [1, 2, 3, 1, 2, 3, 1, 1]
    alone = {label: picture(own(module, tiny.V), label=label) for label in set(labels)}
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda label: picture(model, label=label), labels))
    assert all(torch.equal(x, alone[label]) for label, x in zip(labels, found, strict=True))
    assert len(model.family.kept) == 3


def table(mib: float) -> Table:
    quarter = round(mib * 2**20 / 16)
    made, weight = torch.zeros(1, 2, 1, 1, quarter), torch.zeros(1, 1, quarter, 1)
    return Table(made, weight, torch.zeros(1, 1, 1, quarter))


def test_the_longest_unused_go_first_and_a_large_one_is_not_kept(monkeypatch):
    monkeypatch.setattr(dit_modulation, "KEPT_MIB", 3)
    kept = Kept()
    for name in "abc":
        kept.keep(name, table(1))
    assert kept.held_mib == 3 and kept.recall("a") is not None
    kept.keep("d", table(1))
    assert [kept.recall(name) is not None for name in "abcd"] == [True, False, True, True]
    kept.keep("large", table(4))
    assert kept.recall("large") is None and kept.held_mib <= 3
    kept.clear()
    assert len(kept) == 0


def test_it_goes_with_its_model(module):
    model = own(module, tiny.V)
    picture(model)
    (held,) = [weakref.ref(t.made) for t in model.family.kept._tables.values()]
    assert held() is not None
    del model
    gc.collect()
    assert held() is None


def test_a_copy_starts_with_nothing_kept(model):
    picture(model)
    assert len(model.family.kept) == 1
    assert len(copy.deepcopy(model.family.kept)) == 0
    assert len(pickle.loads(pickle.dumps(model.family.kept))) == 0


def test_nothing_is_kept_of_what_gradients_go_through(module):
    family = Model.from_modules(module).family
    times, labels = torch.tensor([900.0, 500.0]), torch.tensor([1, 10])
    given = family.condition(times, labels)
    assert given.get(0, 0, 0).requires_grad and len(family.kept) == 0
    with torch.no_grad():
        plain = family.condition(times, labels)
        assert not plain.get(0, 0, 0).requires_grad and len(family.kept) == 1
    module.train()
    with torch.no_grad():  # labels may then be dropped at random
        family.condition(times, labels).get(0, 0, 0)
    assert len(family.kept) == 1


def test_what_inference_mode_made_stays_there(model, made):
    with torch.inference_mode():
        first = picture(model)
    second = picture(model)
    assert made == [(1, 10)] * 2 and torch.equal(first, second)
    x = torch.randn(2, model.family.tokens, model.family.width, requires_grad=True)
    with torch.no_grad():
        given = model.family.condition(
            torch.tensor([999.0, 749, 500, 250, 0]), torch.tensor([1, 10])
        )
        given.get(0, 0, 0)
    model.family.branch(x, given, 0, 0, 0).sum().backward()
    assert x.grad is not None and made == [(1, 10)] * 2
