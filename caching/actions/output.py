"""Output: the transformer is not called; what it changed in the latents is changed again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from caching.actions.base import Key, Kind, Pair, StepAction, StepRun

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class OutputReuse(StepAction):
    """v = x + (v1 - x1), with x1 and v1 latents and output of the last step that ran all blocks.

    EasyCache (arXiv 2507.02860), on the raw input and output of the transformer. The difference is
    taken over the channels of the prediction; variance channels behind them, which that model does
    not have, are used again as they were.
    """

    name: ClassVar[str] = "output"
    letter: ClassVar[str] = "O"
    label: ClassVar[str] = "output difference"
    kind: ClassVar[Kind] = "output"
    embeds: ClassVar[bool] = False
    heads: ClassVar[bool] = False

    def covers(self, blocks: int) -> range:
        return range(blocks)

    def remembers(self, blocks: int) -> tuple[Key, ...]:
        return (Pair(),)

    def run(self, step: StepRun) -> Tensor:
        import torch

        ((_, (before, output)), *_) = step.recall(Pair())
        channels = before.shape[1]
        prediction = step.latents + (output[:, :channels] - before)
        return torch.cat([prediction, output[:, channels:]], dim=1)
