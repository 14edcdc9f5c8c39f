"""A DiT whose two kinds of branch are compiled, once for all blocks; schedules stay outside.

The compiled functions take everything as tensors, weights and modulation too. So a block, step,
label or schedule is another argument and never another compilation. Only a batch size may be: there
is one for a picture alone, one for both passes of guidance and one for all larger batches, each
made when it is first needed.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from diffusers import DiTTransformer2DModel
from diffusers.models.activations import GELU
from torch import Tensor

from caching.errors import ModelError
from caching.models.attention import Attention
from caching.models.dit import ATTN, DiT
from caching.models.dit_modulation import SHIFT_ATTN, SHIFT_MLP, Given, Rows, Some
from caching.models.dit_parts import activated
from caching.models.speed import Speed

Compiled: TypeAlias = Callable[..., Tensor]
"""(x (N, T, D), shift and scale (N, 1, D), norm's weight and bias, then two linears' likewise)."""

MANY = 3
"""Batches from here on share one compilation."""

# oneDNN's linear, hidden from the compiler: that one wants weights to be constants, which would be
# a compilation per block, and without it makes a product that takes 1.2 times as long.
_OPERATORS = torch.library.Library("cachebrush", "DEF")
_OPERATORS.define("linear(Tensor x, Tensor w, Tensor? b, str attr, str algorithm) -> Tensor")


def _onednn(x: Tensor, w: Tensor, b: Tensor | None, attr: str, algorithm: str) -> Tensor:
    out: Tensor = torch.ops.mkldnn._linear_pointwise.default(x, w, b, attr, [], algorithm)
    return out


def _shape_of(x: Tensor, w: Tensor, *_: Any) -> Tensor:
    return x.new_empty(x.shape[0], w.shape[0])


_OPERATORS.impl("linear", _onednn, "CPU")
torch.library.register_fake("cachebrush::linear", _shape_of, lib=_OPERATORS)


def _dense(x: Tensor, w: Tensor, b: Tensor | None, attr: str = "none", how: str = "") -> Tensor:
    rows: Tensor = torch.ops.cachebrush.linear.default(x.flatten(0, 1), w, b, attr, how)
    return rows.view(*x.shape[:2], -1)


def compiled(function: Compiled, *arguments: Tensor | None) -> Compiled:
    """The function for arguments of these sizes, strides and kinds.

    It does without torch.compile's own look at its arguments before every call, which takes longer
    than compiling saves at the shipped model's size: the caller has to give what fits.
    """
    asked: dict[str, Any] = {
        "fullgraph": True,  # an error instead of a part that silently is not compiled
        "options": {"size_asserts": False, "alignment_asserts": False},
    }
    # Or a model of another width would be compiled for any width.
    with torch._dynamo.config.patch(automatic_dynamic_shapes=False), torch.no_grad():
        made = torch.compile(function, **asked).aot_compile((arguments, {}))  # type: ignore[attr-defined]
    made.disable_guard_check()
    result: Compiled = made
    return result


def _layout(tensors: Sequence[Tensor | None]) -> tuple[Any, ...]:
    return tuple(t if t is None else (t.shape, t.stride(), t.dtype, t.device) for t in tensors)


class CompiledDiT(DiT):
    """As `DiT`, and equal to it within rounding; `branch` alone is compiled.

    While derivatives are recorded, branches run as they do in `DiT`.

    Raises:
        ModelError: nothing can be compiled here; says what is missing.
    """

    def __init__(self, module: DiTTransformer2DModel, *, speed: Speed) -> None:
        super().__init__(module, speed=speed)
        self._functions = self._attention(self.attend), self._feed_forward()
        self._compiled: dict[int, Sequence[Compiled]] = {}
        self._arguments = [(self._of_attention(i), self._of_mlp(i)) for i in range(self.blocks)]
        if len({tuple(map(_layout, one)) for one in self._arguments}) > 1:
            raise ModelError(
                "the blocks' weights differ in size or layout, so that no compiled function serves "
                "all of them: expected equal blocks; load the model without compiling."
            )
        self._prepare(2)  # guidance; here, so that what is missing is said before a run

    def _of_attention(self, block: int) -> tuple[Tensor | None, ...]:
        p = self.parts[block]
        norm, out = p.norm_attn, p.out
        return norm.weight, norm.bias, p.qkv_weight, p.qkv_bias, out.weight, out.bias

    def _of_mlp(self, block: int) -> tuple[Tensor | None, ...]:
        p = self.parts[block]
        norm, up, down = p.norm_mlp, p.activation.proj, p.down
        return norm.weight, norm.bias, up.weight, up.bias, down.weight, down.bias

    def _attention(self, attend: Attention) -> Compiled:
        eps, shape = self.parts[0].norm_attn.eps, (3, self.heads, self.width // self.heads)
        linear = _dense if self.fused else F.linear

        def attention(x, shift, scale, norm_w, norm_b, w, b, out_w, out_b):  # type: ignore[no-untyped-def]
            normed = F.layer_norm(x, x.shape[-1:], norm_w, norm_b, eps)
            h = linear(torch.addcmul(shift, normed, scale), w, b)
            q, k, v = h.unflatten(-1, shape).permute(2, 0, 3, 1, 4)
            return linear(attend(q, k, v).transpose(1, 2).flatten(2), out_w, out_b)

        return attention

    def _feed_forward(self) -> Compiled:
        eps, activation = self.parts[0].norm_mlp.eps, self.parts[0].activation
        linear = _dense if self.fused else F.linear
        how = activation.approximate if self.fused and isinstance(activation, GELU) else None

        def mlp(x, shift, scale, norm_w, norm_b, w, b, out_w, out_b):  # type: ignore[no-untyped-def]
            normed = F.layer_norm(x, x.shape[-1:], norm_w, norm_b, eps)
            h = torch.addcmul(shift, normed, scale)
            if how is None:
                h = activated(activation, linear(h, w, b))
            else:
                h = _dense(h, w, b, "gelu", how)
            return linear(h, out_w, out_b)

        return mlp

    def _prepare(self, rows: int) -> Sequence[Compiled]:
        """Both functions for batches of that many rows, compiled if there are none yet."""
        size = min(rows, MANY)
        if size not in self._compiled:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # the compiler's, about its own parts
                    self._compiled[size] = self._made(size)
            except Exception as error:  # a compiler can fail in any way
                raise _refusal(error, self.device) from error
        return self._compiled[size]

    def _made(self, size: int) -> Sequence[Compiled]:
        place: dict[str, Any] = {"dtype": self.dtype, "device": self.device}
        made = []
        for function, weights in zip(self._functions, self._arguments[0], strict=True):
            x, shift, scale = (
                torch.zeros(size, tokens, self.width, **place) for tokens in (self.tokens, 1, 1)
            )
            if size == MANY:
                for tensor in (x, shift, scale):
                    torch._dynamo.mark_dynamic(tensor, 0)
            made.append(compiled(function, x, shift, scale, *weights))
        return made

    def condition(self, timesteps: Tensor, labels: Tensor) -> Given:
        self._prepare(len(labels))  # outside of a run's steps, which are timed
        return super().condition(timesteps, labels)

    def half(self, given: Rows) -> Some:
        self._prepare(given.size // 2)
        return super().half(given)

    def chosen(self, given: Rows, rows: Tensor) -> Some:
        self._prepare(len(rows))
        return super().chosen(given, rows)

    def branch(self, x: Tensor, given: Rows, s: int, block: int, r: int) -> Tensor:
        if torch.is_grad_enabled() or x.dtype != self.dtype:
            return super().branch(x, given, s, block, r)
        functions = self._compiled.get(min(len(x), MANY)) or self._prepare(len(x))
        first = SHIFT_ATTN if r == ATTN else SHIFT_MLP
        shift, scale = given.get(s, block, first), given.get(s, block, first + 1)
        return functions[r](x.contiguous(), shift, scale, *self._arguments[block][r])


def _refusal(error: Exception, device: torch.device) -> ModelError:
    """What a failed compilation means to a person."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    root = causes[-1]
    needed = "a C++ compiler (g++ or clang++; its path in CXX where it is not found)"
    if device.type == "cuda":
        needed += " and Triton, which comes with torch's CUDA builds for Linux"
    said = (str(root).strip().splitlines() or [""])[0]
    return ModelError(
        f"the branches could not be compiled ({type(root).__name__}: {said:.200}). torch.compile "
        f"was asked for, which needs {needed}: install it, or load the model without compiling."
    )
