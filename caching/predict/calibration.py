"""Learns how a model answers schedules, in the background, and gets surer the longer it may run."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from caching.engine.executor import Stopped
from caching.engine.fits import calibration_noise
from caching.engine.request import whole
from caching.engine.run import Run, iter_sample
from caching.engine.states import States
from caching.errors import RequestError
from caching.models.model import Model
from caching.predict.adjoint import Progress, Stop, build_response
from caching.predict.drawn import KINDS, Drawn, drawn
from caching.predict.effort import THOROUGH, Size, response_share
from caching.predict.evidence import BEST_DB
from caching.predict.features import features
from caching.predict.fit import LEAST_RUNS, Estimator, fit
from caching.predict.response import Response
from caching.schedule import Schedule

SCHEDULES = 160
POOL = 320
TOGETHER = 4
HARD = ("window", "mixed", "threshold", "window", "mixed", "steps", "random", "rows")
STREAMS = ((2, KINDS, 2, 79), (3, HARD, 0, 100_000))
"""What is learned from: seed, kinds of a round, rounds left out and rounds taken. All kinds alike,
then more of those that predictions missed most. Of the first stream the first two rounds are left
out, because the runs that ship were begun on other pictures."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """What is known so far; `estimator` is None until enough schedules were measured."""

    response: Response
    estimator: Estimator | None
    runs: Runs

    @property
    def schedules(self) -> int:
        return len(self.runs.psnr_db)


@dataclass(frozen=True, eq=False)
class Runs:
    """What was measured, row by row in the order that schedules are drawn.

    Attributes:
        psnr_db: (N, 4) of N schedules on four pictures each.
        pictures: int64 (N, 4) which of the pool.
    """

    psnr_db: NDArray[np.float64]
    pictures: NDArray[np.int64]

    def __post_init__(self) -> None:
        shapes = np.shape(self.psnr_db), np.shape(self.pictures)
        if shapes[0] != shapes[1] or shapes[0][1:] != (TOGETHER,):
            raise RequestError(f"runs of shapes {shapes} were given, expected (N, 4) of both.")


NO_RUNS = Runs(np.zeros((0, TOGETHER)), np.zeros((0, TOGETHER), np.int64))


def psnr_db(run: Run, full: Run) -> NDArray[np.float64]:
    """PSNR (N,) of every picture of a run; beyond 60 dB rounding decides, so that is the most."""
    error = (run.images.astype(np.float64) - full.images) ** 2
    least = 255.0**2 / 10 ** (BEST_DB / 10)
    return np.asarray(10 * np.log10(255.0**2 / np.maximum(error.mean(axis=(1, 2, 3)), least)))


def learned_from(change: NDArray[np.float64], branches: tuple[str, ...]) -> Iterator[Drawn]:
    """The schedules that a prediction learns from, in order; see `STREAMS`."""
    for seed, kinds, out, rounds in STREAMS:
        each = len(kinds)
        yield from islice(drawn(seed, change, branches, kinds), out * each, (out + rounds) * each)


def calibrations(
    model: Model,
    *,
    steps: int,
    sampler: str = "ddim",
    cfg_scale: float = 4.0,
    response: Response | None = None,
    runs: Runs = NO_RUNS,
    schedules: int = SCHEDULES,
    pool: int = POOL,
    labels: Sequence[int] | None = None,
    size: Size = THOROUGH,
    rounds: Sequence[int] | None = None,
    progress: Progress | None = None,
    stopped: Stop | None = None,
) -> Iterator[Calibration]:
    """The response first, then better and better estimators; the last yield is the best.

    Every schedule drawn is measured on four of the pool's pictures, another four for each round of
    kinds: pictures differ by several dB, and what is learned is to be of all of them. An estimator
    comes at 32 schedules and at every doubling, or where `rounds` says so, and at the last.

    Args:
        response: built before under the same setting; None builds it.
        runs: measured before under the same setting, of the first schedules drawn.
        schedules: how many to measure.
        pool: pictures, on noise that no seed gives, a multiple of 4.
        labels: classes to take pictures of, in turn; None: all.
        size: of the response, where it is built here.
        rounds: after how many schedules there is to be an estimator, each 24 or more.
        stopped: polled between branches; what is computed beside this may run while it answers.

    Raises:
        Stopped: `stopped` said so.
        RequestError: a number out of range.
    """
    schedules = whole("schedules", schedules, LEAST_RUNS, 100_000)
    pool = whole("pool", pool, TOGETHER, 4096)
    if pool % TOGETHER:
        raise RequestError(f"a pool of {pool} pictures was asked for, expected a multiple of 4.")
    if rounds is not None and min(rounds, default=LEAST_RUNS) < LEAST_RUNS:
        raise RequestError(f"rounds {rounds!r:.60} were given, expected {LEAST_RUNS} or more each.")
    first = 0.0
    if response is None:
        first = response_share(size, schedules)
        response = build_response(
            model,
            steps=steps,
            sampler=sampler,
            cfg_scale=cfg_scale,
            labels=labels,
            pictures=size.pictures,
            leading=size.leading,
            chance=size.chance,
            progress=None if progress is None else lambda x, w: progress(first * x, w),
            stopped=stopped,
        )
    yield Calibration(response, None, NO_RUNS)
    noise = calibration_noise(model, pool)
    classes = list(range(len(model.class_names))) if labels is None else list(labels)

    def run_on(schedule: Schedule | None, pictures: list[int], states: States) -> Run:
        events = iter_sample(
            model,
            schedule,
            states=states,
            label=[classes[i % len(classes)] for i in pictures],
            latents=noise[pictures],
            steps=steps,
            cfg_scale=cfg_scale,
            sampler=sampler,
            stopped=stopped,
        )
        last = deque(events, maxlen=1)
        if not last or not isinstance(last[0], Run):
            raise Stopped("the calibration was stopped in a run.")
        return last[0]

    full: tuple[list[int], Run, States] | None = None
    values = []
    measured, pictures = list(runs.psnr_db[:schedules]), list(runs.pictures[:schedules])
    stream = learned_from(response.change.astype(np.float64), model.branches)
    for i, (_, schedule) in enumerate(islice(stream, schedules)):
        values.append(features(schedule, response))
        if i >= len(measured):
            # All kinds go once round before the pictures change.
            first_of = i // len(KINDS) * TOGETHER % pool
            at = list(range(first_of, first_of + TOGETHER))
            if full is None or full[0] != at:
                states = States()
                full = at, run_on(None, at, states), states
            # Steps before the first reused cell are those of the full run.
            run = run_on(schedule, at, full[2].copy())
            if stopped is not None and stopped():
                raise Stopped("the calibration was stopped between two runs.")
            measured.append(psnr_db(run, full[1]))
            pictures.append(np.array(at))
        if progress is not None:
            part = first + (1 - first) * (i + 1) / schedules
            progress(part, f"calibration: schedule {i + 1} of {schedules}")
        doubled = i + 1 >= 32 and math.log2(i + 1).is_integer()
        if i + 1 == schedules or (doubled if rounds is None else i + 1 in rounds):
            done = Runs(np.array(measured[: i + 1]), np.array(pictures[: i + 1], np.int64))
            estimator = fit(values, done.psnr_db, pictures=done.pictures.tolist())
            yield Calibration(response, estimator, done)
