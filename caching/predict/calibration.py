"""Learns how a model answers schedules, in the background, and gets surer the longer it may run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from caching.engine.executor import Stopped
from caching.engine.fits import calibration_noise
from caching.engine.request import whole
from caching.engine.run import Run, sample
from caching.errors import RequestError
from caching.models.model import Model
from caching.predict.adjoint import Progress, Stop, build_response
from caching.predict.drawn import KINDS, drawn
from caching.predict.features import features
from caching.predict.fit import LEAST_RUNS, Estimator, fit
from caching.predict.response import Response
from caching.schedule import Schedule

SCHEDULES = 160
POOL = 24
TOGETHER = 4
SCHEDULE_SEED = 2
BEST_DB = 60.0


@dataclass(frozen=True, eq=False)
class Calibration:
    """What is known so far; `estimator` is None until enough schedules were measured."""

    response: Response
    estimator: Estimator | None
    schedules: int


def psnr_db(run: Run, full: Run) -> NDArray[np.float64]:
    """PSNR (N,) of every picture of a run; beyond 60 dB rounding decides, so that is the most."""
    error = (run.images.astype(np.float64) - full.images) ** 2
    least = 255.0**2 / 10 ** (BEST_DB / 10)
    return np.asarray(10 * np.log10(255.0**2 / np.maximum(error.mean(axis=(1, 2, 3)), least)))


def calibrations(
    model: Model,
    *,
    steps: int,
    sampler: str = "ddim",
    cfg_scale: float = 4.0,
    response: Response | None = None,
    schedules: int = SCHEDULES,
    pool: int = POOL,
    labels: Sequence[int] | None = None,
    progress: Progress | None = None,
    stopped: Stop | None = None,
) -> Iterator[Calibration]:
    """The response first, then better and better estimators; the last yield is the best.

    Every schedule drawn is measured on four of the pool's pictures, another four each time, so that
    what is learned is of all of them. An estimator comes at 32 schedules and at every doubling.

    Args:
        response: built before under the same setting; None builds it.
        schedules: how many to measure.
        pool: pictures, on noise that no seed gives, a multiple of 4.
        labels: classes to take pictures of, in turn; None: all.

    Raises:
        Stopped: `stopped` said so.
        RequestError: a number out of range.
    """
    schedules = whole("schedules", schedules, LEAST_RUNS, 100_000)
    pool = whole("pool", pool, TOGETHER, 4096)
    if pool % TOGETHER:
        raise RequestError(f"a pool of {pool} pictures was asked for, expected a multiple of 4.")
    first = 0.0
    if response is None:
        first = 0.3
        response = build_response(
            model,
            steps=steps,
            sampler=sampler,
            cfg_scale=cfg_scale,
            labels=labels,
            progress=None if progress is None else lambda x, w: progress(first * x, w),
            stopped=stopped,
        )
    yield Calibration(response, None, 0)
    noise = calibration_noise(model, pool)
    classes = list(range(len(model.class_names))) if labels is None else list(labels)

    def run_on(schedule: Schedule | None, pictures: list[int]) -> Run:
        return sample(
            model,
            schedule,
            label=[classes[i % len(classes)] for i in pictures],
            latents=noise[pictures],
            steps=steps,
            cfg_scale=cfg_scale,
            sampler=sampler,
        )

    fulls: dict[int, Run] = {}
    values, measured, pictures = [], [], []
    stream = drawn(SCHEDULE_SEED, response.change.astype(np.float64), model.branches)
    for i, (_, schedule) in enumerate(islice(stream, schedules)):
        # All kinds go once round before the pictures change.
        group = i // len(KINDS) % (pool // TOGETHER)
        at = list(range(group * TOGETHER, (group + 1) * TOGETHER))
        if group not in fulls:
            fulls[group] = run_on(None, at)
        run = run_on(schedule, at)
        if stopped is not None and stopped():
            raise Stopped("the calibration was stopped between two runs.")
        values.append(features(schedule, response))
        measured.append(psnr_db(run, fulls[group]))
        pictures.append(at)
        if progress is not None:
            part = first + (1 - first) * (i + 1) / schedules
            progress(part, f"calibration: schedule {i + 1} of {schedules}")
        if i + 1 == schedules or (i + 1 >= 32 and math.log2(i + 1).is_integer()):
            yield Calibration(response, fit(values, measured, pictures=pictures), i + 1)
