"""FBCache: block 0 always runs, and says whether the blocks behind it have to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from caching.dynamic.fbcache import FBCache
from caching.methods.base import Method, Plan, Setting, Source, number


@dataclass(frozen=True)
class FBCacheMethod(Method):
    """First Block Cache (ParaAttention; diffusers' FirstBlockCacheConfig).

    mean|r - r'| / mean|r'| > threshold computes, r what block 0 adds, r' that of the last computed
    step; else what the other blocks added then is added again. Nothing is computed for its place in
    the run but step 0. diffusers' threshold is 0.05, which reuses next to nothing in 20 steps of
    the shipped model: the slider starts at 0.15.
    """

    threshold: float = number(0.15, 0, 3, "threshold", "of the relative change of block 0")

    name = "fbcache"
    title = "FBCache"
    about = "Runs block 0 at every step and skips the others while what it adds has changed little."
    source = Source(
        "ParaAttention: First Block Cache", 2024, None, "chengzeyi/ParaAttention"
    )  # fmt: skip
    faithfulness = "recalibrated here"
    because = (
        "The rule is that of diffusers' hook and needs no fit, but its threshold of 0.05 is for "
        "text-to-image models and is chosen anew here."
    )
    tunes = "threshold"

    def plan(self, setting: Setting) -> Plan:
        policy = FBCache(self.threshold)
        for action in policy.step_legend:
            action.check(setting.blocks)
        return Plan(setting.full(), policy)

    def ladder(self, setting: Setting) -> Sequence[Method]:
        # Most of what the threshold decides lies below 1.
        values = (*np.linspace(0, 1, 41).tolist(), 1.25, 1.5, 2.0, 3.0)
        return tuple(replace(self, threshold=v) for v in values)
