"""The DiT family: diffusers' DiTTransformer2DModel (arXiv 2212.09748), as a plain fast loop.

The mathematics is that of diffusers' own forward, arranged for a run of known length: the adaLN
modulation of all steps is one product per block up front, q, k and v are one product, and a branch
that is not computed needs neither norm nor modulation, only its gate.
"""

import math
from collections.abc import Hashable, Mapping

import torch
import torch.nn.functional as F
from diffusers import DiTTransformer2DModel
from torch import Tensor

from caching.errors import ModelError
from caching.models.alone import FEW_MACS, Alone
from caching.models.attention import attention_of
from caching.models.dit_modulation import (
    GATE_ATTN,
    GATE_MLP,
    SHIFT_ATTN,
    SHIFT_MLP,
    Given,
    Kept,
    Rows,
    Some,
    Still,
)
from caching.models.dit_parts import Part, activated, dense, dense_up, fuses, part_of, picked
from caching.models.dit_time import TimeEmbedding
from caching.models.family import Linear
from caching.models.speed import PLAIN, Speed

ATTN, MLP = range(2)


class DiT:
    """Adapter for `DiTTransformer2DModel`; see `caching.models.family.Family` for the methods.

    The q, k and v weights of each block become views of one fused matrix, and on a CPU matrices are
    stored by columns. Values stay equal, so the module can still be used, saved or trained, and no
    weight is held twice.
    """

    branches = ("attn", "mlp")

    def __init__(self, module: DiTTransformer2DModel, *, speed: Speed = PLAIN) -> None:
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
        # Looked up once: diffusers' modules take their time to find a part by its name.
        self.patches, self.proj_out = module.pos_embed, module.proj_out_2
        self.proj_in = self.patches.proj
        self.parts = [part_of(i, b) for i, b in enumerate(module.transformer_blocks)]
        self.clock = TimeEmbedding([part.embedder for part in self.parts])
        # One gather each, where views and a permuted copy take several times as long.
        p, n = self.patch, side // self.patch
        cells = torch.arange(math.prod(self.latent_shape)).view(-1, n, p, n, p)
        self.by_patch = cells.permute(1, 3, 0, 2, 4).flatten().to(self.device)  # (T C p p,)
        cells = torch.arange(self.tokens * p * p * self.out_channels).view(n, n, p, p, -1)
        self.by_channel = cells.permute(4, 0, 2, 1, 3).flatten().to(self.device)  # (C' h w,)
        self.fused = fuses(self.parts[0].qkv_weight)
        self.linear = dense if self.fused else F.linear
        size = (1, self.heads, self.tokens, self.width // self.heads)
        self.attend = attention_of(speed.attention, self.parts[0].qkv_weight.new_empty(size))
        self.on_cpu, self.out_size = self.device.type == "cpu", p * p * self.out_channels
        self.kept = Kept()
        # All that modulations are made from, apart from timesteps and labels.
        parts = [m for part in self.parts for m in (part.embedder, part.modulation)]
        ends = module.proj_out_1, self.proj_out
        self.behind = [p for m in (*parts, *ends) for p in m.parameters()]
        self.start: tuple[Tensor, Tensor] | None = None

    @property
    def device(self) -> torch.device:
        return self.parts[0].qkv_weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.parts[0].qkv_weight.dtype

    def condition(self, timesteps: Tensor, labels: Tensor) -> Given:
        self._begin_embedding()
        return Given(self, timesteps, labels)

    @torch.no_grad()
    def _begin_embedding(self) -> None:
        """What embeddings are made from: bias and places as one sum, which is as good in float32,
        and the weights (C p p, D).

        The sum stays where it is, because a recorded graph goes on reading it there; whoever makes
        it anew at the same time puts the same there.
        """
        places, proj = self.patches.pos_embed, self.proj_in
        if not places.dtype == proj.bias.dtype == torch.float32:
            return
        if self.start is None:
            with torch.inference_mode(False):  # or nothing outside of it could write there
                floor = torch.empty_like(places[0])  # (T, D)
        else:
            floor = self.start[0]
        torch.add(places[0], proj.bias, out=floor)
        self.start = floor, proj.weight.detach().flatten(1).t()

    def state(self) -> Hashable | None:
        """Equal as long as modulations stay the same; None where that cannot be told.

        Whatever writes to a weight in torch's own way is noticed, as an optimizer's step is; what
        writes to its `.data` is not, and has to call `kept.clear()`.
        """
        if self.module.training:
            return None
        try:
            return (self.dtype, *((p._version, p.data_ptr()) for p in self.behind))
        except RuntimeError:  # tensors made in inference mode do not count what is written to them
            return None

    def embed(self, latents: Tensor) -> Tensor:
        rows = len(latents)
        # The two passes of guidance may be one picture seen twice, which is embedded once.
        one = rows == 1 or not latents.stride(0)
        # The convolution as a product, since its patches do not overlap: a convolution's result
        # would have each channel's tokens together, which every later step would be slower on.
        if self.start is not None and not torch.is_grad_enabled():
            floor, weight = self.start
            if one:
                x = latents[0].reshape(-1).index_select(0, self.by_patch).view(self.tokens, -1)
                with Alone(few=self.on_cpu and x.numel() * self.width <= FEW_MACS):
                    return torch.addmm(floor, x, weight).expand(rows, -1, -1)
            x = latents.reshape(rows, -1).index_select(1, self.by_patch)
            x = x.view(rows, self.tokens, -1)
            # As many single products, so that a picture does not depend on who runs with it.
            return torch.baddbmm(floor.expand(rows, -1, -1), x, weight.expand(rows, -1, -1))
        x = latents[:1] if one else latents
        x = x.reshape(len(x), -1).index_select(1, self.by_patch).view(len(x), self.tokens, -1)
        x = F.linear(x, self.proj_in.weight.flatten(1), self.proj_in.bias)
        tokens: Tensor = x.expand(rows, -1, -1) + self.patches.pos_embed
        return tokens.to(self.dtype)

    def half(self, given: Rows) -> Some:
        return Some(given, slice(given.size // 2), given.size // 2)

    def chosen(self, given: Rows, rows: Tensor) -> Some:
        return Some(given, rows, len(rows))

    def still(self, given: Given) -> Still:
        return Still(given)

    def modulated(self, x: Tensor, given: Rows, s: int, block: int, r: int) -> Tensor:
        b = self.parts[block]
        first = SHIFT_ATTN if r == ATTN else SHIFT_MLP
        norm = b.norm_attn if r == ATTN else b.norm_mlp
        normed = F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        shift, scale = given.get(s, block, first), given.get(s, block, first + 1)
        return torch.addcmul(shift, normed, scale)  # (N, T, D)

    def _heads(self, h: Tensor) -> Tensor:
        """(N, T, i D) -> (i, N, heads, T, d)."""
        n, t, _ = h.shape
        return h.reshape(n, t, -1, self.heads, self.width // self.heads).permute(2, 0, 3, 1, 4)

    def _mlp(self, h: Tensor, b: Part) -> Tensor:
        h = dense_up(b.activation, h) if self.fused else b.activation(h)
        return self.linear(h, b.down.weight, b.down.bias)

    def branch(self, x: Tensor, given: Rows, s: int, block: int, r: int) -> Tensor:
        b = self.parts[block]
        h = self.modulated(x, given, s, block, r)
        if r == ATTN:
            q, k, v = self._heads(self.linear(h, b.qkv_weight, b.qkv_bias))
            a = self.attend(q, k, v)
            return self.linear(a.transpose(1, 2).reshape(h.shape), b.out.weight, b.out.bias)
        return self._mlp(h, b)

    def branch_rows(
        self, x: Tensor, given: Rows, s: int, block: int, r: int, rows: Tensor
    ) -> Tensor:
        b = self.parts[block]
        if r == MLP:
            return self._mlp(self.modulated(picked(x, rows), given, s, block, r), b)  # (N, k, D)
        h = self.modulated(x, given, s, block, r)
        chosen, d = picked(h, rows), self.width
        # Not by self.linear: oneDNN's falls back to a plain loop for a part of a matrix.
        bias_q, bias_kv = (None, None) if b.qkv_bias is None else b.qkv_bias.split((d, 2 * d))
        (q,) = self._heads(F.linear(chosen, b.qkv_weight[:d], bias_q))  # (N, heads, k, d)
        k, v = self._heads(F.linear(h, b.qkv_weight[d:], bias_kv))
        a = self.attend(q, k, v)
        return self.linear(a.transpose(1, 2).reshape(chosen.shape), b.out.weight, b.out.bias)

    def received(self, x: Tensor, given: Rows, s: int, block: int) -> Tensor:
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
        self, x: Tensor, given: Rows, s: int, block: int, r: int, linear: Linear
    ) -> Tensor:
        w = self.linears(block, r)
        h = self.modulated(x, given, s, block, r)
        if r == MLP:
            h = linear("up", h, *w["up"])
            return linear("down", activated(self.parts[block].activation, h), *w["down"])
        size = (-1, self.width // self.heads)
        # As many heads as the linears give.
        q, k, v = (linear(i, h, *w[i]).unflatten(-1, size).transpose(1, 2) for i in "qkv")
        a = self.attend(q, k, v)
        return linear("out", a.transpose(1, 2).flatten(2), *w["out"])

    def add(
        self,
        x: Tensor,
        out: Tensor,
        given: Rows,
        s: int,
        block: int,
        r: int,
        *,
        own: bool = False,
    ) -> Tensor:
        gate = given.get(s, block, GATE_MLP if r else GATE_ATTN)
        if own and out.dtype == x.dtype:
            return x.addcmul_(gate, out)
        return torch.addcmul(x, gate, out)

    def head(self, x: Tensor, given: Rows, s: int) -> Tensor:
        weight, bias = given.last(s)
        with Alone(few=self.on_cpu and x.numel() * self.out_size <= FEW_MACS):
            x = torch.layer_norm(x, (self.width,), None, None, self.eps_out)
            patches = torch.baddbmm(bias, x, weight)  # (N, T, p p C')
        x = patches.flatten(1).index_select(1, self.by_channel)
        return x.view(-1, self.out_channels, *self.latent_shape[1:])

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
        second time for the final layer, `256 D + D D` more, and the time embedding is counted for
        every row of a batch; the loop here does neither, makes no modulation that the run before it
        made, and embeds one picture's latents once for both passes, so it computes a little less
        than this.
        """
        d = self.width
        modulation = self.blocks * (256 * d + d * d + 6 * d * d) + 2 * d * d
        return modulation + sum(self.end_macs())

    def end_macs(self) -> tuple[int, int]:
        patch = self.tokens * self.width * self.patch**2
        return patch * self.latent_shape[0], patch * self.out_channels
