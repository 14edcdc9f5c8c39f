"""Scaled-dot-product attention by the kernel that was asked for, if the device has it.

Shapes: N batch, k queries, T keys, d width of a head.
"""

import warnings
from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from caching.errors import ModelError
from caching.models.speed import ATTENTION

Attention: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(q (N, heads, k, d), k and v (N, heads, T, d)) -> (N, heads, k, d)."""

# Called as themselves: what torch.nn.attention.sdpa_kernel asks for holds for the whole process, so
# that models in two threads got each other's kernel, or left theirs behind for good.
_ATEN = torch.ops.aten


def _math(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    out: Tensor = _ATEN._scaled_dot_product_attention_math.default(q, k, v)[0]
    return out


def _flash(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    on_cpu, elsewhere = (
        _ATEN._scaled_dot_product_flash_attention_for_cpu,
        _ATEN._scaled_dot_product_flash_attention,
    )
    out: Tensor = (on_cpu if q.device.type == "cpu" else elsewhere).default(q, k, v)[0]
    return out


def _efficient(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    # Derivatives need the logarithms of the sums.
    sums = torch.is_grad_enabled()
    out: Tensor = _ATEN._scaled_dot_product_efficient_attention.default(q, k, v, None, sums)[0]
    return out


def _cudnn(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    sums = torch.is_grad_enabled()
    out: Tensor = _ATEN._scaled_dot_product_cudnn_attention.default(q, k, v, None, sums)[0]
    return out


def products(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention as two batched products; holds all scores, (N heads, k, T), at once."""
    scale, of_all = q.shape[-1] ** -0.5, q.shape[:2]
    q, k, v = q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)
    scores = torch.baddbmm(q.new_empty(()), q, k.transpose(1, 2), beta=0, alpha=scale)
    return torch.bmm(scores.softmax(-1), v).view(*of_all, -1, v.shape[-1])


KERNELS: dict[str, Attention] = {
    "auto": F.scaled_dot_product_attention,
    "math": _math,
    "flash": _flash,
    "efficient": _efficient,
    "cudnn": _cudnn,
    "products": products,
}


@torch.no_grad()
def _works(name: str, like: Tensor) -> bool:
    """Whether there is such a kernel for q, k, v like this one."""
    q = torch.zeros_like(like)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's reasons, once for each of its kernels
            KERNELS[name](q, q, q)
    except RuntimeError:
        return False
    return True


def attention_of(name: str, like: Tensor) -> Attention:
    """The attention of a name in `ATTENTION`, tried out.

    Args:
        name: of the kernel.
        like: (1, heads, T, d) of the model's dtype, on its device.

    Raises:
        ModelError: there is none on this device, for this dtype and these sizes.
    """
    if name != "auto" and not _works(name, like):
        usable = ", ".join(other for other in ATTENTION if other == "auto" or _works(other, like))
        _, heads, tokens, width = like.shape
        raise ModelError(
            f"attention {name!r} was asked for and torch has none on {like.device.type} for "
            f"{heads} heads of {width} over {tokens} tokens in "
            f"{str(like.dtype).removeprefix('torch.')}, expected one of: {usable}."
        )
    return KERNELS[name]
