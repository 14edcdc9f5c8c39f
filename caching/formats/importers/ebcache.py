"""EB-Cache's table: one number per step, 0 computes, 2 reuses, all else reuses attention alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from caching.actions.scale import ScaleEps
from caching.errors import ScheduleError
from caching.fields import number_field
from caching.formats.importers.base import Importer, Reading, Shape, grid_of
from caching.formats.importers.source import Source

ORDER = "the file counts downwards to the last executed step, which stands first: turned round"


@dataclass(frozen=True)
class EBCache(Importer):
    """`cache_table.npy`, whole numbers (S,), the last executed step first.

    EB-Cache / FEB-Cache (arXiv 2503.07120, aSleepyTree/EB-Cache), for 50 DDPM steps. Its code also
    divides the predicted noise by 0.965 at every step, which is not in the table: a `delta` other
    than 0 puts it into the step row.
    """

    delta: float = 0.0

    name: ClassVar[str] = "ebcache"
    label: ClassVar[str] = "EB-Cache table"
    source: ClassVar[str] = "EB-Cache, arXiv 2503.07120, no licence"

    def __post_init__(self) -> None:
        number_field(self, "delta", 0, 2)

    @classmethod
    def sniff(cls, source: Source) -> bool:
        return source.kind == "npy" and _is_table(source)

    def read(self, source: Source, shape: Shape) -> Reading:
        table = source.array
        if table is None or table.ndim != 1 or table.dtype.kind not in "iu":
            raise ScheduleError(
                "not an EB-Cache table: expected an .npy file of whole numbers (S,)"
            )
        blocks = shape.settle(None, "the table")
        attn, mlp = shape.pair("the table")
        table = table[::-1]
        computed = np.ones((len(table), blocks, 2), bool)
        computed[table != 0, :, attn] = False
        computed[table == 2, :, mlp] = False
        schedule, forced = grid_of(computed, shape.branches, note="from an EB-Cache table")
        counts = [int((table == 0).sum()), int((table == 2).sum())]
        understood = [
            f"{counts[0]} steps compute both branches, {counts[1]} reuse both, "
            f"{len(table) - sum(counts)} reuse attention alone."
        ]
        if not self.delta:
            lost = ("EB-Cache also divides the predicted noise by 0.965 (delta=0.965 adds it)",)
            return Reading(schedule, ORDER, tuple(understood), forced, lost)
        schedule = schedule.paint_steps(np.ones(len(table), bool), ScaleEps(self.delta))
        understood.append(f"The predicted noise is divided by {self.delta:g} at every step.")
        return Reading(schedule, ORDER, tuple(understood), forced)


def _is_table(source: Source) -> bool:
    """Whether it has one dimension, and no booleans; so has a broken file, which `read` refuses."""
    try:
        array = source.array
    except ScheduleError:
        return True
    return array is not None and array.ndim == 1 and array.dtype.kind != "b"
