"""The time embeddings of all blocks at once: two products where diffusers makes two for each block.

Every block of a diffusers DiT has a time embedding of its own, a small perceptron over the same
sines. Side by side they are one product, then one batched product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class TimeEmbedding:
    """SiLU perceptrons of L blocks over sines of the timestep.

    The weights of the blocks become views of one tensor each, so that none is held twice.
    """

    @torch.no_grad()
    def __init__(self, embedders: Sequence[Any]) -> None:
        self.proj = embedders[0].time_proj  # sines without weights, alike in every block
        first = [e.timestep_embedder.linear_1 for e in embedders]
        second = [e.timestep_embedder.linear_2 for e in embedders]
        self.blocks = len(first)
        self.up = torch.cat([p.weight for p in first])  # (L D, 256)
        self.up_bias = torch.cat([p.bias for p in first])
        self.down = torch.stack([p.weight for p in second])  # (L, D, D)
        self.down_bias = torch.stack([p.bias for p in second])[:, None]  # (L, 1, D)
        for i, (a, b) in enumerate(zip(first, second, strict=True)):
            a.weight.data = self.up.chunk(self.blocks)[i]
            a.bias.data = self.up_bias.chunk(self.blocks)[i]
            b.weight.data, b.bias.data = self.down[i], self.down_bias[i, 0]

    def __call__(self, timesteps: Tensor) -> Tensor:
        """Timesteps (S,) -> embeddings (L, S, D)."""
        sines = self.proj(timesteps).to(self.up.dtype)  # (S, 256)
        h = F.silu(F.linear(sines, self.up, self.up_bias)).view(len(sines), self.blocks, -1)
        return torch.baddbmm(self.down_bias, h.transpose(0, 1), self.down.transpose(1, 2))
