"""Step masks: a 1 or 0 per step, as a list or in the settings of cache-dit and its relatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from caching.actions.residual import Residual
from caching.context import Context
from caching.errors import ScheduleError
from caching.fields import choice_field, whole_field
from caching.formats.importers.base import EXECUTION, Importer, Reading, Shape, flags, grid_of
from caching.formats.importers.procache import ProCache
from caching.formats.importers.settings import has_mask, settings_of
from caching.formats.importers.source import Source
from caching.schedule import Schedule


@dataclass(frozen=True)
class StepMask(Importer):
    """1 computes the step, 0 reuses it, in execution order.

    A bare list says nothing of what is reused: every branch output, unless `rows` is "residual".
    cache-dit (`steps_computation_mask` in YAML, Python or JSON, also by policy name at its 28
    steps), SGLang (`SGLANG_CACHE_DIT_SCM_…_BINS`) and stable-diffusion.cpp (`--scm-mask`) add what
    the blocks between the first Fn and the last Bn added before, after the gates: a whole-step
    action. `first` and `last` stand for Fn and Bn where "residual" is asked for a bare list; with
    "cells" the branch outputs are reused whatever the file says.
    """

    rows: str = "auto"
    first: int = 0
    last: int = 0

    name: ClassVar[str] = "step-mask"
    label: ClassVar[str] = "step mask (cache-dit and others)"
    source: ClassVar[str] = "cache-dit, Apache-2.0"

    def __post_init__(self) -> None:
        choice_field(self, "rows", ("auto", "cells", "residual"))
        whole_field(self, "first", 0, 255)
        whole_field(self, "last", 0, 255)

    @classmethod
    def sniff(cls, source: Source) -> bool:
        value = source.value
        if isinstance(value, list):
            nested = bool(value) and isinstance(value[0], list)
            return not nested and not ProCache.sniff(source)
        return has_mask(source.text) or _is_flags(source)

    def read(self, source: Source, shape: Shape) -> Reading:
        settings, understood, lost = None, [], []
        if isinstance(source.value, list):
            mask = flags(source.value, "the mask")
        elif _is_flags(source) and source.array is not None:
            mask = source.array.astype(bool)
        else:
            settings = settings_of(source.text)
            mask = np.array(settings.mask, bool)
            understood, lost = list(settings.understood), list(settings.lost)
        blocks = shape.settle(None, "the mask")
        first, last = (settings.first, settings.last) if settings else (self.first, self.last)
        as_residual = self.rows == "residual" or (self.rows == "auto" and settings is not None)
        if not as_residual:
            computed = np.broadcast_to(
                mask[:, None, None], (len(mask), blocks, len(shape.branches))
            )
            if settings is not None:
                lost.append(
                    "what is reused there is what the blocks added, after the gates; here it is "
                    "every branch output before its gate"
                )
            schedule, forced = grid_of(computed, shape.branches, note="from a step mask")
            understood.append("A step with 0 reuses every branch output.")
            return Reading(schedule, EXECUTION, tuple(understood), forced, tuple(lost))
        if first + last >= blocks:
            raise ScheduleError(
                f"the first {first} and last {last} blocks are always computed, and the model has "
                f"{blocks}: nothing would be reused; expected fewer, for instance "
                "Fn_compute_blocks 1"
            )
        schedule = _with_residual(mask, blocks, shape, Residual(first, last))
        understood.append(
            f"A step with 0 adds what blocks {first} to {blocks - last - 1} added at the last full "
            "step, after the gates."
        )
        forced = 0 if mask[0] else (blocks - first - last) * len(shape.branches)
        return Reading(schedule, EXECUTION, tuple(understood), forced, tuple(lost))


def _with_residual(
    mask: NDArray[np.bool_], blocks: int, shape: Shape, action: Residual
) -> Schedule:
    context = Context(len(mask), note="from a step mask", reuse="after gate")
    full = Schedule.full(len(mask), blocks, branches=shape.branches, context=context)
    reused = ~mask
    reused[0] = False
    return full.paint_steps(reused, action) if reused.any() else full


def _is_flags(source: Source) -> bool:
    """Whether it is an .npy file of booleans (S,)."""
    try:
        array: NDArray[Any] | None = source.array
    except ScheduleError:
        return False
    return array is not None and array.ndim == 1 and array.dtype == np.bool_
