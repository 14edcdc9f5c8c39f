"""MagCache: skip the blocks while a known curve of residual magnitudes says little is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from caching.dynamic.magcache import MagCache
from caching.methods.base import Method, Plan, Setting, Source, number, whole


@dataclass(frozen=True)
class MagCacheMethod(Method):
    """MagCache (arXiv 2506.09045): what a run does follows from the curve alone.

    After the first `retain` of the steps, p is the product of the ratios ||R_s|| / ||R_{s-1}||
    since the last computed step; a step is skipped while the sum of |1 - p| is at most the
    threshold and at most `most` steps are in a row. diffusers' defaults are 0.06, 3 and 0.2; the
    slider starts at 0.12, where a good part of 20 steps is skipped.
    """

    threshold: float = number(0.12, 0, 1, "threshold", "of the summed |1 - product of ratios|")
    most: int = whole(3, 1, 20, "K", "skipped steps in a row at most")
    retain: float = number(0.2, 0, 1, "retention", "share of the steps computed first")

    name = "magcache"
    title = "MagCache"
    about = (
        "Skips all blocks by a curve of residual magnitudes measured on this model's own full "
        "runs; looks at nothing while it runs."
    )
    source = Source(
        "MagCache: Fast Video Generation with Magnitude-Aware Cache",
        2025, "2506.09045", "Zehong-Ma/MagCache", "Apache-2.0",
    )  # fmt: skip
    faithfulness = "recalibrated here"
    because = (
        "The paper's rule with a curve measured on this model, as it asks for any model; its "
        "threshold is for video models and is chosen anew."
    )
    needs = "calibration"
    tunes = "threshold"

    def plan(self, setting: Setting) -> Plan:
        found = setting.measured("magcache", MagCache.calibrated)
        policy = replace(found, threshold=self.threshold, most=self.most, retain=self.retain)
        low, high = min(found.ratios), max(found.ratios)
        note = f"The ratios of successive residuals are {low:.3f} to {high:.3f}."
        return Plan(setting.full(), policy, (note,))

    def ladder(self, setting: Setting) -> Sequence[Method]:
        # Where the threshold stops nothing, longer rows and then a shorter retention save more.
        rungs = super().ladder(setting)
        loose = replace(self, threshold=1.0)
        longer = [replace(loose, most=n) for n in range(self.most + 1, 11)]
        longest = replace(loose, most=max(self.most, 10))
        kept = [replace(longest, retain=r) for r in (0.15, 0.1, 0.05, 0.0) if r < self.retain]
        return (*rungs, *longer, *kept)
