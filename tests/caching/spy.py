"""Watch the engine from outside: what goes in and out of every step, and how far it is off."""

import copy
import dataclasses
import logging
from collections import Counter
from contextlib import contextmanager

import numpy as np
import torch

from caching import Model, Schedule, iter_sample
from caching.engine.run import Run
from tests.caching import reference


class Spy:
    """A family that passes everything on and keeps copies of what it saw."""

    def __init__(self, family):
        self.family = family
        self.inputs, self.outputs, self.cells = [], [], {}
        self.calls = Counter()

    def __getattr__(self, name):
        return getattr(self.family, name)

    def embed(self, latents):
        self.inputs.append(latents.clone())
        return self.family.embed(latents)

    def branch(self, x, given, s, block, r):
        self.calls["branch"] += 1
        return self.family.branch(x, given, s, block, r)

    def add(self, x, out, given, s, block, r, *, own=False):
        self.cells[s, block, r] = out.clone()
        return self.family.add(x, out, given, s, block, r, own=own)

    def head(self, x, given, s):
        self.outputs.append(self.family.head(x, given, s))
        return self.outputs[-1]


@contextmanager
def remarks():
    """The texts diffusers logs as warnings or worse; its handler writes past pytest's capture."""
    seen = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: seen.append(record.getMessage())
    logger = logging.getLogger("diffusers")
    logger.addHandler(handler)
    try:
        yield seen
    finally:
        logger.removeHandler(handler)


def spied(model: Model) -> tuple[Model, Spy]:
    """The same model with a spy in front of its family."""
    spy = Spy(model.family)
    return dataclasses.replace(model, family=spy), spy


def own(module, scheduler) -> Model:
    """A model of a copy, so that the module itself stays diffusers' own."""
    return Model.from_modules(copy.deepcopy(module), scheduler=scheduler)


def relative(got, expected) -> float:
    """Largest difference over the largest expected value; infinite for NaN."""
    error = float((got - expected).abs().max() / expected.abs().max())
    return error if error == error else float("inf")


def finished(events) -> Run:
    *_, run = events
    assert isinstance(run, Run)
    return run


def forward_errors(model, module, *, steps, label=1, guidance=3.0) -> list[float]:
    """Full schedule: relative error of every step's output to diffusers' own on the same input."""
    watched, spy = spied(model)
    run = finished(iter_sample(watched, label=label, steps=steps, cfg_scale=guidance))
    y = torch.tensor([label, model.family.classes][: run.request.passes])
    errors = []
    for x, t, got in zip(spy.inputs, run.timesteps, spy.outputs, strict=True):
        with torch.no_grad():
            expected = module(x, timestep=torch.full((len(y),), int(t)), class_labels=y).sample
        errors.append(relative(got, expected))
    return errors


@dataclasses.dataclass
class Gap:
    """How far a run under a schedule is from the reference."""

    outputs: float  # worst step
    cells: np.ndarray  # (S, L, R)
    cleans: float
    latents: float
    executed_as_painted: bool

    @property
    def worst(self) -> float:
        return max(self.outputs, float(self.cells.max()), self.cleans, self.latents)


def reuse_gap(model, module, schedule: Schedule, *, labels=(1,), seed=5, guidance=3.0) -> Gap:
    """Run `schedule` in the engine and in the reference and compare everything."""
    watched, spy = spied(model)
    noise = torch.stack(
        [
            torch.randn(
                model.family.latent_shape, generator=torch.Generator().manual_seed(seed + i)
            )
            for i in range(len(labels))
        ]
    )
    run = finished(
        iter_sample(watched, schedule, label=list(labels), seed=seed, cfg_scale=guidance)
    )
    plain = reference.run(
        module,
        schedule.actions.astype(bool),
        noise,
        labels,
        guidance=guidance,
        null=model.family.classes,
        kind=model.noise["prediction_type"],
    )
    cells = np.full(schedule.actions.shape, np.inf)
    for key, output in plain.cells.items():
        cells[key] = relative(spy.cells[key], output)
    pairs = zip(spy.outputs, plain.outputs, strict=True)
    return Gap(
        outputs=max(relative(a, b) for a, b in pairs),
        cells=cells,
        cleans=max(relative(a, b[0]) for a, b in zip(run.clean, plain.cleans, strict=True)),
        latents=relative(run.latents, plain.latents),
        executed_as_painted=bool(
            (run.executed == plain.executed).all() and (run.executed == schedule.actions).all()
        ),
    )


def reuse_schedules(steps: int, blocks: int) -> dict[str, Schedule]:
    """Schedules that reuse in every way: by step, by branch, at random, long, everything."""
    rng = np.random.default_rng(blocks)
    chance = (rng.random((steps, blocks, 2)) < 0.5).astype(np.uint8)
    chance[0] = 0
    attention = np.zeros_like(chance)
    attention[1:, :, 0] = 1
    feed = np.zeros_like(chance)
    feed[1::3, ::2, 1] = 1
    everything = np.ones_like(chance)
    everything[0] = 0
    return {
        "every 2nd step (FORA)": Schedule.every(steps, blocks, 2),
        "at random": Schedule(chance),
        "attention never again": Schedule(attention),
        "some feed-forwards": Schedule(feed),
        "everything reused": Schedule(everything),
    }
