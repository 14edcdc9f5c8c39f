"""A branch that a gate decides sample by sample: computed for some rows, estimated for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from caching.marks import PARTLY
from caching.predictors.base import Entry

if TYPE_CHECKING:
    from caching.engine.running import Gate, RunningStep


def gated(
    run: RunningStep, gate: Gate, x: Tensor, block: int, r: int, entries: tuple[Entry, ...]
) -> tuple[Tensor, int]:
    """The branch (N, T, D) as the gate wants it, and its executed mark.

    What is made of computed and estimated rows is stored as one output, as LazyDiT does.
    """
    executor, family, given, s = run.executor, run.executor.family, run.given, run.s
    z = family.modulated(x, given, s, block, r)
    kept = gate(z, s, block, r)
    run.extra_macs += z.numel()  # one product with the gate's weights
    rows = kept.nonzero()[:, 0]
    if len(rows) == len(x):
        return executor.compute(run, x, block, r, entries), 0
    number = run.row[block][r]
    out, _ = executor.estimate(run, x, block, r, number, entries)
    if not len(rows):
        return out, number
    fresh = family.branch(x[rows], family.chosen(given, rows), s, block, r)
    run.extra_macs += len(rows) * family.branch_macs(block, r)
    out = out.index_copy(0, rows, fresh)
    executor.store((block, r), Entry(s, out, True), entries, s)
    return out, PARTLY
