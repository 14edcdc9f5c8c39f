"""The parts of a DiT block that the loop works with, and the small operations on them.

Shapes: N batch, T tokens, D width, k chosen tokens.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.activations import GEGLU, GELU, ApproximateGELU, LinearActivation, SwiGLU
from torch import Tensor, nn

from caching.errors import ModelError


@dataclass(frozen=True, eq=False)
class Part:
    """The tensors of one block that the loop touches."""

    qkv_weight: Tensor  # (3 D, D)
    qkv_bias: Tensor | None
    out: nn.Linear
    activation: Any  # up-projection and activation, whichever the config names
    down: nn.Linear
    embedder: nn.Module
    modulation: nn.Linear  # D -> 6 D
    norm_attn: nn.LayerNorm
    norm_mlp: nn.LayerNorm  # the one that a config may give weights


def part_of(index: int, block: Any) -> Part:
    """The part of a diffusers block; its q, k and v weights become views of one matrix."""
    attn, ff = block.attn1, block.ff.net
    if attn.norm_q is not None or attn.norm_k is not None or block.attn2 is not None:
        raise ModelError(
            f"block {index}: query/key norms or cross-attention were found, a DiT block has "
            "neither; load a class-conditional DiT (DiTTransformer2DModel)."
        )
    linears = (attn.to_q, attn.to_k, attn.to_v)
    with torch.no_grad():
        weight = torch.cat([p.weight for p in linears])
        bias = torch.cat([p.bias for p in linears]) if attn.to_q.bias is not None else None
        for i, p in enumerate(linears):
            p.weight.data = weight.chunk(3)[i]
            if bias is not None:
                p.bias.data = bias.chunk(3)[i]
    return Part(
        qkv_weight=weight,
        qkv_bias=bias,
        out=attn.to_out[0],
        activation=ff[0],
        down=ff[2],
        embedder=block.norm1.emb,
        modulation=block.norm1.linear,
        norm_attn=block.norm1.norm,
        norm_mlp=block.norm3,
    )


def activated(activation: Any, h: Tensor) -> Tensor:
    """What an activation of diffusers makes of its own projection's output (…, up)."""
    if isinstance(activation, GELU):
        return F.gelu(h, approximate=activation.approximate)
    if isinstance(activation, ApproximateGELU):
        return h * torch.sigmoid(1.702 * h)
    if isinstance(activation, (GEGLU, SwiGLU)):
        value, gate = h.chunk(2, dim=-1)
        return value * (F.gelu(gate) if isinstance(activation, GEGLU) else F.silu(gate))
    assert isinstance(activation, LinearActivation)  # FeedForward knows no other
    out: Tensor = activation.activation(h)
    return out


def picked(x: Tensor, rows: Tensor) -> Tensor:
    """Tokens `rows` (N, k) of x (N, T, D) -> (N, k, D)."""
    return x.gather(1, rows[..., None].expand(-1, -1, x.shape[-1]))
