"""Scores: how close a schedule comes to the full run, on pictures that no seed of a run gives.

Pictures run in groups, so that what loses on the first group is not run on the others, and every
run goes on from where the best schedule so far begins to differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from caching.engine.fits import Fits, calibration_noise
from caching.engine.run import Run, iter_sample
from caching.engine.states import States, free_mib
from caching.errors import RequestError
from caching.measure.cost import cost_of
from caching.models.model import Model
from caching.predict.calibration import psnr_db
from caching.predict.kept import For, Kept, shipped
from caching.schedule import Schedule

Objective = Literal["psnr", "latent"]
OBJECTIVES: tuple[Objective, ...] = ("psnr", "latent")
LAGS = 8
SHARE_OF_FREE = 0.1
LEAST_GAP = 1e-6  # relative, of a latent that equals the full one


@dataclass(frozen=True)
class Conditions:
    """What is scored, apart from the schedule.

    Attributes:
        steps, cfg_scale, sampler: of the runs.
        objective: "psnr" of the picture, or "latent": -20 log10 of the final latent's relative
            error; both in dB, more is better.
        pictures: K, a multiple of the groups.
        groups: that they run in.
    """

    steps: int
    cfg_scale: float
    sampler: str
    objective: Objective = "psnr"
    pictures: int = 32
    groups: int = 8

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise RequestError(
                f"objective {self.objective!r:.40} is not known, expected one of {OBJECTIVES}."
            )
        good = 1 <= self.groups <= self.pictures <= 64 and self.pictures % self.groups == 0
        if not good:
            raise RequestError(
                f"{self.pictures} pictures in {self.groups} groups were asked for, expected 1 to "
                "64, in groups of the same size."
            )


class Judge:
    """Scores schedules under some conditions; keeps the full runs, and snapshots of the best.

    Args:
        known: the newest prediction of these conditions that was calibrated here, None before
            there is one; asked again and again, since it may come, and get better, meanwhile.
    """

    def __init__(
        self,
        model: Model,
        conditions: Conditions,
        stopped: Callable[[], bool] | None = None,
        known: Callable[[], Kept | None] | None = None,
    ) -> None:
        self.model, self.of, self.stopped = model, conditions, stopped
        c = conditions
        self._shipped = shipped(For(model.weights_hash, c.steps, float(c.cfg_scale), c.sampler))
        self._known = known or (lambda: None)
        self.fits = Fits()
        self.noise = calibration_noise(model, conditions.pictures)
        self._full: list[Run | None] = [None] * conditions.groups
        mib = SHARE_OF_FREE * free_mib() / (2 * conditions.groups)
        self._best = [States(budget_mib=mib) for _ in range(conditions.groups)]
        self._last = list(self._best)

    @property
    def kept(self) -> Kept | None:
        """What predicts PSNR: shipped, else calibrated here."""
        return self._shipped or self._known()

    @property
    def each(self) -> int:
        """Pictures in a group."""
        return self.of.pictures // self.of.groups

    def work(self, schedule: Schedule) -> float:
        """Share of the full run's multiply-accumulates."""
        return cost_of(self.model, schedule).work

    def score(self, schedule: Schedule, group: int) -> NDArray[np.float64] | None:
        """(K / groups,) dB of every picture of a group; None when stopped."""
        full = self.full(group)
        if full is None:
            return None
        states = self._last[group] = self._best[group].copy()
        run = self._run(schedule, group, states=states)
        return None if run is None else self._db(run, full)

    def accept(self) -> None:
        """The schedule scored last, on all groups, is the one others will be changes of."""
        self._best = list(self._last)

    def full(self, group: int) -> Run | None:
        """The full run of a group, with its trace; None when stopped."""
        if self._full[group] is None:
            self._full[group] = self._run(None, group, lags=max(1, min(LAGS, self.of.steps - 1)))
        return self._full[group]

    def change(self) -> NDArray[np.float64]:
        """(S, L, R, K) relative change of the branch outputs in the full run of the first group."""
        full = self.full(0)
        if full is None or full.trace is None:
            raise RequestError("the full run was stopped; let it finish first.")
        return np.nan_to_num(full.trace.rel_l1.astype(np.float64))

    def _run(self, schedule: Schedule | None, group: int, **more: Any) -> Run | None:
        at = range(group * self.each, (group + 1) * self.each)
        run: Run | None = None
        for item in iter_sample(
            self.model,
            schedule,
            label=[i % len(self.model.class_names) for i in at],
            latents=self.noise[list(at)],
            steps=self.of.steps,
            cfg_scale=self.of.cfg_scale,
            sampler=self.of.sampler,
            fits=self.fits,
            stopped=self.stopped,
            **more,
        ):
            run = item if isinstance(item, Run) else None
        return run

    def _db(self, run: Run, full: Run) -> NDArray[np.float64]:
        if self.of.objective == "psnr":
            return psnr_db(run, full)
        mine, other = (torch.flatten(r.latents.double(), 1) for r in (run, full))
        gap = ((mine - other).norm(dim=1) / other.norm(dim=1)).numpy()
        return np.asarray(-20 * np.log10(np.maximum(gap, LEAST_GAP)))
