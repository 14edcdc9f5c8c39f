"""HarmoniCa's training along whole runs: losses, ageing of what is stored, weights of the steps."""

import numpy as np
import pytest
import torch

from caching.learn.harmonica import Unrolled
from caching.learn.routers import Routers
from caching.learn.store import Learned
from caching.learn.trainers import trainer_of
from tests.caching import plain_learning, tiny
from tests.caching.spy import own, relative

STEPS, BLOCKS = 5, 2
THETA = 0.4  # about half of the routers below are on either side of it


class Seen(Routers):
    """Routers that note losses and gradients and learn nothing."""

    def __init__(self, logits):
        super().__init__((STEPS, BLOCKS, 2), range(1, STEPS), rate=0.1, seed=0)
        self.logits = [row.clone().requires_grad_() for row in logits]
        self.found = {}

    def update(self, s, loss):
        (gradient,) = torch.autograd.grad(loss, [self.logits[s]])
        self.found[s] = float(loss.detach()), gradient


@pytest.fixture(scope="module", params=[2.0, 1.0])
def case(request):
    module = tiny.dit(blocks=BLOCKS)
    model = own(module, tiny.V)
    g = torch.Generator().manual_seed(2)
    noise = torch.randn(2, *model.family.latent_shape, generator=g)
    logits = torch.randn(STEPS, 2 * BLOCKS, generator=g)
    guidance = request.param if request.param > 1 else None
    return model, module, request.param, guidance, noise, torch.tensor([3, 7]), logits


def test_losses_and_gradients_along_a_run(case):
    model, module, scale, guidance, noise, labels, logits = case
    prices = np.array([0.0, 0.5, 2.0, 1.0, 3.0])
    routers = Seen(logits)
    unroll = Unrolled(model, STEPS, scale, THETA, None)
    mean = unroll.train(routers, noise, labels, prices=prices, weight=1e-3)
    expected = plain_learning.unrolled(
        module, noise, labels, logits, theta=THETA, guidance=guidance, prices=prices,
        price=1e-3, kind="v_prediction",
    )  # fmt: skip
    assert sorted(routers.found) == [1, 2, 3, 4]
    for s, (loss, gradient) in expected.items():
        assert routers.found[s][0] == pytest.approx(loss, rel=1e-4), s
        assert relative(routers.found[s][1].double(), gradient) < 2e-3, s
    assert mean == pytest.approx(np.mean([loss for loss, _ in expected.values()]), rel=1e-4)


def test_what_is_stored_ages_by_the_threshold(case):
    """With another threshold other outputs are stored, and later steps lose something else."""
    model, _, scale, _, noise, labels, logits = case
    losses = []
    for theta in (0.01, 0.99):
        routers = Seen(logits)
        Unrolled(model, STEPS, scale, theta, None).train(
            routers, noise, labels, prices=np.ones(STEPS), weight=0.0
        )
        losses.append([routers.found[s][0] for s in range(1, STEPS)])
    assert losses[0][0] == losses[1][0]
    assert all(a != b for a, b in zip(losses[0][1:], losses[1][1:], strict=True))


def test_the_weight_of_a_step_is_what_its_router_adds_to_the_final_error(case):
    model, module, scale, guidance, noise, labels, logits = case
    found = Unrolled(model, STEPS, scale, THETA, None).prices(Seen(logits), noise, labels)
    expected = plain_learning.step_prices(
        module, noise, labels, logits, theta=THETA, guidance=guidance, kind="v_prediction"
    )
    assert found == pytest.approx(np.array(expected), rel=2e-3)
    assert found[0] == 0 and (found[1:] > 0).all()


def test_a_training_ends_in_routers_of_all_steps_but_the_first():
    model = own(tiny.dit(blocks=BLOCKS), tiny.V)
    trainer = trainer_of("harmonica", weight=1.0, iterations=8, rate=1.0, batch=1, every=4)
    *events, learned = trainer.learn(model, steps=3, cfg_scale=2.0, seed=5)
    assert isinstance(learned, Learned)
    weighing = [e.iteration for e in events if np.isnan(e.loss)]
    assert weighing == [0, 4]
    assert [e.iteration for e in events if not np.isnan(e.loss)] == list(range(1, 9))
    logits = learned.values["logits"]
    assert logits.shape == (1, 3, BLOCKS, 2)
    assert (logits[0, 0] == 5).all() and (logits[0, 1:] < -3).all()
    assert (learned.cfg_scale, learned.method) == (2.0, "harmonica")
    assert "image-free" in learned.data
    assert events[-1].share == pytest.approx(2 / 3)
