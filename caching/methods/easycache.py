"""EasyCache: skip the transformer while its own recent gain predicts a small change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from caching.dynamic.easycache import EasyCache
from caching.methods.base import Method, Plan, Setting, Source, number, whole

WARMUP = 10


@dataclass(frozen=True)
class EasyCacheMethod(Method):
    """EasyCache (arXiv 2507.02860, eq. 6 to 8): v = x + (v' - x') while sum k |dx| / |v'| is small.

    k = |dv| / |dx| between the last two computed steps. The paper's threshold is 0.05 after 10 full
    steps, of 50; 0 steps of warm-up means a fifth of the steps, 10 at most. The slider starts at
    0.25, which skips some of 20 steps.
    """

    threshold: float = number(0.25, 0, 2, "τ", "of the summed predicted change")
    warmup: int = whole(0, 0, 20, "warm-up", "full steps first; 0: a fifth, 10 at most")

    name = "easycache"
    title = "EasyCache"
    about = (
        "Reuses what the whole transformer changed while the change predicted from its input stays "
        "small, after a warm-up of full steps."
    )
    source = Source(
        "Less is Enough: Training-Free Video Diffusion Acceleration via Runtime-Adaptive Caching",
        2025, "2507.02860", "H-EmbodVis/EasyCache", "Apache-2.0",
    )  # fmt: skip
    faithfulness = "recalibrated here"
    because = (
        "The paper's rule for video models on the raw output of the transformer; threshold and "
        "warm-up are for 50 steps there and are chosen anew here."
    )
    tunes = "threshold"

    def plan(self, setting: Setting) -> Plan:
        warmup = self.warmup or max(1, min(WARMUP, setting.steps // 5))
        note = f"The first {warmup} steps and the last are computed."
        return Plan(setting.full(), EasyCache(self.threshold, warmup), (note,))

    def ladder(self, setting: Setting) -> Sequence[Method]:
        # Where the threshold stops nothing, a shorter warm-up saves the rest; two steps are needed.
        policy = self.plan(setting).policy
        assert isinstance(policy, EasyCache)
        loose = replace(self, threshold=2.0)
        shorter = [replace(loose, warmup=n) for n in range(policy.warmup - 1, 1, -1)]
        return (*super().ladder(setting), *shorter)
