"""Whole steps topped up with single cells: which of both a budget gets, by hand."""

import numpy as np
import pytest

from caching.policies.budget import Costs
from caching.policies.filled import SINGLE, filled_schedules

EVEN = Costs(0.0, np.ones((1, 2)), np.zeros((1, 2)), "MACs")


def tables(cell, step):
    """4 steps of one block with two branches: one cell and one step are cheap, all others dear."""
    error = np.full((4, 1, 2, 3), 10.0)
    error[2, 0, 1, 0] = cell
    spans = np.where(np.arange(5) > np.arange(4)[:, None], 100.0, np.nan)
    spans[np.arange(4), np.arange(4) + 1] = 0.0
    spans[2, 4] = step  # the last one
    return error, spans


@pytest.mark.parametrize(
    ("cell", "step", "reused", "lost"),
    [
        (0.1, 2.0, [(2, 1)], SINGLE * 0.1),  # 7 of 8 cells are enough
        (0.1, 0.5, [(3, 0), (3, 1)], 0.5),  # a whole step less loses less than that cell counts
        (9.0, 2.0, [(3, 0), (3, 1)], 2.0),
    ],
)
def test_a_budget_gets_single_cells_or_a_whole_step_less(cell, step, reused, lost):
    error, spans = tables(cell, step)
    front = filled_schedules(error, spans, EVEN, speedups=[8 / 7])
    schedule = front.schedule(0)
    assert [(s, r) for s, _, r in np.argwhere(~schedule.computed)] == reused
    assert front.error[0] == pytest.approx(lost)
    assert front.speedup[0] == pytest.approx(8 / (8 - len(reused)))


def test_whole_steps_and_a_cell_together():
    error, spans = tables(0.1, 0.5)
    front = filled_schedules(error, spans, EVEN, speedups=[1.0, 4 / 3, 8 / 5])
    assert front.schedule(0).computed.all()
    assert (~front.schedule(1).computed).sum() == 2
    assert [tuple(c) for c in np.argwhere(~front.schedule(2).computed)] == [
        (2, 0, 1),
        (3, 0, 0),
        (3, 0, 1),
    ]


def test_locks_hold():
    error, spans = tables(0.1, 0.5)
    locked = np.zeros((4, 1, 2), np.uint8)
    locked[3], locked[1, 0, 0] = 1, 2  # the last step computed, one cell reused
    front = filled_schedules(error, spans, EVEN, speedups=[8 / 6], locked=locked)
    computed = front.schedule(0).computed
    assert computed[3].all()
    assert not computed[1, 0, 0]
    assert front.speedup[0] >= 8 / 6
