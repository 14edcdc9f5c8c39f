"""LazyDiT's gate: by sample, against hooks on diffusers' own modules; what a schedule can say."""

import copy
import io

import numpy as np
import pytest
import torch

from caching import Schedule, sample
from caching.cli.run import record_of, tell_note
from caching.cli.terminal import Terminal
from caching.dynamic.lazydit import LazyDiT
from caching.errors import ScheduleError
from caching.formats.native import from_json
from caching.marks import PARTLY
from caching.measure.comparison import iter_compare
from caching.measure.result import result_of
from caching.measure.timing import BranchTimes
from tests.caching import plain, tiny
from tests.caching.spy import own, relative
from tests.caching.test_cost import counted_macs

STEPS, BLOCKS = 8, 3
BAR = 1e-4


@pytest.fixture(scope="module")
def pair():
    module = tiny.dit(blocks=BLOCKS)
    return own(module, tiny.EPSILON), module


def gates(scale=0.1, seed=0):
    return np.random.default_rng(seed).normal(0, scale, (STEPS, BLOCKS, 2, 16))


def by_hooks(module, weights, labels, *, guidance, threshold=0.5):
    """The plain loop with a gate behind every attn1 and ff; latents, and shares computed."""
    stored, shares, now = {}, np.ones((STEPS, BLOCKS, 2)), {}

    def hook(block, r):
        def after(_module, inputs, output):
            s = now["s"]
            if s:
                w = torch.from_numpy(weights[s, block, r]).float()
                # In another order of sums than the engine's: tokens first.
                keep = torch.sigmoid(inputs[0].sum(1) @ w) >= threshold
                shares[s, block, r] = keep.float().mean()
                output = torch.where(keep[:, None, None], output, stored[block, r])
            stored[block, r] = output
            return output

        return after

    handles = []
    for i, block in enumerate(module.transformer_blocks):
        handles.append(block.attn1.register_forward_hook(hook(i, 0)))
        handles.append(block.ff.register_forward_hook(hook(i, 1)))

    def run(step):
        now["s"] = step.s
        return plain.compute(step)

    shape = (3, 8, 8)
    draws = [torch.Generator().manual_seed(5 + i) for i in range(len(labels))]
    noise = torch.stack([torch.randn(shape, generator=g) for g in draws])
    result = plain.loop(module, [run] * STEPS, noise, labels, guidance=guidance, null=10)
    for handle in handles:
        handle.remove()
    return result.latents, shares


@pytest.mark.parametrize("threshold", [0.5, 0.7])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("labels", [(1,), (4, 1, 4)], ids=str)
def test_the_gate_is_the_papers_sample_by_sample(pair, guidance, labels, threshold):
    model, module = pair
    policy = LazyDiT(gates(), threshold)
    asked = {"label": list(labels), "seed": 5, "steps": STEPS, "cfg_scale": guidance}
    run = sample(model, policy=policy, **asked)
    latents, shares = by_hooks(module, gates(), labels, guidance=guidance, threshold=threshold)
    expected = np.where(shares == 1, 0, np.where(shares == 0, 1, PARTLY))
    assert np.array_equal(run.executed, expected)
    assert relative(run.latents, latents) < BAR
    # All three kinds are there, but in a batch of one no two samples can disagree.
    assert set(np.unique(expected)) == ({0, 1} if len(labels) * guidance == 1 else {0, 1, PARTLY})


def test_what_samples_agree_on_can_be_baked_and_nothing_else(pair):
    policy = LazyDiT(gates())
    asked = {"label": 1, "cfg_scale": 1.0}
    run = sample(pair[0], policy=policy, steps=STEPS, **asked)
    again = sample(pair[0], run.baked, **asked)
    assert torch.equal(run.latents, again.latents)
    assert np.array_equal(run.executed, again.executed) and run.executed.any()
    mixed = sample(pair[0], policy=policy, steps=STEPS, label=1)
    assert (mixed.executed == PARTLY).any()
    step, block, branch = np.argwhere(mixed.executed == PARTLY)[0]
    name = f"block {block}, {('attn', 'mlp')[branch]}, step {step}: computed for some samples"
    with pytest.raises(ScheduleError, match=name):
        _ = mixed.baked


def test_what_samples_do_not_agree_on_is_recorded_with_a_note(pair):
    model = pair[0]
    asked = {"label": 1, "seed": 0, "cfg_scale": 4.0, "sampler": "ddim"}
    full = Schedule.full(STEPS, BLOCKS)
    *_, found = iter_compare(model, full, **asked, policy=LazyDiT(gates()), repeats=0)
    run = found.cached
    partly = run.executed == PARTLY
    times = BranchTimes(1.0, np.ones((BLOCKS, 2)), np.zeros((BLOCKS, 2)), source="a test")
    # The page's record and the shell's hold the nearest paint, and say that it is not the same.
    shown = result_of(model, found, times).schedule
    assert shown == run.painted and np.array_equal(shown.actions > 0, run.executed > 0)
    assert f"{partly.sum()} cells ran for some samples" in shown.context.note
    record = record_of(model, run, None)
    assert from_json(record["schedule"]) == shown
    said = io.StringIO()
    tell_note(run, Terminal(io.StringIO(), said))
    assert said.getvalue() == f"  {shown.context.note}.\n"
    one = sample(model, policy=LazyDiT(gates()), steps=STEPS, label=1, cfg_scale=1.0)
    assert one.painted == one.baked and one.painted.context.note is None


@pytest.mark.parametrize("asked", [{"label": 1}, {"label": [4, 1, 4], "cfg_scale": 1.0}], ids=str)
def test_cost_counts_the_samples_that_were_computed(pair, asked):
    # In float64, where every product is one that torch's counter knows, but for the gates: those
    # are products of a matrix and a vector.
    model, runs = own(copy.deepcopy(pair[1]).double(), tiny.EPSILON), []
    counts = [
        counted_macs(lambda p=p: runs.append(sample(model, policy=p, steps=STEPS, **asked)))
        for p in (None, LazyDiT(gates()))
    ]
    request, cost = runs[1].request, runs[1].cost
    # Width products for every token, in every cell behind step 0.
    asking = (STEPS - 1) * BLOCKS * 2 * len(request.labels) * request.passes * 16 * 16
    assert counts[0] - counts[1] == cost.macs_full - cost.macs + asking
    assert 0.2 < cost.work < 0.95 and (runs[1].executed == PARTLY).any()


def test_scores_are_the_mean_gate(pair):
    model, _ = pair
    weights = np.zeros((STEPS, BLOCKS, 2, 16))
    run = sample(model, policy=LazyDiT(weights), label=1, steps=STEPS)
    full = sample(model, label=1, steps=STEPS)
    assert torch.equal(run.latents, full.latents) and not run.executed.any()
    assert [c.score for c in run.choices] == [None] + [0.5] * (STEPS - 1)
    assert {c.limit for c in run.choices[1:]} == {0.5}
    # Above a half, what scores a half is reused.
    lazy = sample(model, policy=LazyDiT(weights, threshold=0.51), label=1, steps=STEPS)
    assert (lazy.executed[1:] == 1).all() and not lazy.executed[0].any()
    frozen = sample(model, Schedule.from_steps(np.arange(STEPS) == 0, BLOCKS), label=1)
    assert torch.equal(lazy.latents, frozen.latents)


def test_weights_given_are_not_written_to_and_not_shared(pair):
    weights = gates().astype(np.float32)
    policy, before = LazyDiT(weights), weights.copy()
    weights[:] = 99
    assert np.array_equal(policy.weights, before)
    assert not policy.weights.flags.writeable
    assert policy.title == "LazyDiT (0.5)"
