"""Final hidden: the last hidden state of an earlier step goes through the final layer again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from caching.actions.base import Hidden, Key, Kind, StepAction, StepRun

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FinalHidden(StepAction):
    """h = the hidden state after the last block at the last step that ran all blocks.

    InvarDiff's step cache (arXiv 2512.05134). The hidden state itself is kept, not what the blocks
    added: the step sees nothing of its own latents, only of its timestep and label, through the
    modulation of the final layer.
    """

    name: ClassVar[str] = "hidden"
    letter: ClassVar[str] = "H"
    label: ClassVar[str] = "final hidden state"
    kind: ClassVar[Kind] = "hidden"
    embeds: ClassVar[bool] = False

    def covers(self, blocks: int) -> range:
        return range(blocks)

    def remembers(self, blocks: int) -> tuple[Key, ...]:
        return (Hidden(),)

    def run(self, step: StepRun) -> Tensor:
        ((_, hidden), *_) = step.recall(Hidden())
        return step.head(hidden)
