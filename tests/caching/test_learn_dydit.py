"""DyDiT's routers: choices, prices, loss and gradient by hand; what is learned; its method."""

import numpy as np
import pytest
import torch

from caching import Model, Schedule, sample
from caching.engine.samplers import RespacedDDIM
from caching.errors import RequestError
from caching.learn.base import Data, LearnStep
from caching.learn.dydit import (
    WIDTHS,
    chosen,
    distance,
    narrow_forward,
    prices_of,
    stacked,
    time_features,
)
from caching.learn.l2c import Draw
from caching.learn.store import SHIPPED, Learned, load_learned
from caching.learn.trainers import trainer_of
from caching.methods import METHODS, method_of
from caching.methods.setting import ModelSetting, Shelf
from caching.models.loading import load_model
from caching.predictors.narrow import Narrow
from tests.caching import tiny
from tests.caching.spy import own, relative, spied

STEPS, BLOCKS = 5, 2


@pytest.fixture(scope="module")
def model():
    return Model.from_modules(tiny.dit(blocks=BLOCKS), scheduler=tiny.V)


@pytest.fixture(scope="module")
def stacks(model):
    return stacked(model, steps=STEPS, cfg_scale=2.0)


def some(model, count=5):
    g = torch.Generator().manual_seed(0)
    shape = (count, *model.family.latent_shape)
    return Data(torch.randn(shape, generator=g), torch.arange(count) % 3, "noise of a test")


def run(model, **options):
    """The Learned at the end, and the LearnSteps before it."""
    trainer = trainer_of("dydit", **{"iterations": 3, "batch": 2, **options})
    *steps, learned = trainer.learn(model, steps=STEPS, cfg_scale=2.0, data=some(model))
    assert isinstance(learned, Learned) and all(isinstance(s, LearnStep) for s in steps)
    return learned, steps


# -- choices and prices ----------------------------------------------------------------------


def test_a_choice_is_hard_with_the_gradient_of_the_soft_one():
    logits = torch.randn(40, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    choice = chosen(logits, torch.Generator().manual_seed(2))
    assert ((choice - choice.round()).abs() < 1e-6).all() and choice.sum(1).allclose(torch.ones(40))
    # The noise again: -log(-log u), as Gumbel's distribution has it.
    u = torch.rand(40, 4, generator=torch.Generator().manual_seed(2))
    noisy = (logits - torch.log(-torch.log(u))).detach().requires_grad_()
    assert torch.equal(choice.argmax(1), noisy.argmax(1))
    weight = torch.arange(160.0).view(40, 4)
    (got,) = torch.autograd.grad((choice * weight).sum(), [logits])
    (expected,) = torch.autograd.grad((noisy.softmax(1) * weight).sum(), [noisy])
    assert torch.allclose(got, expected, atol=1e-5)


def test_choices_follow_the_scores():
    logits = torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4])).expand(20000, 4)
    found = chosen(logits, torch.Generator().manual_seed(0)).mean(0)
    assert found.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.015)


def test_prices_worked_out_by_hand(model):
    # Width 16, 16 tokens, 2 heads, 64 hidden channels: attention 4 x 16^3 + 2 x 16^3 = 24576
    # products, feed-forward 2 x 16 x 16 x 64 = 32768; two blocks 114688. A quarter of two heads is
    # half a head, rounded up to one.
    attention = np.array([1, 1, 2, 2]) * 12288 / 114688
    forward = np.array([16, 32, 48, 64]) * 512 / 114688
    assert prices_of(model.family).numpy() == pytest.approx(np.stack([[attention, forward]] * 2))


def test_features_of_a_timestep():
    found = time_features((999.0, 500.0, 0.0))
    assert found.shape == (3, 9)
    assert found[2].tolist() == pytest.approx([1, 1, 1, 1, 1, 0, 0, 0, 0])
    # A quarter, a half, one and two turns of half a circle each.
    half = 0.5**0.5
    assert found[1].tolist() == pytest.approx([1, half, 0, -1, 1, half, 1, 0, 0], abs=1e-6)


# -- the student -----------------------------------------------------------------------------


def test_the_student_is_a_run_of_narrow_brushes(model, stacks):
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 4, (STEPS, BLOCKS, 2)).astype(np.uint8)  # 0 computes
    cells[0] = 0
    schedule = Schedule(cells, tuple(Narrow(w, w) for w in WIDTHS[:3]))
    watched, spy = spied(model)
    done = sample(watched, schedule, label=[1, 4], seed=3, cfg_scale=2.0)
    labels = torch.tensor([1, 4, 10, 10])
    given = model.family.condition(torch.tensor(done.timesteps), labels)
    # Before them, those of the calibration.
    inputs, outputs = spy.inputs[-STEPS:], spy.outputs[-STEPS:]
    for s in range(1, STEPS):
        choice = torch.nn.functional.one_hot(torch.tensor((cells[s].astype(int) - 1) % 4), 4)
        with torch.no_grad():
            output = narrow_forward(model.family, inputs[s], given, s, stacks, choice.float())
        assert relative(output, outputs[s]) < 1e-4


def test_the_loss_and_its_gradient_by_differences():
    model = own(tiny.dit(blocks=BLOCKS).double(), tiny.V)
    stacks = stacked(model, steps=STEPS, cfg_scale=2.0)
    g = torch.Generator().manual_seed(3)
    clean, noise = (torch.randn(2, 3, 8, 8, generator=g) for _ in range(2))
    solver = RespacedDDIM.make(tiny.V, STEPS)
    draw = Draw(2, clean, torch.tensor([1, 10]), noise)
    # Steps 999, 749, 500: x and both outputs with diffusers' own module and the student above.
    choice = torch.rand(BLOCKS, 2, 4, generator=g).softmax(-1)
    a = float(np.prod(1 - np.linspace(1e-4, 0.02, 1000)[:501]))
    x = (a**0.5 * clean + (1 - a) ** 0.5 * noise).double()
    labels, t = torch.tensor([1, 10]), torch.full((2,), 500)

    def loss(p):
        with torch.no_grad():
            teacher = model.family.module(x, timestep=t, class_labels=labels).sample
            given = model.family.condition(torch.tensor([500.0]), labels)
            student = narrow_forward(model.family, x, given, 0, stacks, p.double())
        return float(((teacher - student) ** 2).mean())

    free = choice.clone().requires_grad_()
    got = distance(model, solver, stacks, free, draw)
    assert float(got.detach()) == pytest.approx(loss(choice), rel=1e-4) and float(got.detach()) > 0
    (gradient,) = torch.autograd.grad(got, [free])
    for at in ((0, 0, 0), (0, 1, 2), (1, 0, 3), (1, 1, 1)):
        up, down = choice.double(), choice.double()
        up[at] += 1e-3
        down[at] -= 1e-3
        slope = (loss(up) - loss(down)) / 2e-3
        assert float(gradient[at]) == pytest.approx(slope, rel=1e-2, abs=1e-7)


def test_the_widest_is_the_model_itself(model, stacks):
    all_of_it = torch.zeros(BLOCKS, 2, 4)
    all_of_it[..., 3] = 1
    solver = RespacedDDIM.make(tiny.V, STEPS)
    draw = Draw(1, some(model).latents[:2], torch.tensor([1, 2]), torch.randn(2, 3, 8, 8))
    assert float(distance(model, solver, stacks, all_of_it, draw).detach()) < 1e-10


# -- whole trainings -------------------------------------------------------------------------


@pytest.mark.parametrize("target, least, most", [(0.4, 0.35, 0.62), (0.95, 0.85, 1.0)])
def test_the_target_is_met(model, target, least, most):
    """Scores follow the target where missing it costs more than anything else."""
    learned, _ = run(model, target=target, press=1000, iterations=80, rate=0.1)
    logits, widths = learned.values["logits"], learned.values["widths"]
    assert logits.shape == (STEPS, BLOCKS, 2, 4) and widths.tolist() == list(WIDTHS)
    choice = np.eye(4)[logits.argmax(-1)]
    choice[0] = [0, 0, 0, 1]
    share = (choice * prices_of(model.family).numpy()).sum() / STEPS
    assert least < share < most


def test_what_is_told_and_kept(model):
    learned, steps = run(model)
    assert [s.iteration for s in steps] == [0, 1, 2, 3]
    assert "fitting" in steps[0].doing and np.isnan(steps[0].loss)
    assert set(np.unique(steps[-1].probs)) <= set(WIDTHS) and (steps[-1].probs[0] == 1).all()
    assert (learned.method, learned.cfg_scale, learned.iterations) == ("dydit", 2.0, 3)
    again, _ = run(model)
    assert (again.values["logits"] == learned.values["logits"]).all()
    assert all(p.grad is None for p in model.family.module.parameters())


def test_stopping_keeps_what_there_is(model):
    asked = {"n": 0, "last": 0}

    def stopped():
        asked["n"] += 1
        return bool(asked["last"]) and asked["n"] > asked["last"]

    trainer = trainer_of("dydit", iterations=1000, batch=2)
    events = trainer.learn(model, steps=STEPS, cfg_scale=2.0, data=some(model), stopped=stopped)
    next(e for e in events if e.iteration == 2)
    asked["last"] = asked["n"] + 3
    (learned,) = list(events)
    assert isinstance(learned, Learned) and learned.iterations == 2
    never = trainer.learn(model, steps=STEPS, cfg_scale=2.0, data=some(model), stopped=lambda: True)
    assert [e for e in never if isinstance(e, Learned)] == []


def test_one_step_is_refused(model):
    with pytest.raises(RequestError, match=r"1 steps were given, expected at least 2"):
        trainer_of("dydit").learn(model, steps=1, cfg_scale=2.0)


# -- the method ------------------------------------------------------------------------------


def setting_of(model, learned, values):
    shelf = Shelf()
    shelf.learned.append(Learned(**{**vars(learned), "values": values}))
    return ModelSetting(model, steps=STEPS, cfg_scale=2.0, sampler="ddim", shelf=shelf)


def test_widths_are_painted_and_pressure_narrows(model):
    learned, _ = run(model)
    logits = np.zeros((STEPS, BLOCKS, 2, 3), np.float32)
    logits[..., 2] = 1.0  # all of it
    logits[2, 0, 0] = [0, 5, 1]
    logits[3, 1, 1] = [2, 0, 1]
    logits[0, 0, 0] = [9, 0, 0]  # computed for all that
    setting = setting_of(model, learned, {"logits": logits, "widths": np.array([0.2, 0.6, 1.0])})
    plan = METHODS["dydit"]().plan(setting)
    assert plan.schedule.legend == (Narrow(0.2, 0.2), Narrow(0.6, 0.6))
    expected = np.zeros((STEPS, BLOCKS, 2))
    expected[2, 0, 0], expected[3, 1, 1] = 2, 1
    assert np.array_equal(plan.schedule.actions, expected)
    # Scores less 3 x width: of (0, 0, 1) -0.6, -1.8, -2, of (0, 5, 1) -0.6, 3.2, -2.
    more = METHODS["dydit"](pressure=3).plan(setting).schedule.actions
    assert (more[1:] == 1).sum() == 15 and more[2, 0, 0] == 2 and not more[0].any()
    done = sample(model, plan.schedule, label=1, cfg_scale=2.0)
    assert np.array_equal(done.executed, expected)
    work = [
        sample(model, m.plan(setting).schedule, label=1, cfg_scale=2.0).cost.work
        for m in method_of("dydit").ladder(setting)[::20]
    ]
    assert work == sorted(work, reverse=True) and work[-1] < work[0]


@pytest.mark.parametrize("values", [{}, {"logits": np.zeros((5, 2, 2, 3)), "widths": np.ones(4)}])
def test_scores_of_another_grid_are_refused(model, values):
    learned, _ = run(model)
    with pytest.raises(RequestError, match=r"dydit: .* learn it again"):
        METHODS["dydit"]().plan(setting_of(model, learned, values))


def test_what_ships_is_of_the_shipped_model_and_near_its_target():
    learned = load_learned(SHIPPED / "dydit-20.json")
    model = load_model()
    assert learned.weights_hash == model.weights_hash
    assert learned.command.startswith("python -m presets.learn dydit")
    setting = ModelSetting(model, steps=20, cfg_scale=2.0, sampler="ddim")
    schedule = METHODS["dydit"]().plan(setting).schedule
    macs = np.array([[model.family.branch_macs(b, r) for r in (0, 1)] for b in range(12)])
    shares = np.array([1.0, *(p.heads for p in schedule.legend)])
    share = (shares[schedule.actions] * macs).sum() / macs.sum() / 20
    assert share == pytest.approx(learned.options["target"], abs=0.08)
