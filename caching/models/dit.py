"""The DiT family: diffusers' DiTTransformer2DModel (arXiv 2212.09748), as a plain fast loop.

The mathematics is that of diffusers' own forward, arranged for a run of known length: the adaLN
modulation of all steps is one product per block up front, q, k and v are one product, and a branch
that is not computed needs neither norm nor modulation, only its gate.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DiTTransformer2DModel
from torch import Tensor, nn

from caching.errors import ModelError

SHIFT_ATTN, SCALE_ATTN, GATE_ATTN, SHIFT_MLP, SCALE_MLP, GATE_MLP = range(6)
ATTN, MLP = range(2)
# Modulations are made for as many steps at a time as fit here; a run of one image needs far less.
MODULATION_MIB = 256


@dataclass(frozen=True)
class _Block:
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


class _Given:
    """Modulation of every block for a window of steps, made when the first of them is reached."""

    def __init__(self, family: "DiT", timesteps: Tensor, labels: Tensor) -> None:
        self.family, self.timesteps = family, timesteps
        self.labels, inverse = labels.unique(return_inverse=True)  # (U,), (N,)
        # One guided image has the rows [label, null], which `unique` already returns in order.
        aligned = torch.equal(self.labels, labels)
        self.rows = None if aligned else inverse
        self.start = self.stop = 0
        self.blocks: list[Tensor] = []
        self.final: Tensor = timesteps

    def _make(self, s: int) -> None:
        f = self.family
        size = torch.finfo(f.dtype).bits // 8 * 6 * f.width * f.blocks * len(self.labels)
        window = max(1, MODULATION_MIB * 2**20 // size)
        self.start, self.stop = s, min(len(self.timesteps), s + window)
        times = self.timesteps[self.start : self.stop]
        n, u = len(times), len(self.labels)
        t = times.repeat_interleave(u)  # (S U,)
        y = self.labels.repeat(n)
        made, first = [], None
        for b in f.parts:
            c = b.embedder(t, y, hidden_dtype=f.dtype)  # (S U, D)
            first = c if first is None else first
            m = b.modulation(F.silu(c)).view(n, u, 6, 1, f.width).permute(0, 2, 1, 3, 4)
            m = m.contiguous()  # (S, 6, U, 1, D)
            m[:, SCALE_ATTN] += 1
            m[:, SCALE_MLP] += 1
            made.append(m)
        assert first is not None
        self.blocks = made
        final = f.module.proj_out_1(F.silu(first)).view(n, u, 2, 1, f.width)
        self.final = final.permute(0, 2, 1, 3, 4).contiguous()  # (S, 2, U, 1, D)

    def _at(self, s: int) -> int:
        if not self.start <= s < self.stop:
            self._make(s)
        return s - self.start

    def get(self, s: int, block: int, which: int) -> Tensor:
        """Modulation `which` of `block` at step `s`, (N, 1, D)."""
        i = self._at(s)
        m = self.blocks[block][i, which]
        return m if self.rows is None else m[self.rows]

    def last(self, s: int) -> tuple[Tensor, Tensor]:
        """Shift and scale of the final layer at step `s`, each (N, 1, D)."""
        i = self._at(s)
        shift, scale = self.final[i].unbind(0)
        return (shift, scale) if self.rows is None else (shift[self.rows], scale[self.rows])


class DiT:
    """Adapter for `DiTTransformer2DModel`; see `caching.models.family.Family` for the methods.

    The q, k and v weights of each block become views of one fused matrix, with equal values, so the
    module can still be used, saved or trained and no weight is held twice.
    """

    branches = ("attn", "mlp")

    def __init__(self, module: DiTTransformer2DModel) -> None:
        self.module = module.eval()
        c = module.config
        self.config = {k: v for k, v in dict(c).items() if not k.startswith("_")}
        self.blocks = len(module.transformer_blocks)
        self.heads = int(c.num_attention_heads)
        self.width = self.heads * int(c.attention_head_dim)
        self.patch = int(c.patch_size)
        side = int(c.sample_size)
        self.latent_shape = (int(c.in_channels), side, side)
        if side % self.patch:
            raise ModelError(
                f"sample_size {side} is not a multiple of patch_size {self.patch}: expected "
                "latents that patches cover exactly; correct the config."
            )
        self.tokens = (side // self.patch) ** 2
        self.out_channels = int(module.out_channels)
        self.learned_sigma = self.out_channels == 2 * int(c.in_channels)
        self.classes = int(c.num_embeds_ada_norm)
        self.eps_out = module.norm_out.eps
        self.parts = [self._part(i, b) for i, b in enumerate(module.transformer_blocks)]

    @staticmethod
    def _part(index: int, block: Any) -> _Block:
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
        return _Block(
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

    @property
    def device(self) -> torch.device:
        return self.parts[0].qkv_weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.parts[0].qkv_weight.dtype

    def condition(self, timesteps: Tensor, labels: Tensor) -> _Given:
        return _Given(self, timesteps, labels)

    def embed(self, latents: Tensor) -> Tensor:
        tokens: Tensor = self.module.pos_embed(latents)
        return tokens.to(self.dtype)

    def _modulated(self, x: Tensor, given: _Given, s: int, block: int, first: int) -> Tensor:
        b = self.parts[block]
        normed = (b.norm_attn if first == SHIFT_ATTN else b.norm_mlp)(x)
        shift, scale = given.get(s, block, first), given.get(s, block, first + 1)
        return torch.addcmul(shift, normed, scale)  # (N, T, D)

    def branch(self, x: Tensor, given: _Given, s: int, block: int, r: int) -> Tensor:
        b = self.parts[block]
        if r == ATTN:
            h = self._modulated(x, given, s, block, SHIFT_ATTN)
            n, t, d = h.shape
            qkv = F.linear(h, b.qkv_weight, b.qkv_bias)  # (N, T, 3 D)
            q, k, v = qkv.view(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (N, heads, T, d)
            a = F.scaled_dot_product_attention(q, k, v)
            return F.linear(a.transpose(1, 2).reshape(n, t, d), b.out.weight, b.out.bias)
        h = self._modulated(x, given, s, block, SHIFT_MLP)
        h = b.activation(h)
        return F.linear(h, b.down.weight, b.down.bias)

    def add(self, x: Tensor, out: Tensor, given: _Given, s: int, block: int, r: int) -> Tensor:
        return torch.addcmul(x, given.get(s, block, GATE_ATTN if r == ATTN else GATE_MLP), out)

    def head(self, x: Tensor, given: _Given, s: int) -> Tensor:
        shift, scale = given.last(s)
        x = F.layer_norm(x, (self.width,), eps=self.eps_out) * (1 + scale) + shift
        x = self.module.proj_out_2(x)  # (N, T, p p C')
        n, side, p = len(x), self.latent_shape[1] // self.patch, self.patch
        x = x.view(n, side, side, p, p, self.out_channels).permute(0, 5, 1, 3, 2, 4)
        return x.reshape(n, self.out_channels, side * p, side * p)

    def branch_macs(self, block: int, r: int) -> int:
        t, d = self.tokens, self.width
        if r == ATTN:
            return 4 * t * d * d + 2 * t * t * d
        b = self.parts[block]
        up: int = b.activation.proj.out_features  # twice the inner width for gated activations
        return t * d * (up + b.down.in_features)

    def fixed_macs(self) -> int:
        """Patch embedding, time embedding and modulation of every block, final layer.

        Once per block, as published: diffusers' forward makes the first block's time embedding a
        second time for the final layer, `256 D + D D` more, which the loop here does not.
        """
        t, d, p = self.tokens, self.width, self.patch
        embed = t * d * p * p * self.latent_shape[0]
        modulation = self.blocks * (256 * d + d * d + 6 * d * d)
        final = 2 * d * d + t * d * p * p * self.out_channels
        return embed + modulation + final
