"""PAB: attention reused for a few steps in the middle of the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from caching.methods.base import Method, Plan, Setting, Source, whole
from caching.methods.ordering import by_work
from caching.policies.timed import column, even_timesteps


@dataclass(frozen=True)
class PyramidAttentionBroadcast(Method):
    """PAB (arXiv 2408.12588), as diffusers has it: attention only, and by timestep.

    Strictly between two timesteps attention is computed where s % N == 0 and reused elsewhere.
    diffusers' spatial attention has N = 2 and timesteps 100 to 800. Timesteps are taken to fall
    evenly from 999 to 0, as in DiT's own samplers.
    """

    interval: int = whole(2, 2, 20, "N", "one step in N computes attention")
    low: int = whole(100, -1, 1000, "from t", "timesteps below always compute")
    high: int = whole(800, -1, 1000, "to t", "timesteps above always compute")

    name = "pab"
    title = "Pyramid Attention Broadcast"
    about = "Reuses attention outputs in the middle of the run and computes every feed-forward."
    source = Source(
        "Real-Time Video Generation with Pyramid Attention Broadcast",
        2024, "2408.12588", "NUS-HPC-AI-Lab/VideoSys", "Apache-2.0",
    )  # fmt: skip
    faithfulness = "recalibrated here"
    because = (
        "Published for video models, whose spatial, temporal and cross attention have a range "
        "each; an image DiT has the spatial one alone, so no pyramid is left."
    )
    tunes = "interval"

    def plan(self, setting: Setting) -> Plan:
        t, s = even_timesteps(setting.steps), np.arange(setting.steps)
        reused = (s > 0) & (self.low < t) & (t < self.high) & (s % self.interval != 0)
        cells = np.zeros(setting.full().actions.shape, bool)
        cells[reused, :, column(setting.branches, "attn")] = True
        return Plan(setting.full().paint(cells, 1))

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """Larger N, in the chosen range of timesteps and in wider ones, in order of their work.

        None that one with a smaller N undercuts: older outputs cost more than a wider range does.
        """
        ranges = ((self.low, self.high), (50, 900), (-1, 1000))
        found = [
            replace(self, interval=n, low=min(self.low, low), high=max(self.high, high))
            for low, high in ranges
            for n in range(2, 21)
        ]
        kept: list[PyramidAttentionBroadcast] = []
        for rung in reversed(by_work(setting, found)):
            assert isinstance(rung, PyramidAttentionBroadcast)
            if not kept or rung.interval <= kept[-1].interval:
                kept.append(rung)
        return tuple(reversed(kept))
