"""Residual: what a range of blocks added at its last computed step is added again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from caching.actions.base import Delta, Key, Kind, StepAction, StepRun
from caching.errors import ScheduleError
from caching.fields import whole_field

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Residual(StepAction):
    """x = x + (x after the range - x before it, at the last step that ran the range).

    The first `first` and last `last` blocks run by the grid; the blocks between them are the range.
    With 0 and 0 it is the stack residual of TeaCache (arXiv 2411.19108), MagCache (2506.09045) and
    SenCache (2602.24208); with 1 and 0 FBCache; with n and m DBCache (cache-dit). The same delta
    over a range of the blocks is what DeepCache (2312.00858), Delta-DiT (2406.01125) and
    ProfilingDiT (2504.03140) reuse, each by its own rule for the range. The delta is taken after
    the gates, unlike a reused cell.
    """

    first: int = 0
    last: int = 0

    name: ClassVar[str] = "residual"
    letter: ClassVar[str] = "S"
    label: ClassVar[str] = "block residual"
    kind: ClassVar[Kind] = "delta"

    def __post_init__(self) -> None:
        whole_field(self, "first", 0, 255)
        whole_field(self, "last", 0, 255)

    def covers(self, blocks: int) -> range:
        return range(self.first, blocks - self.last)

    def remembers(self, blocks: int) -> tuple[Key, ...]:
        return (Delta(self.first, blocks - self.last),)

    def check(self, blocks: int) -> None:
        if self.first + self.last >= blocks:
            raise ScheduleError(
                f"{self.name}: the first {self.first} and last {self.last} blocks are computed, "
                f"and the model has {blocks}: expected at least one block between them"
            )

    def run(self, step: StepRun) -> Tensor:
        start, stop = self.first, step.blocks - self.last
        x = step.through(step.embed(), 0, start)
        ((_, delta), *_) = step.recall(Delta(start, stop))
        return step.head(step.through(x + delta, stop, step.blocks))
