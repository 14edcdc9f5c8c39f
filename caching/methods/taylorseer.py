"""TaylorSeer: one full step in an interval, the others forecast from differences of full ones."""

from __future__ import annotations

from dataclasses import dataclass

from caching.methods.base import Source, whole
from caching.methods.forecasting import Forecasting
from caching.predictors.taylor import MAX_ORDER, Taylor


@dataclass(frozen=True)
class TaylorSeer(Forecasting):
    """TaylorSeer (arXiv 2503.06923, eq. 4 and 5): the same for all blocks and branches.

    The first `first` steps are full, then every `interval`-th; the last one is not forced. The
    reference starts its differences at the second full step, so that early forecasts are of a lower
    order. Defaults are the paper's for 50 steps; with fewer, orders above 2 tend to overshoot.
    """

    interval: int = whole(4, 1, 10, "N", "one step in N is full")
    order: int = whole(4, 0, MAX_ORDER, "order", "of the forecast; 0 is plain reuse")
    first: int = whole(2, 1, 100, "first", "full steps at the start")

    name = "taylorseer"
    title = "TaylorSeer"
    about = (
        "Computes one step in N whole and forecasts every branch between from differences of its "
        "last computed outputs."
    )
    source = Source(
        "From Reusing to Forecasting: Accelerating Diffusion Models with TaylorSeers",
        2025, "2503.06923", "Shenyi-Z/TaylorSeer", "GPL-3.0",
    )  # fmt: skip
    faithfulness = "as published"
    because = "The schedule and the forecast of the authors' code for DiT; nothing is calibrated."
    tunes = "interval"

    @property
    def predictor(self) -> Taylor:
        return Taylor(self.order)
