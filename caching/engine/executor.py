"""Execute one row of a schedule: every cell of every block, and the record of what really ran."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from caching.errors import CachebrushError
from caching.models.family import Conditioning, Family
from caching.schedule import Schedule

Watcher = Callable[[int, int, Tensor], None]
"""Called with (block, branch, output) for every computed branch."""


class Stopped(CachebrushError):
    """The run was asked to stop; nothing of it remains."""


def kept_cells(actions: np.ndarray) -> np.ndarray:
    """Which computed outputs a later step needs: bool (S, L, R) from uint8 (S, L, R).

    A cell's output is needed exactly when the same branch is not computed at the next step.
    """
    kept = np.zeros(actions.shape, bool)
    kept[:-1] = (actions[:-1] == 0) & (actions[1:] != 0)
    return kept


def peak_cells(actions: np.ndarray) -> int:
    """The largest number of outputs that a run of uint8 (S, L, R) holds at once.

    Taken after every cell, not after every step: a step stores new outputs in its first blocks
    while the last blocks still hold what they are about to use for the last time.
    """
    cells = actions.reshape(len(actions), -1)  # (S, L R) in the order of execution
    after = np.zeros(cells.shape, np.int64)
    after[:-1] = cells[1:] != 0  # someone still needs what the cell holds when step s is over
    before = np.concatenate([np.zeros_like(after[:1]), after[:-1]])
    held = before.sum(-1, keepdims=True) + (after - before).cumsum(-1)
    return int(held.max())


class Executor:
    """Runs the rows of one schedule in order; holds the cached branch outputs between them.

    Cached tensors are never written to: a cell is replaced, not changed, and dropped once no later
    step needs it.
    """

    def __init__(self, family: Family, schedule: Schedule, given: Conditioning) -> None:
        self.family, self.schedule, self.given = family, schedule, given
        self.kept = kept_cells(schedule.actions).tolist()
        self.rows = schedule.actions.tolist()
        self.keeps = max((p.keeps for p in schedule.legend), default=1)
        self.cache: dict[tuple[int, int], tuple[tuple[int, Tensor], ...]] = {}

    def cache_bytes(self) -> int:
        """Bytes held by cached outputs right now."""
        return sum(t.numel() * t.element_size() for past in self.cache.values() for _, t in past)

    @torch.no_grad()
    def step(
        self,
        latents: Tensor,
        s: int,
        *,
        watch: Watcher | None = None,
        stopped: Callable[[], bool] | None = None,
    ) -> tuple[Tensor, np.ndarray]:
        """Run step `s` on latents (N, C, h, w) -> model output and executed actions uint8 (L, R).

        Raises:
            Stopped: `stopped` said so between two branches.
        """
        family, given, cache = self.family, self.given, self.cache
        row, kept = self.rows[s], self.kept[s]
        done = np.zeros((family.blocks, len(family.branches)), np.uint8)
        last = s + 1 == len(self.rows)
        x = family.embed(latents)
        for block in range(family.blocks):
            for r in range(len(family.branches)):
                if stopped is not None and stopped():
                    raise Stopped("the run was stopped between two branches.")
                action = row[block][r]
                if action == 0:
                    out = family.branch(x, given, s, block, r)
                    if watch is not None:
                        watch(block, r, out)
                    if kept[block][r]:
                        cache[block, r] = ((s, out), *cache.get((block, r), ()))[: self.keeps]
                else:
                    out = self.schedule.legend[action - 1].estimate(cache[block, r], s)
                    if last or self.rows[s + 1][block][r] == 0:
                        del cache[block, r]
                    done[block, r] = action
                x = family.add(x, out, given, s, block, r)
        return family.head(x, given, s), done
