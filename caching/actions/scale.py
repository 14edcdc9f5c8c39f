"""Scaled eps: the blocks run by the grid, and the predicted noise is divided by a constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from caching.actions.base import Kind, StepAction, StepRun
from caching.fields import number_field

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ScaleEps(StepAction):
    """eps = eps / delta, after the model: EB-Cache's correction of exposure bias.

    EB-Cache (arXiv 2503.07120) divides every prediction of a DDPM-50 run by 0.965 and caches by a
    table of its own; there is nothing to store, so step 0 may do it too. Where the model predicts
    something else than eps, what is returned is the prediction that means the divided eps for the
    same latents: with x = a clean + b eps, v = a eps - b clean and k = 1 / delta,

        v' = k v + (k - 1) (b / a) x,    clean' = k clean + (1 - k) x / a.

    Variance channels stay. Guidance may follow: its weights sum to 1, and all three are affine with
    the same x in both halves.
    """

    delta: float = 0.965

    name: ClassVar[str] = "scale"
    letter: ClassVar[str] = "E"
    label: ClassVar[str] = "scaled eps"
    kind: ClassVar[Kind] = "scale"
    at_first: ClassVar[bool] = True

    def __post_init__(self) -> None:
        number_field(self, "delta", 0.5, 2)

    def run(self, step: StepRun) -> Tensor:
        import torch

        output = step.head(step.through(step.embed(), 0, step.blocks))
        channels = step.latents.shape[1]
        alpha = step.timeline.alphas[step.s]
        scaled = divided(
            step.timeline.predicts,
            output[:, :channels].float(),
            step.latents.float(),
            alpha,
            self.delta,
        )
        return torch.cat([scaled.to(output.dtype), output[:, channels:]], dim=1)


def divided(predicts: str, output: Tensor, x: Tensor, alpha: float, delta: float) -> Tensor:
    """The prediction (N, C, h, w) whose eps is that of `output` divided by `delta`."""
    import torch

    a, b, k = alpha**0.5, (1 - alpha) ** 0.5, 1 / delta
    offset = {"v_prediction": (k - 1) * b / a, "sample": (1 - k) / a}.get(predicts, 0.0)
    return torch.add(k * output, x, alpha=offset)
