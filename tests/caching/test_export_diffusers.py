"""The file for diffusers, run as a user would: against the engine, and in every awkward order."""

import copy
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DiTPipeline, EulerDiscreteScheduler

from caching.engine.run import noise_of, sample
from caching.formats.exporters import export_schedule
from caching.models.model import Model
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule
from tests.caching import tiny

STEPS, BLOCKS = 8, 3


def painted(seed=0):
    """Random cells, reused at every age, different in every block and branch."""
    actions = (np.random.default_rng(seed).random((STEPS, BLOCKS, 2)) < 0.5).astype(np.uint8)
    actions[0] = 0
    return Schedule(actions)


def module_of(made):
    """The exported file as a module of its own, nothing of ours in reach."""
    space = {"__name__": "exported"}
    exec(compile(made.text, made.filename, "exec"), space)
    return space


pytestmark = [
    # diffusers gives numpy 2 tensors without the `copy` keyword it asks for.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


class Counts:
    """How often attn1.to_q and the last linear of ff really ran, (L, 2)."""

    def __init__(self, transformer):
        self.runs = np.zeros((len(transformer.transformer_blocks), 2), int)
        for i, block in enumerate(transformer.transformer_blocks):
            block.attn1.to_q.register_forward_hook(self.count(i, 0))
            block.ff.net[-1].register_forward_hook(self.count(i, 1))

    def count(self, i, r):
        def hook(*_):
            self.runs[i, r] += 1

        return hook


@torch.no_grad()
def loop(transformer, noise, scheduler, steps, *, label=3, guidance=4.0, passes=1, stop=None):
    """DiTPipeline's loop on latents, guidance in one doubled pass or in two; may stop early."""
    scheduler.set_timesteps(steps)
    null = transformer.config.num_embeds_ada_norm
    x = noise * scheduler.init_noise_sigma
    for s, t in enumerate(scheduler.timesteps):
        if s == stop:
            return x
        scaled = scheduler.scale_model_input(x, t)
        labels = torch.tensor([label, null])
        if passes == 1:
            both = transformer(
                torch.cat([scaled, scaled]), timestep=t.expand(2), class_labels=labels
            ).sample
        else:
            both = torch.cat(
                [
                    transformer(scaled, timestep=t.expand(1), class_labels=one[None]).sample
                    for one in labels
                ]
            )
        eps = both[1:] + guidance * (both[:1] - both[1:])
        x = scheduler.step(eps[:, : x.shape[1]], t, x).prev_sample
    return x


def error(a, b):
    return float((a - b).norm() / b.norm())


@pytest.fixture
def model():
    return Model.from_modules(tiny.dit(blocks=BLOCKS), scheduler=tiny.EPSILON)


@pytest.fixture
def bare():
    """The same weights, never touched by the engine."""
    return tiny.dit(blocks=BLOCKS)


def ddim():
    return DDIMScheduler.from_config(tiny.EPSILON)


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize(
    ("name", "scheduler"),
    [("ddim-diffusers", ddim), ("euler", lambda: EulerDiscreteScheduler.from_config(tiny.EPSILON))],
)
def test_latents_are_those_of_the_engine(model, bare, passes, name, scheduler):
    schedule = painted()
    expected = sample(model, schedule, label=3, seed=5, sampler=name).latents
    space, noise = module_of(export_schedule(schedule, "diffusers")), noise_of(model, [5])
    solver = scheduler()
    space["apply_schedule"](bare, solver)
    found = loop(bare, noise, solver, STEPS, passes=passes)
    assert error(found, expected) < 1e-4
    # Without the schedule it is another picture, so that the agreement above says something.
    space["remove_schedule"](bare)
    assert error(loop(bare, noise, solver, STEPS), expected) > 1e-3


@pytest.mark.parametrize("guided", [True, False])
def test_a_real_pipeline_gives_the_same_picture(guided):
    transformer = tiny.dit(blocks=BLOCKS, channels=4, learned_sigma=True, classes=1000)
    vae, schedule = tiny.autoencoder(), painted(1)
    guidance = 4.0 if guided else 1.0
    engine = Model.from_modules(copy.deepcopy(transformer), vae, scheduler=tiny.EPSILON)
    expected = sample(
        engine, schedule, label=3, seed=5, sampler="ddim-diffusers", cfg_scale=guidance
    )
    pipe = DiTPipeline(transformer, vae, ddim())
    pipe.set_progress_bar_config(disable=True)
    space = module_of(export_schedule(schedule, "diffusers"))
    space["apply_schedule"](pipe.transformer, pipe.scheduler)
    counts = Counts(transformer)
    generator = torch.Generator().manual_seed(5)
    options = {"guidance_scale": guidance, "generator": generator, "output_type": "np"}
    found = pipe([3], num_inference_steps=STEPS, **options).images[0]
    assert np.abs(found - expected.image / 255).max() < 1.5 / 255
    assert counts.runs.tolist() == schedule.computed.sum(axis=0).tolist()


def test_forecasts_and_whole_steps_run_as_the_projection_says(model, bare):
    from caching.actions.residual import Residual

    schedule = painted().paint([(5, 1, 0), (6, 2, 1)], Taylor(1)).paint_steps([4], Residual(1, 0))
    made = export_schedule(schedule, "diffusers")
    assert len(made.losses) == 2
    expected = sample(model, made.projected, label=3, seed=5, sampler="ddim-diffusers").latents
    solver = ddim()
    module_of(made)["apply_schedule"](bare, solver)
    assert error(loop(bare, noise_of(model, [5]), solver, STEPS), expected) < 1e-4


def test_all_computed_is_the_plain_model_to_the_bit_and_removing_restores_it(bare):
    noise, solver = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)), ddim()
    plain = loop(bare, noise, solver, STEPS)
    space = module_of(export_schedule(Schedule.full(STEPS, BLOCKS), "diffusers"))
    space["apply_schedule"](bare, solver)
    assert torch.equal(loop(bare, noise, solver, STEPS), plain)
    other = module_of(export_schedule(painted(), "diffusers"))
    other["apply_schedule"](bare, solver)  # takes the place of the first
    assert not torch.equal(loop(bare, noise, solver, STEPS), plain)
    other["remove_schedule"](bare)
    assert torch.equal(loop(bare, noise, solver, STEPS), plain)
    other["remove_schedule"](bare)  # nothing there: nothing happens


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("known", [True, False], ids=["with scheduler", "without"])
@pytest.mark.parametrize("stop", [1, 2, 5])
def test_a_picture_stopped_at_any_step_leaves_nothing_to_the_next(bare, passes, known, stop):
    """Also with the same noise and another label, where only the label tells the two apart."""
    solver = ddim()
    space = module_of(export_schedule(painted(), "diffusers"))
    space["apply_schedule"](bare, solver if known else None)
    noise = torch.randn(2, 1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = loop(bare, noise[0], solver, STEPS, passes=passes)
    for before, label in ((noise[1], 3), (noise[0], 7)):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            loop(bare, before, solver, STEPS, passes=passes, label=label, stop=stop)
            again = loop(bare, noise[0], solver, STEPS, passes=passes)
        assert torch.equal(again, expected)
        assert all("ended after" in str(w.message) for w in seen)


def test_pictures_after_each_other_and_batches_of_other_sizes(bare):
    solver = ddim()
    space = module_of(export_schedule(painted(), "diffusers"))
    space["apply_schedule"](bare, solver)
    noise = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    def batch(x):
        solver.set_timesteps(STEPS)
        for t in solver.timesteps:
            labels = torch.arange(len(x))
            eps = bare(x, timestep=t.expand(len(x)), class_labels=labels).sample
            x = solver.step(eps, t, x).prev_sample
        return x

    with torch.no_grad():
        three, one = batch(noise), batch(noise[:1])
        assert torch.equal(batch(noise), three)
    assert error(one, three[:1]) < 1e-5


def test_a_label_that_comes_in_later_finds_nothing_of_the_picture_before(bare):
    space = module_of(export_schedule(painted(), "diffusers"))
    noise = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    def picture(*labels):
        x, solver = noise, ddim()
        solver.set_timesteps(STEPS)
        for t, label in zip(solver.timesteps, labels, strict=False):  # fewer labels stop it
            eps = bare(x, timestep=t.expand(1), class_labels=torch.tensor([label])).sample
            x = solver.step(eps, t, x).prev_sample
        return x

    later = [7] * 3 + [2] * (STEPS - 3)
    with torch.no_grad():
        space["apply_schedule"](bare)
        expected = picture(*later)
        space["apply_schedule"](bare)
        picture(*[2] * 3)  # leaves what label 2 had at its third step
        with pytest.warns(UserWarning, match="ended after 3 of 8 steps"):
            assert torch.equal(picture(*later), expected)


@pytest.mark.parametrize("steps", [STEPS - 1, STEPS + 1, 3])
def test_another_number_of_steps_is_an_error_at_once_when_the_scheduler_is_known(bare, steps):
    solver = ddim()
    space = module_of(export_schedule(painted(), "diffusers"))
    space["apply_schedule"](bare, solver)
    noise = torch.zeros(1, 3, 8, 8)
    for _ in range(2):  # and stays one
        with pytest.raises(
            ValueError, match=f"has {STEPS} steps and the scheduler {steps}: run it"
        ):
            loop(bare, noise, solver, steps)
    assert torch.isfinite(loop(bare, noise, solver, STEPS)).all()


def test_without_a_scheduler_too_many_steps_are_an_error_and_too_few_a_warning(bare):
    space = module_of(export_schedule(painted(), "diffusers"))
    space["apply_schedule"](bare)
    noise = torch.zeros(1, 3, 8, 8)
    with pytest.raises(ValueError, match=f"the pipeline is at step {STEPS + 1}: run it with"):
        loop(bare, noise, ddim(), STEPS + 4)
    loop(bare, noise, ddim(), STEPS - 2)
    with pytest.warns(UserWarning, match=f"ended after {STEPS - 2} of {STEPS} steps"):
        loop(bare, noise, ddim(), STEPS)


def test_a_scheduler_that_is_not_the_one_in_use_is_noticed(bare):
    other = EulerDiscreteScheduler.from_config({**tiny.EPSILON, "timestep_spacing": "trailing"})
    other.set_timesteps(STEPS)
    space = module_of(export_schedule(painted(), "diffusers"))
    space["apply_schedule"](bare, other)
    with pytest.raises(ValueError, match="and the scheduler says"):
        loop(bare, torch.zeros(1, 3, 8, 8), ddim(), STEPS)


def test_another_number_of_blocks_is_refused():
    space = module_of(export_schedule(painted(), "diffusers"))
    with pytest.raises(ValueError, match="has 3 blocks and the transformer 2"):
        space["apply_schedule"](tiny.dit(blocks=2))


def test_only_what_is_needed_later_is_kept(bare):
    schedule = Schedule.from_rows(["CRRCCCRC", *["CCCCCCCC"] * 5])
    space = module_of(export_schedule(schedule, "diffusers"))
    space["apply_schedule"](bare)
    (hook,) = bare.transformer_blocks[0].attn1._diffusers_hook.hooks.values()
    held, solver = [], ddim()
    bare.register_forward_hook(lambda *_: held.append(len(hook.kept)))
    loop(bare, torch.zeros(1, 3, 8, 8), solver, STEPS)
    assert held == [1, 1, 0, 0, 0, 1, 0, 0]


def test_the_file_needs_nothing_but_torch_and_diffusers(tmp_path):
    made = export_schedule(painted(), "diffusers", stem="my-schedule")
    assert made.filename == "my_schedule_diffusers.py"
    assert "from my_schedule_diffusers import apply_schedule" in made.text
    assert "type: ignore" not in made.text and "caching" not in made.text
    path = tmp_path / made.filename
    path.write_text(made.text)
    code = f"import sys, my_schedule_diffusers as m; assert m.STEPS == {STEPS}; " \
        "print(any(n.split('.')[0] == 'caching' for n in sys.modules))"  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.strip() == "False", done.stderr
