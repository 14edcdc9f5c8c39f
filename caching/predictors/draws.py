"""Random numbers that depend on the picture's seed and the place alone, never on the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def uniform(seeds: tuple[int, ...], place: tuple[int, ...], count: int, like: Tensor) -> Tensor:
    """Float32 (N, count) in 0..1 on the device of `like`, one row for each of `seeds` (N,).

    Rows with one seed are equal, so that both passes of a picture get the same numbers, as ToCa
    draws them; a picture gets the same numbers alone as in a batch.

    Args:
        place: numbers that tell this draw from others, the first of them at least 1.
    """
    import torch

    rows: dict[int, torch.Tensor] = {}
    for seed in seeds:
        if seed not in rows:
            drawn = np.random.default_rng((*place, seed)).random(count, np.float32)
            rows[seed] = torch.from_numpy(drawn)
    return torch.stack([rows[seed] for seed in seeds]).to(like.device)
