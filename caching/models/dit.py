"""The DiT family: diffusers' DiTTransformer2DModel (arXiv 2212.09748), as a plain fast loop.

The mathematics is that of diffusers' own forward, arranged for a run of known length: the adaLN
modulation of all steps is one product per block up front, q, k and v are one product, and a branch
that is not computed needs neither norm nor modulation, only its gate.
"""

from collections.abc import Mapping
from typing import TypeAlias

import torch
import torch.nn.functional as F
from diffusers import DiTTransformer2DModel
from torch import Tensor

from caching.errors import ModelError
from caching.models.dit_parts import activated, part_of, picked
from caching.models.family import Linear

SHIFT_ATTN, SCALE_ATTN, GATE_ATTN, SHIFT_MLP, SCALE_MLP, GATE_MLP = range(6)
ATTN, MLP = range(2)
# Modulations are made for as many steps at a time as fit here; a run of one image needs far less.
MODULATION_MIB = 256


class _Given:
    """Modulation of every block for a window of steps, made when the first of them is reached."""

    def __init__(self, family: "DiT", timesteps: Tensor, labels: Tensor) -> None:
        self.family, self.timesteps = family, timesteps
        self.size = len(labels)
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
        # Windows start at fixed steps: how many rows a product has decides its last bits, and a run
        # that goes on from step s must find those of a run from step 0.
        self.start = s - s % window
        self.stop = min(len(self.timesteps), self.start + window)
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


class _Half:
    """The first half of the rows of a conditioning, looking at the same modulation."""

    def __init__(self, whole: "_Given | _Half", size: int) -> None:
        self.whole, self.size = whole, size

    def get(self, s: int, block: int, which: int) -> Tensor:
        """As the whole's, (N / 2, 1, D)."""
        return self.whole.get(s, block, which)[: self.size]

    def last(self, s: int) -> tuple[Tensor, Tensor]:
        """As the whole's, each (N / 2, 1, D)."""
        shift, scale = self.whole.last(s)
        return shift[: self.size], scale[: self.size]


_Rows: TypeAlias = _Given | _Half


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
        self.parts = [part_of(i, b) for i, b in enumerate(module.transformer_blocks)]

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
        return tokens.to(self.dtype).contiguous()

    def half(self, given: _Rows) -> _Half:
        return _Half(given, given.size // 2)

    def modulated(self, x: Tensor, given: _Rows, s: int, block: int, r: int) -> Tensor:
        b = self.parts[block]
        first = SHIFT_ATTN if r == ATTN else SHIFT_MLP
        normed = (b.norm_attn if r == ATTN else b.norm_mlp)(x)
        shift, scale = given.get(s, block, first), given.get(s, block, first + 1)
        return torch.addcmul(shift, normed, scale)  # (N, T, D)

    def _heads(self, h: Tensor) -> Tensor:
        """(N, T, i D) -> (i, N, heads, T, d)."""
        n, t, _ = h.shape
        return h.view(n, t, -1, self.heads, self.width // self.heads).permute(2, 0, 3, 1, 4)

    def branch(self, x: Tensor, given: _Rows, s: int, block: int, r: int) -> Tensor:
        b = self.parts[block]
        h = self.modulated(x, given, s, block, r)
        if r == ATTN:
            q, k, v = self._heads(F.linear(h, b.qkv_weight, b.qkv_bias))
            a = F.scaled_dot_product_attention(q, k, v)
            return F.linear(a.transpose(1, 2).reshape(h.shape), b.out.weight, b.out.bias)
        return F.linear(b.activation(h), b.down.weight, b.down.bias)

    def branch_rows(
        self, x: Tensor, given: _Rows, s: int, block: int, r: int, rows: Tensor
    ) -> Tensor:
        b = self.parts[block]
        if r == MLP:
            h = self.modulated(picked(x, rows), given, s, block, r)  # (N, k, D)
            return F.linear(b.activation(h), b.down.weight, b.down.bias)
        h = self.modulated(x, given, s, block, r)
        chosen, d = picked(h, rows), self.width
        bias_q, bias_kv = (None, None) if b.qkv_bias is None else b.qkv_bias.split((d, 2 * d))
        (q,) = self._heads(F.linear(chosen, b.qkv_weight[:d], bias_q))  # (N, heads, k, d)
        k, v = self._heads(F.linear(h, b.qkv_weight[d:], bias_kv))
        a = F.scaled_dot_product_attention(q, k, v)
        return F.linear(a.transpose(1, 2).reshape(chosen.shape), b.out.weight, b.out.bias)

    def received(self, x: Tensor, given: _Rows, s: int, block: int) -> Tensor:
        b, d = self.parts[block], 2 * self.width
        h = self.modulated(x, given, s, block, ATTN)
        bias = None if b.qkv_bias is None else b.qkv_bias[:d]
        q, k = self._heads(F.linear(h, b.qkv_weight[:d], bias)).float()
        scores: Tensor = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5  # (N, heads, T, T)
        return scores.softmax(-1).mean(1).sum(1)

    def linears(self, block: int, r: int) -> Mapping[str, tuple[Tensor, Tensor | None]]:
        b = self.parts[block]
        if r == MLP:
            up = b.activation.proj
            return {"up": (up.weight, up.bias), "down": (b.down.weight, b.down.bias)}
        biases = (None,) * 3 if b.qkv_bias is None else b.qkv_bias.chunk(3)
        named = dict(zip("qkv", zip(b.qkv_weight.chunk(3), biases, strict=True), strict=True))
        return {**named, "out": (b.out.weight, b.out.bias)}

    def branch_with(
        self, x: Tensor, given: _Rows, s: int, block: int, r: int, linear: Linear
    ) -> Tensor:
        w = self.linears(block, r)
        h = self.modulated(x, given, s, block, r)
        if r == MLP:
            h = linear("up", h, *w["up"])
            return linear("down", activated(self.parts[block].activation, h), *w["down"])
        q, k, v = (self._heads(linear(name, h, *w[name]))[0] for name in "qkv")
        a = F.scaled_dot_product_attention(q, k, v)
        return linear("out", a.transpose(1, 2).reshape(h.shape), *w["out"])

    def add(self, x: Tensor, out: Tensor, given: _Rows, s: int, block: int, r: int) -> Tensor:
        return torch.addcmul(x, given.get(s, block, GATE_ATTN if r == ATTN else GATE_MLP), out)

    def head(self, x: Tensor, given: _Rows, s: int) -> Tensor:
        shift, scale = given.last(s)
        x = F.layer_norm(x, (self.width,), eps=self.eps_out) * (1 + scale) + shift
        x = self.module.proj_out_2(x)  # (N, T, p p C')
        n, side, p = len(x), self.latent_shape[1] // self.patch, self.patch
        x = x.view(n, side, side, p, p, self.out_channels).permute(0, 5, 1, 3, 2, 4)
        return x.reshape(n, self.out_channels, side * p, side * p)

    def branch_macs(self, block: int, r: int) -> int:
        return self.row_macs(block, r, self.tokens)

    def row_macs(self, block: int, r: int, rows: int) -> int:
        t, d = self.tokens, self.width
        if r == ATTN:
            # Keys and values are of all tokens, whoever asks.
            return 2 * rows * d * d + 2 * t * d * d + 2 * rows * t * d
        return rows * sum(w.numel() for w, _ in self.linears(block, r).values())

    def linear_macs(self, block: int, r: int) -> dict[str, int]:
        return {name: self.tokens * w.numel() for name, (w, _) in self.linears(block, r).items()}

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
