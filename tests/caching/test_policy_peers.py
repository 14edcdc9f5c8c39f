"""Policies against others' code: diffusers' hooks, and the papers' loops on diffusers' blocks."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from diffusers.hooks import (
    FasterCacheConfig,
    FirstBlockCacheConfig,
    MagCacheConfig,
    apply_faster_cache,
    apply_first_block_cache,
    apply_mag_cache,
)
from diffusers.hooks.hooks import CacheContext, _set_cache_context

from caching import Schedule, sample
from caching.actions.cond_only import CondOnly
from caching.actions.residual import Residual
from caching.dynamic.fbcache import FBCache
from caching.dynamic.magcache import MagCache
from tests.caching import plain, reference, tiny
from tests.caching.spy import Spy, own, relative, remarks
from tests.caching.test_policy_runs import BAR, BLOCKS, MIXED, STEPS, row


@pytest.fixture(scope="module")
def pair():
    module = tiny.dit(blocks=BLOCKS, learned_sigma=True, channels=4)
    return own(module, tiny.EPSILON), module


def noise_of(model, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((1, *model.family.latent_shape), generator=generator)


# -- diffusers' hooks ----------------------------------------------------------------------


class Counting:
    """A module's forward as the plain loop wants it, and which steps ran its last block."""

    def __init__(self, module, prepare):
        self.module, self.steps = copy.deepcopy(module), []
        self.s = -1
        # Under the hooks, which replace a block's forward and not what its attention does.
        attention = self.module.transformer_blocks[-1].attn1
        attention.register_forward_hook(lambda *_: self.steps.append(self.s))
        with remarks():
            prepare(self.module)

    def __call__(self, step):
        self.s = step.s
        return self.module(step.latents, timestep=step.t, class_labels=step.labels).sample


def hooked(pair, prepare):
    model, module = pair
    counting = Counting(module, prepare)
    plan = [counting] * STEPS
    result = plain.loop(module, plan, noise_of(model), [1], guidance=3.0, null=model.family.classes)
    return counting.steps, result.latents


def test_fbcache_is_diffusers_first_block_cache(pair):
    def prepare(module):
        apply_first_block_cache(module, FirstBlockCacheConfig(threshold=0.2))
        # DiT's pipeline opens no context for the hook to keep its state in.
        _set_cache_context(module, CacheContext("both"))

    computed, latents = hooked(pair, prepare)
    run = sample(pair[0], policy=FBCache(0.2), label=1, seed=5, steps=STEPS, cfg_scale=3.0)
    assert [s for s, c in enumerate(row(run)) if c == "C"] == computed
    assert relative(run.latents, latents) < BAR


@pytest.mark.parametrize(
    "ratios", [np.linspace(1.1, 0.92, STEPS), np.linspace(1.05, 0.9, 9)], ids=len
)
def test_magcache_is_diffusers_hook(pair, ratios):
    config = MagCacheConfig(0.06, 2, 0.2, STEPS, [float(r) for r in ratios])
    computed, latents = hooked(pair, lambda module: apply_mag_cache(module, config))
    policy = MagCache(0.06, 2, 0.2, tuple(ratios))
    run = sample(pair[0], policy=policy, label=1, seed=5, steps=STEPS, cfg_scale=3.0)
    assert [s for s, c in enumerate(row(run)) if c == "C"] == computed
    assert relative(run.latents, latents) < BAR
    assert len(computed) < STEPS - 3


def test_any_painted_row_of_residuals_is_magcache_as_a_mask(pair):
    mask = [True, *(np.random.default_rng(1).random(STEPS - 1) < 0.5)]
    config = MagCacheConfig(1.0, 10**6, 0.0, STEPS, [3.0 if m else 1.0 for m in mask])
    computed, latents = hooked(pair, lambda module: apply_mag_cache(module, config))
    schedule = Schedule.full(STEPS, BLOCKS).paint_steps(~np.array(mask), Residual())
    run = sample(pair[0], schedule, label=1, seed=5, cfg_scale=3.0)
    assert computed == np.flatnonzero(mask).tolist()
    assert relative(run.latents, latents) < BAR


# The hook's own mesh of frequencies is of the kind torch wants written otherwise.
@pytest.mark.filterwarnings("ignore:torch.meshgrid")
def test_the_conditional_half_is_diffusers_faster_cache(pair):
    model, module = pair
    now = {"t": 0.0}

    def prepare(inner):
        config = FasterCacheConfig(
            spatial_attention_timestep_skip_range=(-2, -1),  # guidance alone
            tensor_format="BCHW",
            current_timestep_callback=lambda: now["t"],
            attention_weight_callback=lambda _: 0.5,
            _unconditional_conditional_input_kwargs_identifiers=[
                "hidden_states", "timestep", "class_labels",
            ],
        )  # fmt: skip
        apply_faster_cache(inner, config)

    counting = Counting(module, prepare)

    def null_first(step):
        # The hook takes its batch as [null; conditional].
        now["t"] = step.times[step.s]
        x, y = step.latents.roll(1, 0), step.labels.roll(1, 0)
        counting.s = step.s
        got = counting.module(hidden_states=x, timestep=step.t, class_labels=y).sample
        return got.roll(1, 0)

    expected = plain.loop(
        module, [null_first] * STEPS, noise_of(model), [1], guidance=3.0, null=model.family.classes
    )
    times = reference.timesteps(STEPS)
    skipped = [s for s, t in enumerate(times) if s and t < 641 and s % 5]
    schedule = Schedule.full(STEPS, BLOCKS).paint_steps(skipped, CondOnly())
    run = sample(model, schedule, label=1, seed=5, cfg_scale=3.0)
    assert len(skipped) > STEPS // 3
    assert relative(run.latents, expected.latents) < BAR


# -- the papers' loops ---------------------------------------------------------------------


def change(a, b):
    return float((a - b).abs().mean() / b.abs().mean())


def tea_loop(policy):
    state = {"sum": 0.0}

    def run(step):
        x = step.embed()
        norm = step.module.transformer_blocks[0].norm1
        m = norm(x, step.t, step.labels, hidden_dtype=x.dtype)[0]
        before, state["m"] = state.get("m"), m
        if 0 < step.s < STEPS - 1:
            state["sum"] += np.polyval(policy.coefficients, change(m, before))
            if state["sum"] < policy.threshold:
                return plain.residual(0, 0)(step)
        state["sum"] = 0.0
        return plain.compute(step)

    return run


def di_loop(policy):
    state = {"sum": 0.0}

    def run(step):
        x = step.embed()
        y = step.blocks(x, 0, policy.probe)
        before, state["both"] = state.get("both"), (x, y)
        if int(policy.retain * STEPS) < step.s < STEPS - 1:
            dx, dy = change(x, before[0]), change(y, before[1])
            state["sum"] += abs(dy - dx) if policy.error == "delta_minus" else dy
            if state["sum"] < policy.threshold:
                return plain.probe(policy.probe)(step)
        state["sum"] = 0.0
        return plain.compute(step)

    return run


def easy_loop(policy):
    state = {"sum": 0.0, "k": None}

    def run(step):
        x = step.latents[:1]
        before, state["x"] = state.get("x"), x
        kept = step.kept[-1] if step.kept else None
        if policy.warmup <= step.s < STEPS - 1 and state["k"] is not None:
            moved = (x - before).abs().mean() / kept.output[:1, :4].abs().mean()
            state["sum"] += float(state["k"] * moved)
            if state["sum"] < policy.threshold:
                return plain.output(step)
        state["sum"] = 0.0
        out = plain.compute(step)
        if kept is not None:
            by_x = (out[:1, :4] - kept.output[:1, :4]).abs().mean()
            state["k"] = by_x / (x - kept.latents[:1]).abs().mean()
        return out

    return run


def sen_loop(policy):
    state = {"row": 0}

    def run(step):
        if policy.retain <= step.s < STEPS - policy.retain and step.kept:
            kept = step.kept[-1]
            t = step.times[kept.s]
            i = min(range(3), key=lambda i: abs(policy.timesteps[i] - t))
            error = policy.j_x[i] * torch.dist(step.latents[0], kept.latents[0]).item()
            error += policy.j_t[i] * (t - step.times[step.s])
            limit = policy.start if 2 * step.s < round(0.4 * STEPS) else policy.main
            if error < limit * step.latents[0].numel() ** 0.5 and state["row"] < policy.most:
                state["row"] += 1
                return plain.residual(0, 0)(step)
        state["row"] = 0
        return plain.compute(step)

    return run


def db_loop(policy):
    state = {"skipped": []}

    def run(step):
        x = step.embed()
        r = step.blocks(x, 0, policy.first) - x
        row = 0
        while step.s - 1 - row in state["skipped"]:
            row += 1
        if (
            step.s >= policy.warmup
            and row < policy.in_a_row
            and change(r, state["r"]) < policy.threshold
        ):
            state["skipped"].append(step.s)
            return plain.residual(policy.first, policy.last)(step)
        state["r"] = r
        return plain.compute(step)

    return run


LOOPS = {
    "teacache": tea_loop,
    "dicache": di_loop,
    "dicache, delta minus": di_loop,
    "easycache": easy_loop,
    "sencache": sen_loop,
    "dbcache": db_loop,
}


@pytest.mark.parametrize("name", LOOPS)
def test_policies_are_the_papers_loops(pair, name):
    model, module = pair
    kept = []
    loop = LOOPS[name](MIXED[name])

    def step_of(step):
        out = loop(step)
        kept[:] = step.kept
        return out

    expected = plain.loop(
        module, [step_of] * STEPS, noise_of(model), [1], guidance=3.0, null=model.family.classes
    )
    run = sample(model, policy=MIXED[name], label=1, seed=5, steps=STEPS, cfg_scale=3.0)
    assert [s for s, c in enumerate(row(run)) if c == "C"] == [k.s for k in kept]
    assert relative(run.latents, expected.latents) < BAR


class FirstOf(Spy):
    """Keeps what goes through a cell first; a check of the last block comes later."""

    def __init__(self, family):
        super().__init__(family)
        self.inside = {}

    def add(self, x, out, given, s, block, r, *, own=False):
        before = x.clone()
        made = self.family.add(x, out, given, s, block, r, own=own)
        self.inside.setdefault((s, block, r), (before, out.clone(), made.clone()))
        return made


def test_speca_is_forecast_branches_checked_at_the_last_block(pair):
    model, module = pair
    spy = FirstOf(model.family)
    watched = dataclasses.replace(model, family=spy)
    run = sample(watched, policy=MIXED["speca"], label=1, seed=5, steps=STEPS, cfg_scale=3.0)
    computed = [s for s, c in enumerate(row(run)) if c == "C"]
    assert 3 < len(computed) < STEPS - 3
    errors = {}
    for (s, block, r), (_, out, _) in spy.inside.items():
        if s in computed:
            continue
        # Every branch: a polynomial through differences of what was computed.
        past = [e for e in computed if e < s][-3:][::-1]
        f = [spy.inside[e, block, r][1] for e in past]
        expected, x = f[0].clone(), s - past[0]
        if len(f) > 1:
            first = (f[0] - f[1]) / (past[0] - past[1])
            expected += first * x
        if len(f) > 2:
            second = (f[1] - f[2]) / (past[1] - past[2])
            expected += (first - second) / (past[0] - past[1]) * x**2 / 2
        assert relative(out, expected) < BAR
        # Its error: the last block in diffusers' own form, from the forecast input.
        if (block, r) == (BLOCKS - 1, 1):
            t = torch.full((2,), reference.timesteps(STEPS)[s])
            y, before = torch.tensor([1, model.family.classes]), spy.inside[s, block, 0][0]
            with torch.no_grad():
                truth = module.transformer_blocks[-1](before, timestep=t, class_labels=y)
            forecast = spy.inside[s, block, 1][2]
            errors[s] = float(((forecast - truth).abs() / (truth.abs() + 1e-10)).mean())
    scored = [s for s, c in enumerate(run.choices) if c.score is not None]
    assert len(scored) > 3
    for s in scored:
        assert run.choices[s].score == pytest.approx(errors[s - 1], rel=1e-3)
        bad = errors[s - 1] > max(0.05 * 0.5 ** ((s + 1) / STEPS), 0.01)
        assert run.choices[s].runs_all or not bad
    assert any(run.choices[s].runs_all for s in scored)
