"""Measured time: what one branch, one reused cell and one bare step take on this device."""

from __future__ import annotations

import platform
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from caching.dynamic.base import Policy
from caching.engine.fits import Fits
from caching.engine.record import StepEvent
from caching.engine.run import Run, iter_sample
from caching.measure.cost import branch_macs
from caching.measure.timing_fit import counts_of, drawn_steps, fit_parts
from caching.models.model import Model
from caching.readonly import read_only
from caching.schedule import Schedule

LEAST_SHARE = 0.2
"""Of the time that a branch would take by its products: what a disturbed fit gives it at least."""


@dataclass(frozen=True, eq=False)
class BranchTimes:
    """Milliseconds of the parts of a step, medians over repetitions."""

    fixed_ms: float  # embedding, final layer, guidance, sampler: a step without its branches
    compute_ms: np.ndarray  # float64 (L, R), computing a cell
    reuse_ms: np.ndarray  # float64 (L, R), reusing it
    source: str  # "measured on …"
    forecast_ms: float = 0.0  # what a forecast takes beyond reuse
    busy_ms: float = 0.0  # what a step takes beyond fixed_ms where any branch is computed
    # What a run takes once, without its modulation: that is kept from the run before.
    start_ms: float = 0.0

    def __post_init__(self) -> None:
        read_only(self)

    def anchored(self, full_ms: float, steps: int) -> BranchTimes:
        """In the same proportions, with a full run that takes as long as one did just now.

        A machine's speed drifts more than what its parts take of each other does.
        """
        own = self.start_ms + steps * (self.fixed_ms + self.busy_ms + float(self.compute_ms.sum()))
        ratio = full_ms / own if own > 0 and full_ms > 0 else 1.0
        return BranchTimes(
            fixed_ms=ratio * self.fixed_ms,
            compute_ms=ratio * self.compute_ms,
            reuse_ms=ratio * self.reuse_ms,
            source=self.source,
            forecast_ms=ratio * self.forecast_ms,
            busy_ms=ratio * self.busy_ms,
            start_ms=ratio * self.start_ms,
        )


@cache
def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def device_name(device: torch.device) -> str:
    """The device in words, with the number of threads on a CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{_cpu_name()}, {threads} thread{'s' if threads != 1 else ''}"


def setting_of(model: Model) -> str:
    """Device, dtype and kernels, for the line that stands beside every measured time."""
    dtype = str(model.dtype).removeprefix("torch.")
    return ", ".join((device_name(model.device), dtype, *model.speed.words))


def measure_branches(
    model: Model, *, passes: int = 2, repeats: int = 16, budget_s: float = 3.0
) -> BranchTimes:
    """Time short runs that mix every kind of step, and fit what the parts of a step take.

    Steps of real runs, with guidance and sampler, because a branch on its own runs from a warmer
    cache than it does inside a step, and a step that computes leaves the next one a colder cache.
    """
    counts, took, turns = [], [], []
    stop = time.perf_counter() + budget_s
    for turn in range(repeats + 1):
        plan = drawn_steps(turn, model.blocks, model.branches)
        scale = 4.0 if passes == 2 else 1.0
        events = iter_sample(model, plan, label=0, cfg_scale=scale, sampler="ddim")
        # Closed before its end, a run decodes nothing.
        steps = islice(events, plan.steps)
        of_steps = [event.ms for event in steps if isinstance(event, StepEvent)]
        if turn:  # the first turn warms up
            counts.append(counts_of(plan))
            took.extend(of_steps)
            turns.extend([turn] * plan.steps)
        if turn and time.perf_counter() > stop:
            break
    parts = fit_parts(np.concatenate(counts), np.array(took), np.array(turns))
    reuse_ms = np.full((model.blocks, len(model.branches)), parts.reuse_ms)
    # On a machine that does much else, one branch's time may be fitted to another's steps.
    macs = branch_macs(model).sum(axis=0)  # (R,)
    least = LEAST_SHARE * parts.compute_ms.sum() * macs / macs.sum()
    # Where a model is so small that the clock's noise exceeds a branch, the branches take nothing.
    compute_ms = np.maximum(reuse_ms, np.maximum(parts.compute_ms, least))
    return BranchTimes(
        fixed_ms=parts.fixed_ms,
        compute_ms=compute_ms,
        reuse_ms=reuse_ms,
        forecast_ms=parts.forecast_ms,
        busy_ms=parts.busy_ms,
        start_ms=parts.start_ms,
        source=f"measured on {setting_of(model)}, from {len(counts)} runs",
    )


@dataclass(frozen=True)
class Timing:
    """Wall time of several schedules, run in turn; every repetition is kept."""

    names: tuple[str, ...]
    total_ms: tuple[tuple[float, ...], ...]  # per name, per repetition
    setting: str

    def median_ms(self, name: str) -> float:
        return float(np.median(self.total_ms[self.names.index(name)]))

    def speedup(self, name: str, over: str) -> float:
        """Median of the ratios of runs that followed each other: drift of the machine spares it."""
        mine = np.array(self.total_ms[self.names.index(name)])
        other = np.array(self.total_ms[self.names.index(over)])
        return float(np.median(other / mine))


def time_runs(
    model: Model,
    plans: Mapping[str, Schedule | Policy],
    *,
    label: int,
    seed: int,
    cfg_scale: float,
    sampler: str,
    steps: int | None = None,
    repeats: int = 3,
    fits: Fits | None = None,
    stopped: Callable[[], bool] | None = None,
) -> Timing | None:
    """Run every plan `repeats` times in turn, without previews or traces, and time the steps.

    A policy decides anew each time, over `steps` steps. None when `stopped` said so.
    """
    fits = fits or Fits()
    taken: dict[str, list[float]] = {name: [] for name in plans}
    for _ in range(repeats):
        for name, plan in plans.items():
            schedule = plan if isinstance(plan, Schedule) else None
            events = iter_sample(
                model,
                schedule,
                steps=steps if schedule is None else None,
                policy=None if isinstance(plan, Schedule) else plan,
                fits=fits,
                label=label,
                seed=seed,
                cfg_scale=cfg_scale,
                sampler=sampler,
                stopped=stopped,
            )
            last = deque(events, maxlen=1)
            if not last or not isinstance(run := last[0], Run):
                return None
            taken[name].append(float(run.step_ms.sum()))
    return Timing(tuple(plans), tuple(tuple(t) for t in taken.values()), setting_of(model))
