"""What tests of fitted predictors share: schedules, requests, and all that calibration shows."""

import dataclasses

import numpy as np
import torch

from caching import Schedule
from caching.actions.base import StepAction
from caching.engine.fits import Fits
from caching.engine.request import prepare
from caching.predictors.affine import Affine
from caching.predictors.base import Fitter
from caching.predictors.donor import Donor
from caching.predictors.linear import Linear
from caching.predictors.lowrank import LowRank
from caching.predictors.narrow import Narrow
from caching.predictors.quantised import Quantised
from caching.predictors.scored import Scored

STEPS = 6
FITTED = {
    "affine": Affine(),
    "affine per cell": Affine("cell"),
    "linear": Linear(),
    "svd": LowRank(4),
    "ca-svd": LowRank(4, "ca-svd"),
    "scored": Scored(0.3),
    "donor": Donor(),
    "quantised": Quantised(),
    "narrow": Narrow(0.5, 0.3),
}


@dataclasses.dataclass(frozen=True)
class Half(StepAction):
    """Runs the conditional half by the grid and says the same for the other half."""

    name = "half of the test"
    letter = "h"
    label = "half"
    kind = "guidance"
    half = True

    def run(self, step):
        step = step.halved()
        out = step.head(step.through(step.embed(), 0, step.blocks))
        return torch.cat([out, out])


class Recorder(Fitter):
    """Everything that calibration runs show, as float64 arrays of all runs after one another."""

    def __init__(self, family):
        self.family = family
        self.x, self.out, self.steps, self.linears = {}, {}, {}, {}

    def _add(self, table, key, value):
        rows = value.detach().double().numpy().copy()
        table[key] = np.concatenate([table[key], rows]) if key in table else rows

    def see(self, s, block, r, x, out, given):
        self._add(self.x, (s, block, r), x)
        self._add(self.out, (s, block, r), out)

        def linear(name, x, weight, bias):
            y = torch.nn.functional.linear(x, weight, bias)
            self._add(self.linears, (block, r, name, "in"), x)
            self._add(self.linears, (block, r, name, "out"), y)
            return y

        self.family.branch_with(x, given, s, block, r, linear)

    def see_step(self, s, before, after):
        self._add(self.steps, s, after - before)

    def solve(self, part):
        raise AssertionError


def painted(*legend, steps=STEPS, blocks=3, seed=0):
    """A schedule that uses all of the legend, irregularly."""
    rng = np.random.default_rng(seed)
    actions = rng.integers(0, len(legend) + 1, (steps, blocks, 2)).astype(np.uint8)
    actions[0] = 0
    actions[1, 0] = 1
    actions[2, -1] = len(legend)
    return Schedule(actions, legend)


def every(n, *legend, blocks=3, steps=STEPS):
    """One step in n computed; the legend's predictors take turns over the other cells."""
    actions = np.zeros((steps, blocks, 2), np.uint8)
    where = np.broadcast_to((np.arange(steps) % n > 0)[:, None, None], actions.shape)
    actions[where] = 1 + np.arange(int(where.sum())) % len(legend)
    return Schedule(actions, legend)


def asked(model, schedule, **changes):
    """The request of a guided run."""
    return prepare(model, schedule, **{"label": 1, "cfg_scale": 3.0, **changes})[0]


def fitted(model, schedule, pictures=2):
    """Part -> fit of the one thing that a schedule fits."""
    found = Fits(pictures=pictures).of(model, schedule, asked(model, schedule))
    (item,) = found
    return found[item]


def tensors(value):
    """All tensors of a fit, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    values = value.values() if isinstance(value, dict) else value
    return [t for item in values for t in tensors(item)]


def same(a, b):
    """Whether two mappings part -> fit are equal to the last bit."""
    pairs = [(x, y) for part in a for x, y in zip(tensors(a[part]), tensors(b[part]), strict=True)]
    return a.keys() == b.keys() and bool(pairs) and all(torch.equal(x, y) for x, y in pairs)


def close(got, expected, tolerance):
    """Asserts that a tensor is numpy's array, as a share of its largest entry."""
    got = got.detach().double().numpy()
    scale = np.abs(expected).max()
    assert np.abs(got - expected).max() <= tolerance * scale
