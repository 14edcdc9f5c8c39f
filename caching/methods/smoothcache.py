"""SmoothCache: reuse for as long as the mean change over blocks stays under a threshold."""

from __future__ import annotations

from dataclasses import dataclass

from caching.methods.base import Method, Plan, Setting, Source, number
from caching.policies.threshold import smoothcache

LOOKAHEAD = 3


@dataclass(frozen=True)
class SmoothCache(Method):
    """SmoothCache (arXiv 2411.10510): one pattern for each branch, shared by all blocks.

    E_k(s), the relative L1 change over k steps, mean over blocks; from a computed step the largest
    k up to 3 with E_k <= alpha is reused; the first and the last step are computed.
    """

    alpha: float = number(0.18, 0, 2, "α", "reuse while the mean change is below", step=0.005)

    name = "smoothcache"
    title = "SmoothCache"
    about = (
        "Reuses up to 3 steps while the change of a branch, mean over all blocks of a full run, "
        "stays under α."
    )
    source = Source(
        "SmoothCache: A Universal Inference Acceleration Technique for Diffusion Transformers",
        2024, "2411.10510", "Roblox/SmoothCache", "Apache-2.0",
    )  # fmt: skip
    faithfulness = "as published"
    because = "The paper's rule on this model's own full run, as its authors calibrate any model."
    needs = "trace"
    tunes = "alpha"

    def plan(self, setting: Setting) -> Plan:
        change = setting.change()
        lookahead = min(LOOKAHEAD, change.shape[-1])
        return Plan(smoothcache(change, self.alpha, lookahead=lookahead, branches=setting.branches))
