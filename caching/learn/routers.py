"""Routers in training: one number per cell that may be reused, and its optimiser.

A router is L R logits of one step; sigmoid of a logit is the probability w to compute the cell.
Shapes: S steps, L blocks, R branches, N batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from caching.learn.base import Data
from caching.methods.routers import sigmoid

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from caching.models.family import Conditioning, Family

CLAMP = 5.0
TINY = 1e-15


class Routers:
    """The routers of all steps, in the order of execution.

    Logits start from a standard normal distribution, as L2C's do, and stay in -5..5. One AdamW for
    all, without decay; it leaves a router alone while another learns. What is not trained computes
    (its logit is 5).
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        trained: Iterable[int],
        *,
        rate: float,
        seed: int,
        device: Any = "cpu",
    ) -> None:
        import torch

        generator = torch.Generator().manual_seed(seed)
        self.shape, self.trained = shape, tuple(trained)
        drawn = torch.randn(shape, generator=generator).flatten(1).to(device)
        self.logits = [
            (drawn[s] if s in self.trained else torch.full_like(drawn[s], CLAMP)).requires_grad_()
            for s in range(shape[0])
        ]
        mine = [self.logits[s] for s in self.trained]
        # Prices of 1e-8 make gradients below Adam's usual 1e-8, which would slow them to nothing.
        self.optimiser = (
            torch.optim.AdamW(mine, lr=rate, weight_decay=0.0, eps=TINY) if mine else None
        )

    def update(self, s: int, loss: Tensor) -> None:
        """One step of the optimiser down the gradient of `loss`, for the router of step `s`."""
        import torch

        assert self.optimiser is not None
        # Of the logits alone: the model's parameters would each want a gradient of their own.
        (self.logits[s].grad,) = torch.autograd.grad(loss, [self.logits[s]])
        self.optimiser.step()
        self.logits[s].grad = None
        with torch.no_grad():
            self.logits[s].clamp_(-CLAMP, CLAMP)

    def table(self) -> np.ndarray:
        """All logits, float32 (S, L, R)."""
        rows = np.stack([logit.detach().cpu().numpy() for logit in self.logits])
        return rows.reshape(self.shape).astype(np.float32)

    def probs(self) -> np.ndarray:
        """Probabilities to compute, float32 (S, L, R); 1 where nothing is trained."""
        found = sigmoid(self.table())
        rest = [s for s in range(self.shape[0]) if s not in self.trained]
        found[rest] = 1.0
        return found


def share_of(probs: np.ndarray, theta: float) -> float:
    """The share of all cells that would be reused: where the probability is at most `theta`."""
    return float((probs <= theta).mean())


def conditioning(
    family: Family, timesteps: Sequence[float], labels: Tensor, *, guided: bool = False
) -> Conditioning:
    """Of a batch for these timesteps, the null class behind it where it is guided."""
    import torch

    labels = labels.to(family.device)
    if guided:
        labels = torch.cat([labels, torch.full_like(labels, family.classes)])
    with torch.no_grad():
        return family.condition(torch.tensor(list(timesteps), device=family.device), labels)


def some_rows(data: Data, count: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Latents (N, C, h, w) float32 and labels (N,), drawn with replacement."""
    import torch

    rows = torch.randint(len(data.labels), (count,), generator=generator)
    return data.latents[rows].float(), data.labels[rows]
