"""SpeCa: Taylor forecasts as drafts, checked at the last block; a bad one ends the row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from caching.dynamic.speca import SpeCa
from caching.methods.base import Method, Plan, Setting, Source, number, whole
from caching.predictors.taylor import MAX_ORDER


@dataclass(frozen=True)
class SpeCaMethod(Method):
    """SpeCa (arXiv 2509.11628): forecast then verify, as its code for DiT does it.

    From the `least`-th forecast in a row the last block is also computed, and the relative error of
    its forecast is compared with max(threshold 0.01^progress, 0.01); the step after a failed check,
    or after `most` forecasts, is full. Defaults are those of its sample.py. In 20 steps of the
    shipped model every check fails at thresholds up to about 3, hence the long slider.
    """

    threshold: float = number(0.1, 0, 300, "τ", "of the checked error, falling over the run")
    order: int = whole(4, 0, MAX_ORDER, "order", "of the Taylor forecasts")
    least: int = whole(2, 1, 10, "from", "forecasts in a row before the first check")
    most: int = whole(5, 1, 20, "at most", "forecasts in a row")

    name = "speca"
    title = "SpeCa"
    about = (
        "Taylor forecasts in every cell, checked at the last block; the step after a failed check "
        "is full."
    )
    source = Source(
        "SpeCa: Accelerating Diffusion Transformers with Speculative Feature Caching",
        2025, "2509.11628", "Shenyi-Z/Cache4Diffusion",
    )  # fmt: skip
    faithfulness = "as published"
    because = "The rule and the numbers of the authors' code for DiT, which needs no calibration."
    tunes = "threshold"

    def plan(self, setting: Setting) -> Plan:
        policy = SpeCa(threshold=self.threshold, least=self.least, most=self.most, order=self.order)
        return Plan(setting.full(), policy)

    def ladder(self, setting: Setting) -> Sequence[Method]:
        # `least` forecasts go unchecked at any threshold, so the way to more work is fewer of them;
        # where the threshold stops nothing, longer rows save more.
        strict = [replace(self, threshold=0.0, least=n, most=n) for n in range(1, self.least)]
        taus = (0.0, *np.geomspace(0.03, 300, 13).tolist())
        loose = replace(self, threshold=300.0)
        longer = [replace(loose, most=n) for n in range(self.most + 1, 21)]
        return (*strict, *(replace(self, threshold=t) for t in taus), *longer)
