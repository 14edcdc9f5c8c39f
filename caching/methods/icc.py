"""Increment-calibrated caching: reused linears corrected by a low-rank product of their change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from caching.methods.base import Method, Plan, Setting, Source, choice, whole
from caching.methods.ordering import by_work
from caching.predictors.lowrank import LowRank


@dataclass(frozen=True)
class IncrementCalibrated(Method):
    """ICC (arXiv 2505.05829): y = y_c + W_a W_b (x - x_c) in every linear at the cached steps.

    Steps s with s % period == 0 are full; at the others softmax, GELU, norms and adaLN are live.
    The paper has rank 128 for a width of 1152 and period 2; the default rank is that share of the
    shipped model's width of 256. CA-SVD weighs channels by their magnitudes, which it takes from
    noised ImageNet pictures and the run here from full runs of the model; "svd" needs none. CD-SVD,
    by magnitudes of the changes, is not made.
    """

    period: int = whole(2, 1, 20, "period", "one step in so many is full")
    rank: int = whole(28, 1, 1152, "rank", "of the correction of each linear")
    weights: str = choice("ca-svd", ("ca-svd", "svd"), "factors", "how the weights are factored")

    name = "icc"
    title = "Increment-calibrated caching"
    about = (
        "Computes one step in two whole and runs the others with low-rank linears that correct "
        "what is reused."
    )
    source = Source(
        "Accelerating Diffusion Transformer via Increment-Calibrated Caching with Channel-Aware "
        "Singular Value Decomposition",
        2025, "2505.05829", "ccccczzy/icc",
    )  # fmt: skip
    faithfulness = "as published"
    because = (
        "The authors' schedule and formulas; channel magnitudes come from this model's own runs "
        "instead of noised ImageNet pictures."
    )
    needs = "calibration"
    tunes = "period"

    def plan(self, setting: Setting) -> Plan:
        computed = np.arange(setting.steps) % self.period == 0
        cells = np.zeros(setting.full().actions.shape, bool)
        cells[~computed] = True
        schedule = replace(setting.full(), legend=(LowRank(self.rank, self.weights),))
        return Plan(schedule.paint(cells, 1))

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """Smaller ranks at period 2 down to the chosen one, longer periods, then smaller ranks."""
        ranks = [min(1152, round(self.rank * factor)) for factor in (3, 2.5, 2, 1.5)]
        fine = [replace(self, period=2, rank=rank) for rank in ranks]
        coarse = [replace(self, period=n) for n in range(2, 21)]
        least = [replace(coarse[-1], rank=max(1, round(self.rank * f))) for f in (0.75, 0.5, 0.25)]
        return by_work(setting, (replace(self, period=1), *fine, *coarse, *least))
