"""Sample a picture under a schedule: an iterator of step events that ends in a Run."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from caching.engine.executor import Executor, Stopped
from caching.engine.request import MAX_STEPS, Request, context_of, noise_of, prepare, whole
from caching.engine.samplers import Sampler, make_sampler
from caching.errors import RequestError
from caching.measure.cost import Cost, cost_of
from caching.measure.trace import Recorder, Trace
from caching.models.model import Model
from caching.schedule import Schedule

__all__ = [
    "Request",
    "Run",
    "StepEvent",
    "context_of",
    "iter_sample",
    "noise_of",
    "now",
    "prepare",
    "sample",
]


# A trace holds this many outputs of every branch at most.
MAX_LAGS = 64


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


def now(device: torch.device) -> float:
    """Seconds on a steady clock, after everything queued on `device` is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


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
    """Sample under `schedule` (None: all computed); yields a StepEvent per step, then the Run.

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
    lags = whole("lags", lags, 0, MAX_LAGS)
    preview_every = whole("preview_every", preview_every, 0, MAX_STEPS)
    if not trace_mib > 0:
        raise RequestError(f"trace memory of {trace_mib!r} MiB was given, expected more than 0.")
    if lags and schedule.actions.any():
        raise RequestError(
            f"a trace over {lags} lags was asked for with a schedule that reuses cells; a trace "
            "says how computed outputs change, so record it from a full run (schedule=None)."
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
        began = now(device)
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
        guided = _guided(output.float(), request, x.shape[1], learned_sigma=family.learned_sigma)
        x, clean = solver.step(guided, x, s)
        step_ms.append((now(device) - began) * 1e3)
        executed.append(done)
        cleans.append(clean[0].cpu())
        if recorder:
            recorder.finish_step()
        shown = None
        if preview_every and (s % preview_every == 0 or s + 1 == request.steps):
            shown = model.decode(clean[:1])[0].numpy()
        yield StepEvent(s, request.steps, solver.timesteps[s], done, step_ms[-1], cleans[-1], shown)
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
    events = iter_sample(
        model,
        schedule,
        label=label,
        seed=seed,
        latents=latents,
        steps=steps,
        cfg_scale=cfg_scale,
        sampler=sampler,
        lags=lags,
    )
    (result,) = deque(events, maxlen=1)
    assert isinstance(result, Run)
    return result
