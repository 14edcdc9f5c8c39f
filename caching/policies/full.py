"""Full: every cell computed, the run that all others are judged against."""

from __future__ import annotations

from collections.abc import Sequence

from caching.context import Context
from caching.schedule import BRANCHES, Schedule


def full(
    steps: int,
    blocks: int,
    *,
    branches: Sequence[str] = BRANCHES,
    context: Context | None = None,
) -> Schedule:
    """A schedule that computes everything, (S, L, R) all COMPUTE."""
    return Schedule.full(steps, blocks, branches=branches, context=context)
