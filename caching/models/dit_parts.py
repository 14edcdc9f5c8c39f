"""The parts of a DiT block that the loop works with, and the small operations on them.

Shapes: N batch, T tokens, D width, k chosen tokens.
"""

from dataclasses import dataclass
from functools import cache
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
    embedder: Any
    modulation: nn.Linear  # D -> 6 D
    norm_attn: nn.LayerNorm
    norm_mlp: nn.LayerNorm  # the one that a config may give weights


def _columns(weight: Tensor) -> Tensor:
    """The same matrix, stored so that one input's weights lie together."""
    return weight.t().contiguous().t()


@torch.no_grad()
def part_of(index: int, block: Any) -> Part:
    """The part of a diffusers block; its q, k and v weights become views of one matrix.

    In float32 on a CPU the matrices of the block are stored by columns from then on, which is how
    oneDNN reads them without a copy of its own. The module computes with them as before.
    """
    attn, ff = block.attn1, block.ff.net
    if attn.norm_q is not None or attn.norm_k is not None or block.attn2 is not None:
        raise ModelError(
            f"block {index}: query/key norms or cross-attention were found, a DiT block has "
            "neither; load a class-conditional DiT (DiTTransformer2DModel)."
        )
    linears = (attn.to_q, attn.to_k, attn.to_v)
    weight = torch.cat([p.weight for p in linears])
    bias = torch.cat([p.bias for p in linears]) if attn.to_q.bias is not None else None
    if fuses(weight) and weight.dtype == torch.float32:
        weight = _columns(weight)
        for p in (attn.to_out[0], ff[0].proj, ff[2], block.norm1.linear):
            p.weight.data = _columns(p.weight.data)
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


# -- products ------------------------------------------------------------------------------


def _fused(x: Tensor, weight: Tensor, bias: Tensor | None, attr: str, algorithm: str) -> Tensor:
    """oneDNN's linear with an activation in the same pass; what torch.compile itself emits."""
    rows = x.reshape(-1, x.shape[-1])  # two dimensions spare the operator a copy of its own
    linear = torch.ops.mkldnn._linear_pointwise.default
    out: Tensor = linear(rows, weight, bias, attr, [], algorithm)
    return out.view(*x.shape[:-1], -1)


@cache
def _fuses(dtype: torch.dtype) -> bool:
    """Whether oneDNN's linear is there and right; it is no public operator of torch."""
    generator = torch.Generator().manual_seed(0)
    x, w, b = (torch.randn(s, generator=generator).to(dtype) for s in ((2, 3, 8), (16, 8), (16,)))
    try:
        got = _fused(x, w, b, "gelu", "tanh"), _fused(x, _columns(w), None, "none", "")
    except (AttributeError, RuntimeError):
        return False
    expected = F.gelu(F.linear(x, w, b), approximate="tanh"), F.linear(x, w)
    near = 1e-5 if dtype == torch.float32 else 0.05
    pairs = zip(got, expected, strict=True)
    return all(torch.allclose(a, b, rtol=near, atol=near) for a, b in pairs)


def fuses(weight: Tensor) -> bool:
    """Whether products with `weight` can go to oneDNN's fused linear."""
    fit = weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.bfloat16)
    return fit and _fuses(weight.dtype)


def dense(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """F.linear by oneDNN, for weights that `fuses` takes."""
    if x.requires_grad:
        return F.linear(x, weight, bias)  # oneDNN's has no derivative
    return _fused(x, weight, bias, "none", "")


def dense_up(activation: Any, x: Tensor) -> Tensor:
    """What an activation of diffusers returns for x, likewise."""
    up = activation.proj
    if isinstance(activation, GELU) and not x.requires_grad:
        return _fused(x, up.weight, up.bias, "gelu", activation.approximate)
    return activated(activation, dense(x, up.weight, up.bias))


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
