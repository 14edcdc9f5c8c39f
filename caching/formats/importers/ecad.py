"""ECAD's JSON: for every step, block and branch whether it is computed; True computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from caching.checks import MAX_BLOCKS, MAX_STEPS
from caching.errors import ScheduleError
from caching.formats.importers.base import (
    ALIASES,
    EXECUTION,
    Importer,
    Reading,
    Shape,
    grid_of,
)
from caching.formats.importers.source import Source


@dataclass(frozen=True)
class ECAD(Importer):
    """`cache_schedule.schedule["000"]["0"]["attn1"]`: steps in execution order, True = compute.

    ECAD (AniAggarwal/ecad), found by evolution for PixArt with branches attn1, attn2 and ff. A
    class-conditional DiT has no cross-attention, so attn2 is left out. The published schedules
    reuse one or two cells at step 0, which its blocks compute for want of anything stored.
    """

    name: ClassVar[str] = "ecad"
    label: ClassVar[str] = "ECAD schedule"
    source: ClassVar[str] = "ECAD, AniAggarwal/ecad, no licence"

    @classmethod
    def sniff(cls, source: Source) -> bool:
        return isinstance(source.value, dict) and "cache_schedule" in source.value

    def read(self, source: Source, shape: Shape) -> Reading:
        steps = _steps(source.value)
        found = len(next(iter(steps.values())))
        blocks = shape.settle(found, "the file")
        names = _names(steps)
        branches = {
            next((k for k, known in ALIASES.items() if name in known), name): name for name in names
        }
        missing = [branch for branch in shape.branches if branch not in branches]
        if missing:
            raise ScheduleError(
                f"the file has the branches {', '.join(names)}, and none is for {missing[0]}: "
                "expected one for every branch of the model; schedules for FLUX cannot be read"
            )
        computed = np.ones((len(steps), blocks, len(shape.branches)), bool)
        for s, step in enumerate(steps.values()):
            for block in range(blocks):
                for r, branch in enumerate(shape.branches):
                    computed[s, block, r] = step[str(block)][branches[branch]]
        lost = tuple(
            f"{name}: the model has no such branch; the file computes "
            f"{sum(block[name] for step in steps.values() for block in step.values())} of its cells"
            for branch, name in branches.items()
            if branch not in shape.branches
        )
        schedule, forced = grid_of(computed, shape.branches, note="from an ECAD schedule (PixArt)")
        understood = ("Made for PixArt, not judged on a class-conditional DiT.",)
        return Reading(schedule, EXECUTION, understood, forced, lost)


Steps = dict[str, dict[str, dict[str, bool]]]


def _steps(value: Any) -> Steps:
    """The steps "000", "001", … of the file, each with the same blocks and branches."""
    outer = value.get("cache_schedule") if isinstance(value, dict) else None
    steps = outer.get("schedule") if isinstance(outer, dict) else None
    if not isinstance(steps, dict) or not 1 <= len(steps) <= MAX_STEPS:
        raise ScheduleError(
            "cache_schedule has no schedule: expected an object with the steps 000, 001, …"
        )
    for s, (key, blocks) in enumerate(steps.items()):
        if key != f"{s:03d}":
            raise ScheduleError(
                f"step {key[:20]!r} stands where {s:03d} was expected: put in order"
            )
        if not isinstance(blocks, dict) or not 1 <= len(blocks) <= MAX_BLOCKS:
            raise ScheduleError(f"step {key} has no blocks: expected an object with 0, 1, …")
        for block in range(len(blocks)):
            cells = blocks.get(str(block))
            if not isinstance(cells, dict) or not all(isinstance(c, bool) for c in cells.values()):
                raise ScheduleError(
                    f"step {key}, block {block}: expected an object such as "
                    '{"attn1": true, "ff": false}; schedules for FLUX and those with functions of '
                    "their own (T-GATE) cannot be read"
                )
        if len(blocks) != len(next(iter(steps.values()))):
            raise ScheduleError(
                f"step {key} has {len(blocks)} blocks: expected as many as step 000"
            )
    _names(steps)
    return steps


def _names(steps: Steps) -> tuple[str, ...]:
    """The branches of every block, which are alike all over the file."""
    names = tuple(steps["000"]["0"])
    for key, blocks in steps.items():
        for block, cells in blocks.items():
            if set(cells) != set(names):
                raise ScheduleError(
                    f"step {key}, block {block} has the branches {', '.join(cells)[:60]}: expected "
                    f"{', '.join(names)[:60]}, as in step 000"
                )
    return names
