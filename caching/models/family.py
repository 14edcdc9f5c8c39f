"""What the sampling loop needs to know of a transformer: the one door to its branches.

A model family is added by writing one adapter with these methods; the loop, the trace, the cost and
the app never look further in. Shapes: S steps, L blocks, R branches, N batch, T tokens, D width,
k chosen tokens.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

Conditioning: TypeAlias = Any
"""What `condition` prepared for a whole run; only the family that made it looks inside."""

Linear: TypeAlias = Callable[[str, Tensor, Tensor, Tensor | None], Tensor]
"""Applies a linear: (name, input (N, T, in), weight (out, in), bias (out,)) -> (N, T, out)."""


class StillConditioning(Protocol):
    """A conditioning that holds one step, always in the same memory, whichever step is asked."""

    def load(self, given: Conditioning, s: int) -> None:
        """Hold step `s` of `given` from here on."""
        ...


class Family(Protocol):
    """A transformer seen as L blocks of R residual branches, `x = x + gate * branch(x)`."""

    @property
    def blocks(self) -> int: ...

    @property
    def branches(self) -> tuple[str, ...]: ...

    @property
    def tokens(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def heads(self) -> int:
        """Attention heads of every block; each owns as many rows of q, k and v, in order."""
        ...

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one latent."""
        ...

    @property
    def learned_sigma(self) -> bool:
        """Whether the output carries variance channels behind the prediction."""
        ...

    @property
    def classes(self) -> int:
        """Number of class labels; the null class of guidance is the label `classes`."""
        ...

    @property
    def device(self) -> torch.device: ...

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def module(self) -> torch.nn.Module:
        """The diffusers module underneath."""
        ...

    @property
    def config(self) -> dict[str, Any]:
        """The settings that identify the architecture."""
        ...

    def condition(self, timesteps: Tensor, labels: Tensor) -> Conditioning:
        """Everything that depends on time and label only, for all timesteps (S,), labels (N,)."""
        ...

    def embed(self, latents: Tensor) -> Tensor:
        """Latents (N, C, h, w) -> tokens (N, T, D)."""
        ...

    def branch(self, x: Tensor, given: Conditioning, s: int, block: int, r: int) -> Tensor:
        """Output (N, T, D) of branch `r` of `block` at step `s`, before its gate.

        Neither it nor anything else keeps `x`, which may be written to afterwards.
        """
        ...

    def add(
        self,
        x: Tensor,
        out: Tensor,
        given: Conditioning,
        s: int,
        block: int,
        r: int,
        *,
        own: bool = False,
    ) -> Tensor:
        """`x + gate * out` (N, T, D) with the gate of step `s`; `out` is not written to.

        Args:
            own: `x` is the caller's alone, to be written to where that is quicker; the numbers are
                the same. Without it `x` is not written to either.
        """
        ...

    def half(self, given: Conditioning) -> Conditioning:
        """The same conditioning for the first half of the rows of an even batch, at no cost."""
        ...

    def chosen(self, given: Conditioning, rows: Tensor) -> Conditioning:
        """The same conditioning for some rows of the batch, int64 (n,)."""
        ...

    def still(self, given: Conditioning) -> StillConditioning:
        """A conditioning of one step at a time, the first to begin with, that never moves."""
        ...

    def modulated(self, x: Tensor, given: Conditioning, s: int, block: int, r: int) -> Tensor:
        """What branch `r` reads, (N, T, D): its input normed and modulated for step `s`."""
        ...

    def branch_rows(
        self, x: Tensor, given: Conditioning, s: int, block: int, r: int, rows: Tensor
    ) -> Tensor:
        """Output (N, k, D) of branch `r` for the tokens `rows`, int64 (N, k), alone.

        They attend to all tokens of `x`; with every token in order it is what `branch` returns.
        """
        ...

    def received(self, x: Tensor, given: Conditioning, s: int, block: int) -> Tensor:
        """Attention that each token receives, float32 (N, T): the map, mean over heads, summed
        over queries; T in sum (ToCa's first score, arXiv 2410.05317)."""
        ...

    def linears(self, block: int, r: int) -> Mapping[str, tuple[Tensor, Tensor | None]]:
        """Name -> weight (out, in) and bias of every linear of a branch, in order of application.

        Not to be written to.
        """
        ...

    def branch_with(
        self, x: Tensor, given: Conditioning, s: int, block: int, r: int, linear: Linear
    ) -> Tensor:
        """`branch` with every one of its `linears` applied by `linear`.

        It may leave out whole heads, alike of q, k and v, or hidden channels of "up" (with a gated
        activation: values and their gates); the last linear is then given what is left.
        """
        ...

    def head(self, x: Tensor, given: Conditioning, s: int) -> Tensor:
        """Tokens (N, T, D) -> model output (N, C', h, w)."""
        ...

    def branch_macs(self, block: int, r: int) -> int:
        """Multiply-accumulates of one branch for one image and one pass."""
        ...

    def row_macs(self, block: int, r: int, rows: int) -> int:
        """Multiply-accumulates of `branch_rows` for `rows` tokens of one image and one pass."""
        ...

    def linear_macs(self, block: int, r: int) -> dict[str, int]:
        """Multiply-accumulates of each of the `linears` of one branch, likewise."""
        ...

    def fixed_macs(self) -> int:
        """Multiply-accumulates of everything that runs at every step, likewise."""
        ...

    def end_macs(self) -> tuple[int, int]:
        """Those of them that are of the patch embedding and of the final layer's projection.

        The others are of the modulation, which is made for all steps whatever they run.
        """
        ...
