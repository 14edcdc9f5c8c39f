"""Compiled branches and attention kernels: equal within rounding, compiled once, refused early."""

import copy
import dataclasses
import importlib
import json
import os
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch._dynamo.utils import counters
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from caching import Model, ModelError, RequestError, Schedule, fidelity, sample
from caching.actions.cond_only import CondOnly
from caching.dynamic.lazydit import LazyDiT
from caching.engine.samplers import SAMPLERS
from caching.engine.states import States
from caching.measure.timing import setting_of
from caching.models import dit_compiled
from caching.models.attention import KERNELS, attention_of
from caching.models.speed import ATTENTION, Speed
from caching.predictors.reuse import Reuse
from caching.predictors.taylor import Taylor
from caching.predictors.tokens import Tokens
from tests.caching import tiny
from tests.caching.shell import cli
from tests.caching.spy import relative

STEPS, BLOCKS = 4, 3
COMPILED = Speed(compiled=True)
# Compiled and plain branches round at other places; what a run makes of that is more.
BARS = {torch.float32: (2e-6, 1e-5), torch.bfloat16: (2e-2, 5e-2)}
ON_CPU = ("math", "flash", "products")


def model_of(speed=None, dtype=torch.float32, **shape):
    module = tiny.dit(blocks=BLOCKS, **shape)
    for p in module.parameters():
        p.data = p.data.to(dtype)
    given = {} if speed is None else {"speed": speed}
    return Model.from_modules(module, scheduler=tiny.V, **given)


def mixed(steps=STEPS, blocks=BLOCKS):
    """Reused, forecast and partly computed cells beside computed ones."""
    actions = np.random.default_rng(steps).integers(0, 4, (steps, blocks, 2)).astype(np.uint8)
    actions[0] = 0
    return Schedule(actions, legend=(Reuse(), Taylor(), Tokens(0.5)))


# -- attention kernels ---------------------------------------------------------------------


def exactly(q, k, v):
    """softmax(q k / sqrt d) v in float64, head by head."""
    out = torch.empty(q.shape, dtype=torch.float64)
    for n, head in np.ndindex(*q.shape[:2]):
        scores = q[n, head].double() @ k[n, head].double().T / q.shape[-1] ** 0.5
        weights = scores.exp()
        out[n, head] = (weights / weights.sum(-1, keepdim=True)) @ v[n, head].double()
    return out


@pytest.mark.parametrize("dtype", BARS, ids=str)
@pytest.mark.parametrize("name", ("auto", *ON_CPU))
def test_every_kernel_is_attention(name, dtype):
    draw = torch.Generator().manual_seed(0)
    # As a branch has them: views of one product, and fewer queries than keys.
    _, k, v = torch.randn(2, 5, 3, 4, 8, generator=draw).to(dtype).permute(2, 0, 3, 1, 4)
    for queries in (5, 2):
        q = torch.randn(2, queries, 4, 8, generator=draw).to(dtype).transpose(1, 2)
        got = attention_of(name, q[:1])(q, k, v)
        assert got.dtype == dtype
        assert relative(got.double(), exactly(q, k, v)) < BARS[dtype][0]


class Seen(TorchDispatchMode):
    """Which of torch's kernels the process may use, at every operation."""

    def __init__(self):
        super().__init__()
        self.kernels = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        cuda = torch.backends.cuda
        self.kernels.add((cuda.math_sdp_enabled(), cuda.flash_sdp_enabled()))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ON_CPU)
def test_a_kernel_is_torchs_own_and_no_other_threads_business(name):
    q, k, v = torch.randn(3, 2, 3, 5, 8, generator=torch.Generator().manual_seed(1))
    attend = attention_of(name, q[:1])
    with Seen() as seen:
        got = attend(q, k, v)
    # torch's choice of kernel is one for all threads: another model must not meet ours.
    assert seen.kernels == {(True, True)}
    if name != "products":
        backend = {"math": SDPBackend.MATH, "flash": SDPBackend.FLASH_ATTENTION}[name]
        with sdpa_kernel(backend):
            assert torch.equal(got, F.scaled_dot_product_attention(q, k, v))


@pytest.mark.parametrize("name", ["math", "flash", "efficient", "cudnn"])
def test_a_gpus_kernels_take_what_a_branch_gives(name):
    q, k, v = torch.empty(5, 2, 3, 4, 8, device="meta", dtype=torch.bfloat16).unbind()[:3]
    with torch.no_grad():
        assert KERNELS[name](q[:, :, :2], k, v).shape == (2, 3, 2, 8)


@pytest.mark.parametrize("name", ON_CPU)
def test_a_run_by_any_kernel_is_the_run(name):
    plain, other = sample(model_of(), mixed(), label=1), model_of(Speed(attention=name))
    assert relative(sample(other, mixed(), label=1).latents, plain.latents) < BARS[torch.float32][1]
    assert setting_of(other).endswith(f", float32, {name} attention")


def test_nothing_asked_for_is_torchs_own_attention():
    assert model_of().family.attend is F.scaled_dot_product_attention
    assert setting_of(model_of()).endswith(", float32")


@pytest.mark.parametrize("name", ["efficient", "cudnn"])
def test_a_kernel_that_is_not_there_is_refused_before_any_run(name):
    words = f"'{name}' .* none on cpu for 2 heads of 8 over 16 tokens in float32, expected one of: "
    with pytest.raises(ModelError, match=words + "auto, math, flash, products"):
        model_of(Speed(attention=name))


def test_a_name_that_is_none_is_refused():
    with pytest.raises(ModelError, match="'quick' was given, expected one of: auto, math"):
        Speed(attention="quick")


# -- compiled: how often -------------------------------------------------------------------


@pytest.fixture
def graphs(monkeypatch):
    """Counts compilations and does without them, as each takes a second."""
    made = []
    monkeypatch.setattr(dit_compiled, "compiled", lambda f, *args: made.append(args) or f)
    return lambda: len(made)


def test_no_schedule_block_label_or_setting_compiles_again(graphs):
    model = model_of(COMPILED)
    assert graphs() == 2  # attention and mlp of all blocks
    other = dataclasses.replace(mixed(), actions=np.roll(mixed().actions, 1, axis=1))
    for schedule in (None, Schedule.every(STEPS, BLOCKS, 2), mixed(), other, mixed(7)):
        for asked in ({}, {"label": "class 4"}, {"seed": 9}, {"cfg_scale": 7.0}):
            sample(model, schedule, **{"label": 1, "sampler": "euler", **asked})
    assert graphs() == 2


def test_a_batch_size_compiles_once_and_all_large_ones_together(graphs):
    model = model_of(COMPILED)
    for seen, asked in (
        (2, {"label": 1}),
        (4, {"label": 1, "cfg_scale": 1.0}),
        (4, {"label": [1, 2], "cfg_scale": 1.0}),
        (6, {"label": [1, 2]}),
        (6, {"label": [1, 2, 2]}),
        (6, {"label": [5, 2, 4, 4, 8]}),
        (6, {"label": [5, 2, 4], "cfg_scale": 1.0}),
    ):
        sample(model, mixed(), **asked)
        sample(model, None, **asked)
        assert graphs() == seen, asked


def gate_of(model):
    """A policy that computes some branches for some rows of a batch."""
    shape = (STEPS, BLOCKS, 2, model.family.width)
    return LazyDiT(np.random.default_rng(0).normal(size=shape).astype(np.float32))


@pytest.mark.parametrize(
    ("asked", "smaller"),
    [
        ({"label": 1}, (1,)),  # half of guidance
        ({"label": [1, 2, 3, 4, 5, 6]}, ()),  # all batches from three rows on are one
        ({"label": 1, "policy": True}, (1,)),  # a gate that computes for one row of two
        ({"label": [1, 2], "policy": True}, (1, 2)),
    ],
    ids=str,
)
def test_smaller_batches_are_compiled_before_the_first_step(graphs, monkeypatch, asked, smaller):
    model, plain = model_of(COMPILED), model_of()
    cells, steps = np.zeros((STEPS, BLOCKS, 2), np.uint8), np.array([0, 0, 1, 0], np.uint8)
    schedule = Schedule(cells, step_actions=steps, step_legend=(CondOnly(),))
    if asked.get("policy"):
        asked = {**asked, "policy": gate_of(plain), "steps": STEPS}
        schedule = None
    within, embed = [], type(model.family).embed
    monkeypatch.setattr(
        type(model.family), "embed", lambda *args: within.append(graphs()) or embed(*args)
    )
    got = sample(model, schedule, **asked).latents
    rows = {min(n, 3) for n in (2, 2 * np.size(asked["label"]), *smaller)}
    assert set(within) == {graphs()} == {2 * len(rows)}
    assert relative(got, sample(plain, schedule, **asked).latents) < BARS[torch.float32][1]


def test_another_model_compiles_for_itself(graphs):
    for count, shape in enumerate(({"side": 4}, {"side": 8}, {"side": 12}), 1):
        sample(model_of(COMPILED, **shape), label=1, steps=2)
        assert graphs() == 2 * count


@pytest.mark.parametrize("shape", tiny.SHAPES)
def test_what_is_compiled_is_every_shapes_branch(graphs, shape):
    module = tiny.dit(**tiny.SHAPES[shape])
    models = [Model.from_modules(module, scheduler=tiny.V, speed=s) for s in (Speed(), COMPILED)]
    plain, own = (sample(m, label=1, steps=2).latents for m in models)
    assert relative(own, plain) < BARS[torch.float32][1]


def test_trained_weights_are_seen_and_gradients_flow(graphs):
    model = model_of(COMPILED)
    before = sample(model, mixed(), label=1).latents
    with torch.no_grad():
        for block in model.family.module.transformer_blocks:
            block.attn1.to_k.weight.mul_(3)
            block.ff.net[2].bias.add_(1)
    fresh = Model.from_modules(copy.deepcopy(model.family.module), scheduler=tiny.V)
    after = sample(model, mixed(), label=1).latents
    assert relative(after, before) > 0.01
    assert relative(after, sample(fresh, mixed(), label=1).latents) < BARS[torch.float32][1]
    x = torch.randn(2, 16, 16, requires_grad=True)
    given = model.family.condition(torch.tensor([500]), torch.tensor([1, 10]))
    model.family.branch(x, given, 0, 0, 1).sum().backward()
    assert x.grad is not None and graphs() == 2


def test_blocks_that_differ_are_not_compiled_as_one(graphs):
    module = tiny.dit(blocks=2)
    module.transformer_blocks[1].ff.net[0].proj = torch.nn.Linear(16, 24)
    module.transformer_blocks[1].ff.net[2] = torch.nn.Linear(24, 16)
    assert sample(Model.from_modules(copy.deepcopy(module), scheduler=tiny.V), label=1, steps=2)
    with pytest.raises(ModelError, match="blocks' weights differ in size or layout"):
        Model.from_modules(module, scheduler=tiny.V, speed=COMPILED)


# -- compiled: equal -----------------------------------------------------------------------

needs_compiler = pytest.mark.skipif(
    not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++")),
    reason="no C++ compiler on this machine",
)


@pytest.fixture(scope="module", params=BARS, ids=str)
def pair(request):
    """The same model plain and compiled, of a shape that has every part."""
    return (
        *(model_of(speed, request.param) for speed in (Speed(), COMPILED)),
        BARS[request.param],
    )


@needs_compiler
def test_compiled_branches_are_the_branches(pair):
    plain, compiled, (bar, _) = pair
    x = torch.randn(2, 16, 16, generator=torch.Generator().manual_seed(0)).to(plain.dtype)
    with torch.no_grad():
        given = [
            m.family.condition(torch.tensor([999, 500, 3]), torch.tensor([4, 10]))
            for m in (plain, compiled)
        ]
        for s, block, r in np.ndindex(3, BLOCKS, 2):
            expected = plain.family.branch(x, given[0], s, block, r)
            got = compiled.family.branch(x, given[1], s, block, r)
            assert got.dtype == plain.dtype
            assert relative(got, expected) < bar, (s, block, r)


@needs_compiler
def test_a_compiled_run_is_the_run(pair):
    plain, compiled, (_, bar) = pair
    # A batch once: it takes a compilation of its own.
    for label in (1, [1, 2, 7]) if plain.dtype == torch.float32 else (1,):
        a, b = (sample(model, mixed(), label=label) for model in (plain, compiled))
        assert np.array_equal(a.executed, b.executed)
        assert relative(b.latents, a.latents) < bar
        before = counters["stats"]["unique_graphs"]
        assert torch.equal(sample(compiled, mixed(), label=label).latents, b.latents)
        sample(compiled, Schedule.every(7, BLOCKS, 2), label=label, cfg_scale=9.0, seed=5)
        assert counters["stats"]["unique_graphs"] == before >= 2
        assert not counters["graph_break"]


@needs_compiler
def test_a_compiled_run_goes_on_to_the_last_bit(pair):
    _, compiled, _ = pair
    schedule, states = Schedule.every(STEPS, BLOCKS, 2), States(budget_mib=64)
    sample(compiled, schedule, label=1, states=states)
    actions = schedule.actions.copy()
    actions[-1] ^= 1
    edited = dataclasses.replace(schedule, actions=actions)
    went_on = sample(compiled, edited, label=1, states=states)
    assert went_on.resumed_from == STEPS - 1
    assert torch.equal(went_on.latents, sample(compiled, edited, label=1).latents)


def test_what_ran_says_so_and_is_compared_with_its_own_kind(graphs):
    plain, compiled = model_of(), model_of(Speed(compiled=True, attention="math"))
    assert setting_of(compiled).endswith(", float32, compiled, math attention")
    states = States(budget_mib=64)
    a, b = (sample(model, mixed(), label=1, states=states) for model in (plain, compiled))
    assert (a.request.speed, b.request.speed) == ((), ("compiled", "math attention"))
    assert b.resumed_from == 0  # what another kernel computed is not gone on from
    with pytest.raises(RequestError, match="differ in speed"):
        fidelity(b, a)


def test_a_machine_without_a_compiler_is_told(monkeypatch):
    inductor = importlib.import_module("torch._inductor.config")
    monkeypatch.setattr(inductor.cpp, "cxx", (None, "/nowhere/g++"))
    with pytest.raises(ModelError, match=r"No working C\+\+ compiler .* install it, or load"):
        model_of(COMPILED, side=4)


# -- from a shell --------------------------------------------------------------------------


def test_a_shell_asks_for_both(graphs, tmp_path):
    tiny.save_pipeline(tmp_path / "model")
    shared = ("run", "--model", tmp_path / "model", "--steps", 2, "-o", tmp_path / "p", "--json")
    code, out, err = cli(*shared, "--compile", "--attention", "math", "--dtype", "bfloat16")
    assert code == 0, err
    assert json.loads(out)["setting"].endswith(", bfloat16, compiled, math attention")
    assert graphs() == 2
    code, _, err = cli(*shared, "--attention", "cudnn")
    assert code == 2 and "'cudnn' was asked for and torch has none on cpu" in err
    assert cli(*shared, "--attention", "quick")[0] == 2


@pytest.mark.parametrize("command", ["run", "compare", "evaluate", "study"])
def test_the_help_names_every_kernel_and_sampler(command, capsys):
    assert cli(command, "--help")[0] == 0
    text = capsys.readouterr().out
    words = text.split("--attention KERNEL")[-1].split("--compile")[0]
    assert all(name in words for name in ATTENTION)
    words = " ".join(text.split("--sampler SAMPLER")[-1].split("--device")[0].split())
    assert words.split(" (default")[0].replace(" or ", ", ").split(", ") == list(SAMPLERS)
