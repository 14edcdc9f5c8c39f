"""DBCache: the first and last blocks always run; the first say whether those between have to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from caching.dynamic.dbcache import DBCache
from caching.methods.base import Method, Plan, Setting, Source, number, whole

FIRST, WARMUP = 8, 8


@dataclass(frozen=True)
class DBCacheMethod(Method):
    """Dual block cache (cache-dit): as FBCache with more blocks computed first, and a warm-up.

    cache-dit's defaults, 8 blocks first, 8 steps of warm-up and a threshold of 0.08, are for 57
    blocks and 28 steps. 0 blocks first means a sixth of them and 0 steps of warm-up a quarter, each
    8 at most: 2 of 12 blocks and 5 of 20 steps.
    """

    threshold: float = number(0.15, 0, 1, "threshold", "of the relative change; 1 always reuses")
    first: int = whole(0, 0, 16, "F", "blocks always computed first; 0: a sixth, 8 at most")
    last: int = whole(0, 0, 8, "B", "blocks always computed last")
    warmup: int = whole(0, 0, 20, "warm-up", "full steps first; 0: a quarter, 8 at most")

    name = "dbcache"
    title = "DBCache"
    about = (
        "Runs the first and last blocks at every step and skips those between while what the first "
        "add has changed little, after a warm-up of full steps."
    )
    source = Source("cache-dit: Dual Block Cache", 2025, None, "vipshop/cache-dit", "Apache-2.0")
    faithfulness = "recalibrated here"
    because = (
        "The rule is cache-dit's without its calibrators; its numbers of blocks and warm-up steps "
        "are for 57 blocks and 28 steps and are scaled to the model here."
    )
    tunes = "threshold"

    def plan(self, setting: Setting) -> Plan:
        policy = DBCache(
            first=self.first or max(1, min(FIRST, setting.blocks // 6)),
            last=self.last,
            threshold=self.threshold,
            warmup=self.warmup or max(1, min(WARMUP, setting.steps // 4)),
        )
        policy.check(setting.blocks)
        note = f"F{policy.first}B{policy.last}, a warm-up of {policy.warmup} steps."
        return Plan(setting.full(), policy, (note,))

    def ladder(self, setting: Setting) -> Sequence[Method]:
        # Where everything is reused, fewer first blocks and a shorter warm-up save the rest.
        rungs = super().ladder(setting)
        policy = self.plan(setting).policy
        assert isinstance(policy, DBCache)
        least = replace(self, threshold=1.0, first=1)
        shorter = [replace(least, warmup=n) for n in range(policy.warmup, 0, -1)]
        return (*rungs, *shorter)
