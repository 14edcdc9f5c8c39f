"""Batches smaller than a run's own, asked for before its steps: some families compile for each."""

from __future__ import annotations

import torch

from caching.dynamic.base import Decider
from caching.models.family import Conditioning, Family
from caching.schedule import Schedule


def make_ready(
    family: Family,
    given: Conditioning,
    schedule: Schedule,
    decider: Decider | None,
    *,
    rows: int,
) -> None:
    """Asks a family for every size of batch that steps may split theirs of `rows` into.

    What it makes on first use is then made here, and not within a step that is timed.
    """
    used = set(schedule.step_actions.tolist())
    if any(action.half for n, action in enumerate(schedule.step_legend, 1) if n in used):
        family.half(given)
    if decider is not None and decider.gates:
        for some in range(1, rows):
            family.chosen(given, torch.arange(some, device=family.device))
