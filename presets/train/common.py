"""Shared by the trainings: resumable checkpoints, a progress line, weight averaging, a schedule."""

import math
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def save_whole(path: Path, state: Any) -> None:
    """Write `state` so that an interrupted write never leaves half a file."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The saved state, or None when there is none; tensors and plain values only."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def warm_cosine(step: int, total: int, warm: int) -> float:
    """Learning-rate factor: linear to 1 over `warm` steps, then a cosine to 0.02 at `total`."""
    if step < warm:
        return (step + 1) / warm
    x = min(1.0, (step - warm) / max(1, total - warm))
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * x))


def warm_stable_decay(step: int, total: int, warm: int, decay: float) -> float:
    """Learning-rate factor: linear to 1 over `warm` steps, flat, linear to 0 over the last share.

    The flat part does not depend on `total`, so a run may be made longer or shorter when resumed.
    """
    return min(1.0, (step + 1) / warm, max(0.0, (total - step) / max(1.0, decay * total)))


@torch.no_grad()
def average_into(average: Iterable[Tensor], current: Iterable[Tensor], decay: float) -> None:
    """Exponential moving average of weights, in place."""
    pairs = [
        (a, c.detach()) for a, c in zip(average, current, strict=True) if a.is_floating_point()
    ]
    torch._foreach_lerp_([a for a, _ in pairs], [c for _, c in pairs], 1 - decay)


def parameters_m(module: nn.Module) -> float:
    """Parameters in millions."""
    return sum(p.numel() for p in module.parameters()) / 1e6


class Progress:
    """One line of progress on stderr every few seconds: step, time left, and what is given."""

    def __init__(self, name: str, start: int, total: int, every_s: float = 15.0) -> None:
        self.name, self.start, self.total, self.every_s = name, start, total, every_s
        self.began = self.shown = time.monotonic()

    def __call__(self, step: int, **values: float) -> None:
        now = time.monotonic()
        if now - self.shown < self.every_s and step < self.total:
            return
        self.shown = now
        rate = (step - self.start) / (now - self.began)
        left_min = (self.total - step) / max(rate, 1e-9) / 60
        text = "  ".join(f"{k} {v:.4f}" for k, v in values.items())
        sys.stderr.write(
            f"{self.name} {step}/{self.total}  {rate:.2f} steps/s  {left_min:.1f} min left  "
            f"{text}\n"
        )
        sys.stderr.flush()
