"""FasterCache: attention extrapolated, and the null half of guidance rebuilt instead of run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from caching.actions.cond_only import CondOnly
from caching.methods.base import Method, Plan, Setting, Source, number, whole
from caching.methods.ordering import by_work
from caching.policies.timed import column, even_timesteps
from caching.predictors.extrapolate import Extrapolate


@dataclass(frozen=True)
class FasterCache(Method):
    """FasterCache (arXiv 2410.19355), in the order of diffusers' hooks.

    Below timestep `guided` only the conditional half runs but for every `whole`-th step; there,
    below timestep `attended`, attention is computed at even s and else is F = p + w (p - p2). A
    step that runs both halves computes all. diffusers stores what half steps computed too; here p
    and p2 are of the last two steps that ran both halves. The bounds of 641 and 681 are diffusers';
    the low and high frequencies of the difference between the halves grow by 1.1 a step there.
    Timesteps are taken to fall evenly from 999 to 0. Without guidance steps run whole, and odd ones
    extrapolate attention from those before.
    """

    every: int = whole(5, 2, 20, "whole", "one step in so many runs both halves of guidance")
    guided: int = whole(641, -1, 1000, "half below t", "where the null half is left out")
    attended: int = whole(681, -1, 1000, "attention below t", "where attention is extrapolated")
    w: float = number(0.5, 0, 2, "w", "how far attention is carried on", step=0.05)
    growth: float = number(1.1, 0.5, 2, "growth", "of the halves' difference, per step", step=0.05)

    name = "fastercache"
    title = "FasterCache"
    about = (
        "Runs only the conditional half of guidance at most late steps and rebuilds the other by "
        "frequencies; extrapolates attention at every other step."
    )
    source = Source(
        "FasterCache: Training-Free Video Diffusion Model Acceleration with High Quality",
        2024, "2410.19355", "Vchitect/FasterCache",
    )  # fmt: skip
    faithfulness = "recalibrated here"
    because = (
        "Published for video models; both of its parts run with diffusers' numbers, attention "
        "extrapolated from steps that ran both halves of guidance only."
    )
    tunes = "guided"

    def plan(self, setting: Setting) -> Plan:
        t, s = even_timesteps(setting.steps), np.arange(setting.steps)
        halved = (s % self.every != 0) & (t < self.guided)
        notes: tuple[str, ...] = ()
        if setting.cfg_scale <= 1:
            notes = ("Without guidance there is no null half: attention alone is extrapolated.",)
        extrapolated = (s % 2 == 1) & (t < self.attended) & (halved | (setting.cfg_scale <= 1))
        cells = np.zeros(setting.full().actions.shape, bool)
        cells[extrapolated, :, column(setting.branches, "attn")] = True
        schedule = replace(setting.full(), legend=(Extrapolate(self.w),)).paint(cells, 1)
        if setting.cfg_scale > 1 and halved.any():
            schedule = schedule.paint_steps(halved, CondOnly(self.growth, self.growth))
        return Plan(schedule, notes=notes)

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """Both bounds up together, then fewer steps that run both halves."""
        gap = self.attended - self.guided
        bounds = sorted({*range(-1, 1000, 40), self.guided, 1000})
        found = [
            replace(self, guided=g, attended=min(1000, max(-1, g + gap)), every=n)
            for g in bounds
            for n in ((self.every,) if g < 1000 else range(self.every, 21))
        ]
        return by_work(setting, found)
