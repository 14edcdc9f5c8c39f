"""Sample a picture under a schedule: an iterator of step events that ends in a Run."""

import dataclasses
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from caching.dynamic.base import Choice, Decider, Facts, Policy
from caching.engine.executor import Executor, StepResult
from caching.engine.fits import Fits, guided
from caching.engine.plan import Plan, make_plan
from caching.engine.record import Run, StepEvent
from caching.engine.request import (
    MAX_STEPS,
    Request,
    check_kind,
    context_of,
    noise_of,
    prepare,
    real,
    whole,
)
from caching.engine.running import RunningStep, Stopped
from caching.engine.samplers import Sampler, make_sampler, timeline_of
from caching.engine.smaller import make_ready
from caching.engine.states import Snapshot, States
from caching.engine.view import EngineView
from caching.errors import RequestError, ScheduleError
from caching.measure.cost import cost_of
from caching.measure.trace import Recorder
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


def now(device: torch.device) -> float:
    """Seconds on a steady clock, after everything queued on `device` is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


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
    policy: Policy | None = None,
    fits: Fits | None = None,
    states: States | None = None,
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
        sampler: "ddim", "ddim-diffusers", "dpmsolver++", "euler" or "ddpm".
        policy: decides step by step while the run goes on; the schedule must then be full.
        fits: where fitted tables of calibrated predictors are kept; without it they are fitted for
            this run alone, on full runs of other seeds.
        states: snapshots of earlier runs of the same request; the steps that begin alike are not
            run again, and the result is the same to the last bit.
        lags: K of the trace to record (0: none), full runs only; the step times stay free of it.
        trace_mib: memory the recorder may use for kept outputs; lowers K when short.
        preview_every: decode the predicted clean picture at every n-th step (0: never).
        stopped: polled between branches; True ends the iterator at once, without a Run.

    Raises:
        RequestError, ScheduleError: before anything runs; see `prepare`.

    Closing the iterator at any step leaves nothing behind: all state is local to it, but for the
    whole steps noted in `states`.
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
    if not real("trace_mib", trace_mib, 0, math.inf):
        raise RequestError(f"trace memory of {trace_mib!r} MiB was given, expected more than 0.")
    check_kind("policy", policy, Policy, "a policy such as TeaCache()")
    check_kind("fits", fits, Fits, "a Fits()")
    check_kind("states", states, States, "a States()")
    check_kind("stopped", stopped, Callable, "a function without arguments")
    if (lags or policy) and not schedule.is_full:
        what = f"a trace over {lags} lags" if lags else f"the policy {policy.name}"  # type: ignore[union-attr]
        raise RequestError(
            f"{what} was asked for with a schedule that reuses cells; it works on a full run "
            "(schedule=None)."
        )
    if policy is not None:
        if lags:
            raise RequestError(
                f"a trace over {lags} lags was asked for with the policy {policy.name}; record it "
                "from a full run without one."
            )
        policy.check(model.blocks)
        schedule = dataclasses.replace(
            schedule, legend=policy.legend or schedule.legend, step_legend=policy.step_legend
        )
    solver = make_sampler(
        sampler,
        model.noise,
        request.steps,
        device=model.device,
        seed=request.seeds[0] if request.seeds else 0,
    )
    job = _Job(model, schedule, request, policy, fits or Fits(), states if not lags else None)
    return _steps(job, solver, start, lags, trace_mib, preview_every, stopped)


@dataclass(frozen=True, eq=False)
class _Job:
    """What a run was given, checked."""

    model: Model
    schedule: Schedule
    request: Request
    policy: Policy | None
    fits: Fits
    states: States | None


@dataclass(frozen=True, eq=False)
class _Record:
    """What the loop notes of one step."""

    executed: np.ndarray
    action: int
    ms: float
    clean: Tensor
    choice: Choice | None = None
    extra_macs: int = 0


def _steps(
    job: _Job,
    solver: Sampler,
    start: Tensor,
    lags: int,
    trace_mib: float,
    preview_every: int,
    stopped: Callable[[], bool] | None,
) -> Iterator[StepEvent | Run]:
    model, schedule, request, states = job.model, job.schedule, job.request, job.states
    family, device, dtype, steps = model.family, model.device, model.dtype, request.steps
    try:
        decided = job.policy is not None
        fitted = job.fits.of(model, schedule, request, decided=decided, stopped=stopped)
    except Stopped:
        return
    labels = torch.tensor(request.labels, device=device)
    if request.passes == 2:
        labels = torch.cat([labels, torch.full_like(labels, family.classes)])
    x = start.to(device=device, dtype=torch.float32) * solver.first_scale
    with torch.no_grad():
        given = family.condition(torch.tensor(solver.timesteps, device=device), labels)
    plan = make_plan(schedule, decided=job.policy is not None)
    executor = Executor(
        family,
        schedule,
        given,
        passes=request.passes,
        fitted=fitted,
        plan=plan,
        timeline=timeline_of(model.noise, solver.timesteps) if schedule.step_legend else None,
        keep_all=job.policy is not None or states is not None,
        seeds=request.seeds or (),
    )
    facts = Facts(
        steps, solver.timesteps, model.blocks, model.branches, request.passes, family.width
    )
    decider = job.policy.begin(facts) if job.policy is not None else None
    make_ready(family, given, schedule, decider, rows=len(labels))
    if job.policy is not None and not job.policy.legend:
        executor.depth = 0  # no cell is going to be estimated, so no output is kept
    recorder = None
    if lags:
        recorder = Recorder(
            solver.timesteps, model.blocks, len(model.branches), lags=lags, memory_mib=trace_mib
        )
    if model.graphs is not None and not recorder:  # which looks at single branches
        seen = x.to(dtype)
        executor.launch_from(model.graphs, _doubled(seen) if request.passes == 2 else seen)
    first, records = 0, []
    if states is not None and decider is None:
        found = _resume(states, request, schedule, plan)
        if found is not None:
            first, x = found.step, found.latents.to(device)
            executor.state = found.state.mapped(lambda tensor: tensor.to(device))
            solver = found.solver.copy()
            records = list(states.records[:first])
    for s, record in enumerate(records):
        if stopped is not None and stopped():
            return
        yield _event(job, solver, s, record, preview_every, resumed=True)
    peak_bytes = 0
    for s in range(first, steps):
        if states is not None and decider is None:
            states.add(Snapshot(s, x, solver.copy(), executor.state.copy()))
        began = now(device)
        try:
            scaled = solver.model_input(x, s).to(dtype)
            running = executor.begin(
                _doubled(scaled) if request.passes == 2 else scaled,
                s,
                watch=recorder.watch if recorder else None,
                stopped=stopped,
            )
            choice = None
            if decider is None:
                result = executor.finish(running, int(schedule.step_actions[s]))
            else:
                result, choice = _decided(executor, running, schedule, decider)
                peak_bytes = max(peak_bytes, executor.cache_bytes(vars(decider)))
        except Stopped:
            return
        x, clean = solver.step(guided(result.output.float(), request, x.shape[1]), x, s)
        ms = (now(device) - began) * 1e3
        record = _Record(
            result.executed, result.action, ms, clean[0].cpu(), choice, result.extra_macs
        )
        records.append(record)
        if states is not None and decider is None:
            states.records.append(record)
        if recorder:
            recorder.finish_step()
        yield _event(job, solver, s, record, preview_every, clean=clean)
    run = Run(
        request=request,
        schedule=schedule,
        images=model.decode(x).numpy(),
        latents=x.cpu(),
        executed=np.stack([r.executed for r in records]),
        executed_actions=np.array([r.action for r in records], np.uint8),
        timesteps=solver.timesteps,
        step_ms=np.array([r.ms for r in records]),
        clean=torch.stack([r.clean for r in records]),
        cost=cost_of(model, schedule, images=len(request.labels), passes=request.passes),
        trace=recorder.trace() if recorder else None,
        policy=job.policy,
        choices=tuple(r.choice for r in records if r.choice is not None),
        resumed_from=first,
    )
    if job.policy is not None:
        # What it cost follows from what it decided, and what it computed to decide; what it held
        # was measured on the way.
        cost = cost_of(model, run.painted, images=len(request.labels), passes=request.passes)
        macs = cost.macs + sum(r.extra_macs for r in records)
        cost = dataclasses.replace(cost, macs=macs, cache_mib=peak_bytes / 2**20)
        run = dataclasses.replace(run, cost=cost)
    yield run


def _doubled(x: Tensor) -> Tensor:
    """Latents (N, C, h, w) -> both passes of guidance (2 N, C, h, w); of one picture, a view."""
    return x.expand(2, -1, -1, -1) if len(x) == 1 else torch.cat([x, x])


def _resume(states: States, request: Request, schedule: Schedule, plan: Plan) -> Snapshot | None:
    states.begin(request, schedule, plan)
    return states.resume(schedule, plan)


@torch.no_grad()
def _decided(
    executor: Executor, running: RunningStep, schedule: Schedule, decider: Decider
) -> tuple[StepResult, Choice]:
    """One step as a policy decides it."""
    view = EngineView(running)
    running.cuts = running.cuts | set(decider.boundaries)
    running.gate = decider.keep if decider.gates else None
    if decider.probe:
        running.through(running.embed(), 0, decider.probe)
    choice = decider.decide(view)
    result = executor.finish(running, _choose(running, schedule, choice))
    choice = decider.after(view, choice, result.output) or choice
    return dataclasses.replace(result, extra_macs=running.extra_macs), choice


def _choose(run: RunningStep, schedule: Schedule, choice: Choice) -> int:
    """The step's row and whole-step action as the policy chose; the action's number."""
    if run.s == 0 and not choice.runs_all:
        raise ScheduleError(
            "the policy wants step 0 not computed, but nothing is stored before it: expected that "
            "it computes step 0; correct its warm-up"
        )
    if choice.cells is not None:
        number = schedule.legend.index(choice.cells) + 1
        run.row = [[number] * run.branches for _ in range(run.blocks)]
    return 0 if choice.action is None else schedule.step_legend.index(choice.action) + 1


def _event(
    job: _Job,
    solver: Sampler,
    s: int,
    record: _Record,
    preview_every: int,
    *,
    clean: Tensor | None = None,
    resumed: bool = False,
) -> StepEvent:
    steps, shown = job.request.steps, None
    if preview_every and not resumed and (s % preview_every == 0 or s + 1 == steps):
        assert clean is not None
        shown = job.model.decode(clean[:1])[0].numpy()
    return StepEvent(
        step=s,
        steps=steps,
        timestep=solver.timesteps[s],
        executed=record.executed,
        action=record.action,
        ms=record.ms,
        clean=record.clean,
        preview=shown,
        choice=record.choice,
        resumed=resumed,
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
    policy: Policy | None = None,
    fits: Fits | None = None,
    states: States | None = None,
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
        policy=policy,
        fits=fits,
        states=states,
        lags=lags,
    )
    (result,) = deque(events, maxlen=1)
    assert isinstance(result, Run)
    return result
