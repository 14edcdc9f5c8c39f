"""Probe: the first blocks run, and say how far to go along the last two stack residuals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from caching.actions.base import Key, Kind, Probed, StepAction, StepRun
from caching.errors import ScheduleError
from caching.fields import whole_field

if TYPE_CHECKING:
    from torch import Tensor

LEAST, MOST = 1.0, 1.5


@dataclass(frozen=True)
class ProbeResidual(StepAction):
    """x = x + R2 + gamma (R1 - R2), gamma = mean|P - P2| / mean|P1 - P2| within 1..1.5.

    DiCache's dynamic cache trajectory alignment (repository Bujiazi/DiCache). P is what the first
    `probe` blocks add at this step; P1, R1 and P2, R2 are what they and what all blocks added at
    the last and last but one step that ran all blocks. The means go over the whole batch, so a
    picture depends on those beside it. With one such step only it is x + R1, as there.
    """

    probe: int = 1

    name: ClassVar[str] = "probe"
    letter: ClassVar[str] = "D"
    label: ClassVar[str] = "probed residual"
    kind: ClassVar[Kind] = "delta"
    depth: ClassVar[int] = 2

    def __post_init__(self) -> None:
        whole_field(self, "probe", 1, 255)

    def covers(self, blocks: int) -> range:
        return range(self.probe, blocks)

    def remembers(self, blocks: int) -> tuple[Key, ...]:
        return (Probed(self.probe),)

    def check(self, blocks: int) -> None:
        if self.probe >= blocks:
            raise ScheduleError(
                f"probe: the first {self.probe} blocks are the probe, and the model has {blocks}: "
                "expected at least one block behind them; use a shorter probe"
            )

    def run(self, step: StepRun) -> Tensor:
        x = step.embed()
        probe = step.through(x, 0, self.probe) - x
        past = [value for _, value in step.recall(Probed(self.probe))]
        p1, r1 = past[0]
        if len(past) == 1:
            step.lowered()
            return step.head(x + r1)
        p2, r2 = past[1]
        # Left on its device: reading it would make a GPU wait. Two equal probes give 0 / 0.
        ratio = (probe - p2).abs().mean() / (p1 - p2).abs().mean()
        gamma = ratio.nan_to_num(LEAST).clip(LEAST, MOST)
        return step.head(x + r2 + gamma * (r1 - r2))
