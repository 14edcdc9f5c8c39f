"""FoCa: forecast, then calibrate the forecast by the slope at the last stored output."""

from __future__ import annotations

from dataclasses import dataclass

from caching.methods.base import Source, whole
from caching.methods.forecasting import Forecasting
from caching.predictors.foca import FoCa


@dataclass(frozen=True)
class FoCaMethod(Forecasting):
    """FoCa (arXiv 2508.16211), as cache-dit's calibrator of that name has it, on each branch.

    The schedule is TaylorSeer's, as the paper compares with it; two full steps at the start are
    what the first forecast needs.
    """

    interval: int = whole(4, 1, 10, "N", "one step in N is full")
    first: int = whole(2, 1, 100, "first", "full steps at the start")

    name = "foca"
    title = "FoCa"
    about = (
        "Computes one step in N whole; between, each branch moves on by the mean of its slope "
        "between full steps and its last slope."
    )
    source = Source(
        "Forecast then Calibrate: Feature Caching as ODE for Efficient Diffusion Transformers",
        2025, "2508.16211",
    )  # fmt: skip
    faithfulness = "analogue"
    because = (
        "cache-dit's formula, made for the residual of a whole stack, on every branch; the paper's "
        "BDF2 predictor and Heun corrector were not at hand."
    )
    tunes = "interval"

    @property
    def predictor(self) -> FoCa:
        return FoCa()
