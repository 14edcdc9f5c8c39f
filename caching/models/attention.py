"""Scaled-dot-product attention by the kernel that was asked for, if the device has it.

Shapes: N batch, k queries, T keys, d width of a head.
"""

import warnings
from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from caching.errors import ModelError
from caching.models.speed import ATTENTION

Attention: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(q (N, heads, k, d), k and v (N, heads, T, d)) -> (N, heads, k, d)."""

BACKENDS = {
    "math": SDPBackend.MATH,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}


def products(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention as two batched products; holds all scores, (N heads, k, T), at once."""
    scale, of_all = q.shape[-1] ** -0.5, q.shape[:2]
    q, k, v = q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)
    scores = torch.baddbmm(q.new_empty(()), q, k.transpose(1, 2), beta=0, alpha=scale)
    return torch.bmm(scores.softmax(-1), v).view(*of_all, -1, v.shape[-1])


def _by(name: str) -> Attention:
    if name == "auto":
        return F.scaled_dot_product_attention
    if name == "products":
        return products
    backend = BACKENDS[name]

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        # torch keeps this choice for the whole process; another thread's attention of the model's
        # own choice may meet it, and be right by another kernel.
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(q, k, v)

    return attend


@torch.no_grad()
def _works(name: str, like: Tensor) -> bool:
    """Whether there is such a kernel for q, k, v like this one."""
    q = torch.zeros_like(like)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's reasons, once for each of its kernels
            _by(name)(q, q, q)
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
    return _by(name)
