"""The policies on offer: one threshold each, made for the model at hand, calibrated once."""

from __future__ import annotations

from dataclasses import fields

import pytest

from caching import RequestError, sample
from caching.dynamic import POLICIES
from tests.caching import tiny
from tests.caching.spy import own
from viz.policies import OFFERS, offer

NAMES = [o.name for o in OFFERS]


def test_every_policy_that_needs_no_trained_gates_is_on_offer() -> None:
    assert set(NAMES) == set(POLICIES) - {"lazydit"}
    assert len({o.title for o in OFFERS}) == len(OFFERS)
    assert all(o.note.endswith(".") and 0 < o.default <= o.most for o in OFFERS)


@pytest.mark.parametrize("name", NAMES)
def test_the_slider_sets_the_threshold_and_nothing_else(name: str) -> None:
    one = offer(name)
    policy = one.plain(12, 20)
    moved = one.at(policy, 0.033)
    assert getattr(moved, one.field) == 0.033 != getattr(policy, one.field)
    rest = [f.name for f in fields(policy) if f.name != one.field]
    assert [getattr(moved, f) for f in rest] == [getattr(policy, f) for f in rest]


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_runs_on_a_small_model_and_is_calibrated_once(name: str) -> None:
    model = own(tiny.dit(blocks=3), tiny.EPSILON)
    tables: dict[object, object] = {}
    asked = {"steps": 6, "cfg_scale": 2.0, "sampler": "ddim"}
    policy = offer(name).make(model, 0.05, tables, **asked)  # type: ignore[arg-type]
    assert bool(tables) == (offer(name).calibrate is not None)
    before = dict(tables)
    again = offer(name).make(model, 0.05, tables, **asked)  # type: ignore[arg-type]
    assert again == policy and tables == before
    run = sample(model, None, label=1, policy=policy, **asked)  # type: ignore[arg-type]
    assert run.policy == policy and len(run.choices) == 6
    offer(name).make(model, 0.05, tables, **{**asked, "steps": 7})  # type: ignore[arg-type]
    assert len(tables) == 2 * len(before)


@pytest.mark.parametrize("name", ["", None, "TeaCache", 3, "x" * 10_000])
def test_unknown_policies_are_refused_with_the_known_ones(name: object) -> None:
    with pytest.raises(RequestError, match="expected one of: teacache") as caught:
        offer(name)
    assert len(str(caught.value)) < 250
