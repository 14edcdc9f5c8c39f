"""What a schedule costs: exact multiply-accumulates, cache memory, network evaluations."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from caching.actions.base import Key, Pair, Probed
from caching.engine.plan import make_plan, peak_bytes, ran_cells, renewed_cells
from caching.engine.request import check_model, check_schedule, whole
from caching.models.model import Model
from caching.schedule import Schedule


@dataclass(frozen=True)
class Cost:
    """Exact, from the schedule and the model's shapes alone.

    `macs` counts multiply-accumulates of every product of the transformer, both guidance passes and
    all images; papers often print the same number as "FLOPs". Autoencoder and sampler are not in
    it.
    Caching leaves `nfe` unchanged: a step whose cells are all reused still is an evaluation; one
    that does not call the transformer at all is none.
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

    A step that runs the conditional half of the batch counts half, but for its modulation.
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
    if any(predictor.computes or predictor.watches for predictor in schedule.legend):
        cells = cells + _memo_macs(model, schedule)
    total = cells.sum(axis=(1, 2)) + float(family.fixed_macs())
    for number, action in enumerate(schedule.step_legend, 1):
        at = schedule.step_actions == number
        embedding, head = family.end_macs()
        total[at] -= (not action.embeds) * embedding + (not action.heads) * head
        if action.half:
            # Modulation is made for both halves; it is known before it is known who needs it.
            total[at] -= (total[at] - (family.fixed_macs() - embedding - head)) / 2
    macs: np.ndarray = total
    return macs


def _memo_macs(model: Model, schedule: Schedule) -> np.ndarray:
    """What memos and watching cost on top of the branches themselves, int64 (S, L, R)."""
    family, own = model.family, branch_macs(model)
    extra = np.zeros(schedule.actions.shape, np.int64)
    taken = np.zeros(schedule.actions.shape, np.int64)
    steps = np.arange(schedule.steps)[:, None, None]
    plan = make_plan(schedule)
    for number, watched in plan.watched.items():
        seen = [
            [
                schedule.legend[number - 1].watch_macs(family, block, r)
                for r in range(len(family.branches))
            ]
            for block in range(family.blocks)
        ]
        extra += np.where(watched, np.array(seen, np.int64), 0)
    for number, last_use in plan.memo_use.items():
        memo = [
            [
                schedule.legend[number - 1].memo_macs(family, block, r)
                for r in range(len(family.branches))
            ]
            for block in range(family.blocks)
        ]
        noted = last_use > steps
        extra += np.where(noted, np.array(memo, np.int64), 0)
        taken += noted
    # Every predictor that notes something computes the branch its own way.
    again: np.ndarray = extra + np.maximum(taken - 1, 0) * own
    return again


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
    _, whole = ran_cells(schedule)
    nothing = np.zeros_like(whole)
    notes = {}
    for n in plan.ends:
        cells = whole & (schedule.actions == n)
        computed = renewed_cells(schedule)
        watched = plan.watched.get(n, nothing)
        held = schedule.legend[n - 1].note_bytes(family, cells, computed, watched)
        if held is not None:
            notes[n] = held * rows
    return peak_bytes(
        schedule, plan, cell_bytes=cell, memo_bytes=memos, key_bytes=keys, note_bytes=notes
    )


def _key_bytes(model: Model, key: Key, rows: int, number_bytes: int) -> int:
    family = model.family
    if not isinstance(key, Pair):
        tensors = 2 if isinstance(key, Probed) else 1
        return tensors * rows * family.tokens * family.width * number_bytes
    channels, height, width = family.latent_shape
    outputs = channels * (2 if family.learned_sigma else 1)
    return rows * (channels + outputs) * height * width * number_bytes


# The last costs of every transformer: a production loop runs one schedule over and over.
_KNOWN: WeakKeyDictionary[Any, OrderedDict[Any, Cost]] = WeakKeyDictionary()
_LOCK = Lock()
MAX_KNOWN = 64


def cost_of(model: Model, schedule: Schedule, *, images: int = 1, passes: int = 2) -> Cost:
    """Cost of running `schedule` for `images` pictures with 1 or 2 guidance `passes`.

    Raises:
        ScheduleError: the schedule is for another number of blocks or other branches.
        RequestError: `images` or `passes` out of range, or no model or schedule.
    """
    check_model(model)
    check_schedule(schedule)
    images, passes = whole("images", images, 1, 2**31), whole("passes", passes, 1, 2)
    key = (schedule, images, passes)
    with _LOCK:
        known = _KNOWN.setdefault(model.family, OrderedDict())
        if key in known:
            known.move_to_end(key)
            return known[key]
    schedule.check_fits(blocks=model.blocks, branches=model.branches)
    cost = _cost_of(model, schedule, images, passes)
    with _LOCK:
        known[key] = cost
        while len(known) > MAX_KNOWN:
            known.popitem(last=False)
    return cost


def _cost_of(model: Model, schedule: Schedule, images: int, passes: int) -> Cost:
    family, steps, rows = model.family, schedule.steps, images * passes
    full = steps * (family.fixed_macs() + int(branch_macs(model).sum()))
    actions = list(enumerate(schedule.step_legend, 1))
    halves = np.isin(schedule.step_actions, [n for n, a in actions if a.half]).sum()
    none = np.isin(
        schedule.step_actions, [n for n, a in actions if not (a.embeds or a.heads)]
    ).sum()
    return Cost(
        macs=round(rows * float(step_macs(model, schedule).sum())),
        macs_full=rows * full,
        nfe=(steps - int(none)) * passes - int(halves) * (passes // 2),
        cache_mib=cache_bytes(model, schedule, rows) / 2**20,
    )


def steps_of_same_work(model: Model, schedule: Schedule) -> int:
    """The honest rival: how many plain steps cost as much as `schedule` (nearest, at least 1)."""
    return max(1, round(len(schedule.actions) * cost_of(model, schedule).work))
