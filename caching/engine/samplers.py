"""Samplers: DiT's own respaced DDIM, and diffusers' schedulers behind the same three calls.

A sampler is made fresh for every run, so nothing of one run can reach the next.
"""

import copy
import itertools
import json
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
)
from torch import Tensor

from caching.actions.base import Timeline
from caching.errors import RequestError, StochasticSamplerWarning

MAX_STEPS = 1000


class Sampler(Protocol):
    """One solver of the denoising process, for a fixed number of steps S."""

    @property
    def timesteps(self) -> tuple[float, ...]:
        """(S,) what the model is told, falling."""
        ...

    @property
    def first_scale(self) -> float:
        """Standard deviation of the noise a run starts from."""
        ...

    def model_input(self, x: Tensor, s: int) -> Tensor: ...

    def step(self, output: Tensor, x: Tensor, s: int) -> tuple[Tensor, Tensor]:
        """Model output and latents (N, C, h, w) at step `s` -> next latents, clean ones."""
        ...

    def copy(self) -> "Sampler":
        """The sampler as it stands, to go on from here another time."""
        ...


def _alphas(noise: Mapping[str, Any]) -> np.ndarray:
    """Cumulative alphas (1000,) float64 of a scheduler config; read-only."""
    return _alphas_of(json.dumps(dict(noise), sort_keys=True, default=_plain))


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


@lru_cache(maxsize=16)
def _alphas_of(text: str) -> np.ndarray:
    scheduler = DDIMScheduler.from_config(json.loads(text))
    alphas: np.ndarray = scheduler.alphas_cumprod.double().numpy()
    alphas.flags.writeable = False
    return alphas


def timeline_of(noise: Mapping[str, Any], timesteps: tuple[float, ...]) -> Timeline:
    """What the steps of a run at these timesteps mean, for the actions that ask."""
    table = _alphas(noise)
    alphas = np.interp(timesteps, np.arange(len(table)), table)
    predicts = noise.get("prediction_type", "epsilon")
    return Timeline(tuple(timesteps), tuple(float(a) for a in alphas), predicts)


def clean_and_noise(kind: str, output: Tensor, x: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Predicted clean latents and noise from a model output, for alpha-bar `alpha`.

    epsilon (arXiv 2006.11239), v (arXiv 2202.00512, eq. in appendix D) or the clean latents.
    """
    a, b = alpha**0.5, (1 - alpha) ** 0.5
    if kind == "epsilon":
        return (x - b * output) / a, output
    if kind == "v_prediction":
        return a * x - b * output, b * x + a * output
    if kind == "sample":
        return output, (x - a * output) / b
    raise RequestError(
        f"prediction type {kind!r} is not known, expected epsilon, v_prediction or sample."
    )


def _weights(
    kind: str, alpha: float, after: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """What x and the output weigh in the next latents, and in the clean ones; alpha-bars given."""
    split: Any = clean_and_noise  # linear in both, so one at a time, as numbers
    of_x, of_output = split(kind, 0.0, 1.0, alpha), split(kind, 1.0, 0.0, alpha)
    keep, add = after**0.5, (1 - after) ** 0.5
    following = tuple(keep * clean + add * noise for clean, noise in (of_x, of_output))
    return following, (of_x[0], of_output[0])


@dataclass(frozen=True)
class RespacedDDIM:
    """DDIM with eta = 0 (arXiv 2010.02502, eq. 12) as DiT respaces it.

    Timesteps `round(i * 999 / (S - 1))`, alphas taken at those timesteps, and 1 after the last.
    diffusers' DDIMScheduler differs: its default spacing is 0, 20, … and with "linspace" its step
    still assumes a distance of `1000 // S`, so the papers' tables need this one.
    """

    timesteps: tuple[float, ...]
    alphas: tuple[float, ...]  # (S + 1,), alpha-bar at each step, then 1
    kind: str
    # (S, 2, 2): weights of x and output in the next latents, and in the clean ones.
    weights: tuple[tuple[tuple[float, float], tuple[float, float]], ...]
    first_scale: float = 1.0

    @classmethod
    def make(cls, noise: Mapping[str, Any], steps: int) -> "RespacedDDIM":
        return cls._make(json.dumps(dict(noise), sort_keys=True, default=_plain), steps)

    @classmethod
    @lru_cache(maxsize=64)
    def _make(cls, text: str, steps: int) -> "RespacedDDIM":
        table, kind = _alphas_of(text), json.loads(text).get("prediction_type", "epsilon")
        last = len(table) - 1
        if steps == 1:
            times = [last]
        else:
            times = [round(i * last / (steps - 1)) for i in range(steps)][::-1]
        alphas = [float(table[t]) for t in times] + [1.0]
        weights = tuple(_weights(kind, a, b) for a, b in itertools.pairwise(alphas))
        return cls(tuple(map(float, times)), tuple(alphas), kind, weights)

    def model_input(self, x: Tensor, s: int) -> Tensor:
        return x

    def step(self, output: Tensor, x: Tensor, s: int) -> tuple[Tensor, Tensor]:
        (of_x, of_output), (clean_x, clean_output) = self.weights[s]
        # Both are sums of the two, and a few operations on small tensors are what a step takes.
        after = (x * of_x).add_(output, alpha=of_output)
        return after, (x * clean_x).add_(output, alpha=clean_output)

    def copy(self) -> "RespacedDDIM":
        return self


class DiffusersSampler:
    """A diffusers scheduler as a Sampler; the scheduler object belongs to this run alone."""

    def __init__(self, scheduler: Any, steps: int, device: torch.device, seed: int) -> None:
        self.scheduler = copy.deepcopy(scheduler)
        with warnings.catch_warnings():
            # diffusers gives numpy 2 tensors without the `copy` keyword it asks for.
            warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
            self.scheduler.set_timesteps(steps, device=device)
        self.times = self.scheduler.timesteps
        self.timesteps = tuple(float(t) for t in self.times)
        self.first_scale = float(self.scheduler.init_noise_sigma)
        self.generator = torch.Generator("cpu").manual_seed(seed)
        self.kind = self.scheduler.config.prediction_type

    def model_input(self, x: Tensor, s: int) -> Tensor:
        scaled: Tensor = self.scheduler.scale_model_input(x, self.times[s])
        return scaled

    def step(self, output: Tensor, x: Tensor, s: int) -> tuple[Tensor, Tensor]:
        extra = {"generator": self.generator} if isinstance(self.scheduler, DDPMScheduler) else {}
        result = self.scheduler.step(output, self.times[s], x, **extra)
        clean = getattr(result, "pred_original_sample", None)
        if clean is None:
            alpha = float(self.scheduler.alphas_cumprod[int(self.times[s])])
            clean, _ = clean_and_noise(self.kind, output, x, alpha)
        return result.prev_sample, clean

    def copy(self) -> "DiffusersSampler":
        other = copy.copy(self)
        other.scheduler = copy.deepcopy(self.scheduler)
        other.generator = torch.Generator("cpu")
        other.generator.set_state(self.generator.get_state())
        return other


@dataclass(frozen=True)
class SamplerInfo:
    label: str
    make: Callable[[Mapping[str, Any]], Any] | None  # None: the respaced DDIM above
    stochastic: bool = False


def _diffusers(kind: Any, **extra: Any) -> Callable[[Mapping[str, Any]], Any]:
    return lambda noise: kind.from_config(dict(noise), **extra)


SAMPLERS: dict[str, SamplerInfo] = {
    "ddim": SamplerInfo("DDIM, respaced as in DiT and the papers", None),
    "ddim-diffusers": SamplerInfo("DDIM, diffusers' spacing", _diffusers(DDIMScheduler)),
    "dpmsolver++": SamplerInfo("DPM-Solver++ 2M", _diffusers(DPMSolverMultistepScheduler)),
    "euler": SamplerInfo("Euler", _diffusers(EulerDiscreteScheduler)),
    "ddpm": SamplerInfo("DDPM (draws noise at every step)", _diffusers(DDPMScheduler), True),
}


def make_sampler(
    name: str, noise: Mapping[str, Any], steps: int, *, device: torch.device, seed: int
) -> Sampler:
    """A fresh sampler by name.

    Raises:
        RequestError: unknown name or a step count outside 1 to 1,000.
    Warns:
        StochasticSamplerWarning: the sampler draws noise while it runs, so two runs are comparable
            only because both draw it from the same seed.
    """
    if not isinstance(name, str) or name not in SAMPLERS:
        raise RequestError(
            f"sampler {name!r:.60} is not known, expected one of: {', '.join(SAMPLERS)}."
        )
    # More steps than the noise schedule has timesteps would visit some of them twice.
    most = min(MAX_STEPS, int(noise.get("num_train_timesteps", MAX_STEPS)))
    try:
        count = operator.index(steps)
    except TypeError:
        count = 0
    if not 1 <= count <= most:
        raise RequestError(f"{steps!r:.40} steps were asked for, expected 1 to {most}.")
    info = SAMPLERS[name]
    if info.stochastic:
        warnings.warn(
            f"{name} draws noise at every step: caching errors are amplified and published "
            "schedules were not made for it; prefer ddim to compare schedules.",
            StochasticSamplerWarning,
            stacklevel=3,
        )
    if info.make is None:
        return RespacedDDIM.make(noise, count)
    config = {**noise, "variance_type": "fixed_small"} if name == "ddpm" else noise
    return DiffusersSampler(info.make(config), count, device, seed)
