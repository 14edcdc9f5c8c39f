"""Samplers: the papers' respaced DDIM on paper, and diffusers' schedulers driven by hand."""

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
)

from caching import Model, RequestError, iter_sample
from caching.engine.samplers import (
    SAMPLERS,
    DiffusersSampler,
    RespacedDDIM,
    clean_and_noise,
    make_sampler,
)
from caching.models.model import DEFAULT_SCHEDULE
from tests.caching import reference, tiny
from tests.caching.spy import own, relative, spied

CPU = torch.device("cpu")
PLAIN = {k: v for k, v in tiny.EPSILON.items() if k != "prediction_type"}


def noise(seed=0, shape=(2, 3, 4, 4)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def made(name, config=tiny.EPSILON, steps=5, seed=0):
    return make_sampler(name, config, steps, device=CPU, seed=seed)


# -- the respaced DDIM ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (1, [999]),
        (2, [999, 0]),
        (5, [999, 749, 500, 250, 0]),
        (10, [999, 888, 777, 666, 555, 444, 333, 222, 111, 0]),
    ],
)
def test_timesteps_are_respaced_as_in_dit(steps, expected):
    assert list(RespacedDDIM.make(tiny.EPSILON, steps).timesteps) == expected


@pytest.mark.parametrize("steps", [1, 2, 7, 20, 50, 250, 1000])
def test_alphas_are_taken_where_the_timesteps_are(steps):
    ddim = RespacedDDIM.make(tiny.EPSILON, steps)
    assert list(ddim.timesteps) == reference.timesteps(steps)
    expected = [reference.alpha_bar(int(t)) for t in ddim.timesteps]
    assert np.allclose(ddim.alphas[:-1], expected, rtol=2e-5)
    assert ddim.alphas[-1] == 1.0
    assert ddim.first_scale == 1.0


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_every_step_is_the_formula(kind):
    ddim = RespacedDDIM.make({**tiny.EPSILON, "prediction_type": kind}, 6)
    x, times = noise(1), [int(t) for t in ddim.timesteps]
    for s, t in enumerate(times):
        output = noise(10 + s)
        before = times[s + 1] if s + 1 < len(times) else None
        expected_x, expected_clean = reference.ddim(output, x, t, before, kind)
        got_x, clean = ddim.step(output, x, s)
        assert relative(got_x, expected_x) < 1e-5
        assert relative(clean, expected_clean) < 1e-5
        assert ddim.model_input(x, s) is x
        x = got_x
    assert torch.equal(x, clean)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_a_perfect_model_is_led_to_its_picture(kind):
    target, x = noise(1), noise(2)
    ddim = RespacedDDIM.make({**tiny.EPSILON, "prediction_type": kind}, 12)
    for s in range(12):
        a = ddim.alphas[s]
        eps = (x - a**0.5 * target) / (1 - a) ** 0.5
        v = a**0.5 * eps - (1 - a) ** 0.5 * target
        output = {"epsilon": eps, "v_prediction": v, "sample": target}[kind]
        x, clean = ddim.step(output, x, s)
        # Early on, little of the picture is in x, and float32 shows it.
        assert relative(clean, target) < 2e-2
    assert relative(x, target) < 1e-4


def test_an_unknown_prediction_is_refused():
    with pytest.raises(RequestError, match=r"'score'.*epsilon, v_prediction or sample"):
        clean_and_noise("score", noise(), noise(), 0.5)


def test_at_a_thousand_steps_it_is_diffusers_ddim():
    ours = RespacedDDIM.make(tiny.V, 1000)
    theirs = DDIMScheduler(**tiny.V)
    theirs.set_timesteps(1000)
    assert list(ours.timesteps) == theirs.timesteps.tolist()
    for s in (0, 1, 400, 998, 999):
        x, output = noise(s), noise(s + 1)
        step = theirs.step(output, theirs.timesteps[s], x)
        got, clean = ours.step(output, x, s)
        assert relative(got, step.prev_sample) < 1e-4
        assert relative(clean, step.pred_original_sample) < 1e-4


# -- diffusers' schedulers -----------------------------------------------------------------

BY_HAND = {
    "ddim-diffusers": lambda kind: DDIMScheduler(**PLAIN, prediction_type=kind),
    "dpmsolver++": lambda kind: DPMSolverMultistepScheduler(
        **{k: v for k, v in PLAIN.items() if k != "clip_sample"}, prediction_type=kind
    ),
    "euler": lambda kind: EulerDiscreteScheduler(
        **{k: v for k, v in PLAIN.items() if k != "clip_sample"}, prediction_type=kind
    ),
    "ddpm": lambda kind: DDPMScheduler(**PLAIN, prediction_type=kind, variance_type="fixed_small"),
}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:diffusers")
@pytest.mark.filterwarnings("ignore::caching.errors.StochasticSamplerWarning")
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", BY_HAND)
def test_a_wrapped_scheduler_is_the_scheduler_driven_by_hand(name, kind):
    steps, seed = 7, 3
    scheduler = BY_HAND[name](kind)
    scheduler.set_timesteps(steps)
    sampler = made(name, {**tiny.EPSILON, "prediction_type": kind}, steps, seed)
    assert list(sampler.timesteps) == [float(t) for t in scheduler.timesteps]
    assert sampler.first_scale == pytest.approx(float(scheduler.init_noise_sigma))
    extra = {"generator": torch.Generator().manual_seed(seed)} if name == "ddpm" else {}
    ours = theirs = noise(1) * float(scheduler.init_noise_sigma)
    for s, t in enumerate(scheduler.timesteps):
        fed = scheduler.scale_model_input(theirs, t)
        assert torch.equal(sampler.model_input(ours, s), fed)
        output = torch.tanh(fed) + 0.1 * noise(50 + s)  # stands for a model
        theirs = scheduler.step(output, t, theirs, **extra).prev_sample
        ours, _ = sampler.step(output, ours, s)
        assert torch.equal(ours, theirs)


@pytest.mark.filterwarnings("ignore::caching.errors.StochasticSamplerWarning")
@pytest.mark.parametrize("name", SAMPLERS)
def test_the_clean_prediction_of_a_perfect_model_is_its_picture(name):
    """What is previewed is the predicted picture, in the scale the autoencoder expects."""
    target = noise(4)
    sampler = made(name, steps=8)
    x = noise(5) * sampler.first_scale
    table = DDIMScheduler(**tiny.EPSILON).alphas_cumprod
    for s, t in enumerate(sampler.timesteps):
        a = float(table[int(t)])
        fed = sampler.model_input(x, s)
        eps = (fed - a**0.5 * target) / (1 - a) ** 0.5
        x, clean = sampler.step(eps, x, s)
        assert relative(clean, target) < 3e-2


@pytest.mark.filterwarnings("ignore::caching.errors.StochasticSamplerWarning")
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_starts_from_noise_of_the_right_scale(name):
    """The model was trained on inputs of variance one, so that is what it must first be fed."""
    model, spy = spied(own(tiny.dit(blocks=1), tiny.V))
    start = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(6))
    events = iter_sample(model, label=1, seed=6, steps=4, sampler=name, cfg_scale=1.0)
    next(events)
    # Euler starts from sigma or from sqrt(sigma^2 + 1), as its spacing has it.
    assert relative(spy.inputs[0], start) < 1e-4


@pytest.mark.parametrize("name", [n for n, info in SAMPLERS.items() if not info.stochastic])
def test_the_loop_tells_the_model_the_samplers_timesteps(name):
    model, spy = spied(own(tiny.dit(blocks=1), tiny.V))
    seen = []
    condition = spy.family.condition
    spy.condition = lambda times, labels: (seen.append(times.tolist()), condition(times, labels))[1]
    *_, run = iter_sample(model, label=1, steps=6, sampler=name)
    assert seen == [list(run.timesteps)]
    assert len(run.timesteps) == 6
    assert all(a > b for a, b in zip(run.timesteps, run.timesteps[1:], strict=False))


def test_a_sampler_belongs_to_one_run():
    config = dict(tiny.EPSILON)
    first, second = made("dpmsolver++", config), made("dpmsolver++", config)
    x = noise(1)
    once, _ = first.step(noise(2), x, 0)
    first.step(noise(3), once, 1)
    assert torch.equal(second.step(noise(2), x, 0)[0], once)
    assert config == tiny.EPSILON


def test_a_given_scheduler_is_left_as_it_was():
    scheduler = DDIMScheduler(**tiny.V)
    before = scheduler.timesteps.clone()
    sampler = DiffusersSampler(scheduler, 4, CPU, 0)
    sampler.step(noise(1), noise(2), 0)
    assert len(sampler.timesteps) == 4
    assert torch.equal(scheduler.timesteps, before)
    assert scheduler.num_inference_steps is None


def test_without_a_scheduler_large_latents_are_not_clipped():
    assert Model.from_modules(tiny.dit(blocks=1)).noise == DEFAULT_SCHEDULE
    sampler = made("ddim-diffusers", DEFAULT_SCHEDULE)
    x = 5 * noise(1)
    _, clean = sampler.step(torch.zeros_like(x), x, 0)
    assert clean.abs().max() > 5


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_steps_out_of_range_are_refused(steps):
    with pytest.raises(RequestError, match=f"{steps} steps were asked for, expected 1 to 1000"):
        made("ddim", steps=steps)
