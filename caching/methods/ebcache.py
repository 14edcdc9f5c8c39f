"""EB-Cache: full steps first, caching late, and the predicted noise divided by a constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from caching.actions.scale import ScaleEps
from caching.methods.base import Method, Plan, Setting, Source, choice, number
from caching.methods.ordering import by_work
from caching.schedule import Schedule

STEPS = 50
FULL = 22
"""Of the authors' table: steps at the start that are all computed, of so many."""

LATER = (23, 25, 27, 29, 31, 33, 35, 37, 39, 43, 46, 49)
"""Steps after them that are computed."""


@dataclass(frozen=True)
class EBCache(Method):
    """EB-Cache, later FEB-Cache (arXiv 2503.07120): a table of 50 DDPM steps and eps / δ.

    Steps 0 to 21 are full, then every other one up to 39, then 43, 46 and 49; the format knows
    steps that reuse attention alone, and the table has none. For other step counts and another
    `start` the gaps between computed steps are those of the table at the same place of what is
    left of the run, and the last step is computed as it is there. δ = 0.965 is theirs for DDPM-50
    with guidance 1.5. Of itself it moves the picture away from that of the full run, and what bias
    there is to correct depends on the sampler, so that by default it is left out under all others.
    """

    start: float = number(0.44, 0, 1, "start", "share of the run after which caching starts")
    delta: float = number(0.965, 0.9, 1.1, "δ", "the predicted noise is divided by", step=0.005)
    scaled: str = choice("ddpm", ("ddpm", "always", "never"), "scaled", "under which samplers")

    name = "ebcache"
    title = "EB-Cache"
    about = (
        "Computes the noisy half of the run whole, then fewer and fewer steps, and divides the "
        "predicted noise by a constant."
    )
    source = Source(
        "FEB-Cache: Frequency-Guided Exposure Bias Reduction for Enhancing Diffusion Transformer "
        "Caching",
        2025, "2503.07120", "aSleepyTree/EB-Cache",
    )  # fmt: skip
    faithfulness = "as published"
    because = (
        "The table and δ of the authors' repository, found for DiT-XL/2 under DDPM with 50 steps "
        "and not anew for this model; the table is scaled to other step counts, δ kept for DDPM."
    )
    tunes = "start"
    eager = False

    def plan(self, setting: Setting) -> Plan:
        computed = pattern(setting.steps, self.start)
        schedule = Schedule.from_steps(computed, setting.blocks, branches=setting.branches)
        if self.scaled in ("always", setting.sampler):
            every = np.ones(setting.steps, bool)
            return Plan(schedule.paint_steps(every, ScaleEps(self.delta)))
        if self.scaled == "never":
            return Plan(schedule)
        note = f"The noise is not divided by δ, which was found for DDPM, under {setting.sampler}."
        return Plan(schedule, notes=(note,))

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """Caching from later to earlier on, one step at a time."""
        starts = [s / setting.steps for s in range(setting.steps, 0, -1)]
        found = [replace(self, start=start) for start in starts]
        return by_work(setting, found)


def pattern(steps: int, start: float) -> NDArray[np.bool_]:
    """Bool (S,), True where the step is computed."""
    first = min(steps, max(1, round(start * steps)))
    computed = np.arange(steps) < first
    table = (FULL - 1, *LATER)
    gaps = np.diff(table)
    s = first - 1
    while s < steps:
        computed[s] = True
        # Where s stands in the table's own cached part.
        place = (s - first + 1) / (steps - first + 1) * (STEPS - FULL + 1) + FULL - 1
        s += int(gaps[np.searchsorted(table[1:-1], place + 1e-9)])
    computed[-1] = True
    return computed
