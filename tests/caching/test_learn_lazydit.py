"""LazyDiT's training: loss and gradient against hooks in float64, what is learned, its method."""

import numpy as np
import pytest
import torch

from caching import Model, sample
from caching.errors import RequestError, ScheduleError
from caching.learn.base import Data, LearnStep
from caching.learn.l2c import Draw, Pairs
from caching.learn.lazydit import objective
from caching.learn.store import SHIPPED, Learned, load_learned
from caching.learn.trainers import trainer_of
from caching.methods import METHODS, Unready, method_of
from caching.methods.setting import ModelSetting, Shelf
from caching.models.loading import load_model
from tests.caching import tiny
from tests.caching.plain_learning import Mixing
from tests.caching.reference import alpha_bar, ddim, timesteps
from tests.caching.spy import own, relative

STEPS, BLOCKS, WIDTH = 6, 2, 16


@pytest.fixture(scope="module", params=["epsilon", "v_prediction", "learned sigma"])
def pair(request):
    sigma = request.param == "learned sigma"
    module = tiny.dit(blocks=BLOCKS, learned_sigma=sigma)
    kind = "v_prediction" if request.param == "v_prediction" else "epsilon"
    return own(module, {**tiny.EPSILON, "prediction_type": kind}), module, kind


@pytest.fixture(scope="module")
def model():
    return Model.from_modules(tiny.dit(blocks=BLOCKS), scheduler=tiny.V)


def some(model, count=5):
    g = torch.Generator().manual_seed(0)
    shape = (count, *model.family.latent_shape)
    return Data(torch.randn(shape, generator=g), torch.arange(count) % 3, "noise of a test")


def run(model, *, data=True, **options):
    """The Learned at the end, and the last LearnStep before it."""
    given = some(model) if data else None
    trainer = trainer_of("lazydit", **{"iterations": 3, "batch": 2, **options})
    *steps, learned = trainer.learn(model, steps=STEPS, cfg_scale=2.0, data=given)
    assert isinstance(learned, Learned) and all(isinstance(s, LearnStep) for s in steps)
    return learned, steps[-1]


# -- the objective ---------------------------------------------------------------------------


class Gated(Mixing):
    """Mixes by sigmoid(sum over tokens of W . Z), of what each module is given, by sample."""

    def __call__(self, x, t, labels, gates=None):
        self.gates, self.scores = gates, []
        return super().__call__(x, t, labels)

    def _hook(self, cell):
        def after(_module, inputs, output):
            self.fresh[cell] = output
            if self.gates is None:
                return output
            score = torch.sigmoid(torch.einsum("ntd,d->n", inputs[0], self.gates[cell]))
            self.scores.append(score)
            w = score[:, None, None]
            return self.stored[cell] * (1 - w) + output * w

        return after


def by_hand(module, draw, gate, price, kind):
    """Loss and gradient (L R, D) of one pair in float64."""
    gated, times = Gated(module), timesteps(STEPS)
    t, after = times[draw.s - 1], times[draw.s]
    a = alpha_bar(t)
    x = a**0.5 * draw.clean.double() + (1 - a) ** 0.5 * draw.noise.double()
    output = gated(x, t, draw.labels)
    gated.keep(range(2 * BLOCKS))
    x = ddim(output[:, : x.shape[1]], x, t, after, kind)[0].double()
    teacher = gated(x, after, draw.labels)
    free = gate.detach().double().flatten(0, 1).requires_grad_(True)
    student = gated(x, after, draw.labels, gates=free)
    loss = ((teacher - student) ** 2).mean() + price * sum(gated.scores).mean()
    loss.backward()
    return float(loss.detach()), free.grad


@pytest.mark.parametrize("s", [1, 5])
@pytest.mark.parametrize("scale", [0.0, 0.05])
def test_loss_and_gradient_of_a_pair_are_those_of_the_paper(pair, s, scale):
    model, module, kind = pair
    g = torch.Generator().manual_seed(3)
    clean, noise = (torch.randn(3, 3, 8, 8, generator=g) for _ in range(2))
    draw = Draw(s, clean, torch.tensor([2, model.family.classes, 0]), noise)
    gate = (scale * torch.randn(BLOCKS, 2, WIDTH, generator=g)).requires_grad_()
    loss, scores = objective(Pairs(model, STEPS), draw, gate, 2e-3)
    assert scores.shape == (BLOCKS, 2, 3)
    if not scale:
        assert (scores == 0.5).all()
    (gradient,) = torch.autograd.grad(loss, [gate])
    expected, steepest = by_hand(module, draw, gate, 2e-3, kind)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-4)
    assert relative(gradient.flatten(0, 1).double(), steepest) < 1e-3


# -- whole trainings -------------------------------------------------------------------------


def test_what_was_not_drawn_stays_zero_and_computes(model):
    learned, last = run(model, iterations=1)
    (gates,) = learned.values["gates"]
    assert gates.shape == (STEPS, BLOCKS, 2, WIDTH)
    (moved,) = np.flatnonzero(gates.any(axis=(1, 2, 3)))
    assert moved in (1, 3, 5)
    # Adam's first step is about the rate, whatever the gradient.
    assert np.abs(gates[moved]) == pytest.approx(2e-4, rel=0.1)
    assert (last.probs[::2] == 1).all() and last.probs[1:].shape == (STEPS - 1, BLOCKS, 2)
    policy = method_of("lazydit").plan(setting_of(model, learned)).policy
    done = sample(model, policy=policy, label=1, steps=STEPS)
    others = [s for s in range(STEPS) if s != moved]
    assert not done.executed[others].any()


def test_a_price_of_zero_computes_and_a_high_one_reuses(model):
    for weight, side in ((0.0, 1), (1.0, -1)):
        learned, last = run(model, weight=weight, iterations=60, rate=0.02)
        trained = last.probs[[1, 3, 5]] - 0.5
        assert (side * trained > 0).mean() > 0.7
        # Of all cells half may be lazy.
        assert (last.share > 0.35) == (side < 0)
        assert learned.values["weights"].tolist() == [weight]


def test_the_same_seed_learns_the_same_and_the_model_is_not_changed(model):
    before = {n: p.clone() for n, p in model.family.module.named_parameters()}
    tables = [run(model)[0].values["gates"] for _ in range(2)]
    assert (tables[0] == tables[1]).all() and tables[0].any()
    for name, p in model.family.module.named_parameters():
        assert torch.equal(p, before[name]) and p.grad is None


def test_without_pictures_it_draws_its_own(model):
    learned, _ = run(model, data=False, pool=3)
    assert "3 pictures of its own" in learned.data
    assert (learned.method, learned.cfg_scale, learned.iterations) == ("lazydit", 1.0, 3)


def test_stopping_keeps_what_there_is(model):
    asked = {"n": 0, "last": 0}

    def stopped():
        asked["n"] += 1
        return bool(asked["last"]) and asked["n"] > asked["last"]

    trainer = trainer_of("lazydit", iterations=1000, batch=2)
    events = trainer.learn(model, steps=STEPS, cfg_scale=2.0, data=some(model), stopped=stopped)
    next(e for e in events if e.iteration == 2)
    asked["last"] = asked["n"] + 3  # in the midst of the next iteration
    (learned,) = list(events)
    assert isinstance(learned, Learned) and learned.iterations == 2


def test_one_step_and_wrong_options_are_refused(model):
    with pytest.raises(RequestError, match="1 steps were given, expected at least 2"):
        trainer_of("lazydit").learn(model, steps=1, cfg_scale=2.0)
    with pytest.raises(ScheduleError, match="weight is 2"):
        trainer_of("lazydit", weight=2.0)


# -- the method ------------------------------------------------------------------------------


def setting_of(model, learned, steps=STEPS):
    shelf = Shelf()
    shelf.learned.append(learned)
    return ModelSetting(model, steps=steps, cfg_scale=2.0, sampler="ddim", shelf=shelf)


def test_only_trained_steps_are_lazy_above_a_half(model):
    learned, _ = run(model, iterations=30)
    setting = setting_of(model, learned)
    plan = method_of("lazydit", threshold=1.0).plan(setting)
    assert plan.policy.gated == (1, 3, 5) and not plan.schedule.actions.any()
    done = sample(model, policy=plan.policy, label=1, steps=STEPS)
    assert (done.executed[1::2] == 1).all() and not done.executed[::2].any()
    with pytest.raises(Unready, match=r"there is 6"):
        method_of("lazydit").plan(setting_of(model, learned, steps=8))


def test_a_ladder_goes_through_all_gates(model):
    learned, _ = run(model)
    two = np.concatenate([learned.values["gates"]] * 2)
    values = {"gates": two, "weights": np.array([1e-4, 1e-3])}
    setting = setting_of(model, Learned(**{**vars(learned), "values": values}))
    rungs = [(m.gates, m.threshold) for m in method_of("lazydit").ladder(setting)]
    assert rungs == sorted(rungs) and len(set(rungs)) == len(rungs) == 13
    words = method_of("lazydit", gates=2).plan(setting).notes[-1]
    assert words == "gates 2 of 2, trained at a price of 0.001 for a computed branch"


@pytest.mark.parametrize("gates", [None, np.zeros((1, 6, 3, 2, 16)), np.zeros((6, 2, 2, 16))])
def test_gates_of_another_grid_are_refused(model, gates):
    learned, _ = run(model)
    values = {} if gates is None else {"gates": gates}
    with pytest.raises(RequestError, match=r"lazydit: .* learn it again"):
        method_of("lazydit").plan(setting_of(model, Learned(**{**vars(learned), "values": values})))


def test_what_ships_is_of_the_shipped_model_and_saves_work():
    learned = load_learned(SHIPPED / "lazydit-20.json")
    model = load_model()
    assert learned.weights_hash == model.weights_hash
    assert learned.command.startswith("python -m presets.learn lazydit")
    gates = learned.values["gates"]
    assert gates[:, 1::2].any(axis=(2, 3, 4)).all() and not gates[:, ::2].any()
    setting = ModelSetting(model, steps=20, cfg_scale=2.0, sampler="ddim")
    work = []
    for which in (1, len(gates)):
        policy = METHODS["lazydit"](gates=which).plan(setting).policy
        done = sample(model, policy=policy, label=[0, 5], seed=9, steps=20, cfg_scale=2.0)
        work.append(done.cost.work)
    assert 0.5 < work[1] < work[0] < 0.9
