"""TeaCache: skip the stack while the modulated input of block 0 has changed little."""

from __future__ import annotations

from dataclasses import dataclass, replace

from caching.dynamic.teacache import TeaCache
from caching.methods.base import Method, Plan, Setting, Source, number


@dataclass(frozen=True)
class TeaCacheMethod(Method):
    """TeaCache (arXiv 2411.19108): its polynomial is fitted on full runs of the model at hand."""

    threshold: float = number(0.15, 0, 2, "threshold", "of the accumulated change")

    name = "teacache"
    title = "TeaCache"
    about = (
        "Skips all blocks while the modulated input of block 0 has changed little, through a "
        "polynomial fitted on this model's own full runs."
    )
    source = Source(
        "Timestep Embedding Tells: It's Time to Cache for Video Diffusion Model",
        2024, "2411.19108", "ali-vilab/TeaCache", "Apache-2.0",
    )  # fmt: skip
    faithfulness = "recalibrated here"
    because = "Published for video and text-to-image models; the polynomial is fitted here."
    needs = "calibration"
    tunes = "threshold"

    def plan(self, setting: Setting) -> Plan:
        fitted = setting.measured("teacache", TeaCache.calibrated)
        return Plan(setting.full(), replace(fitted, threshold=self.threshold))
