"""One step of a model with soft mixing of stored and fresh outputs, which gradients flow through.

Shapes: L blocks, R branches, N batch, T tokens, D width; cells are counted block by block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from caching.models.family import Conditioning, Family


def forward(
    family: Family,
    latents: Tensor,
    given: Conditioning,
    s: int,
    *,
    stored: Sequence[Tensor] | None = None,
    weights: Tensor | None = None,
    stopped: Callable[[], bool] | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Output (N, C', h, w) of step `s`, and the computed output (N, T, D) of every cell.

    With `stored` and `weights` each branch gives `stored * (1 - w) + computed * w` before its gate.
    Gradients flow to the weights and through everything behind the first mixing; ask for those of
    the weights alone (`torch.autograd.grad`), since the model's own parameters want none.

    Args:
        latents: (N, C, h, w).
        stored: outputs of an earlier step, one (N, T, D) for each of the L R cells.
        weights: (L R,), 1 computes and 0 reuses.
        stopped: asked between two branches.

    Raises:
        Stopped: `stopped` said so.
    """
    import torch

    from caching.engine.executor import Stopped

    width, outputs = len(family.branches), []
    asked = torch.is_grad_enabled()
    with torch.no_grad():
        x = family.embed(latents)
    for cell in range(family.blocks * width):
        if stopped is not None and stopped():
            raise Stopped("the training was stopped between two branches.")
        block, r = divmod(cell, width)
        # Before the first mixing nothing depends on a weight; fused products have no derivative.
        with torch.set_grad_enabled(asked and x.requires_grad):
            out = family.branch(x, given, s, block, r)
        outputs.append(out)
        if stored is not None and weights is not None:
            out = stored[cell] + weights[cell] * (out - stored[cell])
        x = family.add(x, out, given, s, block, r)
    with torch.set_grad_enabled(asked and x.requires_grad):
        return family.head(x, given, s), outputs
