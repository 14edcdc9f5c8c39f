"""What a run was asked for: every argument checked before anything runs, and the starting noise."""

import hashlib
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from caching.context import MAX_TEXT
from caching.errors import RequestError
from caching.models.model import Model
from caching.schedule import Context, Schedule

MAX_GUIDANCE = 100.0
MAX_STEPS = 1000


@dataclass(frozen=True)
class Request:
    """Everything that decides a picture apart from the schedule."""

    model: str
    config_hash: str
    labels: tuple[int, ...]
    seeds: tuple[int, ...] | None  # None: latents were given
    steps: int
    cfg_scale: float
    sampler: str
    dtype: str
    latents_hash: str | None = None  # of given latents, so that runs from others are told apart
    weights_hash: str = ""  # of the model, so that two of one name are told apart
    speed: tuple[str, ...] = ()  # of the model, in words: other kernels round otherwise

    @property
    def passes(self) -> int:
        """Guidance passes per step: conditional and null in one doubled batch, or one alone."""
        return 2 if self.cfg_scale > 1 else 1


def whole(name: str, value: object, least: int, most: int) -> int:
    """`value` as an int if it is a whole number in least..most; RequestError otherwise."""
    # bool is an int to Python, but True steps is a mistake.
    integral = hasattr(value, "__index__") and not isinstance(value, bool | np.bool_)
    try:
        number = operator.index(value) if integral else None  # type: ignore[arg-type]
    except TypeError:  # an array has __index__ but only a whole scalar answers
        number = None
    if number is None or not least <= number <= most:
        raise RequestError(
            f"{name} {value!r:.60} was given, expected a whole number from {least} to {most}."
        )
    return number


def _several(given: Any) -> bool:
    """Whether it is one for each picture rather than one alone."""
    if isinstance(given, np.ndarray):
        return given.ndim > 0
    return isinstance(given, Sequence) and not isinstance(given, str | bytes)


def _labels(model: Model, label: Any) -> tuple[int, ...]:
    """A class number or name, or a sequence of them -> labels (N,)."""
    if not _several(label):
        return (model.label_of(label),)
    if not len(label):
        raise RequestError("no label was given, expected a class number, a name, or several.")
    return tuple(model.label_of(one) for one in label)


def _seeds(seed: Any, count: int) -> tuple[int, ...]:
    """One seed, counted up, or a sequence with one for each -> seeds (N,)."""
    if not _several(seed):
        first = whole("seed", seed, 0, 2**63 - 1)
        return tuple(whole("seed", first + i, 0, 2**63 - 1) for i in range(count))
    if len(seed) != count:
        raise RequestError(f"{len(seed)} seeds were given for {count} labels; give one for each.")
    return tuple(whole("seed", one, 0, 2**63 - 1) for one in seed)


def check_kind(name: str, value: Any, kind: Any, expected: str) -> None:
    """RequestError unless `value` is of that kind or None."""
    if value is not None and not isinstance(value, kind):
        raise RequestError(
            f"{name} is {value!r:.40}, a {type(value).__name__}: expected {expected} or None."
        )


def check_model(given: Any) -> None:
    """RequestError unless it is a model."""
    if not isinstance(given, Model):
        raise RequestError(
            f"a {type(given).__name__} was given as the model, expected a Model; make one with "
            "load_model or Model.from_modules."
        )


def check_schedule(given: Any) -> None:
    """RequestError unless it is a schedule."""
    if not isinstance(given, Schedule):
        raise RequestError(
            f"a {type(given).__name__} was given as the schedule, expected a Schedule; "
            "load_schedule reads one from a file."
        )


def real(name: str, value: Any, least: float, most: float) -> float:
    """`value` as a float if it is a number in least..most; RequestError otherwise."""
    number = math.nan
    if not isinstance(value, bool | np.bool_ | str):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
    if not least <= number <= most:
        raise RequestError(
            f"{name} {value!r:.60} was given, expected a number from {least:g} to {most:g}."
        )
    return number


def noise_of(model: Model, seeds: Sequence[int]) -> Tensor:
    """Starting noise (N, C, h, w), one generator per picture, the same on every device."""
    shape = model.family.latent_shape
    return torch.stack(
        [torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in seeds]
    )


def _given(model: Model, latents: Any, count: int) -> tuple[Tensor, str]:
    """Latents (N, C, h, w) as a float32 copy of their own, and a hash of them."""
    try:
        # An array is copied: of one that cannot be written to torch warns.
        given = torch.tensor(latents) if isinstance(latents, np.ndarray) else latents
        given = torch.as_tensor(given).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise RequestError(
            f"latents are a {type(latents).__name__}, expected an array or tensor of floats."
        ) from error
    expected = (count, *model.family.latent_shape)
    if tuple(given.shape) != expected:
        raise RequestError(
            f"latents of shape {tuple(given.shape)} were given, expected {expected}: one row of "
            "channels, height and width for each label."
        )
    if not given.is_floating_point():
        kind = "complex numbers" if given.is_complex() else "whole numbers"
        raise RequestError(
            f"latents are {kind} ({given.dtype}), expected finite floats; draw them from a normal "
            "distribution."
        )
    # A copy, because an iterator starts later, when whoever gave them may have written to them;
    # and before the check, because a large float64 becomes infinite here.
    floats = given.to(torch.float32, copy=True)
    if not bool(floats.isfinite().all()):
        raise RequestError(
            "latents hold NaN or infinity, expected finite floats; draw them from a normal "
            "distribution."
        )
    raw = floats.cpu().contiguous().numpy().tobytes()
    return floats, hashlib.sha256(raw).hexdigest()[:16]


def prepare(
    model: Model,
    schedule: Schedule | None,
    *,
    label: int | str | Sequence[int | str],
    seed: int | Sequence[int] = 0,
    latents: Tensor | np.ndarray | None = None,
    steps: int | None = None,
    cfg_scale: float = 4.0,
    sampler: str = "ddim",
) -> tuple[Request, Schedule, Tensor]:
    """Validate what was asked for -> request, schedule, starting noise (N, C, h, w).

    Raises:
        RequestError: label, seed, latents, steps or guidance out of range, or no model or schedule
            where one belongs.
        ScheduleError: the schedule is for another step count or model shape.
    """
    check_model(model)
    if schedule is not None:
        check_schedule(schedule)
    labels = _labels(model, label)
    if steps is None:
        steps = schedule.steps if schedule is not None else 20
    steps = whole("steps", steps, 1, MAX_STEPS)
    guidance = real("guidance", cfg_scale, 0, MAX_GUIDANCE)
    if schedule is None:
        schedule = Schedule.full(steps, model.blocks, branches=model.branches)
    schedule.check_fits(steps=steps, blocks=model.blocks, branches=model.branches)
    half = [
        a for n, a in enumerate(schedule.step_legend, 1) if a.half and n in schedule.step_actions
    ]
    if half and guidance <= 1:
        raise RequestError(
            f"guidance {guidance:g} was given with a schedule that uses {half[0].name}, which runs "
            "the conditional half of guidance alone: expected guidance above 1; raise it, or paint "
            "these steps with something else."
        )
    seeds = latents_hash = None
    if latents is None:
        seeds = _seeds(seed, len(labels))
        start = noise_of(model, seeds)
    else:
        start, latents_hash = _given(model, latents, len(labels))
    request = Request(
        model=model.name,
        config_hash=model.config_hash,
        labels=labels,
        seeds=seeds,
        steps=steps,
        cfg_scale=guidance,
        sampler=sampler,
        dtype=str(model.dtype).removeprefix("torch."),
        latents_hash=latents_hash,
        weights_hash=model.weights_hash,
        speed=model.speed.words,
    )
    return request, schedule, start


def context_of(request: Request, timesteps: tuple[float, ...]) -> Context:
    """The context a schedule that ran under `request` should carry into a file."""
    return Context(
        steps=request.steps,
        sampler=request.sampler,
        timesteps=timesteps,
        model_id=request.model[-MAX_TEXT:],  # the end of a path says more than its beginning
        model_hash=request.config_hash,
        guidance="doubled batch" if request.passes == 2 else "none",
        dtype=request.dtype,
    )
