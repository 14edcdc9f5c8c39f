"""Every history- and token-based predictor, random schedules of them, runs against a reference."""

from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
import torch

from caching import Schedule, iter_sample
from caching.actions.base import Kind, StepAction
from caching.marks import LOWERED
from caching.predictors.clusters import Clusters
from caching.predictors.extrapolate import Extrapolate
from caching.predictors.foca import FoCa
from caching.predictors.hermite import Hermite
from caching.predictors.reuse import Reuse
from caching.predictors.sampled import Sampled
from caching.predictors.skip import Skip
from caching.predictors.taylor import Taylor
from caching.predictors.tokens import Tokens
from caching.predictors.trend import Trend
from tests.caching import plain_predictors as plain
from tests.caching import tiny
from tests.caching.spy import finished, own, spied

BLOCKS, STEPS = 2, 7

# All at once, in one legend; several of a kind, because notes belong to the predictor.
EVERY = (
    Reuse(),
    Taylor(2),
    Hermite(2, 0.5),
    Trend(1.2),
    Extrapolate(0.5),
    FoCa(),
    Skip(),
    Tokens(0.3, "attention", 3),
    Tokens(0.3, "norm", 2),
    Tokens(0.5, "random", 3),
    Tokens(0.4, "age", 3),
    Clusters(4, 0.1, 2),
    Clusters(3, 0.0, 0),
    Sampled(0.3),
    Sampled(0.02),
)


@dataclass(frozen=True)
class Half(StepAction):
    """A step of the test: the conditional half alone, its output for both."""

    name: ClassVar[str] = "half"
    letter: ClassVar[str] = "H"
    label: ClassVar[str] = "half"
    kind: ClassVar[Kind] = "guidance"
    half: ClassVar[bool] = True

    def run(self, step):
        part = step.halved()
        out = part.head(part.through(part.embed(), 0, part.blocks))
        return torch.cat([out, out])


def painted(seed, legend, *, steps=STEPS, halves=0.0, share=0.4):
    """A random schedule in which some whole steps are computed."""
    rng = np.random.default_rng(seed)
    shape = (steps, BLOCKS, 2)
    cells = np.where(rng.random(shape) < share, 0, rng.integers(1, len(legend) + 1, shape))
    cells[rng.random(steps) < 0.25] = 0
    cells[0] = 0
    own_steps = (rng.random(steps) < halves).astype(np.uint8)
    own_steps[0] = 0
    return Schedule(cells.astype(np.uint8), legend, step_actions=own_steps, step_legend=(Half(),))


def gap(pair, schedule, *, labels=(1, 4), seed=5, guidance=3.0):
    """The worst relative error of any cell, and the executed grid as the reference expects it."""
    model, module = pair
    watched, spy = spied(model)
    run = finished(
        iter_sample(watched, schedule, label=list(labels), seed=seed, cfg_scale=guidance)
    )
    seeds = tuple(seed + i for i in range(len(labels)))
    rows, null = torch.tensor(labels), torch.full((len(labels),), model.family.classes)
    other = plain.Plain(
        module,
        schedule.actions,
        [(p.name, asdict(p)) for p in schedule.legend],
        seeds=seeds * run.request.passes,
        half=np.flatnonzero(schedule.step_actions).tolist(),
    )
    rows = torch.cat([rows, null]) if run.request.passes == 2 else rows
    other.run(spy.inputs, run.timesteps, rows)
    assert set(other.seen) == set(spy.cells)
    expected = schedule.actions.copy()
    for at in other.lowered:
        expected[at] |= LOWERED
    assert np.array_equal(run.executed, expected)
    return max(
        float((spy.cells[at] - out).abs().max() / out.abs().max().clamp(min=1))
        for at, out in other.seen.items()
    )


def double_pair():
    """A model in float64, so that a tie between scores is a tie in both, and diffusers' own."""
    module = tiny.dit(blocks=BLOCKS).double()
    return own(module, tiny.V), module
