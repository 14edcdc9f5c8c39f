"""Sample a picture under a schedule: an iterator of step events that ends in a Run."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from caching.engine.executor import Executor, Stopped
from caching.engine.samplers import Sampler, make_sampler
from caching.errors import RequestError
from caching.measure.cost import Cost, cost_of
from caching.measure.trace import Recorder, Trace
from caching.models.model import Model
from caching.schedule import Context, Schedule

MAX_GUIDANCE = 100.0


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

    @property
    def passes(self) -> int:
        """Guidance passes per step: conditional and null in one doubled batch, or one alone."""
        return 2 if self.cfg_scale > 1 else 1


@dataclass(frozen=True, eq=False)
class StepEvent:
    """One step that has just run."""

    step: int
    steps: int
    timestep: float
    executed: np.ndarray  # uint8 (L, R), what really ran: 0 computed, k predictor k of the legend
    ms: float  # the transformer and the sampler, without preview and trace
    clean: Tensor  # (C, h, w) clean latents predicted at this step, first image
    preview: np.ndarray | None  # uint8 (H, W, 3), `clean` decoded, when asked for


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run: the picture and the whole record of how it came about."""

    request: Request
    schedule: Schedule
    images: np.ndarray  # uint8 (N, H, W, 3)
    latents: Tensor  # (N, C, h, w) final latents
    executed: np.ndarray  # uint8 (S, L, R)
    timesteps: tuple[float, ...]  # (S,)
    step_ms: np.ndarray  # float64 (S,)
    clean: Tensor  # (S, C, h, w) clean latents predicted after each step, first image
    cost: Cost
    trace: Trace | None

    @property
    def image(self) -> np.ndarray:
        """The first picture, uint8 (H, W, 3)."""
        first: np.ndarray = self.images[0]
        return first


def _labels(model: Model, label: int | str | Sequence[int | str]) -> tuple[int, ...]:
    many = [label] if isinstance(label, int | str) else list(label)
    if not many:
        raise RequestError("no label was given, expected a class number, a name, or several.")
    return tuple(model.label_of(one) for one in many)


def _seeds(seed: int | Sequence[int], count: int) -> tuple[int, ...]:
    seeds = [seed + i for i in range(count)] if isinstance(seed, int) else list(seed)
    if len(seeds) != count:
        raise RequestError(f"{len(seeds)} seeds were given for {count} labels; give one for each.")
    for one in seeds:
        if isinstance(one, bool) or not isinstance(one, int) or not 0 <= one < 2**63:
            raise RequestError(f"seed {one!r} is not a whole number from 0 to 2^63 - 1.")
    return tuple(seeds)


def noise_of(model: Model, seeds: Sequence[int]) -> Tensor:
    """Starting noise (N, C, h, w), one generator per picture, the same on every device."""
    shape = model.family.latent_shape
    return torch.stack(
        [torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in seeds]
    )


def _start(model: Model, latents: Tensor | np.ndarray, count: int) -> Tensor:
    given = torch.as_tensor(latents)
    expected = (count, *model.family.latent_shape)
    if tuple(given.shape) != expected:
        raise RequestError(f"latents of shape {tuple(given.shape)} were given, expected {expected}.")
    if not given.is_floating_point() or not bool(given.isfinite().all()):
        raise RequestError("latents hold NaN, infinity or whole numbers, expected finite floats.")
    return given


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


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
        RequestError: label, seed, latents, steps, guidance or sampler out of range.
        ScheduleError: the schedule is for another step count or model shape.
    """
    labels = _labels(model, label)
    if steps is None:
        steps = len(schedule.actions) if schedule is not None else 20
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= 1000:
        raise RequestError(f"{steps!r} steps were asked for, expected a whole number, 1 to 1000.")
    if not np.isfinite(cfg_scale) or not 0 <= cfg_scale <= MAX_GUIDANCE:
        raise RequestError(f"guidance {cfg_scale!r} was given, expected 0 to {MAX_GUIDANCE:g}.")
    if schedule is None:
        schedule = Schedule.full(steps, model.blocks, branches=model.branches)
    schedule.check_fits(steps=steps, blocks=model.blocks, branches=model.branches)
    seeds = None if latents is not None else _seeds(seed, len(labels))
    start = noise_of(model, seeds) if seeds is not None else _start(model, latents, len(labels))
    request = Request(
        model=model.name,
        config_hash=model.config_hash,
        labels=labels,
        seeds=seeds,
        steps=steps,
        cfg_scale=float(cfg_scale),
        sampler=sampler,
        dtype=str(model.dtype).removeprefix("torch."),
    )
    return request, schedule, start


def context_of(request: Request, timesteps: tuple[float, ...]) -> Context:
    """The context a schedule that ran under `request` should carry into a file."""
    return Context(
        steps=request.steps,
        sampler=request.sampler,
        timesteps=timesteps,
        model_id=request.model,
        model_hash=request.config_hash,
        guidance="doubled batch" if request.passes == 2 else "none",
        dtype=request.dtype,
    )


def _guided(output: Tensor, request: Request, channels: int, *, learned_sigma: bool) -> Tensor:
    """Model output (passes N, C', h, w) -> guided prediction (N, C, h, w).

    All latent channels are guided, as diffusers does; DiT's own script guides the first three only.
    """
    if learned_sigma:
        output = output[:, :channels]
    if request.passes == 1:
        return output
    cond, null = output.chunk(2)
    return null + request.cfg_scale * (cond - null)


def iter_sample(
    model: Model,
    schedule: Schedule | None = None,
    *,
    label: int | str | Sequence[int | str],
    seed: int | Sequence[int] = 0,
    latents: Tensor | np.ndarray | None = None,
    steps: int | None = None,
    cfg_scale: float = 4.0,
    sampler: str = "ddim",
    lags: int = 0,
    trace_mib: float = 1024.0,
    preview_every: int = 0,
    stopped: Callable[[], bool] | None = None,
) -> Iterator[StepEvent | Run]:
    """Sample under `schedule` (None: compute everything); yields a StepEvent per step, then the Run.

    Args:
        label: class number or name, or several for a batch of N pictures.
        seed: of the starting noise; picture i of a batch uses seed + i, or give one for each.
        latents: starting noise (N, C, h, w) instead of a seed.
        steps: must equal the schedule's; without either, 20.
        cfg_scale: guidance; above 1 every step runs conditional and null in one doubled batch.
        sampler: a name in `SAMPLERS`.
        lags: K of the trace to record (0: none), full runs only; the step times stay free of it.
        trace_mib: memory the recorder may use for kept outputs; lowers K when short.
        preview_every: decode the predicted clean picture at every n-th step (0: never).
        stopped: polled between branches; True ends the iterator at once, without a Run.

    Raises:
        RequestError, ScheduleError: before anything runs; see `prepare`.

    Closing the iterator at any step leaves nothing behind: all state is local to it.
    """
    request, schedule, start = prepare(
        model,
        schedule,
        label=label,
        seed=seed,
        latents=latents,
        steps=steps,
        cfg_scale=cfg_scale,
        sampler=sampler,
    )
    if lags and schedule.actions.any():
        raise RequestError(
            f"a trace over {lags} lags was asked for with a schedule that reuses cells; a trace says "
            "how computed outputs change, so record it from a full run (schedule=None)."
        )
    solver = make_sampler(
        sampler,
        model.noise,
        request.steps,
        device=model.device,
        seed=request.seeds[0] if request.seeds else 0,
    )
    return _steps(model, schedule, request, solver, start, lags, trace_mib, preview_every, stopped)


def _steps(
    model: Model,
    schedule: Schedule,
    request: Request,
    solver: Sampler,
    start: Tensor,
    lags: int,
    trace_mib: float,
    preview_every: int,
    stopped: Callable[[], bool] | None,
) -> Iterator[StepEvent | Run]:
    family, device, dtype = model.family, model.device, model.dtype
    times = torch.tensor(solver.timesteps, device=device)
    labels = torch.tensor(request.labels, device=device)
    if request.passes == 2:
        labels = torch.cat([labels, torch.full_like(labels, family.classes)])
    x = start.to(device=device, dtype=torch.float32) * solver.first_scale
    with torch.no_grad():
        given = family.condition(times, labels)
    executor = Executor(family, schedule, given)
    recorder = None
    if lags:
        recorder = Recorder(
            solver.timesteps, model.blocks, len(model.branches), lags=lags, memory_mib=trace_mib
        )
    executed, step_ms, cleans = [], [], []
    for s in range(request.steps):
        began = _now(device)
        try:
            scaled = solver.model_input(x, s).to(dtype)
            output, done = executor.step(
                torch.cat([scaled, scaled]) if request.passes == 2 else scaled,
                s,
                watch=recorder.watch if recorder else None,
                stopped=stopped,
            )
        except Stopped:
            return
        guided = _guided(
            output.float(), request, x.shape[1], learned_sigma=family.learned_sigma
        )
        x, clean = solver.step(guided, x, s)
        step_ms.append((_now(device) - began) * 1e3)
        executed.append(done)
        cleans.append(clean[0].cpu())
        if recorder:
            recorder.finish_step()
        shown = None
        if preview_every and (s % preview_every == 0 or s + 1 == request.steps):
            shown = model.decode(clean[:1])[0].numpy()
        yield StepEvent(
            s, request.steps, solver.timesteps[s], done, step_ms[-1], cleans[-1], shown
        )
    yield Run(
        request=request,
        schedule=schedule,
        images=model.decode(x).numpy(),
        latents=x.cpu(),
        executed=np.stack(executed),
        timesteps=solver.timesteps,
        step_ms=np.array(step_ms),
        clean=torch.stack(cleans),
        cost=cost_of(model, schedule, images=len(request.labels), passes=request.passes),
        trace=recorder.trace() if recorder else None,
    )


def sample(
    model: Model,
    schedule: Schedule | None = None,
    *,
    label: int | str | Sequence[int | str],
    seed: int | Sequence[int] = 0,
    latents: Tensor | np.ndarray | None = None,
    steps: int | None = None,
    cfg_scale: float = 4.0,
    sampler: str = "ddim",
    lags: int = 0,
) -> Run:
    """Sample under `schedule` and return the Run; arguments and errors as `iter_sample`."""
    result = None
    for result in iter_sample(
        model,
        schedule,
        label=label,
        seed=seed,
        latents=latents,
        steps=steps,
        cfg_scale=cfg_scale,
        sampler=sampler,
        lags=lags,
    ):
        pass
    assert isinstance(result, Run)
    return result
