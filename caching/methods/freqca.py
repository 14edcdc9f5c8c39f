"""After FreqCa: low frequencies of the stack residual reused, high frequencies forecast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from caching.actions.bands import Bands
from caching.methods.base import Method, Plan, Setting, Source, number, whole
from caching.policies.taylorseer import taylorseer


@dataclass(frozen=True)
class AfterFreqCa(Method):
    """An analogue of FreqCa (arXiv 2510.08669), published for FLUX and Qwen-Image.

    Steps 0..first-1 are full and then one step in N; at the others nothing runs, and what all
    blocks added is made of the last full step's low band and of a parabola through the last three
    full steps' high bands (`Bands`). The band's edge and the defaults are chosen here.
    """

    interval: int = whole(3, 1, 20, "N", "one step in N is full")
    first: int = whole(3, 1, 100, "first", "full steps at the start; three make a parabola")
    low: float = number(0.5, 0, 1, "low band", "share of the frequencies along each axis")

    name = "freqca"
    title = "After FreqCa"
    about = (
        "At reused steps the low frequencies of what all blocks added are those of the last full "
        "step, the high ones a second-order forecast."
    )
    source = Source(
        "FreqCa: Accelerating Diffusion Models via Frequency-Aware Caching",
        2025, "2510.08669",
    )  # fmt: skip
    faithfulness = "analogue"
    because = (
        "Only its abstract was at hand: its two bands of the cumulative residual are here, the cut "
        "between them and the handling of time are choices made here."
    )
    tunes = "interval"

    def plan(self, setting: Setting) -> Plan:
        beat = taylorseer(setting.steps, 1, self.interval, first=self.first)
        computed = beat.computed.all(axis=(1, 2))
        return Plan(setting.full().paint_steps(~computed, Bands(self.low)))

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """Every number of full steps that can be had, each with as few of them first as can be."""
        steps = setting.steps
        found: dict[int, tuple[int, int]] = {}
        for first in range(self.first, max(self.first, min(100, steps)) + 1):
            for interval in range(2, 21):
                full = first + max(0, steps - first) // interval
                found.setdefault(full, (interval, first))
        return tuple(
            replace(self, interval=n, first=k) for _, (n, k) in sorted(found.items(), reverse=True)
        )
