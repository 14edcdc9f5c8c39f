"""The MagCache form, run with the installed diffusers: executed steps counted, latents compared."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from caching.actions.residual import Residual
from caching.engine.run import noise_of, sample
from caching.formats.exporters import export_schedule
from caching.models.model import Model
from caching.schedule import Schedule
from tests.caching import tiny
from tests.caching.test_export_diffusers import Counts, error, loop

MASKS = ["1010101010", "1001100011", "1111000001", "1000000000", "1101011101"]


class Pipe:
    def __init__(self, transformer):
        self.transformer = transformer


@pytest.mark.parametrize("mask", MASKS)
def test_the_mask_is_what_diffusers_executes(mask):
    flags = np.array([int(c) for c in mask], bool)
    schedule = Schedule.from_steps(flags, 3)
    made = export_schedule(schedule, "diffusers-magcache")
    transformer = tiny.dit(blocks=3)
    exec(compile(made.text, made.filename, "exec"), {"pipe": Pipe(transformer)})
    counts, ran = Counts(transformer), []
    transformer.register_forward_hook(lambda *_: ran.append(counts.runs.sum()))
    engine = Model.from_modules(tiny.dit(blocks=3), scheduler=tiny.EPSILON)
    noise, solver = noise_of(engine, [5]), DDIMScheduler.from_config(tiny.EPSILON)
    found = loop(transformer, noise, solver, len(mask))
    assert np.diff([0, *ran]).tolist() == [6 * int(c) for c in mask]
    # The projected schedule is what diffusers does: the engine gives the same latents for it.
    assert made.projected.step_legend == (Residual(0, 0),)
    expected = sample(engine, made.projected, label=3, seed=5, sampler="ddim-diffusers").latents
    assert error(found, expected) < 1e-4
    assert torch.equal(loop(transformer, noise, solver, len(mask)), found), "the second picture"
