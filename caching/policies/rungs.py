"""How much of a full run schedules do, by published weights, and ladders of interval methods."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from caching.engine.plan import make_plan
from caching.predictors.tokens import Tokens
from caching.schedule import Schedule

ATTN_SHARE = 0.357
"""Of a DiT block's multiply-accumulates at DiT-XL/2's size; the feed-forward has the rest."""


def nominal_work(schedule: Schedule) -> float:
    """About which share of a full run a schedule does, 0..1, without a model at hand.

    Cells count by branch, fresh tokens in proportion, attention that scores tokens one and a half
    times, and a step of half the batch half.
    """
    share = np.where(schedule.computed, 1.0, 0.0)
    ran = ~schedule.covered
    for number, predictor in enumerate(schedule.legend, 1):
        if isinstance(predictor, Tokens):
            share[(schedule.actions == number) & ran] = predictor.fraction
    for number, action in enumerate(schedule.step_legend, 1):
        if action.half:
            share[schedule.step_actions == number] /= 2
    attention = np.array([name == "attn" for name in schedule.branches])
    for watched in make_plan(schedule).watched.values():
        # Scores by attention take its queries and keys once more.
        share += 0.5 * (watched & attention)
    weights = [ATTN_SHARE if name == "attn" else 1 - ATTN_SHARE for name in schedule.branches]
    return float((share * weights).sum() / (share.size * np.mean(weights)))


def lead_ins(steps: int, first: int, intervals: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """(full steps at the start, interval), one for each number of full steps, most first.

    For methods that are full for the first steps and then once in an interval. The start is as
    short as the number of full steps lets it be, but not shorter than `first`. Half of the steps
    are every other one from step 0 on, where they would take a longer interval otherwise.
    """
    s = np.arange(steps)
    best: dict[int, tuple[int, int]] = {}
    for start in range(first, max(first, steps) + 1):
        for interval in sorted(intervals):
            count = int(((s < start) | ((s - start + 1) % interval == 0)).sum())
            best.setdefault(count, (start, interval))
    half = (steps + 1) // 2
    if 2 in intervals and best.get(half, (first, 2))[1] > 2:
        best[half] = (1, 2)
    return tuple(best[count] for count in sorted(best, reverse=True))
