"""Calibration: full runs of a model, step by step, and the tables policies take from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from caching.dynamic.base import relative_l1
from caching.errors import RequestError

if TYPE_CHECKING:
    from torch import Tensor

    from caching.models.model import Model

DEGREE = 4


@dataclass(frozen=True, eq=False)
class FullStep:
    """One step of a full run; N is the doubled batch where guidance has two passes.

    Attributes:
        picture: number of the run.
        s: number of the step.
        timestep: what the model was told.
        latents: (N, C, h, w), the input of the transformer.
        modulated: (N, T, D), the normed and modulated input of block 0.
        added: (N, T, D), what all blocks added.
        prediction: (N, C, h, w), output without variance channels.
        predict: conditional latents (1, C, h, w) and a step -> prediction (1, C, h, w).
    """

    picture: int
    s: int
    timestep: float
    latents: Tensor
    modulated: Tensor
    added: Tensor
    prediction: Tensor
    predict: Callable[[Tensor, int], Tensor]


def full_steps(
    model: Model,
    *,
    steps: int | None = None,
    cfg_scale: float = 4.0,
    sampler: str = "ddim",
    pictures: int = 4,
    tell: Callable[[str, int, int], None] | None = None,
    stopped: Callable[[], bool] | None = None,
) -> Iterator[FullStep]:
    """Full runs of one picture each, 20 steps or `steps`, of labels and noise of their own.

    Raises:
        RequestError: steps, guidance, sampler or number of pictures out of range.
        Stopped: `stopped` said so between two branches.
    """
    import torch

    from caching.engine.executor import Executor
    from caching.engine.fits import NOISE_SEED, calibration_noise, guided
    from caching.engine.request import prepare, whole
    from caching.engine.samplers import make_sampler

    request, full, _ = prepare(model, None, label=0, steps=steps, cfg_scale=cfg_scale)
    steps, pictures = request.steps, whole("pictures", pictures, 1, 10_000)
    family, classes = model.family, len(model.class_names)
    channels = family.latent_shape[0]
    noise = calibration_noise(model, pictures)

    def predict(executor: Executor, latents: Tensor, s: int) -> Tensor:
        return executor.step(latents, s).output[:, :channels]

    for picture in range(pictures):
        seed = NOISE_SEED + 1 + picture
        solver = make_sampler(sampler, model.noise, steps, device=model.device, seed=seed)
        labels = torch.tensor([picture * classes // pictures % classes], device=model.device)
        if request.passes == 2:
            labels = torch.cat([labels, torch.full_like(labels, family.classes)])
        with torch.no_grad():
            given = family.condition(torch.tensor(solver.timesteps, device=model.device), labels)
        executor = Executor(family, full, given, passes=request.passes)
        alone = executor
        if request.passes == 2:
            alone = Executor(family, full, family.half(given), passes=1)
        x = noise[picture : picture + 1].to(model.device) * solver.first_scale
        for s in range(steps):
            scaled = solver.model_input(x, s).to(model.dtype)
            run = executor.begin(torch.cat([scaled] * request.passes), s, stopped=stopped)
            output = executor.finish(run, 0).output
            with torch.no_grad():
                modulated = family.modulated(run.at[0], given, s, 0, 0)
            yield FullStep(
                picture=picture,
                s=s,
                timestep=solver.timesteps[s],
                latents=run.latents,
                modulated=modulated,
                added=run.at[run.blocks] - run.at[0],
                prediction=output[:, :channels],
                predict=partial(predict, alone),
            )
            x, _ = solver.step(guided(output.float(), request, channels), x, s)
            if tell is not None:
                tell("full runs", picture * steps + s + 1, pictures * steps)


def _pairs(model: Model, **asked: Any) -> Iterator[tuple[FullStep, FullStep]]:
    """Each step of every run with the step before it."""
    before = None
    for step in full_steps(model, **asked):
        if before is not None and step.s:
            yield before, step
        before = step


def teacache_polynomial(model: Model, **asked: Any) -> tuple[float, ...]:
    """Coefficients, highest power first, from the change of the input to that of the output.

    As TeaCache (arXiv 2411.19108, eq. 7) fits them: degree 4, by least squares, over the relative
    L1 changes from step to step of the modulated input and of the prediction.

    Args:
        model: what is calibrated.
        asked: steps, cfg_scale, sampler, pictures, stopped; see `full_steps`.

    Raises:
        RequestError: fewer pairs of steps than coefficients.
    """
    changes = np.array(
        [
            (relative_l1(b.modulated, a.modulated), relative_l1(b.prediction, a.prediction))
            for a, b in _pairs(model, **asked)
        ]
    ).reshape(-1, 2)
    if len(changes) <= DEGREE:
        raise RequestError(
            f"{len(changes)} pairs of steps were given for a polynomial of degree {DEGREE}, "
            f"expected more than {DEGREE}; calibrate with more steps or pictures."
        )
    fitted = np.polyfit(changes[:, 0], changes[:, 1], DEGREE, full=True)[0]
    return tuple(float(c) for c in fitted)


def magcache_ratios(model: Model, **asked: Any) -> tuple[float, ...]:
    """||R_s|| / ||R_{s-1}|| of the stack residual (S,), mean over tokens and runs; the first is 1.

    As MagCache (arXiv 2506.09045) and diffusers' hook calibrate, over the whole doubled batch. The
    paper finds one run enough.

    Args:
        model: what is calibrated.
        asked: steps, cfg_scale, sampler, pictures, stopped; see `full_steps`.
    """
    found: dict[int, list[float]] = {}
    for a, b in _pairs(model, **asked):
        now, before = (x.added.float().norm(dim=-1) for x in (b, a))
        found.setdefault(b.s, []).append(float((now / (before + 1e-8)).mean()))
    return (1.0, *(float(np.mean(found[s])) for s in sorted(found)))


def sencache_tables(
    model: Model, **asked: Any
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Timesteps, J_x and J_t (S,) by finite differences along the run, mean over runs.

    SenCache (arXiv 2602.24208) of the conditional prediction f between a step and the next one:
    J_x = ||f(x', t) - f(x, t)|| / ||x' - x||, J_t = ||f(x, t') - f(x, t)|| / |t' - t|. Its script
    noises data; here x comes from full runs, as no data are at hand. The last step, from which no
    step follows, repeats the values of the one before it. Costs two more conditional evaluations
    per step.

    Args:
        model: what is calibrated.
        asked: steps (at least 2), cfg_scale, sampler, pictures, stopped; see `full_steps`.
    """
    times: dict[int, float] = {}
    found: dict[int, list[tuple[float, float]]] = {}
    for a, b in _pairs(model, **asked):
        x, moved, f = a.latents[:1], b.latents[:1], a.prediction[:1].float()
        by_x = b.predict(moved, a.s).float() - f
        by_t = b.predict(x, b.s).float() - f
        j_x = float(by_x.norm()) / float((moved.float() - x.float()).norm())
        j_t = float(by_t.norm()) / abs(b.timestep - a.timestep)
        found.setdefault(a.s, []).append((j_x, j_t))
        times |= {a.s: a.timestep, b.s: b.timestep}
    if not found:
        raise RequestError("sensitivities of 1 step were asked for, expected at least 2 steps.")
    table = [np.mean(found[s], axis=0) for s in sorted(found)]
    table.append(table[-1])
    columns = [tuple(float(row[i]) for row in table) for i in range(2)]
    return tuple(times[s] for s in sorted(times)), columns[0], columns[1]
