"""How much every branch output changes between steps, gathered while a full run goes by."""

from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from caching.measure.likeness import Gatherer, Likeness
from caching.readonly import read_only


@dataclass(frozen=True, eq=False)
class Trace:
    """Change of each branch output (before its gate) from `k` steps earlier; K lags.

    Norms run over the whole doubled batch, as SmoothCache (arXiv 2411.10510) takes them. Entries
    with s < k are NaN. Index `[s, l, r, k - 1]` compares step s with step s - k, and divides by the
    norm at step s, the output that a cached cell would have replaced.
    """

    timesteps: tuple[float, ...]  # (S,)
    rel_l1: np.ndarray  # float32 (S, L, R, K)
    rel_l2: np.ndarray  # float32 (S, L, R, K)
    cosine: np.ndarray  # float32 (S, L, R, K)
    likeness: Likeness  # of all pairs of steps

    def __post_init__(self) -> None:
        read_only(self)


class Recorder:
    """Collects a Trace online; keeps the last K outputs of each branch and nothing older.

    `watch` only takes references, so that it adds nothing to the time of a step; `finish_step` does
    the arithmetic. `memory_mib` lowers K so that the kept outputs fit.
    """

    def __init__(
        self,
        timesteps: tuple[float, ...],
        blocks: int,
        branches: int,
        *,
        lags: int,
        memory_mib: float,
    ) -> None:
        self.timesteps, self.shape = timesteps, (blocks, branches)
        self.lags, self.memory_mib = lags, memory_mib
        self.past: deque[Tensor] = deque()
        self.now: dict[tuple[int, int], Tensor] = {}
        self.values: list[np.ndarray] = []  # each (3, L, R, K)
        self.gatherer = Gatherer(len(timesteps))

    def watch(self, s: int, block: int, r: int, x: Tensor, out: Tensor) -> None:
        self.now[block, r] = out

    @torch.no_grad()
    def finish_step(self) -> None:
        """Compare the step's outputs with those of the K steps before."""
        blocks, branches = self.shape
        here = torch.stack(
            [self.now[b, r].flatten() for b in range(blocks) for r in range(branches)]
        ).float()  # (L R, N T D)
        self.now.clear()
        self.gatherer.add(here)
        room = int(self.memory_mib * 2**20 // (here.numel() * 4))
        self.lags = max(1, min(self.lags, room))
        values = np.full((3, blocks * branches, self.lags), np.nan, np.float32)
        l1, l2 = here.abs().sum(-1), here.norm(dim=-1)
        for k, before in enumerate(self.past):
            if k >= self.lags:
                break
            gap = here - before
            values[0, :, k] = (gap.abs().sum(-1) / l1).cpu().numpy()
            values[1, :, k] = (gap.norm(dim=-1) / l2).cpu().numpy()
            values[2, :, k] = torch.cosine_similarity(here, before, dim=-1).cpu().numpy()
        self.past.appendleft(here)
        while len(self.past) > self.lags:
            self.past.pop()
        self.values.append(values.reshape(3, blocks, branches, -1))

    def trace(self) -> Trace:
        lags = min(v.shape[-1] for v in self.values)
        rel_l1, rel_l2, cosine = np.stack([v[..., :lags] for v in self.values], 1)  # (S, L, R, K)
        likeness = self.gatherer.likeness(*self.shape)
        return Trace(self.timesteps, rel_l1, rel_l2, cosine, likeness)
