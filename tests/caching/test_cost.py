"""Cost: products counted by torch on diffusers' own module, and cache memory as it is held."""

import math
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from caching import CachebrushError, Schedule, cost_of, iter_sample, sample
from caching.engine import run as run_loop
from caching.engine.executor import Executor
from caching.engine.plan import make_plan, peak_bytes
from caching.measure.cost import branch_macs, steps_of_same_work
from caching.models.dit_modulation import Kept
from tests.caching import tiny
from tests.caching.spy import Spy, own, reuse_schedules, spied
from tests.caching.strategies import schedules


def fused_flops(x, weight, *_, out_shape=None, **__) -> int:
    """Of oneDNN's linear, x (..., in) and weight (out, in) given as shapes."""
    return 2 * math.prod(x) * weight[0]


def counted_macs(call) -> int:
    """Multiply-accumulates of every product in `call`, by torch's own counter.

    As published ones count: of a run whose modulation was never made before, and which embeds its
    latents for both passes of guidance.
    """
    # The counter does not know oneDNN's linear, nor the fused CPU attention; the plain one is two
    # products.
    fused = {
        torch.ops.mkldnn._linear_pointwise: fused_flops,
        torch.ops.aten._int_mm: lambda a, b, **_: 2 * math.prod(a) * b[1],
    }
    counter = FlopCounterMode(display=False, custom_mapping=fused)
    nothing_kept = patch.object(Kept, "recall", lambda kept, key: None)
    both_embedded = patch.object(run_loop, "_doubled", lambda x: torch.cat([x, x]))
    with nothing_kept, both_embedded, counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        call()
    assert counter.get_total_flops() % 2 == 0
    return counter.get_total_flops() // 2


@pytest.fixture(params=tiny.SHAPES)
def pair(request):
    module = tiny.dit(**tiny.SHAPES[request.param])
    return own(module, tiny.EPSILON), module


@pytest.mark.parametrize("rows", [1, 2, 6])
def test_macs_are_those_of_diffusers_module(pair, rows):
    model, module = pair
    x = torch.randn(rows, *model.family.latent_shape)
    t, y = torch.full((rows,), 500), torch.zeros(rows, dtype=torch.int64)
    counted = counted_macs(lambda: module(x, timestep=t, class_labels=y))
    cost = cost_of(model, Schedule.full(1, model.blocks), images=rows, passes=1)
    # Its forward makes the first block's time embedding once more for the final layer.
    width = model.family.width
    assert counted == cost.macs + rows * (256 * width + width * width)


def test_each_branch_costs_what_its_module_does(pair):
    model, module = pair
    x = torch.randn(1, model.family.tokens, model.family.width)
    macs = branch_macs(model)
    assert macs.shape == (model.blocks, 2)
    for block, (attn, mlp) in zip(module.transformer_blocks, macs, strict=True):
        assert counted_macs(lambda b=block: b.attn1(x)) == attn
        assert counted_macs(lambda b=block: b.ff(x)) == mlp


@pytest.mark.parametrize("name", reuse_schedules(2, 1))
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_macs_are_those_the_engine_executes(pair, name, guidance):
    model, _ = pair
    schedule = reuse_schedules(5, model.blocks)[name]
    runs = []
    counted = counted_macs(
        lambda: runs.append(sample(model, schedule, label=1, cfg_scale=guidance))
    )
    cost, width = runs[0].cost, model.family.width
    # Published counts embed the time for every row of the batch; the loop does it once a step.
    spared = 5 * (runs[0].request.passes - 1) * model.blocks * (256 * width + width * width)
    assert counted == cost.macs - spared
    assert cost.nfe == 5 * runs[0].request.passes
    assert 0 < cost.work < 1
    assert cost.work == pytest.approx(cost.macs / cost.macs_full)


def test_full_work_is_one_and_halves_add_up():
    model = own(tiny.dit(blocks=3), tiny.V)
    full = cost_of(model, Schedule.full(8, 3))
    assert (full.work, full.macs, full.cache_mib) == (1.0, full.macs_full, 0.0)
    half = cost_of(model, Schedule.every(8, 3, 2))
    fixed = 2 * 8 * model.family.fixed_macs()
    computed = int(Schedule.every(8, 3, 2).computed[:, 0, 0].sum())
    assert half.macs - fixed == (full.macs - fixed) * computed // 8
    assert cost_of(model, Schedule.full(8, 3), images=3, passes=1).macs * 2 == full.macs * 3


def test_a_known_cost_is_of_the_same_model_schedule_and_batch():
    small, large = (own(tiny.dit(blocks=3, patch=p), tiny.V) for p in (4, 2))
    full, half = Schedule.full(8, 3), Schedule.every(8, 3, 2)
    first = [cost_of(m, s, passes=n) for m in (small, large) for s in (full, half) for n in (1, 2)]
    again = [cost_of(m, s, passes=n) for m in (small, large) for s in (full, half) for n in (1, 2)]
    assert again == first
    assert len({(c.macs, c.nfe) for c in first}) == len(first)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"schedule": Schedule.full(4, 3)}, "has 3 blocks and the model 1"),
        ({"images": 0}, "images 0 was given, expected a whole number from 1"),
        ({"images": 1.5}, "images 1.5 was given"),
        ({"passes": 3}, "passes 3 was given, expected a whole number from 1 to 2"),
    ],
    ids=str,
)
def test_what_no_run_could_cost_is_refused(given, said):
    asked = {"schedule": Schedule.full(4, 1), **given}
    with pytest.raises(CachebrushError, match=said):
        cost_of(own(tiny.dit(blocks=1), tiny.EPSILON), **asked)


def test_the_rival_does_the_same_work_in_whole_steps():
    model = own(tiny.dit(blocks=3, side=16), tiny.V)
    assert steps_of_same_work(model, Schedule.full(8, 3)) == 8
    assert steps_of_same_work(model, Schedule.full(1, 3)) == 1
    schedule = Schedule.every(20, 3, 2)
    rival = steps_of_same_work(model, schedule)
    mine = cost_of(model, schedule).macs
    off = {n: abs(cost_of(model, Schedule.full(n, 3)).macs - mine) for n in range(1, 21)}
    assert rival == min(off, key=off.get)
    assert 10 < rival < 20


# -- cache memory --------------------------------------------------------------------------


def held_bytes(model, schedule, monkeypatch, **request):
    """The most bytes the executor holds, looked at after every single cell."""
    seen = [0]
    made = []
    init = Executor.__init__
    monkeypatch.setattr(
        Executor, "__init__", lambda self, *a, **k: (made.append(self), init(self, *a, **k))[1]
    )

    class Looking(Spy):
        def add(self, *args, own=False):
            seen.append(made[-1].cache_bytes())
            return super().add(*args, own=own)

    watched, _ = spied(model)
    object.__setattr__(watched, "family", Looking(model.family))
    *_, run = iter_sample(watched, schedule, label=request.pop("label", 1), **request)
    assert made[-1].cache_bytes() == 0
    return max(seen), run


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", reuse_schedules(2, 1))
def test_cache_memory_is_what_is_held(name, dtype, monkeypatch):
    model = own(tiny.dit(blocks=3).to(dtype=dtype), tiny.V)
    schedule = reuse_schedules(6, 3)[name]
    for request in ({"cfg_scale": 1.0}, {"cfg_scale": 2.0}, {"label": [1, 2, 3]}):
        peak, run = held_bytes(model, schedule, monkeypatch, **request)
        assert run.cost.cache_mib == peak / 2**20 > 0


def peak_cells(schedule):
    return peak_bytes(schedule, make_plan(schedule), cell_bytes=1)


def test_a_full_run_holds_nothing(monkeypatch):
    model = own(tiny.dit(blocks=2), tiny.V)
    peak, run = held_bytes(model, Schedule.full(4, 2), monkeypatch)
    assert run.cost.cache_mib == peak == 0


def test_the_peak_lies_inside_a_step_when_reuse_changes_hands():
    # Block 0 stores its output while block 1 still holds the one it uses for the last time.
    rows = ["CCR", "CCR", "CRC", "CRC"]
    assert peak_cells(Schedule.from_rows(rows)) == 4
    assert peak_cells(Schedule.from_rows(rows[2:] + rows[:2])) == 2


class Stub:
    """A family of cells that hold one number each."""

    def __init__(self, blocks, branches):
        self.blocks, self.branches = blocks, branches

    embed = staticmethod(lambda latents: latents)
    head = staticmethod(lambda x, given, s: x)
    branch = staticmethod(lambda x, *where: torch.zeros(1))

    def add(self, x, out, *where, own):
        self.most = max(self.most, sum(map(len, self.executor.state.cache.values())))
        return x


@given(schedules())
def test_the_peak_is_counted_exactly_for_any_schedule(schedule):
    family = Stub(schedule.blocks, schedule.branches)
    family.most, family.executor = 0, Executor(family, schedule, None)
    done = [family.executor.step(torch.zeros(1), s).executed for s in range(schedule.steps)]
    assert np.array_equal(done, schedule.actions)
    assert peak_cells(schedule) == family.most
    assert not family.executor.state.cache
