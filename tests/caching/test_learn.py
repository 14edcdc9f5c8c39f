"""Trainings: mixing and L2C's objective against float64, pairs, clamp, stopping, what is kept."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from caching import Model, Schedule, sample
from caching.errors import RequestError, ScheduleError
from caching.learn.base import Data, Diary, LearnStep
from caching.learn.forward import forward
from caching.learn.l2c import Draw, Pairs, cache_steps
from caching.learn.routers import Routers, share_of
from caching.learn.store import Learned
from caching.learn.trainers import TRAINERS, trainer_of
from caching.methods.base import controls
from tests.caching import plain_learning, tiny
from tests.caching.spy import own, relative

STEPS, BLOCKS, CELLS = 6, 2, 4


@pytest.fixture(scope="module", params=["epsilon", "v_prediction", "learned sigma"])
def pair(request):
    sigma = request.param == "learned sigma"
    module = tiny.dit(blocks=BLOCKS, learned_sigma=sigma)
    kind = "v_prediction" if request.param == "v_prediction" else "epsilon"
    return own(module, {**tiny.EPSILON, "prediction_type": kind}), module, kind


@pytest.fixture(scope="module")
def model():
    return Model.from_modules(tiny.dit(blocks=BLOCKS), scheduler=tiny.V)


def some(model, count=5, seed=0):
    g = torch.Generator().manual_seed(seed)
    shape = (count, *model.family.latent_shape)
    return Data(torch.randn(shape, generator=g), torch.arange(count) % 3, "noise of a test")


def drawn(model, s, count=3):
    data = some(model, count, seed=4)
    noise = torch.randn(data.latents.shape, generator=torch.Generator().manual_seed(8))
    labels = torch.tensor([2, model.family.classes, 0])[:count]
    return Draw(s, data.latents, labels, noise)


def run(trainer, model, **asked):
    """All steps, and the Learned at the end or None."""
    settings = {"steps": STEPS, "cfg_scale": 2.0, **asked}
    events = list(trainer.learn(model, **settings))
    learned = events.pop() if events and isinstance(events[-1], Learned) else None
    assert all(isinstance(event, LearnStep) for event in events)
    return events, learned


# -- one step with mixing --------------------------------------------------------------------


def test_without_mixing_a_step_is_what_diffusers_computes(pair):
    model, module, _ = pair
    x, labels = drawn(model, 1).clean, torch.tensor([1, 2, 3])
    given = model.family.condition(torch.tensor([600.0]), labels)
    with torch.no_grad():
        output, outputs = forward(model.family, x, given, 0)
        expected = module(x, timestep=torch.full((3,), 600), class_labels=labels).sample
    assert relative(output, expected) < 1e-5
    assert len(outputs) == CELLS


@pytest.mark.parametrize("reused", [(0, 0, 0, 0), (1, 0, 0, 1), (1, 1, 1, 1)])
def test_with_whole_weights_a_step_is_one_of_a_run_that_reuses(pair, reused):
    model, _, _ = pair
    cells = np.zeros((2, BLOCKS, 2), np.uint8)
    cells[1] = np.array(reused).reshape(BLOCKS, 2)
    seen = {}

    class Watched:
        def __getattr__(self, name):
            return getattr(model.family, name)

        def embed(self, latents):
            seen["inputs"] = [*seen.get("inputs", ()), latents.clone()]
            return model.family.embed(latents)

        def head(self, x, given, s):
            seen["output"] = model.family.head(x, given, s)
            return seen["output"]

    watched = dataclasses.replace(model, family=Watched())
    done = sample(watched, Schedule(cells), label=[1, 4], seed=3, cfg_scale=1.0)
    given = model.family.condition(torch.tensor(done.timesteps), torch.tensor([1, 4]))
    weights = torch.tensor([1.0 - r for r in reused], requires_grad=True)
    with torch.no_grad():
        _, stored = forward(model.family, seen["inputs"][0], given, 0)
    output, _ = forward(model.family, seen["inputs"][1], given, 1, stored=stored, weights=weights)
    assert relative(output.detach(), seen["output"]) < 1e-5
    assert output.requires_grad


def test_no_parameter_gets_a_gradient(model):
    routers = Routers((STEPS, BLOCKS, 2), cache_steps(STEPS), rate=0.1, seed=0)
    routers.update(3, Pairs(model, STEPS).loss(drawn(model, 3), routers.logits[3], 1e-4))
    assert all(p.grad is None for p in model.family.module.parameters())


# -- pairs and masks -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "expected"), [(2, [1]), (6, [1, 3, 5]), (5, [2, 4]), (3, [2]), (1, [])]
)
def test_cache_steps_are_the_even_ones_counted_from_the_end(steps, expected):
    assert list(cache_steps(steps)) == expected


@pytest.mark.parametrize(
    ("s", "error"), [(1, "output"), (5, "output"), (1, "clean"), (3, "noise"), (5, "clean")]
)
def test_loss_and_gradient_of_a_pair_are_those_of_the_paper(pair, s, error):
    model, module, kind = pair
    draw, logits = drawn(model, s), torch.tensor([-2.0, 0.3, 1.5, -0.4], requires_grad=True)
    loss = Pairs(model, STEPS).loss(draw, logits, 3e-3, error=error)
    (gradient,) = torch.autograd.grad(loss, [logits])
    expected, steepest = plain_learning.pair_loss(
        module,
        draw.clean,
        draw.noise,
        draw.labels,
        s=s,
        steps=STEPS,
        logits=logits,
        price=3e-3,
        kind=kind,
        error=error,
    )
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-4)
    assert relative(gradient.double(), steepest) < 1e-3


@pytest.mark.parametrize(("error", "part"), [("output", 1.0), ("noise", 0.9), ("clean", 0.1)])
def test_of_v_the_noise_is_alpha_and_the_clean_latents_the_rest(model, error, part):
    pairs = Pairs(model, STEPS)
    pairs.solver = dataclasses.replace(pairs.solver, alphas=(0.9,) * (STEPS + 1))
    logits = torch.zeros(CELLS)
    plain = float(pairs.loss(drawn(model, 3), logits, 0.0))
    assert float(pairs.loss(drawn(model, 3), logits, 0.0, error=error)) == pytest.approx(
        part * plain, rel=1e-3
    )


def test_labels_are_dropped_with_a_tenth_and_one_step_is_drawn_for_all(model):
    generator, pairs = torch.Generator().manual_seed(0), Pairs(model, STEPS)
    draws = [pairs.draw(some(model), 40, generator) for _ in range(50)]
    assert {d.s for d in draws} == {1, 3, 5}
    share = float(torch.cat([d.labels for d in draws]).eq(model.family.classes).float().mean())
    assert 0.08 < share < 0.12
    assert all(int(d.labels.min()) >= 0 for d in draws)


# -- routers ---------------------------------------------------------------------------------


def test_a_router_moves_as_adamw_has_it_and_stays_in_its_range():
    routers = Routers((3, 1, 2), (1, 2), rate=0.5, seed=3)
    start = torch.randn((3, 1, 2), generator=torch.Generator().manual_seed(3))
    assert np.allclose(routers.table()[1:], start[1:])
    assert (routers.table()[0] == 5).all()
    routers.update(1, (routers.logits[1] * torch.tensor([2.0, -3.0])).sum())
    # The first step of Adam is the rate along the sign of the gradient.
    assert routers.table()[1] == pytest.approx(start[1].numpy() + np.array([[-0.5, 0.5]]), abs=1e-5)
    assert (routers.table()[2] == start[2].numpy()).all()
    for _ in range(30):
        routers.update(2, (routers.logits[2] * torch.tensor([1.0, -1.0])).sum())
    assert routers.table()[2].tolist() == [[-5, 5]]
    assert (routers.probs()[0] == 1).all()
    assert routers.probs()[2] == pytest.approx(np.array([[0.0066929, 0.9933071]]), rel=1e-4)


def test_share_counts_cells_at_the_threshold():
    assert share_of(np.array([[[0.1, 0.3]], [[0.5, 1.0]]], np.float32), 0.5) == 0.75


# -- whole trainings -------------------------------------------------------------------------


def test_a_price_of_zero_computes_and_a_high_one_reuses(model):
    for weight, side in ((0.0, 1), (1.0, -1)):
        trainer = trainer_of("l2c", weight=weight, iterations=60, rate=1.0, batch=2)
        _, learned = run(trainer, model, data=some(model))
        trained = learned.values["logits"][0, [1, 3, 5]]
        assert (side * trained > 0).mean() > 0.9
        assert (learned.values["logits"][0, [0, 2, 4]] == 5).all()


def test_what_is_told_on_the_way(model):
    trainer = trainer_of("l2c", iterations=5, batch=2)
    events, learned = run(trainer, model, data=some(model), seed=4, command="as called")
    assert [e.iteration for e in events] == [1, 2, 3, 4, 5]
    assert all(e.probs.shape == (STEPS, BLOCKS, 2) and not e.probs.flags.writeable for e in events)
    assert all((e.probs[::2] == 1).all() for e in events)
    assert events[-1].seconds_left == 0
    assert [e.loss for e in events] == pytest.approx(learned.curve["loss"])
    assert (learned.method, learned.steps, learned.iterations) == ("l2c", STEPS, 5)
    assert (learned.cfg_scale, learned.sampler, learned.command) == (1.0, "ddim", "as called")
    assert learned.weights_hash == model.weights_hash
    assert learned.options["batch"] == 2 and "noise of a test" in learned.title


def test_a_long_curve_is_thinned_to_means_of_its_loss(model):
    diary = Diary("l2c", model, STEPS, 1.0, "", "", 0, 400, {})
    for n in range(400):
        diary.step(float(n % 2), n / 400, np.ones((STEPS, BLOCKS, 2)))
    curve = diary.learned({}).curve
    assert len(curve["iteration"]) == len(curve["loss"]) == len(curve["share"]) == 200
    assert (curve["iteration"][0], curve["iteration"][-1]) == (2, 400)
    assert set(curve["loss"]) == {0.5}
    assert (curve["share"][0], curve["share"][-1]) == (1 / 400, 399 / 400)


@pytest.mark.parametrize("name", ["l2c", "harmonica"])
def test_the_same_seed_learns_the_same(model, name):
    trainer = trainer_of(name, iterations=3, batch=2)
    data = some(model) if trainer.takes_data else None
    tables = [run(trainer, model, data=data, seed=seed)[1].values["logits"] for seed in (1, 1, 2)]
    assert (tables[0] == tables[1]).all()
    assert (tables[0] != tables[2]).any()


def test_without_pictures_it_draws_its_own_and_says_so(model):
    trainer = trainer_of("l2c", iterations=1, batch=2, pool=3)
    events, learned = run(trainer, model)
    assert (events[0].iteration, np.isnan(events[0].loss)) == (0, True)
    assert "3 of 3" in events[0].doing
    assert "3 pictures of its own" in learned.data


@pytest.mark.parametrize("name", ["l2c", "harmonica"])
def test_stopping_keeps_what_there_is(model, name):
    asked = {"n": 0, "last": 0}

    def stopped():
        asked["n"] += 1
        return bool(asked["last"]) and asked["n"] > asked["last"]

    trainer = trainer_of(name, iterations=1000, batch=2)
    events = trainer.learn(model, steps=STEPS, cfg_scale=2.0, data=some(model), stopped=stopped)
    last = next(e for e in events if e.iteration == 2)
    asked["last"] = asked["n"] + 3  # in the midst of the next iteration
    learned = list(events)[-1]
    assert isinstance(learned, Learned) and learned.iterations == 2
    probs = 1 / (1 + np.exp(-learned.values["logits"][0]))
    trained = last.probs < 1
    assert np.allclose(probs[trained], last.probs[trained], atol=1e-6)


@pytest.mark.parametrize("data", [True, False])
def test_stopped_before_anything_was_learned_leaves_nothing(model, data):
    given = some(model) if data else None
    trainer = trainer_of("l2c", iterations=9)
    assert list(trainer.learn(model, steps=4, cfg_scale=2, data=given, stopped=lambda: True)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 1}, "1 step"),
        ({"data": Data(torch.zeros(2, 3, 4, 4), torch.zeros(2).long(), "x")}, r"\(2, 3, 4, 4\)"),
        ({"data": Data(torch.zeros(1, 3, 8, 8), torch.tensor([10]), "x")}, "0 to 9"),
        ({"data": Data(torch.zeros(0, 3, 8, 8), torch.zeros(0).long(), "x")}, "0 labels"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_before_anything_runs(model, change, words):
    with pytest.raises(RequestError, match=words):
        trainer_of("l2c").learn(model, **{"steps": 4, "cfg_scale": 2.0, **change})


def test_every_training_has_bounded_options_and_a_number_of_iterations():
    for name, kind in TRAINERS.items():
        options = {one.name: one for one in controls(kind)}
        assert options["iterations"].whole and kind.name == name and kind.about
        with pytest.raises(ScheduleError, match="iterations"):
            trainer_of(name, iterations=0)
    with pytest.raises(RequestError, match=r"expected one of: .*l2c"):
        trainer_of("l3c")
    with pytest.raises(RequestError, match="weight"):
        trainer_of("l2c", wait=1)


def test_the_module_under_the_model_is_left_as_it_was(model):
    before = copy.deepcopy(model.family.module.state_dict())
    run(trainer_of("l2c", iterations=2, batch=2), model, data=some(model))
    after = model.family.module.state_dict()
    assert all(torch.equal(before[name], value) for name, value in after.items())
    assert all(p.requires_grad for p in model.family.module.parameters())
