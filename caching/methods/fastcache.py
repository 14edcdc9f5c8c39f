"""FastCache: a block becomes a fitted linear map where its input passes a test of little change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caching.methods.base import Method, Plan, Setting, Source, number
from caching.policies.spaced import geometric
from caching.predictors.linear import Linear
from caching.schedule import Schedule

if TYPE_CHECKING:
    from caching.models.model import Model


@dataclass(frozen=True)
class FastCache(Method):
    """FastCache (arXiv 2505.20353), its block level; its static tokens are left out.

    A block is replaced by W x + b where δ² <= τ² χ²_{ND,1-α} / (N D), δ = ||x_s - x_{s-1}|| /
    ||x_{s-1}|| being the change of its input and N D the numbers in it. The paper has τ = 1; the
    bound is then about 1 and the test passes nearly always, so its code works with a relative
    threshold of 0.05 besides. That is τ here; the default takes away about half of the work of the
    shipped model's 20 steps. The paper decides during a run; here δ² is the mean over full runs, so
    that the grid is known before. Its repository ships random maps and no code that trains them:
    each branch gets a ridge fit on full runs (`Linear`). These maps do not ship: the 24 of the
    shipped model hold 6 MiB, for one number of steps, guidance and sampler only, and four full runs
    fit them anew in seconds. It is the maps that cost most there: plain reuse of the same cells
    stays much closer, as one map for all timesteps knows nothing of how they modulate a branch.
    """

    threshold: float = number(0.09, 0, 4, "τ", "of the relative change of a block's input")
    significance: float = number(0.05, 0.001, 0.5, "α", "of the chi-square test", step=0.001)

    name = "fastcache"
    title = "FastCache"
    about = (
        "Replaces a block by a linear map of its input, fitted on full runs, where a chi-square "
        "test says that its input has changed little."
    )
    source = Source(
        "FastCache: Fast Caching for Diffusion Transformer Through Learnable Linear Approximation",
        2025, "2505.20353", "NoakLiu/FastCache-xDiT", "Apache-2.0",
    )  # fmt: skip
    faithfulness = "recalibrated here"
    because = (
        "Its repository ships random maps, so they are ridge-fitted here on full runs, and the "
        "test is made on the mean change of full runs instead of during the run; static tokens are "
        "left out."
    )
    needs = "calibration"
    tunes = "threshold"

    def plan(self, setting: Setting) -> Plan:
        change, numbers = setting.measured("fastcache", moved)
        bound = self.threshold**2 * chi_square(numbers, self.significance) / numbers
        little = np.zeros(change.shape, bool)
        little[1:] = change[1:] <= bound
        shape = (*change.shape, len(setting.branches))
        cells = np.broadcast_to(little[..., None], shape).astype(np.uint8)
        return Plan(Schedule(cells, (Linear(),), setting.branches))

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """Thresholds spaced by ratio."""
        return tuple(replace(self, threshold=t) for t in geometric(0.005, 4, 80))


def chi_square(freedom: int, significance: float) -> float:
    """The 1 - significance quantile of the chi-square distribution (Wilson and Hilferty's)."""
    part = 2 / (9 * freedom)
    root: float = 1 - part + NormalDist().inv_cdf(1 - significance) * math.sqrt(part)
    return freedom * root**3


def moved(model: Model, **asked: Any) -> tuple[NDArray[np.floating], int]:
    """δ² (S, L) in full runs, and how many numbers an input of a run has; see `profiled`."""
    from caching.measure.profiles import Hidden, profiled

    return profiled(model, Hidden, **asked), model.family.tokens * model.family.width
