"""ProfilingDiT: the blocks whose attention is spread like a background's are reused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caching.actions.residual import Residual
from caching.methods.base import Method, Plan, Setting, Source, choice, number, whole
from caching.policies.spaced import widening
from caching.predictors.reuse import Reuse

if TYPE_CHECKING:
    from caching.models.model import Model

WARM_UP = 6 / 50
"""Share of the steps computed at the start."""


@dataclass(frozen=True)
class ProfilingDiT(Method):
    """ProfilingDiT (arXiv 2504.03140), published for video models.

    It finds blocks that attend rather to the background, always computes the others, and adds what
    a range of listed blocks added at the last full step. For HunyuanVideo it lists 24 of 40 blocks,
    computes the first 6 of 50 steps and then 6, 18, 26, 32, 38, 42, 46 and 48. Pictures of one
    class have no mask of a background, so blocks are classified by how much the attention that
    tokens receive gathers on few of them; those with the most even attention count as background.
    "range" reuses what the most even consecutive range of blocks added, "cells" the branch outputs
    of the most even blocks wherever they lie. The beat is one step in N.
    """

    share: float = number(0.6, 0, 1, "cached", "share of the blocks that is reused")
    interval: int = whole(4, 1, 10, "N", "one step in N runs all blocks after the first 12 %")
    unit: str = choice("range", ("range", "cells"), "reuses", "one range's residual, or branches")

    name = "profilingdit"
    title = "ProfilingDiT"
    about = (
        "Reuses the blocks whose attention is spread most evenly, as if they looked at the "
        "background, and computes the others at every step."
    )
    source = Source(
        "Model Reveals What to Cache: Profiling-Based Feature Reuse for Video Diffusion Models",
        2025, "2504.03140", "GeekGuru123/ProfilingDiT",
    )  # fmt: skip
    faithfulness = "analogue"
    because = (
        "The paper sorts a video model's blocks by attention to foreground and background masks; "
        "here, without masks, by how evenly attention is spread over the tokens of full runs."
    )
    needs = "calibration"
    tunes = "share"

    def plan(self, setting: Setting) -> Plan:
        steps, blocks = setting.steps, setting.blocks
        cached, at = round(self.share * blocks), np.arange(steps)
        first = max(1, math.ceil(WARM_UP * steps))
        reused = (at >= first) & ((at - first + 1) % self.interval != 0)
        if not cached or not reused.any():
            return Plan(setting.full())
        gathered = setting.measured("profilingdit", attention)
        if self.unit == "range":
            start = most_even(gathered, cached)
            words = f"Reused as one: blocks {start} to {start + cached - 1}."
            action = Residual(start, blocks - start - cached)
            return Plan(setting.full().paint_steps(reused, action), notes=(words,))
        chosen = np.sort(np.argsort(gathered, kind="stable")[:cached])
        cells = np.zeros((steps, blocks, len(setting.branches)), bool)
        cells[np.ix_(reused, chosen)] = True
        words = f"Reused: blocks {', '.join(map(str, chosen.tolist()))}."
        return Plan(setting.full().paint(cells, Reuse()), notes=(words,))

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """More blocks at N = 2, then larger N, then more blocks at the largest."""
        blocks = setting.blocks
        rungs = widening(range(blocks + 1), range(2, 11), round(self.share * blocks))
        return tuple(replace(self, interval=n, share=k / blocks) for n, k in rungs)


def most_even(gathered: NDArray[np.floating], count: int) -> int:
    """Where the `count` consecutive blocks start whose attention is least gathered in sum."""
    sums = np.convolve(gathered, np.ones(count), "valid")
    return int(sums.argmin())


def attention(model: Model, **asked: Any) -> NDArray[np.floating]:
    """How much each block's attention gathers on few tokens (L,) in full runs; see `profiled`."""
    from caching.measure.profiles import Attention, profiled

    found: NDArray[np.floating] = profiled(model, Attention, **asked)
    return found
