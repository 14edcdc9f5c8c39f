"""Quantised: the branch computed with its linears in integers of 8 bits or fewer (CacheQuant)."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from caching.fields import whole_field
from caching.predictors.base import Cell, Fitter, Kind, Output, Predictor

if TYPE_CHECKING:
    from torch import Tensor

    from caching.models.family import Conditioning, Family

Packed = tuple["Tensor", "Tensor"]
"""A weight (in, out) as integers, and the scale (out,) of each output; see `pack`."""


@dataclass(frozen=True)
class Quantised(Predictor):
    """The branch with every linear as (x_q W_q) s_x s_W + b; all else is computed as it is.

    CacheQuant (arXiv 2503.01323) joins caching with post-training quantisation of weights and
    activations; its scales of activations are calibrated and its U-Net's layers reconstructed. Here
    the quantisation is dynamic and needs no data: integers from -(2^(bits-1) - 1) to as much, one
    scale for each output of a weight, packed once, and one for each token of an input, its largest
    entry's. A token's scale is its own, so that a picture is the same alone as in a batch.

    The products are int8 x int8 -> int32 by torch's own kernel wherever that gives the right
    numbers on this device (tried when weights are packed); with fewer bits the same kernel runs on
    fewer levels. Elsewhere the integers are held and multiplied as floats, "fake-quantised": the
    same picture but for rounding, and no gain in speed; `in_integers` says which it is.

    Its output counts as computed: later steps reuse it, and fits take its step for one that is. The
    multiply-accumulates are all of the branch's, only cheaper ones.
    """

    bits: int = 8

    name: ClassVar[str] = "quantised"
    letter: ClassVar[str] = "Q"
    label: ClassVar[str] = "quantised"
    kind: ClassVar[Kind] = "partial"
    renews: ClassVar[bool] = True

    def __post_init__(self) -> None:
        whole_field(self, "bits", 2, 8)

    @property
    def keeps(self) -> int:
        return 0

    def stores_output(self) -> bool:
        return False

    # -- packing ---------------------------------------------------------------------------

    @property
    def calibrates(self) -> bool:
        return False

    def parts(self, cells: Any, number: int) -> Collection[Hashable]:
        """(block, branch) wherever it is used."""
        return [tuple(cell) for cell in np.argwhere((cells == number).any(axis=0)).tolist()]

    def fitter(self, family: Family, parts: Collection[Hashable]) -> Fitter:
        return _Packer(family, self.bits)

    # -- running ---------------------------------------------------------------------------

    def estimate(self, past: Sequence[tuple[int, Output]], step: int) -> Output:
        raise NotImplementedError("a quantised branch works from the hidden state: use stand_in")

    def stand_in(self, cell: Cell) -> Tensor:
        packed: Mapping[str, Packed] = cell.fitted[cell.block, cell.r]

        def linear(name: str, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            return applied(x, packed[name], bias, self.bits)

        return cell.family.branch_with(cell.x, cell.given, cell.s, cell.block, cell.r, linear)

    def macs(self, family: Family, block: int, r: int) -> int:
        return family.branch_macs(block, r)


class _Packer(Fitter):
    """Weights of the family as integers; looks at no run."""

    def __init__(self, family: Family, bits: int) -> None:
        self.family, self.bits = family, bits

    def see(self, s: int, block: int, r: int, x: Tensor, out: Tensor, given: Conditioning) -> None:
        raise AssertionError("a fitter that does not calibrate was shown a run")

    def solve(self, part: Any) -> dict[str, Packed]:
        block, r = part
        linears = self.family.linears(block, r)
        return {name: pack(weight, self.bits) for name, (weight, _) in linears.items()}


def in_integers(device: Any) -> bool:
    """Whether products of int8 numbers on a device are int32 ones, and right."""
    return _tried(str(device))


@cache
def _tried(device: str) -> bool:
    import torch

    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randint(-127, 128, (32, 32), generator=generator) for _ in range(2))
    try:
        found = torch._int_mm(*(t.to(device, torch.int8) for t in (a, b))).cpu()
    except (RuntimeError, NotImplementedError, AttributeError):
        return False
    return found.dtype == torch.int32 and torch.equal(found.long(), a @ b)


def levels(bits: int) -> int:
    """The largest integer, the other end being its opposite."""
    return (1 << (bits - 1)) - 1


def rounded(x: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Integers as floats, shaped as x (…, D), and the scale (…, 1) of each of its rows."""
    import torch

    exact: Any = torch.promote_types(x.dtype, torch.float32)
    x = x.to(exact)
    scale = x.abs().amax(-1, keepdim=True) / levels(bits)
    # A row of zeros has no scale; any will do.
    scale = torch.where(scale > 0, scale, 1.0)
    return (x / scale).round_().clamp_(-levels(bits), levels(bits)), scale


def pack(weight: Tensor, bits: int) -> Packed:
    """A weight (out, in) as integers (in, out), int8 where the device multiplies these."""
    import torch

    whole, scale = rounded(weight, bits)
    whole = whole.T.contiguous()
    return whole.to(torch.int8) if _kernel_takes(whole) else whole, scale[:, 0]


def _kernel_takes(whole: Tensor) -> bool:
    # A GPU's kernel wants both sides of a matrix to be multiples of 8.
    even = whole.device.type == "cpu" or not any(size % 8 for size in whole.shape)
    return even and in_integers(whole.device)


def applied(x: Tensor, packed: Packed, bias: Tensor | None, bits: int) -> Tensor:
    """x (N, T, in) times a packed weight, plus bias, in the dtype of x."""
    import torch

    weight, scales = packed
    whole, scale = rounded(x.reshape(-1, x.shape[-1]), bits)
    if weight.dtype == torch.int8:
        rows = len(whole)
        whole = whole.to(torch.int8)
        if rows <= 16 and x.device.type != "cpu":  # its kernel takes no fewer than 17
            whole = torch.cat([whole, whole.new_zeros(17 - rows, whole.shape[1])])
        y = torch._int_mm(whole, weight)[:rows].to(scale.dtype)
    else:
        y = whole @ weight
    y = y.mul_(scale).mul_(scales)
    y = y if bias is None else y.add_(bias)
    return y.to(x.dtype).view(*x.shape[:-1], -1)
