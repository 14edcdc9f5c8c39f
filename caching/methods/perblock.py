"""Threshold per block: SmoothCache's rule with every block and branch deciding for itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from caching.methods.base import Method, Plan, Setting, number, whole
from caching.policies.spaced import geometric
from caching.policies.threshold import smoothcache


@dataclass(frozen=True)
class ThresholdPerBlock(Method):
    """Our variant of SmoothCache (arXiv 2411.10510), which pools all blocks; not a paper's method.

    It answers what pooling gives away: with the same rule and the same trace, each row reuses for
    as long as its own change over k steps stays under α, up to `lookahead` steps.
    """

    alpha: float = number(0.18, 0, 4, "α", "reuse while a row's own change is below", step=0.005)
    lookahead: int = whole(3, 1, 8, "lookahead", "the most steps reused in a row")

    name = "perblock"
    title = "Threshold per block"
    about = (
        "SmoothCache's rule with every block and branch on its own change in full runs instead of "
        "the mean over all blocks."
    )
    faithfulness = "of no paper"
    because = "Our own variant of SmoothCache, between it and Block Caching."
    needs = "trace"
    tunes = "alpha"

    def plan(self, setting: Setting) -> Plan:
        change = setting.change()
        lookahead = min(self.lookahead, change.shape[-1])
        return Plan(
            smoothcache(
                change, self.alpha, lookahead=lookahead, per="block", branches=setting.branches
            )
        )

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """α spaced by ratio, then more lookahead at the largest α."""
        small = tuple(replace(self, alpha=a) for a in geometric(0.03, 4, 60))
        more = range(self.lookahead + 1, 9)
        return (*small, *(replace(small[-1], lookahead=k) for k in more))
