"""DiCache: the first blocks run as a probe, and say both whether and how to reuse the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from caching.dynamic.dicache import DiCache
from caching.methods.base import Method, Plan, Setting, Source, choice, number, whole


@dataclass(frozen=True)
class DiCacheMethod(Method):
    """DiCache (arXiv 2508.17356): when to skip, and how far to go along the last two residuals.

    The error of a step is the relative L1 change of the probe's output ("delta_y"), or its distance
    from that of the probe's input ("delta_minus"); errors are summed until the threshold. A skipped
    step adds R'' + g (R' - R''), g = |P - P''| / |P' - P''| clipped to 1..1.5. For FLUX the code
    has 0.4 with retention 0.2 ("delta_y"), or 0.08 with 0 ("delta_minus"); the slider starts at
    0.1, as the changes of the shipped model are smaller.
    """

    threshold: float = number(0.1, 0, 3, "threshold", "of the summed error", step=0.005)
    error: str = choice("delta_y", ("delta_y", "delta_minus"), "error", "what is summed")
    retain: float = number(0.2, 0, 1, "retention", "share of the steps computed first")
    probe: int = whole(1, 1, 8, "m", "blocks of the probe, run at every step")

    name = "dicache"
    title = "DiCache"
    about = (
        "Block 0 is a probe; a skipped step adds the last residuals aligned by how far the probe "
        "has moved."
    )
    source = Source(
        "DiCache: Let Diffusion Model Determine Its Own Cache",
        2025, "2508.17356", "Bujiazi/DiCache",
    )  # fmt: skip
    faithfulness = "recalibrated here"
    because = (
        "The rule of the authors' code, which needs no fit; its thresholds are for FLUX and video "
        "models and are chosen anew here."
    )
    tunes = "threshold"

    def plan(self, setting: Setting) -> Plan:
        policy = DiCache(self.threshold, self.retain, self.error, self.probe)
        policy.check(setting.blocks)
        return Plan(setting.full(), policy)

    def ladder(self, setting: Setting) -> Sequence[Method]:
        # Most of what the threshold decides lies below 1; where it stops nothing, a shorter
        # retention saves the rest.
        values = (0.0, *np.geomspace(0.01, 3, 40).tolist())
        loose = replace(self, threshold=3.0)
        kept = [replace(loose, retain=r) for r in (0.15, 0.1, 0.05, 0.0) if r < self.retain]
        return (*(replace(self, threshold=v) for v in values), *kept)
