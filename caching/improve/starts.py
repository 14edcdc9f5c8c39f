"""Other places to search from: what the budget's exact programs make of the same work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from caching.improve.score import Judge
from caching.measure.cost import branch_macs
from caching.policies.budget import Costs, Front, Share, at_speedup, budget_schedules, locks
from caching.policies.filled import filled_schedules
from caching.predictors.reuse import Reuse
from caching.schedule import Schedule

if TYPE_CHECKING:
    from caching.improve.search import Task

SHARES: tuple[Share, ...] = ("steps", "blocks", "free")


def starts(judge: Judge, task: Task) -> list[Schedule]:
    """Schedules of plain reuse that cost no more than the task's, best predicted first.

    None where this model's response is not known, where reuse is not allowed, or where some steps
    have actions of their own; cells that are locked stay as they are.
    """
    start, kept = task.schedule, judge.kept
    allowed = start.legend if task.brushes is None else task.brushes
    held = task.locked
    if kept is None or Reuse() not in allowed or start.step_actions.any():
        return []
    if held is not None and any(
        start.legend[n - 1] != Reuse() for n in set(start.actions[held].tolist()) if n
    ):
        return []
    limit = judge.work(start)
    found = []
    for front in _fronts(judge, start, held):
        one = replace(at_speedup(front, 1 / limit), context=None)
        if judge.work(one) <= limit * (1 + 1e-9):
            found.append(_in_terms_of(one, start))
    found = [one for one in dict.fromkeys(found) if one != start]
    return sorted(found, key=lambda one: -kept.predict(one).db)


def _fronts(judge: Judge, start: Schedule, held: np.ndarray | None) -> Iterator[Front]:
    assert judge.kept is not None
    response, model = judge.kept.response, judge.model
    macs = branch_macs(model).astype(np.float64)
    costs = Costs(float(model.family.fixed_macs()), macs, np.zeros_like(macs), "MACs")
    goal = [1.0, 1 / judge.work(start)]
    kept = None if held is None else locks(start, held)
    yield filled_schedules(
        response.error, response.span_error, costs,
        speedups=goal, locked=kept, branches=start.branches,
    )  # fmt: skip
    # A lock would hold for all that share a pattern, and could contradict another one.
    for share in SHARES if held is None else SHARES[-1:]:
        yield budget_schedules(
            response.error, costs,
            speedups=goal, share=share, locked=kept, spans=response.span_error,
            branches=start.branches,
        )  # fmt: skip


def _in_terms_of(one: Schedule, start: Schedule) -> Schedule:
    """The same cells with the legend of the start."""
    legend = tuple(dict.fromkeys((*start.legend, Reuse())))
    number = legend.index(Reuse()) + 1
    return replace(start, actions=np.where(one.computed, 0, number).astype(np.uint8), legend=legend)
