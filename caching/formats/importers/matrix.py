"""A plain matrix of steps and blocks, as GOC's code holds it: 1 computes, 0 reuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from caching.checks import MAX_BLOCKS, MAX_STEPS
from caching.errors import ScheduleError
from caching.fields import number_field
from caching.formats.importers.base import EXECUTION, Importer, Reading, Shape, flags, grid_of
from caching.formats.importers.source import Source
from caching.predictors.trend import Trend


@dataclass(frozen=True)
class Matrix(Importer):
    """[[1, 1, …], [0, 0, …]] (S, L) in execution order, as JSON, Python or .npy; also (S, L, R).

    The form of `skip_matrix` in GOC (arXiv 2503.05156, qiujx0520/GOC_ICCV2025), where a block is
    cached as a whole. GOC moves what it reuses on by its trend, with eta = 1.2 for these matrices:
    an `eta` other than 0 puts that into the cells.
    """

    eta: float = 0.0

    name: ClassVar[str] = "matrix"
    label: ClassVar[str] = "matrix of steps and blocks (GOC)"
    source: ClassVar[str] = "GOC, arXiv 2503.05156, no licence"

    def __post_init__(self) -> None:
        number_field(self, "eta", 0, 4)

    @classmethod
    def sniff(cls, source: Source) -> bool:
        if source.kind == "npy":
            try:
                return source.array is not None and source.array.ndim > 1
            except ScheduleError:
                return False
        value = source.value
        return isinstance(value, list) and bool(value) and isinstance(value[0], list)

    def read(self, source: Source, shape: Shape) -> Reading:
        found = _from_array(source.array) if source.kind == "npy" else _from_lists(source.value)
        if not 1 <= len(found) <= MAX_STEPS or not 1 <= found.shape[1] <= MAX_BLOCKS:
            raise ScheduleError(
                f"the matrix is {found.shape}: expected up to {MAX_STEPS} steps and {MAX_BLOCKS} "
                "blocks"
            )
        blocks = shape.settle(found.shape[1], "the matrix")
        width = len(shape.branches)
        if found.ndim == 3 and found.shape[2] != width:
            raise ScheduleError(
                f"the matrix has {found.shape[2]} branches and the model {width}: expected the same"
            )
        whole = found if found.ndim == 3 else np.repeat(found[:, :, None], width, axis=2)
        assert whole.shape[1] == blocks
        schedule, forced = grid_of(whole, shape.branches, note="from a matrix of steps and blocks")
        if not self.eta:
            return Reading(schedule, EXECUTION, (), forced)
        reused = schedule.actions != 0
        painted = schedule.paint(reused, Trend(self.eta)).compact() if reused.any() else schedule
        said = f"Reused outputs are moved on by their trend, eta {self.eta:g} (GOC)."
        lost = "GOC leaves the trend out at steps chosen by hand; here every reused cell has it"
        return Reading(painted, EXECUTION, (said,), forced, (lost,))


def _from_array(array: NDArray[Any] | None) -> NDArray[np.bool_]:
    if array is None or array.ndim < 2 or not ((array == 0) | (array == 1)).all():
        raise ScheduleError("the array holds more than 0 and 1: expected 1 = compute, 0 = reuse")
    return array.astype(bool)


def _from_lists(value: Any) -> NDArray[np.bool_]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_STEPS:
        raise ScheduleError(f"not a matrix: expected a list for each of 1 to {MAX_STEPS} steps")
    rows = []
    for step, row in enumerate(value):
        cells = row if isinstance(row, list) and row and isinstance(row[0], list) else None
        if cells is None:
            rows.append(flags(row, f"step {step}", per="block"))
        else:
            if len(cells) > MAX_BLOCKS:
                raise ScheduleError(f"step {step} has {len(cells)} blocks: at most {MAX_BLOCKS}")
            parts = [flags(c, f"step {step}, block {b}", per="branch") for b, c in enumerate(cells)]
            if len({len(part) for part in parts}) > 1:
                raise ScheduleError(f"step {step} has blocks of unequal length: expected one")
            rows.append(np.array(parts, bool))
        if rows[-1].shape != rows[0].shape:
            raise ScheduleError(
                f"step {step} is {rows[-1].shape} and step 0 is {rows[0].shape}: expected the same "
                "number of blocks in all steps"
            )
    return np.array(rows, bool)
