"""What a schedule costs: exact multiply-accumulates, cache memory, network evaluations."""

from dataclasses import dataclass

import numpy as np
import torch

from caching.engine.executor import peak_cells
from caching.models.model import Model
from caching.schedule import Schedule


@dataclass(frozen=True)
class Cost:
    """Exact, from the schedule and the model's shapes alone.

    `macs` counts multiply-accumulates of every product of the transformer, both guidance passes and
    all images; papers often print the same number as "FLOPs". Autoencoder and sampler are not in
    it.
    Caching leaves `nfe` unchanged: a step whose cells are all reused still is an evaluation.
    """

    macs: int
    macs_full: int
    nfe: int  # network evaluations: steps x guidance passes
    cache_mib: float  # largest amount of cached branch outputs held at once

    @property
    def work(self) -> float:
        """Share of the full run's multiply-accumulates, 0..1."""
        return self.macs / self.macs_full


def branch_macs(model: Model) -> np.ndarray:
    """Multiply-accumulates of each branch for one image and one pass, int64 (L, R)."""
    family = model.family
    rows = [
        [family.branch_macs(block, r) for r in range(len(family.branches))]
        for block in range(family.blocks)
    ]
    return np.array(rows, np.int64)


def cost_of(model: Model, schedule: Schedule, *, images: int = 1, passes: int = 2) -> Cost:
    """Cost of running `schedule` for `images` pictures with `passes` guidance passes."""
    steps = len(schedule.actions)
    cells = branch_macs(model)
    fixed = steps * model.family.fixed_macs()
    rows = images * passes
    computed = int(((schedule.actions == 0) * cells).sum())
    cell_bytes = (
        rows * model.family.tokens * model.family.width * torch.finfo(model.dtype).bits // 8
    )
    return Cost(
        macs=rows * (fixed + computed),
        macs_full=rows * (fixed + steps * int(cells.sum())),
        nfe=steps * passes,
        cache_mib=peak_cells(schedule.actions) * cell_bytes / 2**20,
    )


def steps_of_same_work(model: Model, schedule: Schedule) -> int:
    """The honest rival: how many plain steps cost as much as `schedule` (nearest, at least 1)."""
    return max(1, round(len(schedule.actions) * cost_of(model, schedule).work))
