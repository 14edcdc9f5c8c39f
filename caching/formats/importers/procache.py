"""ProCache's pattern: one number per step, 1 full, 0 reused, 2 with tokens in the deep blocks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from caching.checks import MAX_STEPS, check_count
from caching.errors import ScheduleError
from caching.fields import choice_field, number_field
from caching.formats.importers.base import EXECUTION, Importer, Reading, Shape, grid_of
from caching.formats.importers.source import Source
from caching.predictors.reuse import Reuse
from caching.predictors.tokens import Tokens
from caching.schedule import Schedule

# Of DiT-XL's 28 blocks, those from 21 on.
DEEP = 21 / 28


@dataclass(frozen=True)
class ProCache(Importer):
    """[1, 0, 2, 0, …] in execution order, as a list of JSON or Python.

    ProCache (AAAI 2026, macovaseas/ProCache), whose code reads s[49 - step], hence execution
    order. In a step marked 2 the first three quarters of the blocks are reused and the others do a
    ToCa step: attention is reused and the feed-forward of the highest-scored tokens computed.
    `mixed` says what that becomes: "tokens", with one share for all steps and layers where the
    reference varies it around this mean; "compute", the deep feed-forward computed; or "reuse".
    """

    mixed: str = "tokens"
    fraction: float = 0.175

    name: ClassVar[str] = "procache"
    label: ClassVar[str] = "ProCache pattern"
    source: ClassVar[str] = "ProCache, AAAI 2026, GPL-3.0"

    def __post_init__(self) -> None:
        choice_field(self, "mixed", ("tokens", "compute", "reuse"))
        number_field(self, "fraction", 0.001, 1)

    @classmethod
    def sniff(cls, source: Source) -> bool:
        return _is_pattern(source.value) and 2 in source.value

    def read(self, source: Source, shape: Shape) -> Reading:
        if not _is_pattern(source.value):
            raise ScheduleError(
                "not a ProCache pattern: expected a list of 0, 1 and 2, one per step"
            )
        check_count("steps", len(source.value), MAX_STEPS)
        pattern = np.array(source.value)
        blocks = shape.settle(None, "the pattern")
        _, mlp = shape.pair("the pattern")
        deep = round(DEEP * blocks)
        computed = np.zeros((len(pattern), blocks, 2), bool)
        computed[pattern == 1] = True
        mixed = np.zeros_like(computed)
        mixed[pattern == 2, deep:, mlp] = True
        if self.mixed == "compute":
            computed |= mixed
        schedule, forced = grid_of(computed, shape.branches, note="from a ProCache pattern")
        mixed[0] = False
        if self.mixed == "tokens" and mixed.any():
            schedule = _with_tokens(schedule, mixed, self.fraction)
        steps = int((pattern == 2).sum())
        understood = (
            f"{int((pattern == 1).sum())} full steps, {int((pattern == 0).sum())} reused, {steps} "
            f"mixed: there blocks {deep} to {blocks - 1} do a ToCa step.",
        )
        lost = {
            "tokens": f"the share of tokens varies over steps and layers there and is "
            f"{self.fraction:g} here",
            "compute": "the deep feed-forward is computed whole here, and for some tokens there",
            "reuse": "the deep feed-forward is reused here, and computed for some tokens there",
        }[self.mixed]
        return Reading(schedule, EXECUTION, understood, forced, (lost,) if steps else ())


def _with_tokens(schedule: Schedule, mixed: Any, fraction: float) -> Schedule:
    legend = (Reuse(), Tokens(fraction))
    return dataclasses.replace(schedule, legend=legend).paint(mixed, 2)


def _is_pattern(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, int) and not isinstance(item, bool) for item in value)
        and set(value) <= {0, 1, 2}
    )
