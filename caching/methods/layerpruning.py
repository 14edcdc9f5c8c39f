"""Layer pruning on demand: the last blocks are left out; what every caching method should beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from caching.methods.base import Method, Plan, Setting, Source, whole
from caching.predictors.skip import Skip


@dataclass(frozen=True)
class LayerPruning(Method):
    """Layer pruning on demand (arXiv 2106.09216), of speech recognisers trained to bear it.

    There the upper layers of an encoder can be dropped at run time because intermediate losses and
    stochastic depth have trained every depth. Here the last `pruned` blocks are left out from step
    `start` on, of a model that was never trained for it. Step 0 runs whole, as in every schedule.
    """

    pruned: int = whole(2, 0, 128, "blocks", "how many of the last blocks are left out")
    start: int = whole(1, 1, 99, "from step", "the first step that leaves them out")

    name = "layerpruning"
    title = "Layer pruning on demand"
    about = "Leaves the last blocks out from some step on; the negative control, nothing is cached."
    source = Source("Layer Pruning on Demand with Intermediate CTC", 2021, "2106.09216")
    faithfulness = "analogue"
    because = (
        "The paper prunes speech encoders trained for every depth; this model is not trained for "
        "it, so this is a negative control and no judgement of the paper."
    )
    tunes = "pruned"

    def plan(self, setting: Setting) -> Plan:
        cells = np.zeros((setting.steps, setting.blocks, len(setting.branches)), bool)
        pruned = min(self.pruned, setting.blocks)
        cells[self.start :, setting.blocks - pruned :] = True
        return Plan(setting.full().paint(cells, Skip()).compact())

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """One block more at a time."""
        return tuple(replace(self, pruned=n) for n in range(min(128, setting.blocks) + 1))
