"""The cases of the device bench: what runs on a tiny model, there and on the CPU."""

from collections.abc import Callable

import numpy as np
import torch

from caching import Model, Schedule, sample
from caching.engine.samplers import SAMPLERS
from caching.engine.states import States
from caching.improve import Task, improve, search
from caching.improve.score import Conditions
from caching.learn.base import Data
from caching.learn.trainers import TRAINERS, trainer_of
from caching.measure.causes import causes, region_mask
from caching.measure.comparison import iter_compare
from caching.measure.focus import measure_focus
from caching.measure.timing import measure_branches
from caching.methods import METHODS, method_of
from caching.methods.setting import ModelSetting
from caching.predict.calibration import calibrations
from caching.quality.evaluate import iter_evaluate
from caching.quality.judged import Arm
from tests.caching import judging, pretended, tiny
from tests.caching.calibration import FITTED, painted
from tests.caching.predictor_cases import EVERY
from tests.caching.predictor_cases import painted as painted_every
from tests.caching.spy import relative

STEPS, BLOCKS = 4, 2
ASKED = {"steps": STEPS, "cfg_scale": 2.0}
PICTURE = {"label": 1, "seed": 0, "cfg_scale": 2.0}
FORA = Schedule.every(STEPS, BLOCKS, 2)
# Products round otherwise than oneDNN's, and fits pass that on.
NEAR, NEAR_FITTED = 1e-4, 5e-2
QUICK = {"fora", "dbcache", "lazydit", "ertacache", "dicache", "sencache"}

Case = Callable[[], object]


def models() -> tuple[Model, Model]:
    """The same tiny DiT with learned sigma and autoencoder, on the CPU and on the device."""
    asked = {"blocks": BLOCKS, "learned_sigma": True, "channels": 4, "side": 16}
    plain = Model.from_modules(tiny.dit(**asked), tiny.autoencoder(), scheduler=tiny.EPSILON)
    with pretended.device():
        parts = (pretended.moved(m) for m in (tiny.dit(**asked), tiny.autoencoder()))
        return plain, Model.from_modules(*parts, scheduler=tiny.EPSILON)


def alike(pair: tuple[Model, Model], schedule: Schedule | None, near: float, **asked) -> Case:
    """A run on either, and that they agree."""

    def case():
        plain, there = pair
        with pretended.device():
            b = sample(there, schedule, **{"label": 1, **asked})
        a = sample(plain, schedule, **{"label": 1, **asked})
        error = relative(b.latents, a.latents)
        if error > near or not np.array_equal(a.executed, b.executed):
            raise AssertionError(f"differs from the CPU's run by {error:.1e}")

    return case


def on(run: Callable[[Model], object], model: Model) -> Case:
    """Whether it runs on the device."""

    def case():
        with pretended.device():
            run(model)

    return case


def planned(name: str) -> Callable[[Model], None]:
    """A method as it comes, and with the last setting of its ladder."""

    def run(model):
        method = method_of(name)
        setting = ModelSetting(model, steps=6, cfg_scale=2.0, sampler="ddim")
        for one in (method, method.ladder(setting)[-1]):
            plan = one.plan(setting)
            sample(model, plan.schedule, policy=plan.policy, label=1, cfg_scale=2.0)

    return run


def trained(name: str) -> Callable[[Model], None]:
    def run(model):
        trainer = trainer_of(name, iterations=2)
        data = Data(torch.randn(8, *model.family.latent_shape), torch.arange(8) % 3, "noise")
        list(trainer.learn(model, **ASKED, data=data if trainer.takes_data else None))

    return run


def resumed(model: Model) -> None:
    states, edited = States(budget_mib=64), FORA.actions.copy()
    sample(model, FORA, label=1, states=states)
    edited[-1] ^= 1
    run = sample(model, Schedule(edited), label=1, states=states)
    assert run.resumed_from == STEPS - 1
    assert torch.equal(run.latents, sample(model, Schedule(edited), label=1).latents)


def judged(model: Model) -> None:
    arms, asked = [Arm("every 2", FORA)], judging.conditions(model, steps=STEPS)
    list(iter_evaluate(model, arms, judging.Colours(), asked, samples=4, batch=2))


def improved(model: Model) -> None:
    search.PROPOSALS = 4  # what is asked is whether it runs
    of = Conditions(STEPS, 2.0, "ddim", objective="latent", pictures=4, groups=2)
    list(improve(model, Task(FORA, of), trials=3))


def mixed_devices(model: Model) -> None:
    """What has to be refused, or nothing here says anything."""
    model.family.module.transformer_blocks[0].attn1.to_q.weight + torch.ones(16, 16)


def cases_of(pair: tuple[Model, Model], *, quick: bool) -> dict[str, Case]:
    """Every case by its name."""
    there, near = pair[1], NEAR
    mask = region_mask(pair[0], (0, 0, 0.5, 0.5))
    cases = {
        "all predictors without fits": alike(pair, painted_every(0, EVERY), near, label=[1, 4]),
        "all predictors with fits": alike(
            pair, painted(*FITTED.values(), blocks=BLOCKS), NEAR_FITTED
        ),
        "one pass": alike(pair, FORA, near, cfg_scale=1.0),
        "a trace": alike(pair, None, near, steps=STEPS, lags=3),
        "resuming": on(resumed, there),
        "causes": on(lambda model: causes(model, FORA, mask, **PICTURE), there),
        "focus": on(lambda model: measure_focus(model, steps=STEPS, **PICTURE), there),
        "judging": on(judged, there),
        **{f"method {n}": on(planned(n), there) for n in sorted(QUICK - {"lazydit"})},
        "training lazydit": on(trained("lazydit"), there),
    }
    if not quick:
        kinds = [n for n, m in METHODS.items() if m.needs != "training"]
        kinds = [n for n in kinds if METHODS[n].faithfulness != "does not apply"]
        cases |= {
            **{f"sampler {n}": alike(pair, FORA, near, sampler=n) for n in SAMPLERS},
            **{f"method {n}": on(planned(n), there) for n in kinds},
            **{f"training {n}": on(trained(n), there) for n in TRAINERS},
            "comparing": on(
                lambda m: list(iter_compare(m, FORA, **PICTURE, sampler="ddim", repeats=1)), there
            ),
            "timing": on(lambda m: measure_branches(m, repeats=3), there),
            "prediction": on(
                lambda m: list(calibrations(m, **ASKED, schedules=24, pool=4, rounds=(24,))), there
            ),
            "improving": on(improved, there),
        }
    return cases
