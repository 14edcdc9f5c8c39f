"""Cost of whole-step actions: products counted by torch, evaluations and memory as they are."""

import numpy as np
import pytest
import torch

from caching import Schedule, cost_of, sample
from caching.actions.cond_only import CondOnly
from caching.actions.hidden import FinalHidden
from caching.actions.output import OutputReuse
from caching.actions.probe import ProbeResidual
from caching.actions.residual import Residual
from caching.actions.scale import ScaleEps
from caching.engine.executor import Executor
from caching.measure.cost import branch_macs
from tests.caching import tiny
from tests.caching.spy import own, spied
from tests.caching.test_cost import counted_macs

# Action, evaluations it takes of two passes, tensors of tokens it holds, latents it holds.
CASES = {
    "stack residual": (Residual(), 2, 1, 0),
    "both ends live": (Residual(1, 1), 2, 1, 0),
    "probe": (ProbeResidual(), 2, 4, 0),
    "final hidden": (FinalHidden(), 2, 1, 0),
    "output": (OutputReuse(), 0, 0, 1),
    "conditional half": (CondOnly(), 1, 0, 1),
    "scaled eps": (ScaleEps(), 2, 0, 0),
}


def painted(action, blocks):
    return Schedule.full(6, blocks).paint_steps([2, 3, 5], action)


@pytest.fixture(scope="module", params=["3 blocks, patch 2", "28 blocks, patch 4", "learned sigma"])
def model(request):
    shape = tiny.SHAPES.get(request.param, {"blocks": 3, "learned_sigma": True, "channels": 4})
    # In float64, where every product is one that torch's counter knows.
    return own(tiny.dit(**shape).double(), tiny.EPSILON)


def counted(model, schedule):
    """The products of a run by torch's counter, and its cost."""
    runs = []
    macs = counted_macs(lambda: runs.append(sample(model, schedule, label=1, cfg_scale=3.0)))
    return macs, runs[0].cost


def counted_less(model, schedule):
    """How many fewer products a run has than the full run, by torch's counter, and its cost."""
    macs, cost = counted(model, schedule)
    return counted(model, Schedule.full(schedule.steps, model.blocks))[0] - macs, cost


@pytest.fixture(scope="module")
def counted_full(model):
    return counted(model, Schedule.full(6, model.blocks))[0]


@pytest.mark.parametrize("name", CASES)
def test_macs_are_those_the_engine_executes(model, counted_full, name):
    macs, cost = counted(model, painted(CASES[name][0], model.blocks))
    less = counted_full - macs
    assert less == cost.macs_full - cost.macs
    assert (less > 0) == (name != "scaled eps")


@pytest.mark.parametrize("name", CASES)
def test_macs_are_those_of_what_is_left(model, name):
    action, _, _, _ = CASES[name]
    saved = cost_of(model, Schedule.full(6, model.blocks)).macs
    saved -= cost_of(model, painted(action, model.blocks)).macs
    own_macs, family = branch_macs(model).sum(axis=1), model.family
    t, d, p, (c, *_) = family.tokens, family.width, family.patch, family.latent_shape
    embedding, head = t * d * p * p * c, t * d * p * p * family.out_channels
    expected = {
        "stack residual": own_macs.sum(),
        "both ends live": own_macs[1:-1].sum(),
        "probe": own_macs[1:].sum(),
        "final hidden": own_macs.sum() + embedding,
        "output": own_macs.sum() + embedding + head,
        "conditional half": (own_macs.sum() + embedding + head) / 2,
        "scaled eps": 0,
    }[name]
    assert saved == 3 * 2 * expected


@pytest.mark.parametrize("name", CASES)
def test_evaluations_are_counted_by_rows_of_the_head_or_the_blocks(name):
    action, evaluations, _, _ = CASES[name]
    watched, spy = spied(own(tiny.dit(blocks=3), tiny.V))
    run = sample(watched, painted(action, 3), label=1, cfg_scale=3.0)
    assert run.cost.nfe == 3 * 2 + 3 * evaluations == sum(len(out) for out in spy.outputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_memory_is_what_is_held(name, dtype, monkeypatch):
    action, _, tokens, latents = CASES[name]
    module = tiny.dit(blocks=3, learned_sigma=True, channels=4).to(dtype=dtype)
    model, held = own(module, tiny.EPSILON), []
    finish = Executor.finish

    def looking(self, run, number):
        result = finish(self, run, number)
        held.append(self.cache_bytes())
        return result

    monkeypatch.setattr(Executor, "finish", looking)
    run = sample(model, painted(action, 3), label=[1, 2], cfg_scale=3.0)
    size, family = torch.finfo(dtype).bits // 8, model.family
    expected = 4 * size * (tokens * family.tokens * family.width + latents * (4 + 8) * 8 * 8)
    assert run.cost.cache_mib * 2**20 == max(held) == expected
    assert held[-1] == 0


def test_memory_ends_with_the_last_step_that_looks_back(monkeypatch):
    model, held = own(tiny.dit(blocks=2), tiny.V), []
    finish = Executor.finish

    def looking(self, run, number):
        result = finish(self, run, number)
        held.append(self.cache_bytes() // (2 * 16 * 16 * 4))
        return result

    monkeypatch.setattr(Executor, "finish", looking)
    sample(model, Schedule.full(7, 2).paint_steps([2, 5], ProbeResidual()), label=1)
    # Two tensors of a step each, of the two steps before it that ran all blocks.
    assert held == [2, 4, 0, 2, 4, 0, 0]


def test_a_step_action_costs_less_memory_than_its_cells():
    model = own(tiny.dit(blocks=3), tiny.V)
    cells = cost_of(model, Schedule.every(6, 3, 2)).cache_mib
    rows = cost_of(model, Schedule.full(6, 3).paint_steps([1, 3], Residual())).cache_mib
    assert rows == cells / 6
    assert np.isclose(rows, 2 * 16 * 16 * 4 / 2**20)
