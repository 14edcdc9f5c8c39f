"""Policies on models: what they decide, baked, costs and gives the same again."""

import copy

import numpy as np
import pytest
import torch

from caching import load_model, sample
from caching.dynamic.dbcache import DBCache
from caching.dynamic.dicache import DiCache
from caching.dynamic.easycache import EasyCache
from caching.dynamic.fbcache import FBCache
from caching.dynamic.lazydit import LazyDiT
from caching.dynamic.magcache import MagCache
from caching.dynamic.sencache import SenCache
from caching.dynamic.speca import SpeCa
from caching.dynamic.teacache import TeaCache
from caching.errors import ScheduleError
from caching.marks import COVERED
from caching.measure.cost import branch_macs
from tests.caching import tiny
from tests.caching.spy import own, spied
from tests.caching.test_cost import counted_macs

BAR, STEPS, BLOCKS = 1e-4, 16, 4
GATES = np.random.default_rng(0).normal(0, 0.05, (STEPS, BLOCKS, 2, 16))
SENSITIVE = SenCache(
    0.02, 0.08, 3, 1, (900.0, 400.0, 0.0), (0.01, 0.005, 0.002), (1e-5, 2e-5, 1e-5)
)

# Thresholds at which the random model below computes some steps and skips others.
MIXED = {
    "teacache": TeaCache(0.25, (1.5, 0.0)),
    "fbcache": FBCache(0.2),
    "dbcache": DBCache(2, 1, 0.16, warmup=3, in_a_row=2),
    "magcache": MagCache(0.06, 2, 0.2, tuple(np.linspace(1.1, 0.92, STEPS))),
    "dicache": DiCache(0.6, 0.15),
    "dicache, delta minus": DiCache(0.02, 0.0, "delta_minus", 2),
    "sencache": SENSITIVE,
    "easycache": EasyCache(0.3, 3),
    "speca": SpeCa(0.05, 0.5, least=1, order=2),
    "lazydit": LazyDiT(GATES),
}


@pytest.fixture(scope="module")
def pair():
    module = tiny.dit(blocks=BLOCKS, learned_sigma=True, channels=4)
    return own(module, tiny.EPSILON), module


def row(run):
    return "".join("C" if c.runs_all else "-" for c in run.choices)


def noise_of(model, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((1, *model.family.latent_shape), generator=generator)


ASKED = ({"cfg_scale": 3.0}, {"cfg_scale": 1.0}, {"label": [1, 4]})
# LazyDiT decides by sample, which a schedule can say for one sample only.
BAKED = [(name, a) for name in MIXED for a in ASKED if name != "lazydit" or a == ASKED[1]]


@pytest.mark.parametrize(("name", "asked"), BAKED, ids=str)
def test_a_baked_run_gives_the_same_latents(pair, name, asked):
    model, asked = pair[0], {"label": 1, **asked}
    run = sample(model, policy=MIXED[name], steps=STEPS, **asked)
    assert set(row(run)) == {"C", "-"} and run.baked.context.steps == STEPS
    again = sample(model, run.baked, **asked)
    assert torch.equal(run.latents, again.latents)
    assert torch.equal(run.clean, again.clean)
    assert np.array_equal(run.executed, again.executed)
    assert np.array_equal(run.executed_actions, again.executed_actions)
    assert row(sample(model, policy=MIXED[name], steps=STEPS, **asked)) == row(run)


def test_baked_runs_of_the_shipped_model():
    model = load_model()
    for policy in (TeaCache(), DiCache(0.15), SpeCa(), EasyCache(0.5, 3)):
        run = sample(model, policy=policy, label=3, steps=12)
        assert set(row(run)) == {"C", "-"}, policy
        assert torch.equal(run.latents, sample(model, run.baked, label=3).latents)


def test_a_decision_is_recorded_with_what_was_compared(pair):
    for name, policy in MIXED.items():
        run = sample(pair[0], policy=policy, label=1, steps=STEPS, cfg_scale=1.0)
        assert len(run.choices) == STEPS and run.choices[0].score is None
        compared = [c for c in run.choices if c.score is not None]
        assert len(compared) > STEPS // 3, name
        assert all(c.limit is not None for c in compared)
        if name == "lazydit":
            continue  # may compute all of a step that it was free to reuse
        reused = np.array([not c.runs_all for c in run.choices])
        left_out = (run.executed == COVERED).any(axis=(1, 2)) | (run.executed_actions > 0)
        assert np.array_equal(reused, left_out | (run.executed > 0).any(axis=(1, 2))), name


def test_policies_hold_what_they_need_and_no_output_of_any_cell(pair):
    model, size = pair[0], 2 * 16 * 16 * 4 / 2**20  # MiB of one tensor of tokens, two passes
    run = sample(model, policy=FBCache(0.2), label=1, steps=STEPS)
    # The residual of the blocks behind the first, and what the first one added.
    assert run.cost.cache_mib == 2 * size
    run = sample(model, policy=MIXED["magcache"], label=1, steps=STEPS)
    assert run.cost.cache_mib == size


def test_speca_pays_for_its_checks(pair):
    # In float64, where every product is one that torch's counter knows.
    model, runs = own(copy.deepcopy(pair[1]).double(), tiny.EPSILON), []
    counts = [
        counted_macs(lambda p=p: runs.append(sample(model, policy=p, label=1, steps=STEPS)))
        for p in (None, MIXED["speca"])
    ]
    cost = runs[1].cost
    assert counts[0] - counts[1] == cost.macs_full - cost.macs > 0
    checks = (cost.macs - sample(model, runs[1].baked, label=1).cost.macs) / 2
    checks /= branch_macs(model)[-1].sum()
    # Every check is judged at the next step, if there is one.
    judged = sum(choice.score is not None for choice in runs[1].choices)
    assert checks in (judged, judged + 1) and judged > 3


def test_a_policy_that_computes_all_is_the_full_run(pair):
    full = sample(pair[0], label=1, steps=STEPS)
    never = [
        TeaCache(0),
        FBCache(0),
        DBCache(1, threshold=0),
        DiCache(0),
        EasyCache(0),
        SpeCa(0, most=1),
    ]
    never += [MagCache(0, ratios=(1.5,) * STEPS), SenCache(0, 0, 0, 0, (0.0,), (1.0,), (1.0,))]
    for policy in never[:5] + never[6:]:
        run = sample(pair[0], policy=policy, label=1, steps=STEPS)
        assert not run.executed.any() and torch.equal(run.latents, full.latents), policy


@pytest.mark.parametrize(
    "policy", [MagCache(), SenCache(), LazyDiT(), DBCache(8), DiCache(probe=4)]
)
def test_what_cannot_run_is_refused_before_anything_runs(pair, policy):
    watched, spy = spied(pair[0])
    with pytest.raises(ScheduleError):
        sample(watched, policy=policy, label=1, steps=4)
    assert not spy.calls
