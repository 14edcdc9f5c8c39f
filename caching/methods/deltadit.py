"""Δ-DiT: what the rear blocks add is reused early, what the front blocks add is reused late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from caching.actions.residual import Residual
from caching.methods.base import Method, Plan, Setting, Source, number, whole
from caching.policies.spaced import widening


@dataclass(frozen=True)
class DeltaDiT(Method):
    """Δ-DiT (arXiv 2406.01125), of which only its abstract and others' words are known here.

    Front blocks shape the outline and rear blocks the details, so while the outline forms (before
    the switch) the Δ of the rear blocks is reused, and afterwards that of the front blocks: x plus
    what the blocks added at the last full step. Steps 0, N, 2N ... are full. The defaults are
    chosen here.
    """

    interval: int = whole(2, 1, 20, "N", "one step in N runs all blocks")
    share: float = number(0.75, 0, 1, "cached", "share of the blocks that is reused")
    switch: float = number(0.5, 0, 1, "switch", "share of the steps after which the front is")

    name = "deltadit"
    title = "Δ-DiT"
    about = (
        "Reuses what the rear blocks add in the early steps and what the front blocks add in the "
        "late ones; one step in N runs whole."
    )
    source = Source(
        "Δ-DiT: A Training-Free Acceleration Method Tailored for Diffusion Transformers",
        2024, "2406.01125",
    )  # fmt: skip
    faithfulness = "analogue"
    because = (
        "No official code was found and only the idea is known here: rear blocks early, front "
        "blocks late, their residual reused, with a switch and a share chosen here."
    )
    tunes = "interval"

    def plan(self, setting: Setting) -> Plan:
        steps, blocks = setting.steps, setting.blocks
        cached, at = round(self.share * blocks), np.arange(steps)
        reused = (at % self.interval != 0) & (cached > 0)
        early = at < round(self.switch * steps)
        schedule = setting.full()
        live = blocks - cached
        for where, action in ((early, Residual(live, 0)), (~early, Residual(0, live))):
            if (reused & where).any():
                schedule = schedule.paint_steps(reused & where, action)
        return Plan(schedule)

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """More blocks at N = 2, then larger N, then more blocks at the largest."""
        blocks = setting.blocks
        rungs = widening(range(blocks + 1), range(2, 21), round(self.share * blocks))
        return tuple(replace(self, interval=n, share=k / blocks) for n, k in rungs)
