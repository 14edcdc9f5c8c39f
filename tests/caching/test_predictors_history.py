"""Predictors made of stored outputs: by hand, against formulas in float64, against diffusers."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from diffusers.hooks import HookRegistry, TaylorSeerCacheConfig, apply_taylorseer_cache
from diffusers.hooks.faster_cache import FasterCacheBlockHook
from diffusers.hooks.hooks import CacheContext, _set_cache_context
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial.hermite import hermval

from caching import Schedule, ScheduleError, sample
from caching.predictors import PREDICTORS, from_json, to_json
from caching.predictors.base import Cell, Entry
from caching.predictors.extrapolate import Extrapolate
from caching.predictors.foca import FoCa
from caching.predictors.hermite import Hermite
from caching.predictors.reuse import Reuse
from caching.predictors.skip import Skip
from caching.predictors.taylor import Taylor
from caching.predictors.trend import Trend
from tests.caching import reference, tiny
from tests.caching.spy import own, relative, spied

# Outputs 0, 4 and 5 computed at steps 0, 2 and 3, newest first. D_1 = 5 - 4 = 1 now and
# (4 - 0) / 2 = 2 before, so D_2 = (1 - 2) / 1 = -1; the textbook's would be -1 / 3 times 2.
UNEVEN = ((3, 5.0), (2, 4.0), (0, 0.0))


@pytest.mark.parametrize(
    ("predictor", "step", "expected"),
    [
        (Reuse(), 5, 5.0),
        (Taylor(0), 5, 5.0),
        (Taylor(1), 5, 7.0),  # 5 + 2 * 1
        (Taylor(2), 5, 5.0),  # 7 + 2² / 2 * -1
        (Taylor(2), 6, 3.5),  # 5 + 3 - 9 / 2
        (Hermite(0), 5, 5.0),
        (Hermite(1, 0.5), 5, 6.0),  # H_1(1) = 2: 5 + 2 * 0.5 * 1
        (Hermite(2, 0.5), 5, 5.75),  # H_2(1) = 2: 6 + 2 * 0.25 / 2 * -1
        (Hermite(2, 1.0), 4, 6.0),  # 5 + 2 * 1 * 1 + (4 - 2) / 2 * -1
        (Trend(1.2), 9, 6.2),  # 5 + 1.2 * (5 - 4)
        (Trend(0.0), 4, 5.0),
        (Extrapolate(0.5), 9, 5.5),
        (FoCa(), 4, 6.0),  # 5 + 1 / 2 * (1 + 1)
        (FoCa(), 6, 8.0),  # 5 + 3 / 2 * 2
        (FoCa(), 9, 6.5),  # e = 6: half of the way from 5 to 8
    ],
    ids=str,
)
def test_by_hand(predictor, step, expected):
    past = UNEVEN[: predictor.keeps]
    assert predictor.estimate(past, step) == pytest.approx(expected, abs=1e-12)
    tensors = [(s, torch.full((2, 3, 4), o, dtype=torch.float64)) for s, o in past]
    before = [t.clone() for _, t in tensors]
    out = predictor.estimate(tensors, step)
    assert torch.allclose(out, torch.full_like(out, expected), atol=1e-12)
    assert all(torch.equal(t, b) for (_, t), b in zip(tensors, before, strict=True))


@pytest.mark.parametrize(
    "predictor", [Taylor(3), Hermite(3), Trend(), Extrapolate(), FoCa()], ids=str
)
def test_with_one_output_it_is_reused_as_it_is(predictor):
    output = torch.randn(1, 2, 3)
    assert predictor.estimate([(4, output)], 6) is output
    assert predictor.hands_on("mlp", 1)
    assert not predictor.hands_on("mlp", 2)


def cell(s, entries):
    """A cell with (step, value, computed) stored, newest first."""
    past = [Entry(e, torch.full((1, 2, 3), v, dtype=torch.float64), c) for e, v, c in entries]
    x = torch.ones(1, 2, 3, dtype=torch.float64)
    return Cell(family=None, given=None, x=x, s=s, block=0, r=0, past=past)


def test_foca_looks_at_estimates_too():
    # Computed 4 and 5 at steps 2 and 3, and 6 stood in at step 4: p - pp = 6 - 5.
    one = FoCa().stand_in(cell(5, [(4, 6.0, False), (3, 5.0, True), (2, 4.0, True)]))
    assert torch.all(one == 5 + 2 / 2 * (1 + 1))
    # With 9 instead, the slope there is 4.
    two = FoCa().stand_in(cell(5, [(4, 9.0, False), (3, 5.0, True), (2, 4.0, True)]))
    assert torch.all(two == 5 + 2 / 2 * (1 + 4))
    # p and pp both estimates: 9 - 7.
    past = [(5, 9.0, False), (4, 7.0, False), (3, 5.0, True), (2, 4.0, True)]
    assert torch.all(FoCa().stand_in(cell(6, past)) == 5 + 3 / 2 * (1 + 2))


def test_skip_is_nothing():
    out = Skip().stand_in(cell(3, []))
    assert out.shape == (1, 2, 3)
    assert out.dtype == torch.float64
    assert not out.any()
    assert (Skip().keeps, Skip().needs, Skip().stores_output()) == (0, 0, False)


# -- in float64, by the formulas as they are published --------------------------------------


class Seer:
    """TaylorSeer's factors as its code keeps them: updated at every computed step."""

    def __init__(self, order):
        self.order, self.factors, self.last = order, [], None

    def update(self, step, output):
        new = [output]
        for i in range(min(self.order, len(self.factors))):
            new.append((new[i] - self.factors[i]) / (step - self.last))
        self.factors, self.last = new, step


histories = st.lists(st.integers(1, 6), min_size=1, max_size=7)


@given(gaps=histories, ahead=st.integers(1, 9), order=st.integers(0, 6))
def test_taylor_and_hermite_are_the_recursion_in_float64(gaps, ahead, order):
    rng = np.random.default_rng(len(gaps) * 100 + order)
    steps = np.cumsum([0, *gaps]).tolist()
    outputs = rng.normal(size=(len(steps), 3, 5))
    seer = Seer(order)
    for step, output in zip(steps, outputs, strict=True):
        seer.update(step, output)
    past = list(zip(steps, outputs, strict=True))[::-1][: order + 1]
    s = steps[-1] + ahead
    taylor = sum(f * ahead**k / math.factorial(k) for k, f in enumerate(seer.factors))
    scale = max(np.abs(f).max() * ahead**k for k, f in enumerate(seer.factors))
    assert np.abs(Taylor(order).estimate(past, s) - taylor).max() < 1e-9 * scale
    for sigma in (0.5, 0.8):
        hermite = outputs[-1] + sum(
            hermval(sigma * ahead, [0] * k + [1]) * sigma**k / math.factorial(k) * f
            for k, f in enumerate(seer.factors)
            if k
        )
        got = Hermite(order, sigma).estimate(past, s)
        assert np.abs(got - hermite).max() < 1e-9 * scale * 4**order


def test_taylor_is_exact_on_a_line_and_on_evenly_spaced_squares():
    line = [(s, 3.0 * s - 2) for s in (9, 7, 4)]
    assert Taylor(1).estimate(line[:2], 12) == pytest.approx(3.0 * 12 - 2)
    # Backward differences of s² with gap 1: D_1 = 2s - 1, D_2 = 2; s² + (2s - 1) x + x².
    squares = [(s, float(s * s)) for s in (6, 5, 4)]
    assert Taylor(2).estimate(squares, 9) == pytest.approx(36 + 11 * 3 + 9)


# -- against diffusers ---------------------------------------------------------------------


class Doubling(torch.nn.Module):
    def forward(self, x):
        return 2 * x + 1


def computed_by_hook(s, *, before, interval, after=None):
    """The steps diffusers' hook computes; the first one after `before` comes one late."""
    return s < before or (s - before - 1) % interval == 0 or (after is not None and s >= after)


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize(("before", "interval", "after"), [(3, 5, None), (1, 3, 13), (2, 4, None)])
def test_taylor_is_diffusers_hook(order, before, interval, after):
    parent = torch.nn.ModuleDict({"part": Doubling()})
    config = TaylorSeerCacheConfig(
        cache_interval=interval,
        disable_cache_before_step=before,
        disable_cache_after_step=after,
        max_order=order,
        taylor_factors_dtype=torch.float64,
        cache_identifiers=["part"],
    )
    apply_taylorseer_cache(parent, config)
    _set_cache_context(parent, CacheContext("run"))
    x = torch.randn(16, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    past, seen = [], []
    for s in range(16):
        theirs = parent["part"](x[s])
        if computed_by_hook(s, before=before, interval=interval, after=after):
            past.insert(0, (s, 2 * x[s] + 1))
            assert torch.equal(theirs, past[0][1])
            continue
        ours = Taylor(order).estimate(past[: order + 1], s)
        assert torch.allclose(ours, theirs, atol=1e-9 * 4**order)
        seen.append(s)
    assert len(seen) >= 5


@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_taylor_run_is_diffusers_model_with_its_hooks(order):
    steps, blocks, before, interval = 12, 2, 3, 4
    module = tiny.dit(blocks=blocks)
    model, spy = spied(own(module, tiny.V))
    cells = np.ones((steps, blocks, 2), np.uint8)
    done = [s for s in range(steps) if computed_by_hook(s, before=before, interval=interval)]
    cells[done] = 0
    run = sample(model, Schedule(cells, (Taylor(order),)), label=1, seed=5, cfg_scale=3.0)
    config = TaylorSeerCacheConfig(
        cache_interval=interval,
        disable_cache_before_step=before,
        max_order=order,
        taylor_factors_dtype=torch.float32,
        cache_identifiers=[r"transformer_blocks\.\d+\.(attn1|ff)"],
    )
    apply_taylorseer_cache(module, config)
    _set_cache_context(module, CacheContext("run"))
    noise = torch.randn(1, *model.family.latent_shape, generator=torch.Generator().manual_seed(5))
    plain = reference.run(
        module, np.zeros(cells.shape, bool), noise, (1,), guidance=3.0, null=10, kind="v"
    )
    assert relative(run.latents, plain.latents) < 1e-4
    for key, output in plain.cells.items():
        assert relative(spy.cells[key], output) < 1e-4
    # The first forecasts come after 3 computed steps, so that no order is lowered.
    assert np.array_equal(run.executed, cells)


@pytest.mark.parametrize("w", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("every", [2, 3])
def test_trend_is_diffusers_fastercache_hook(w, every):
    """Its cache holds what it returned, so that after an estimate comes a step of it."""
    part, now = Doubling(), [0]
    hook = FasterCacheBlockHook(every, (-1, 100), True, lambda _: w, lambda: 99 - now[0])
    hook.timestep_skip_range = (-1, 98)  # steps 0 and 1 are computed
    HookRegistry.check_if_exists_or_initialize(part).register_hook(hook, "faster")
    x = torch.randn(12, 2, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    stored, computed, skipped = [], [], 0
    for s in range(12):
        now[0] = s
        theirs = part(x[s])
        fresh = 2 * x[s] + 1
        if s < 2 or s % every == 0:
            assert torch.equal(theirs, fresh)
            computed.insert(0, (s, fresh))
        else:
            ours = Trend(w).estimate(stored[:2], s)
            assert torch.allclose(ours, theirs, atol=1e-12)
            if s > 3:
                # The authors' code looks at computed outputs alone, and there the two part.
                assert not torch.allclose(Extrapolate(w).estimate(computed[:2], s), theirs)
            skipped += 1
        stored.insert(0, (s, theirs))
    assert skipped >= 5


# -- fields, files -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("taylor", {"order": 7}),
        ("taylor", {"order": 1.0}),
        ("hermite", {"order": -1}),
        ("hermite", {"sigma": 0.0}),
        ("hermite", {"sigma": math.nan}),
        ("trend", {"eta": -0.1}),
        ("trend", {"eta": "1"}),
        ("extrapolate", {"w": math.inf}),
        ("tokens", {"fraction": 0.0}),
        ("tokens", {"fraction": 1.01}),
        ("tokens", {"score": "best"}),
        ("tokens", {"interval": 0}),
        ("clusters", {"k": 0}),
        ("clusters", {"gamma": 1.5}),
        ("clusters", {"order": True}),
    ],
)
def test_wrong_numbers_are_refused(name, fields):
    (field,) = fields
    with pytest.raises(ScheduleError, match=f"{name}: {field} is .*expected"):
        PREDICTORS[name](**fields)


@pytest.mark.parametrize("name", PREDICTORS)
def test_every_predictor_has_defaults_and_goes_through_a_file(name):
    made = PREDICTORS[name]()
    assert dataclasses.is_dataclass(made)
    assert from_json(to_json(made)) == made
    assert made.label in made.title
    assert made.letter.isascii() and made.letter.isupper() and made.letter != "C"


def test_letters_are_told_apart():
    letters = [cls.letter for cls in PREDICTORS.values()]
    assert len(set(letters)) == len(letters)


def test_a_run_of_forecasts_alone_changes_the_picture():
    model = own(tiny.dit(blocks=2), tiny.V)
    full = sample(model, label=1, steps=8)
    pictures = []
    for predictor in (Reuse(), Taylor(1), Taylor(2), Hermite(), Trend(), Extrapolate(), FoCa()):
        cells = np.ones((8, 2, 2), np.uint8)
        cells[[0, 1, 2, 5]] = 0
        pictures.append(sample(model, Schedule(cells, (predictor,)), label=1).latents)
    for i, one in enumerate([full.latents, *pictures]):
        for other in pictures[i:]:
            assert relative(other, one) > 1e-4
