"""What the sampling loop needs to know of a transformer: the one door to its branches.

A model family is added by writing one adapter with these methods; the loop, the trace, the cost and
the app never look further in. Shapes: S steps, L blocks, R branches, N batch, T tokens, D width.
"""

from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

Conditioning: TypeAlias = Any
"""What `condition` prepared for a whole run; only the family that made it looks inside."""


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
        """Output (N, T, D) of branch `r` of `block` at step `s`, before its gate."""
        ...

    def add(
        self, x: Tensor, out: Tensor, given: Conditioning, s: int, block: int, r: int
    ) -> Tensor:
        """`x + gate * out` (N, T, D) with the gate of step `s`; neither input is written to."""
        ...

    def head(self, x: Tensor, given: Conditioning, s: int) -> Tensor:
        """Tokens (N, T, D) -> model output (N, C', h, w)."""
        ...

    def branch_macs(self, block: int, r: int) -> int:
        """Multiply-accumulates of one branch for one image and one pass."""
        ...

    def fixed_macs(self) -> int:
        """Multiply-accumulates of everything that runs at every step, likewise."""
        ...
