"""HiCache: TaylorSeer's schedule, forecast in scaled Hermite polynomials."""

from __future__ import annotations

from dataclasses import dataclass

from caching.methods.base import Source, number, whole
from caching.methods.forecasting import Forecasting
from caching.predictors.hermite import Hermite
from caching.predictors.taylor import MAX_ORDER


@dataclass(frozen=True)
class HiCache(Forecasting):
    """HiCache (arXiv 2508.16984): F = F_0 + sum H_k(σ x) σ^k / k! D_k with TaylorSeer's D_k.

    Its settings for FLUX are N = 7, order 2, σ = 0.5 and 3 full steps at the start. N = 4 is the
    default here, as 20 steps leave only five full ones with 7.
    """

    interval: int = whole(4, 1, 10, "N", "one step in N is full")
    order: int = whole(2, 0, MAX_ORDER, "order", "of the forecast; 0 is plain reuse")
    sigma: float = number(0.5, 0.05, 2, "σ", "contraction of the polynomials", step=0.05)
    first: int = whole(3, 1, 100, "first", "full steps at the start")

    name = "hicache"
    title = "HiCache"
    about = (
        "Computes one step in N whole and forecasts every branch between in Hermite polynomials, "
        "which damp what a Taylor forecast overshoots."
    )
    source = Source(
        "HiCache: Training-free Acceleration of Diffusion Models via Hermite Polynomial-based "
        "Feature Caching",
        2025, "2508.16984", "fenglang918/HiCache",
    )  # fmt: skip
    faithfulness = "as published"
    because = (
        "The published formula, read in third-party code; its settings for a class-conditional DiT "
        "are not known, so N is chosen here."
    )
    tunes = "interval"

    @property
    def predictor(self) -> Hermite:
        return Hermite(self.order, self.sigma)
