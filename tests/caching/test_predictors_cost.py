"""What predictors cost: products counted by torch, memory as the executor holds it."""

import copy
import functools
import time

import numpy as np
import pytest
import torch
from diffusers import DiTTransformer2DModel

from caching import Model, Schedule, cost_of, sample
from caching.engine.plan import make_plan
from caching.predictors.clusters import Clusters
from caching.predictors.reuse import Reuse
from caching.predictors.taylor import Taylor
from caching.predictors.tokens import Tokens
from caching.predictors.trend import Trend
from tests.caching import tiny
from tests.caching.predictor_cases import EVERY, Half
from tests.caching.spy import own
from tests.caching.test_cost import counted_macs, held_bytes

BLOCKS, STEPS = 3, 10


@pytest.fixture(scope="module")
def model():
    return own(tiny.dit(blocks=BLOCKS), tiny.V)


@pytest.fixture(scope="module")
def double():
    """In float64, where every product is one that torch's counter knows."""
    return own(tiny.dit(blocks=BLOCKS).double(), tiny.V)


def painted(seed, legend, halves=0.0):
    """Schedules in which a cell often stays with one predictor for some steps."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, len(legend) + 1, (STEPS, BLOCKS, 2))
    for s in range(1, STEPS):
        stays = rng.random((BLOCKS, 2)) < 0.4
        cells[s] = np.where(stays, cells[s - 1], cells[s])
    cells[rng.random(STEPS) < 0.2] = 0
    cells[0] = 0
    steps = (rng.random(STEPS) < halves).astype(np.uint8)
    steps[0] = 0
    return Schedule(cells.astype(np.uint8), legend, step_actions=steps, step_legend=(Half(),))


@pytest.mark.parametrize("predictor", EVERY, ids=lambda p: p.title)
@pytest.mark.parametrize("seed", range(3))
def test_memory_of_each_predictor_is_what_is_held(model, predictor, seed, monkeypatch):
    schedule = painted(seed, (predictor,))
    for request in ({"cfg_scale": 1.0}, {"label": [1, 2], "cfg_scale": 2.0}):
        peak, run = held_bytes(model, schedule, monkeypatch, **request)
        assert run.cost.cache_mib == peak / 2**20
        stores = predictor.keeps > 0
        assert (peak > 0) == stores


@pytest.mark.parametrize("seed", range(25))
def test_memory_of_any_mixture_is_what_is_held(model, seed, monkeypatch):
    schedule = painted(seed, EVERY, halves=0.2 if seed % 2 else 0.0)
    peak, run = held_bytes(model, schedule, monkeypatch, cfg_scale=2.0)
    assert run.cost.cache_mib == peak / 2**20 > 0


@pytest.mark.parametrize(
    ("rows", "legend", "cells"),
    [
        ("CRRR", (Reuse(),), 1),
        ("CCTT", (Taylor(1),), 2),
        ("CTCT", (Taylor(5),), 2),
        # Reuse hands on the one tensor there is, for Trend to look at.
        ("CRRG", (Reuse(), Trend()), 1),
        ("CGG", (Trend(),), 1),
        ("CCGGG", (Trend(),), 2),
        # What was refreshed and the estimate of that step are one tensor.
        ("CPG", (Tokens(0.5, "random"), Trend()), 1),
        ("CPPG", (Tokens(0.5, "random"), Trend()), 2),
    ],
)
def test_memory_by_hand(model, rows, legend, cells, monkeypatch):
    """Of one cell; the others are computed throughout."""
    computed = "C" * len(rows)
    schedule = Schedule.from_rows([computed, rows, *[computed] * 4], legend=legend)
    peak, run = held_bytes(model, schedule, monkeypatch, cfg_scale=1.0)
    family = model.family
    ages = 2 * family.tokens if isinstance(legend[0], Tokens) else 0
    assert peak == cells * family.tokens * family.width * 4 + ages
    assert run.cost.cache_mib == peak / 2**20


def test_what_a_predictor_noted_goes_with_its_last_step(model):
    rows = ["CPPCCC"] * 6
    plan = make_plan(Schedule.from_rows(rows, legend=(Tokens(0.5, "attention"),)))
    assert plan.ends == {1: 2}


def test_only_cells_that_may_be_asked_for_are_watched(model):
    legend = (Tokens(0.5, "attention"),)
    rows = ["CCCCCC", "CCCCPC", "CCCCCC", "CCCCCC", "CCCCCC", "CPCPCC"]
    watched = make_plan(Schedule.from_rows(rows, legend=legend)).watched[1]
    # Block 0's attention is computed at step 4 too, in which its feed-forward stands in.
    assert watched[:, 0, 0].tolist() == [False, False, False, True, True, False]
    assert not watched[:, 1].any()
    assert watched[:, 2, 0].tolist() == [True, True, True, True, False, False]
    by_age = make_plan(Schedule.from_rows(rows, legend=(Tokens(0.5, "age"),)))
    assert not by_age.watched


def said_and_counted(model, guidance, schedule=None):
    """The products of a run, as its cost says and as torch's counter does."""
    runs, given = [], (schedule,) if schedule else ()
    steps = {} if schedule else {"steps": STEPS}
    counted = counted_macs(
        lambda: runs.append(sample(model, *given, label=1, cfg_scale=guidance, **steps))
    )
    return runs[0].cost.macs, counted


@pytest.fixture(scope="module")
def full(double):
    """By guidance: what a full run says and what is counted."""
    return functools.cache(lambda guidance: said_and_counted(double, guidance))


@pytest.mark.parametrize("predictor", EVERY, ids=lambda p: p.title)
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_products_are_those_the_engine_executes(double, full, predictor, guidance):
    """All that a schedule saves, so that what every step costs besides is out of the question."""
    everything, counted_full = full(guidance)
    for seed in range(2):
        said, counted = said_and_counted(double, guidance, painted(seed, (predictor,)))
        assert counted_full - counted == everything - said


def test_products_of_tokens_by_hand(model):
    family = model.family
    t, d = family.tokens, family.width
    assert (t, d) == (16, 16)
    p = Tokens(0.25, "attention")
    # Four queries and outputs, all keys and values, four rows of two maps.
    assert p.macs(family, 0, 0) == 2 * 4 * d * d + 2 * t * d * d + 2 * 4 * t * d
    assert p.macs(family, 0, 1) == 4 * 8 * d * d
    assert p.watch_macs(family, 0, 0) == 2 * t * d * d + t * t * d
    assert p.watch_macs(family, 0, 1) == 0
    assert Clusters(5).macs(family, 0, 0) == 0
    assert Clusters(5).macs(family, 0, 1) == 5 * 8 * d * d
    full = cost_of(model, Schedule.full(2, BLOCKS), passes=1)
    rows = [["CC", "CP"][i % 2] for i in range(2 * BLOCKS)]
    mixed = cost_of(model, Schedule.from_rows(rows, legend=(p,)), passes=1)
    saved = BLOCKS * 12 * 8 * d * d
    # The attention of step 1 is computed before its feed-forward looks at it.
    assert full.macs - mixed.macs == saved - 2 * BLOCKS * p.watch_macs(family, 0, 0)


def test_some_tokens_take_no_slow_way():
    """oneDNN has a plain loop for what it was not made for, hundreds of times slower."""
    module = DiTTransformer2DModel(
        num_layers=1, num_attention_heads=6, attention_head_dim=64, in_channels=3, out_channels=3,
        sample_size=8, patch_size=2, num_embeds_ada_norm=10,
    )  # fmt: skip
    for dtype in (torch.float32, torch.bfloat16):
        family = Model.from_modules(copy.deepcopy(module).to(dtype), scheduler=tiny.V).family
        x = torch.randn(2, family.tokens, family.width, dtype=dtype)
        rows = torch.arange(family.tokens - 1).expand(2, -1)
        with torch.no_grad():
            given = family.condition(torch.tensor([500.0]), torch.tensor([1, 10]))
            for r in (0, 1):
                usual = seconds(family.branch, x, given, 0, 0, r)
                assert seconds(family.branch_rows, x, given, 0, 0, r, rows) < 20 * usual
            usual = seconds(family.branch, x, given, 0, 0, 0)
            assert seconds(family.received, x, given, 0, 0) < 20 * usual


def seconds(call, *args):
    """The best of five calls after the first."""
    call(*args)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        call(*args)
        times.append(time.perf_counter() - began)
    return min(times)


def test_bfloat16_memory_is_what_is_held(monkeypatch):
    model = own(tiny.dit(blocks=BLOCKS).to(torch.bfloat16), tiny.V)
    for seed in range(3):
        peak, run = held_bytes(model, painted(seed, EVERY), monkeypatch)
        assert run.cost.cache_mib == peak / 2**20
