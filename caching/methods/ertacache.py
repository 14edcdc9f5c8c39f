"""After ERTACache: steps picked by offline residual profiling, and a linear correction of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caching.actions.corrected import Corrected
from caching.methods.base import Method, Plan, Setting, Source, number
from caching.policies.spaced import geometric

if TYPE_CHECKING:
    from caching.models.model import Model


@dataclass(frozen=True)
class AfterErtaCache(Method):
    """An analogue of ERTACache (arXiv 2508.21091), of which only the abstract is known here.

    Full runs are profiled once: a step is reusable while the residual of the whole stack is within
    λ, in relative L1, of what it was at the last full step. Such steps add that residual again,
    scaled and shifted for every channel by a least-squares line (`Corrected`). Its correction of
    the sampler's step size is left out: the formula is not known here. The last step is full, as
    nothing after it could make up for its error.
    """

    threshold: float = number(0.25, 0, 4, "λ", "relative change of the residual", step=0.005)

    name = "ertacache"
    title = "After ERTACache"
    about = (
        "Reuses the residual of all blocks at the steps where full runs say that it has changed "
        "little, corrected by a fitted scale and shift."
    )
    source = Source(
        "ERTACache: Error Rectification and Timesteps Adjustment for Efficient Diffusion",
        2025, "2508.21091",
    )  # fmt: skip
    faithfulness = "analogue"
    because = (
        "Only its abstract was at hand: offline residual profiling and a linear correction are "
        "here, its adjustment of the timesteps is not; do not take this for ERTACache."
    )
    needs = "calibration"
    tunes = "threshold"

    def plan(self, setting: Setting) -> Plan:
        computed = within(setting.measured("ertacache", residuals), self.threshold)
        return Plan(setting.full().paint_steps(~computed, Corrected()))

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """Thresholds spaced by ratio."""
        return tuple(replace(self, threshold=t) for t in geometric(0.02, 4, 60))


def within(change: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """Bool (S,), True = computed: the first and last step, and where the change is above.

    Args:
        change: (S, S), [s, u] between steps s and u; read for the last computed step u before s.
        threshold: 0 or more.
    """
    given = np.asarray(change, np.float64)
    computed = np.zeros(len(given), bool)
    last = 0
    for s in range(len(given)):
        computed[s] = s in (0, len(given) - 1) or given[s, last] > threshold
        if computed[s]:
            last = s
    return computed


def residuals(model: Model, **asked: Any) -> NDArray[np.floating]:
    """Relative L1 change (S, S) of the residual of all blocks in full runs; see `profiled`."""
    from caching.measure.profiles import Residuals, profiled

    found: NDArray[np.floating] = profiled(model, Residuals, **asked)
    return found
