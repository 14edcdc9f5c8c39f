"""GOC: every other step of the first half reused, moved on by the last change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from caching.methods.base import Method, Plan, Setting, Source, number
from caching.predictors.trend import Trend


@dataclass(frozen=True)
class GradientOptimizedCache(Method):
    """GOC (arXiv 2503.05156): F = p + η (p - pp), p and pp the last two outputs that stood there.

    Its FORA variant (matrix3 of the code) caches steps 1, 3, 5, 7 and 9 of 20, all blocks; step 1
    is plain reuse, as there is no pp yet. `until` 0.5 gives just that at 20 steps, and 1 all odd
    steps, which is matrix2. The variant on a Learning-to-Cache router, η = 0.8 where both branches
    of a block are reused, is not made here.
    """

    until: float = number(0.5, 0, 1, "until", "share of the run in which odd steps are cached")
    eta: float = number(1.2, 0, 4, "η", "how far the last change is carried on", step=0.05)

    name = "goc"
    title = "GOC"
    about = (
        "Caches every other step in the first half of the run, and moves what it reuses on along "
        "its last change."
    )
    source = Source(
        "Accelerating Diffusion Transformer via Gradient-Optimized Cache",
        2025, "2503.05156", "qiujx0520/GOC_ICCV2025",
    )  # fmt: skip
    faithfulness = "as published"
    because = (
        "The matrix of the authors' code for 20 steps, scaled to other step counts; how they chose "
        "the cached steps, from averages over 1,000 classes, is not repeated for this model."
    )
    tunes = "until"

    def plan(self, setting: Setting) -> Plan:
        s = np.arange(setting.steps)
        cached = (s % 2 == 1) & (s < self.until * setting.steps)
        cells = np.zeros(setting.full().actions.shape, bool)
        cells[cached] = True
        schedule = replace(setting.full(), legend=(Trend(self.eta),))
        return Plan(schedule.paint(cells, 1))

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """One more cached step at a time; at most half of all are."""
        odd = range(1, setting.steps, 2)
        ends = (0.0, *(min(1.0, (s + 0.5) / setting.steps) for s in odd))
        return tuple(replace(self, until=until) for until in ends)
