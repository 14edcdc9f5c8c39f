"""Block Caching: each block reused until its changes add up to a threshold, then corrected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from caching.methods.base import Method, Plan, Setting, Source, choice, number
from caching.policies.accumulated import accumulated
from caching.policies.spaced import geometric
from caching.predictors.affine import Affine
from caching.predictors.reuse import Reuse
from caching.schedule import Schedule


@dataclass(frozen=True)
class BlockCaching(Method):
    """Block Caching (arXiv 2312.03209), made for the blocks of U-Nets.

    A block's relative L1 change from step to step, mean over its branches and over full runs, is
    added up since it was last computed; the block is computed where the sum is above δ. The paper
    then trains a scale and a shift for every block and step by distillation; its training loss is
    not known here. Instead each channel gets the least-squares line of full runs (`Affine`). The
    paper's δ is chosen for each model; the default here computes about half of the steps.
    """

    threshold: float = number(0.25, 0, 6, "δ", "of a block's accumulated change", step=0.005)
    correction: str = choice(
        "on", ("on", "off"), "scale and shift", "what stands in is corrected as full runs have it"
    )

    name = "blockcaching"
    title = "Block Caching"
    about = (
        "Reuses each block until its changes in full runs add up to δ, and corrects what stands in "
        "with a scale and a shift for every channel."
    )
    source = Source(
        "Cache Me if You Can: Accelerating Diffusion Models through Block Caching",
        2023, "2312.03209",
    )  # fmt: skip
    faithfulness = "recalibrated here"
    because = (
        "The paper's schedule rule on transformer blocks instead of U-Net blocks; scale and shift "
        "are fitted by least squares on full runs where the paper trains them by distillation."
    )
    needs = "trace"
    tunes = "threshold"

    def plan(self, setting: Setting) -> Plan:
        change = setting.change()[..., 0].mean(axis=2)  # (S, L)
        computed = accumulated(change, self.threshold)
        shape = (setting.steps, setting.blocks, len(setting.branches))
        cells = np.broadcast_to(~computed[..., None], shape).astype(np.uint8)
        legend = (Affine() if self.correction == "on" else Reuse(),)
        return Plan(Schedule(cells, legend, setting.branches))

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """Thresholds spaced by ratio, since few lie at the large end."""
        return tuple(replace(self, threshold=t) for t in geometric(0.05, 6, 60))
