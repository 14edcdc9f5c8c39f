"""The engine is exact: against diffusers' own forward, pipeline, and an independent plain loop."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny, DDIMScheduler, DiTPipeline, DiTTransformer2DModel

from caching import Model, Schedule, iter_sample, load_model, sample
from caching.engine.plan import make_plan
from caching.models import dit_modulation
from caching.models.loading import SHIPPED_FOLDER
from tests.caching import tiny
from tests.caching.spy import (
    finished,
    forward_errors,
    own,
    relative,
    reuse_gap,
    reuse_schedules,
    spied,
)

BAR = 1e-4
STEPS = 6


@pytest.fixture(scope="module")
def shipped():
    """The shipped model, and diffusers' own module read from the same folder."""
    module = DiTTransformer2DModel.from_pretrained(
        SHIPPED_FOLDER / "transformer", torch_dtype=torch.float32, local_files_only=True
    )
    return load_model(), module.eval()


@pytest.fixture(scope="module", params=tiny.SHAPES)
def shaped(request):
    """A model of each tiny shape and diffusers' own module with the same weights."""
    module = tiny.dit(**tiny.SHAPES[request.param])
    return own(module, tiny.EPSILON), module


@pytest.fixture(scope="module")
def small():
    return own(tiny.dit(blocks=3), tiny.V)


# -- exact ---------------------------------------------------------------------------------


@pytest.mark.parametrize("guidance", [3.0, 1.0])
def test_a_full_schedule_is_diffusers_forward_at_every_step(shaped, guidance):
    errors = forward_errors(*shaped, steps=STEPS, guidance=guidance)
    assert len(errors) == STEPS
    assert max(errors) < BAR


def test_the_shipped_model_is_diffusers_forward_at_every_step(shipped):
    errors = forward_errors(*shipped, steps=8)
    assert len(errors) == 8
    assert max(errors) < BAR


@pytest.mark.parametrize("name", reuse_schedules(2, 1))
def test_reuse_is_the_plain_loop_cell_for_cell(shaped, name):
    model, module = shaped
    schedule = reuse_schedules(STEPS, model.blocks)[name]
    gap = reuse_gap(model, module, schedule)
    assert gap.executed_as_painted
    assert gap.cells.shape == schedule.actions.shape
    assert np.argwhere(gap.cells > BAR).tolist() == []
    assert gap.worst < BAR


@pytest.mark.parametrize("name", ["every 2nd step (FORA)", "at random"])
def test_reuse_on_the_shipped_model_is_the_plain_loop(shipped, name):
    model, module = shipped
    gap = reuse_gap(model, module, reuse_schedules(8, model.blocks)[name])
    assert gap.executed_as_painted
    assert gap.worst < BAR


@pytest.mark.parametrize("noise", [tiny.EPSILON, tiny.V], ids=lambda n: n["prediction_type"])
@pytest.mark.parametrize("guidance", [0.0, 1.0, 4.5])
def test_reuse_is_exact_for_each_prediction_and_guidance(noise, guidance):
    module = tiny.dit(blocks=2)
    schedule = reuse_schedules(STEPS, 2)["at random"]
    assert reuse_gap(own(module, noise), module, schedule, guidance=guidance).worst < BAR


@pytest.mark.parametrize("labels", [(7, 3, 5), (3, 3, 7), (9, 9)], ids=str)
def test_batches_are_exact_also_when_labels_repeat_or_fall(labels):
    module = tiny.dit(blocks=2)
    schedule = reuse_schedules(STEPS, 2)["at random"]
    gap = reuse_gap(own(module, tiny.V), module, schedule, labels=labels)
    assert gap.executed_as_painted
    assert gap.worst < BAR


def test_one_step_is_exact():
    module = tiny.dit(blocks=2)
    gap = reuse_gap(own(module, tiny.V), module, Schedule.full(1, 2))
    assert gap.worst < BAR


def test_modulation_made_in_windows_is_the_same(monkeypatch):
    model = own(tiny.dit(blocks=2), tiny.V)
    whole = sample(model, label=1, steps=STEPS)
    made = []
    make = dit_modulation.Given._make
    monkeypatch.setattr(
        dit_modulation.Given, "_make", lambda given: (made.append(given.start), make(given))[1]
    )
    monkeypatch.setattr(dit_modulation, "MODULATION_MIB", 0)
    windowed = sample(model, label=1, steps=STEPS)
    assert made == list(range(STEPS))
    assert relative(windowed.latents, whole.latents) < 1e-5


@pytest.mark.parametrize("kind", ["shipped", "DiT-XL kind"])
def test_a_full_run_is_diffusers_pipeline(kind, shipped):
    if kind == "shipped":
        model, module = shipped
        vae = AutoencoderTiny.from_pretrained(SHIPPED_FOLDER / "vae", local_files_only=True).eval()
        noise = tiny.V
    else:
        module = tiny.dit(learned_sigma=True, channels=4, classes=1000)
        vae, noise = tiny.autoencoder(), tiny.EPSILON
        model = Model.from_modules(copy.deepcopy(module), vae, scheduler=noise)
    # The pipeline moves and keeps its parts, so it gets its own.
    pipe = DiTPipeline(copy.deepcopy(module), vae, DDIMScheduler(**noise))
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(
        class_labels=[4],
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(11),
        num_inference_steps=4,
        output_type="np",
    ).images[0]
    run = sample(model, label=4, seed=11, steps=4, cfg_scale=3.0, sampler="ddim-diffusers")
    assert run.image.dtype == np.uint8
    assert run.image.shape == theirs.shape
    gap = np.abs(run.image.astype(int) - (theirs * 255).round().astype(int))
    # Equal but for values that lie on the border between two shades.
    assert gap.max() <= 1
    assert (gap > 0).mean() < 0.01
    assert run.image.std() > 1


# -- batches, dtypes, given latents --------------------------------------------------------


def test_a_batch_equals_single_runs(small):
    schedule = reuse_schedules(STEPS, 3)["at random"]
    many = sample(small, schedule, label=[2, 5, 2], seed=40)
    assert many.request.seeds == (40, 41, 42)
    assert many.images.shape == (3, 8, 8, 3)
    for i, label in enumerate([2, 5, 2]):
        one = sample(small, schedule, label=label, seed=40 + i)
        assert relative(many.latents[i], one.latents[0]) < 1e-4
        assert np.abs(many.images[i].astype(int) - one.image).max() <= 1
    chosen = sample(small, schedule, label=[2, 5], seed=[42, 41])
    assert relative(chosen.latents[0], many.latents[2]) < 1e-4
    assert relative(chosen.latents[1], many.latents[1]) < 1e-4


def test_latents_instead_of_a_seed(small):
    noise = torch.randn((1, *small.family.latent_shape), generator=torch.Generator().manual_seed(3))
    before = noise.clone()
    seeded = sample(small, label=1, seed=3, steps=STEPS)
    for given in (noise, noise.numpy(), noise.double()):
        run = sample(small, label=1, latents=given, steps=STEPS)
        assert torch.equal(run.latents, seeded.latents)
        assert run.request.seeds is None
    assert torch.equal(noise, before)


def test_bfloat16_runs_and_stays_close_to_float32():
    module = tiny.dit(blocks=3)
    full = own(module, tiny.V)
    half = own(copy.deepcopy(module).bfloat16(), tiny.V)
    schedule = reuse_schedules(STEPS, 3)["at random"]
    run, exact = sample(half, schedule, label=1), sample(full, schedule, label=1)
    assert run.request.dtype == "bfloat16"
    assert exact.request.dtype == "float32"
    assert run.latents.dtype == torch.float32
    assert np.array_equal(run.executed, schedule.actions)
    assert 0 < relative(run.latents, exact.latents) < 0.1


# -- what a run reports --------------------------------------------------------------------


def test_events_and_run_tell_what_happened(small):
    schedule = reuse_schedules(STEPS, 3)["at random"]
    *events, run = iter_sample(small, schedule, label=2, preview_every=2)
    assert [e.step for e in events] == list(range(STEPS))
    assert {e.steps for e in events} == {STEPS}
    assert [e.timestep for e in events] == list(run.timesteps)
    assert list(run.timesteps) == sorted(run.timesteps, reverse=True)
    assert [e.preview is not None for e in events] == [True, False, True, False, True, True]
    assert np.array_equal(run.executed, schedule.actions)
    assert np.array_equal(np.stack([e.executed for e in events]), schedule.actions)
    assert np.array_equal([e.ms for e in events], run.step_ms)
    assert (run.step_ms > 0).all()
    assert torch.equal(torch.stack([e.clean for e in events]), run.clean)
    # The last prediction is the picture: no noise is added after it.
    assert torch.allclose(run.clean[-1], run.latents[0], atol=1e-5)
    assert np.array_equal(events[-1].preview, run.image)
    assert np.array_equal(events[2].preview, small.decode(run.clean[2:3])[0].numpy())
    assert run.schedule is schedule
    assert run.trace is None


def test_the_null_class_is_the_one_after_the_last(small):
    seen = []
    condition = small.family.condition

    class Family:
        def __getattr__(self, name):
            return getattr(small.family, name)

        def condition(self, timesteps, labels):
            seen.append(labels.tolist())
            return condition(timesteps, labels)

    model = dataclasses.replace(small, family=Family())
    sample(model, label=[4, 1], steps=2, cfg_scale=2.0)
    sample(model, label=[4, 1], steps=2, cfg_scale=1.0)
    assert seen == [[4, 1, 10, 10], [4, 1]]


def test_a_reused_cell_is_not_computed(small):
    watched, spy = spied(small)
    schedule = Schedule.every(STEPS, 3, 3)
    finished(iter_sample(watched, schedule, label=1))
    assert spy.calls["branch"] == int(schedule.computed.sum()) == 2 * 6 + 6


def test_kept_cells_are_those_a_later_step_reads():
    plan = make_plan(Schedule.from_rows(["CCRRC", "CRCRC"]))
    assert plan.last_use[:, 0].T.tolist() == [[-1, 3, -1, -1, -1], [1, -1, 3, -1, -1]]


def test_default_is_a_full_run_of_twenty_steps(small):
    run = sample(small, label=0)
    assert run.executed.shape == (20, 3, 2)
    assert not run.executed.any()
    assert run.schedule == Schedule.full(20, 3)
