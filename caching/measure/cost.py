"""What a schedule costs: exact multiply-accumulates, cache memory, network evaluations."""

from dataclasses import dataclass

import numpy as np
import torch

from caching.actions.base import Key, Pair
from caching.engine.plan import make_plan, peak_bytes
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


def step_macs(model: Model, schedule: Schedule) -> np.ndarray:
    """Multiply-accumulates of every step for one image and one of two passes, float64 (S,).

    A step that runs the conditional half of the batch counts half.
    """
    family = model.family
    cells = np.where(schedule.computed, branch_macs(model), 0)
    ran = ~schedule.covered
    for number, predictor in enumerate(schedule.legend, 1):
        where = (schedule.actions == number) & ran
        if where.any():
            own = [
                [predictor.macs(family, block, r) for r in range(len(family.branches))]
                for block in range(family.blocks)
            ]
            cells = cells + np.where(where, np.array(own, np.int64), 0)
    total = cells.sum(axis=(1, 2)) + float(family.fixed_macs())
    for number, action in enumerate(schedule.step_legend, 1):
        at = schedule.step_actions == number
        if not action.embeds:
            total[at] -= family.fixed_macs()
        if action.half:
            total[at] /= 2
    macs: np.ndarray = total
    return macs


def cache_bytes(model: Model, schedule: Schedule, rows: int) -> int:
    """The most bytes of outputs, memos and remembered values a run of `rows` rows holds at once."""
    family = model.family
    number_bytes = torch.finfo(model.dtype).bits // 8
    cell = rows * family.tokens * family.width * number_bytes
    plan = make_plan(schedule)
    branches = range(len(family.branches))
    memos = {
        n: [
            schedule.legend[n - 1].memo_elements(family, 0, r) * rows * number_bytes
            for r in branches
        ]
        for n in plan.memo_use
    }
    keys = {key: _key_bytes(model, key, rows, number_bytes) for key in plan.remembered}
    return peak_bytes(schedule, plan, cell_bytes=cell, memo_bytes=memos, key_bytes=keys)


def _key_bytes(model: Model, key: Key, rows: int, number_bytes: int) -> int:
    family = model.family
    if not isinstance(key, Pair):
        return rows * family.tokens * family.width * number_bytes
    channels, height, width = family.latent_shape
    outputs = channels * (2 if family.learned_sigma else 1)
    return rows * (channels + outputs) * height * width * number_bytes


def cost_of(model: Model, schedule: Schedule, *, images: int = 1, passes: int = 2) -> Cost:
    """Cost of running `schedule` for `images` pictures with `passes` guidance passes."""
    family, steps, rows = model.family, schedule.steps, images * passes
    full = steps * (family.fixed_macs() + int(branch_macs(model).sum()))
    half = [n for n, action in enumerate(schedule.step_legend, 1) if action.half]
    halves = int(np.isin(schedule.step_actions, half).sum())
    return Cost(
        macs=round(rows * float(step_macs(model, schedule).sum())),
        macs_full=rows * full,
        nfe=steps * passes - halves * (passes // 2),
        cache_mib=cache_bytes(model, schedule, rows) / 2**20,
    )


def steps_of_same_work(model: Model, schedule: Schedule) -> int:
    """The honest rival: how many plain steps cost as much as `schedule` (nearest, at least 1)."""
    return max(1, round(len(schedule.actions) * cost_of(model, schedule).work))
