"""Steps launched as graphs: on a CPU, operations recorded by torch's dispatcher and done again.

What is recorded sees tensors alone, as a CUDA graph does: a number or a Python object that changes
between two steps would not reach it.
"""

import dataclasses
import gc
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from caching import Model, ModelError, RequestError, Schedule, fidelity, iter_sample, sample
from caching.actions.cond_only import CondOnly
from caching.engine.states import States
from caching.models import graphs as graphs_of_models
from caching.models.graphs import COMPUTED, REUSED, STORED, Graphs, patterns_of
from caching.models.speed import Speed
from caching.predictors.reuse import Reuse
from caching.predictors.taylor import Taylor
from tests.caching import tiny
from tests.caching.shell import cli
from tests.caching.spy import reuse_schedules

STEPS, BLOCKS = 5, 3


class Tape(TorchDispatchMode):
    """Operations with the very tensors they were done on."""

    def __init__(self):
        super().__init__()
        self.done = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        self.done.append((function, args, kwargs or {}, out))
        return out

    def again(self):
        for function, args, kwargs, out in self.done:
            fresh = function(*args, **kwargs)
            for old, new in zip(tree_leaves(out), tree_leaves(fresh), strict=True):
                # Views, and what was written in place, are there already.
                if torch.is_tensor(old) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


@pytest.fixture
def launched():
    """Makes a model whose steps are launched from tapes, and counts recordings and launches."""
    counts = Counter()

    def record(work):
        with Tape() as tape:
            output = work()
        counts["recorded"] += 1

        def again():
            counts["launched"] += 1
            tape.again()

        return again, output

    def make(**shape):
        plain = Model.from_modules(tiny.dit(**{"blocks": BLOCKS, **shape}), scheduler=tiny.V)
        graphs = Graphs(plain.family, record=record)
        return plain, dataclasses.replace(plain, graphs=graphs), counts

    return make


def equal(plain, other, schedule, **asked):
    asked = {"label": 1, **asked}
    a, b = (sample(model, schedule, **asked) for model in (plain, other))
    assert np.array_equal(a.executed, b.executed)
    assert torch.equal(a.latents, b.latents)
    return b


@pytest.mark.parametrize("name", ["full", *reuse_schedules(STEPS, BLOCKS)])
def test_a_launched_run_is_the_run(launched, name):
    plain, other, counts = launched()
    schedule = {"full": None, **reuse_schedules(STEPS, BLOCKS)}[name]
    asked = {"steps": STEPS} if schedule is None else {}
    equal(plain, other, schedule, **asked)
    assert counts["launched"] == STEPS
    rows = {"full": 1, "every 2nd step (FORA)": 3, "attention never again": 2}
    assert counts["recorded"] == rows.get(name, counts["recorded"])
    # Another picture, guidance and sampler of the same rows record nothing.
    before = counts["recorded"]
    equal(plain, other, schedule, **asked, label=4, seed=7, cfg_scale=9.0, sampler="euler")
    assert counts["recorded"] == before and counts["launched"] == 2 * STEPS


@pytest.mark.parametrize("shape", tiny.SHAPES)
def test_so_it_is_for_every_shape(launched, shape):
    plain, other, counts = launched(**tiny.SHAPES[shape])
    equal(plain, other, Schedule.every(3, plain.blocks, 2))
    assert counts["launched"] == 3


@pytest.mark.parametrize(
    "asked",
    [{"cfg_scale": 1.0}, {"label": [1, 2]}, {"label": [5, 2, 5], "cfg_scale": 1.0}],
    ids=str,
)
def test_so_it_is_for_one_pass_and_for_batches(launched, asked):
    plain, other, counts = launched()
    for _ in range(2):
        equal(plain, other, Schedule.every(STEPS, BLOCKS, 2), **asked)
    assert counts["launched"] == 2 * STEPS and counts["recorded"] == 3


def test_patterns_by_hand():
    actions = np.array([[[0, 0]], [[1, 0]], [[1, 0]], [[0, 1]]], np.uint8)  # (4, 1, 2)
    # Attention of step 0 is last read at step 2, the mlp's of step 2 at step 3.
    last_use = np.array([[[2, -1]], [[-1, -1]], [[-1, 3]], [[-1, -1]]], np.int32)
    expected = ((STORED, COMPUTED),), ((REUSED, COMPUTED),), ((REUSED, STORED),)
    assert patterns_of(actions, last_use) == (*expected, ((COMPUTED, REUSED),))


def test_runs_at_the_same_time_do_not_meet(launched):
    plain, other, counts = launched()
    schedule = Schedule.every(STEPS, BLOCKS, 2)
    sample(other, schedule, label=3)  # so that one bench is free when both begin
    runs = [iter_sample(other, schedule, label=label, seed=label) for label in (1, 2)]
    *_, ends = zip(*runs, strict=True)  # a step of each in turn
    for label, run in zip((1, 2), ends, strict=True):
        assert torch.equal(run.latents, sample(plain, schedule, label=label, seed=label).latents)
    assert counts["recorded"] == 6  # one bench each


def test_an_output_is_the_callers(launched):
    _, other, _ = launched()
    family = other.family
    given = family.condition(torch.tensor([900, 100]), torch.tensor([1]))
    patterns = patterns_of(np.zeros((2, BLOCKS, 2), np.uint8), np.full((2, BLOCKS, 2), -1))
    latents = torch.ones(1, *family.latent_shape)
    bench = other.graphs.take(given, latents, patterns)
    first = bench.step(patterns[0], latents, given, 0)
    kept = first.clone()
    assert not torch.equal(bench.step(patterns[1], latents, given, 1), kept)
    assert torch.equal(first, kept)


def test_an_abandoned_run_gives_its_bench_back(launched):
    plain, other, counts = launched()
    schedule = Schedule.every(STEPS, BLOCKS, 2)
    for _ in range(3):
        events = iter_sample(other, schedule, label=3)
        next(events)
        events.close()
        gc.collect()
    equal(plain, other, schedule)
    assert counts["recorded"] == 3


def test_what_waits_is_bounded(launched, monkeypatch):
    plain, other, counts = launched()
    for labels in ([1], [1, 2], [1, 2, 3]):
        sample(other, None, label=labels, steps=1)
    assert len(other.graphs._free) == graphs_of_models.MOST_BENCHES
    sample(other, None, label=[1, 2, 3], steps=1)
    assert counts["recorded"] == 3
    monkeypatch.setattr(graphs_of_models, "MOST_GRAPHS", 1)
    for schedule in reuse_schedules(STEPS, BLOCKS).values():
        equal(plain, other, schedule)
    held = [len(bench.recorded) for bench in other.graphs._free]
    assert max(held) <= STEPS


def test_trained_weights_are_seen(launched):
    plain, other, _ = launched()
    before = equal(plain, other, None, steps=2).latents
    with torch.no_grad():
        for block in plain.family.module.transformer_blocks:
            block.attn1.to_k.weight.mul_(3)
            block.norm1.linear.weight.mul_(2)
    after = equal(plain, other, None, steps=2).latents
    assert not torch.equal(before, after)
    # A graph reads where it was recorded: what is made anew for a run has to stand there too.
    with torch.no_grad():
        plain.family.proj_in.bias.add_(0.5)
    with torch.inference_mode():
        sample(plain, label=2, steps=2)
    assert not torch.equal(after, equal(plain, other, None, steps=2).latents)


@pytest.mark.parametrize("what", ["forecast", "half of guidance", "states", "trace"])
def test_what_looks_at_more_than_stored_outputs_runs_without(launched, what):
    plain, other, counts = launched()
    cells, steps, asked = np.zeros((STEPS, BLOCKS, 2), np.uint8), np.zeros(STEPS, np.uint8), {}
    cells[2] = what in ("forecast", "states")
    steps[3] = what == "half of guidance"
    schedule = Schedule(
        cells,
        legend=(Taylor() if what == "forecast" else Reuse(),),
        step_actions=steps,
        step_legend=(CondOnly(),),
    )
    if what == "states":
        asked = {"states": States(budget_mib=16)}
    if what == "trace":
        asked = {"lags": 1}
    got = sample(other, schedule, label=1, **asked)
    assert torch.equal(got.latents, sample(plain, schedule, label=1).latents)
    assert not counts


def test_it_stops_between_steps(launched):
    _, other, counts = launched()
    polled = iter([False, False, True])
    events = iter_sample(other, None, label=1, steps=STEPS, stopped=lambda: next(polled))
    assert len(list(events)) == 2 == counts["launched"]


def test_without_a_gpu_it_is_refused():
    with pytest.raises(ModelError, match="asked for with a model on cpu, expected an NVIDIA GPU"):
        Model.from_modules(tiny.dit(), scheduler=tiny.V, speed=Speed(graphs=True))


def test_a_shell_refuses_it_too(tmp_path):
    tiny.save_pipeline(tmp_path / "model")
    code, _, err = cli(
        "run", "--model", tmp_path / "model", "--steps", 2, "-o", tmp_path / "p", "--graphs"
    )
    assert code == 2 and "CUDA graphs were asked for with a model on cpu" in err


def test_what_ran_says_so(launched):
    assert Speed(graphs=True, attention="math").words == ("math attention", "CUDA graphs")
    plain, other, _ = launched()
    a = sample(plain, None, label=1, steps=2)
    b = sample(dataclasses.replace(other, speed=Speed(graphs=True)), None, label=1, steps=2)
    with pytest.raises(RequestError, match="differ in speed"):
        fidelity(b, a)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU on this machine")
@pytest.mark.parametrize("name", ["full", *reuse_schedules(STEPS, BLOCKS)])
def test_on_a_gpu_a_launched_run_is_the_run(name):
    schedule = {"full": Schedule.full(STEPS, BLOCKS), **reuse_schedules(STEPS, BLOCKS)}[name]
    models = (
        Model.from_modules(tiny.dit(blocks=BLOCKS).cuda(), scheduler=tiny.V, speed=speed)
        for speed in (Speed(), Speed(graphs=True))
    )
    a, b = (sample(model, schedule, label=[1, 2]) for model in models)
    torch.testing.assert_close(b.latents, a.latents, rtol=1e-4, atol=1e-5)
