"""diffusers' MagCache as a step mask: ratios that always or never reach the threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from caching.formats.exporters.base import Exported, Exporter
from caching.formats.exporters.project import to_steps
from caching.schedule import Schedule


@dataclass(frozen=True)
class MagCache(Exporter):
    """Whole steps by the residual of all blocks, with a stock config of diffusers 0.42.1.

    MagCache adds up |1 - product of ratios| since the last computed step and computes when that
    passes the threshold: a ratio of 1 never does, a ratio of 3 does at once.
    """

    name: ClassVar[str] = "diffusers-magcache"
    label: ClassVar[str] = "diffusers MagCacheConfig (Python)"
    expresses: ClassVar[str] = "whole steps"

    def export(self, schedule: Schedule, stem: str) -> Exported:
        steps = to_steps(schedule, ends=False)
        ratios = ", ".join("3.0" if full else "1.0" for full in steps.mask)
        text = f"""from diffusers.hooks import MagCacheConfig, apply_mag_cache

apply_mag_cache(
    pipe.transformer,
    MagCacheConfig(
        threshold=1.0,
        max_skip_steps=1000000,
        retention_ratio=0.0,
        num_inference_steps={len(steps.mask)},
        # 3.0 computes the step, 1.0 reuses it
        mag_ratios=[{ratios}],
    ),
)
"""
        notes = (
            f"Run {len(steps.mask)} steps, and every run to its end: a DiT has no reset, so a run "
            "that is stopped or has another number of steps shifts the next one, without a word.",
        )
        return Exported(f"{stem}-magcache.py", text, steps.losses, steps.projected, notes)
