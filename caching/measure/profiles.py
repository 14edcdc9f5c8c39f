"""Profiles: what several methods measure once on full runs, beyond the change between steps.

Each is a `Fitter` that looks on; `profiled` makes the runs. Shapes: S steps, L blocks, R branches,
N batch, T tokens, D width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from caching.engine.fits import PICTURES, calibrate
from caching.engine.request import prepare
from caching.models.family import Conditioning
from caching.models.model import Model
from caching.predictors.base import Fitter

Tell = Callable[[str, int, int], None]

WORK = 2_000_000_000
"""Differences taken for the pairwise errors of one picture, at most."""
HELD_MIB = 512.0
"""Outputs of one picture held for comparing all steps with all others, at most."""


class Profile(Fitter):
    """A fitter whose single part is what it has measured."""

    def __init__(self, model: Model, steps: int) -> None:
        self.family, self.steps = model.family, steps
        self.cells = (model.blocks, len(model.branches))

    def solve(self, part: Hashable) -> Any:
        """What was measured over all runs; there is one part only."""
        raise NotImplementedError


class _Teller(Fitter):
    """Says how far the full runs have come."""

    def __init__(self, tell: Tell, total: int) -> None:
        self.tell, self.total, self.done = tell, total, 0

    def see_step(self, s: int, before: Tensor, after: Tensor) -> None:
        self.done += 1
        self.tell("full runs", self.done, self.total)

    def solve(self, part: Hashable) -> None:
        return None


def profiled(
    model: Model,
    kind: Callable[[Model, int], Profile],
    *,
    steps: int,
    cfg_scale: float,
    sampler: str,
    pictures: int = PICTURES,
    tell: Tell | None = None,
    stopped: Callable[[], bool] | None = None,
) -> Any:
    """What a profile finds on full runs of pictures that no seed gives, one at a time.

    Args:
        model: what runs.
        kind: makes the profile for the model and its number of steps.
        steps, cfg_scale, sampler: of the runs.
        pictures: how many.
        tell: told of progress.
        stopped: asked between two branches.

    Raises:
        Stopped: `stopped` said so.
        RequestError: steps, guidance or sampler out of range.
    """
    request, _, _ = prepare(model, None, label=0, steps=steps, cfg_scale=cfg_scale, sampler=sampler)
    profile = kind(model, steps)
    fitters: list[Fitter] = [profile]
    if tell is not None:
        fitters.append(_Teller(tell, steps * pictures))
    with torch.no_grad():
        calibrate(model, request, fitters, pictures=pictures, stopped=stopped)
        return profile.solve(None)


class Pairs(Profile):
    """Every step's branch outputs compared with every other's: (similarity, error).

    Similarity is the cosine (S, S, L, R) over all numbers of an output, mean over runs; error is
    the mean absolute difference (L, R), mean over all pairs of different steps and runs. Where
    outputs are large, numbers at even distances stand for all of them: as many as `WORK` and
    `HELD_MIB` allow, which for models of a few million weights is all.
    """

    def __init__(self, model: Model, steps: int) -> None:
        super().__init__(model, steps)
        blocks, branches = self.cells
        room = min(
            WORK / (steps**2 * blocks * branches),
            HELD_MIB * 2**20 / (4 * steps * blocks * branches),
        )
        self.room = max(256, int(room))
        self.kept: dict[tuple[int, int], list[Tensor]] = {}
        self.similarity = np.zeros((steps, steps, *self.cells))
        self.error = np.zeros(self.cells)
        self.runs = 0

    def see(self, s: int, block: int, r: int, x: Tensor, out: Tensor, given: Conditioning) -> None:
        flat = out.flatten()
        stride = max(1, math.ceil(flat.numel() / self.room))
        self.kept.setdefault((block, r), []).append(flat[::stride].float().clone())

    def next_run(self) -> None:
        self.runs += 1
        for (block, r), outputs in self.kept.items():
            rows = torch.stack(outputs)  # (S, E)
            unit = torch.nn.functional.normalize(rows, dim=1)
            self.similarity[:, :, block, r] += (unit @ unit.T).cpu().numpy()
            far = sum(float((rows[k + 1 :] - rows[k]).abs().sum()) for k in range(len(rows) - 1))
            pairs = max(1, len(rows) * (len(rows) - 1) // 2)
            self.error[block, r] += far / (pairs * rows.shape[1])
        self.kept.clear()

    def solve(self, part: Hashable) -> tuple[np.ndarray, np.ndarray]:
        return self.similarity / self.runs, self.error / self.runs


class Hidden(Profile):
    """Squared relative change (S, L) of the hidden state before each block from the step before.

    ||x_s - x_{s-1}||² / ||x_{s-1}||² over the whole doubled batch, mean over runs; NaN at step 0.
    """

    def __init__(self, model: Model, steps: int) -> None:
        super().__init__(model, steps)
        self.before: dict[int, Tensor] = {}
        self.total = np.full((steps, self.cells[0]), np.nan)
        self.total[1:] = 0.0
        self.runs = 0

    def see(self, s: int, block: int, r: int, x: Tensor, out: Tensor, given: Conditioning) -> None:
        if r:
            return
        if s:
            last = self.before[block].float()
            moved = (x.float() - last).square().sum() / last.square().sum()
            self.total[s, block] += float(moved)
        self.before[block] = x

    def next_run(self) -> None:
        self.runs += 1
        self.before.clear()

    def solve(self, part: Hashable) -> np.ndarray:
        return self.total / self.runs


class Residuals(Profile):
    """Relative L1 change (S, S) of what all blocks add: ||R_s - R_u||_1 / ||R_s||_1 at [s, u].

    Mean over runs.
    """

    def __init__(self, model: Model, steps: int) -> None:
        super().__init__(model, steps)
        self.kept: list[Tensor] = []
        self.total = np.zeros((steps, steps))
        self.runs = 0

    def see_step(self, s: int, before: Tensor, after: Tensor) -> None:
        self.kept.append((after - before).flatten().float())

    def next_run(self) -> None:
        self.runs += 1
        rows = torch.stack(self.kept)  # (S, N T D)
        size = rows.abs().sum(1)
        far = torch.stack([(rows - row).abs().sum(1) for row in rows], dim=1)  # [s, u]
        self.total += (far / size[:, None]).cpu().numpy()
        self.kept.clear()

    def solve(self, part: Hashable) -> np.ndarray:
        return self.total / self.runs


class Attention(Profile):
    """How much each block's attention (L,) gathers on few tokens: 0 evenly, 1 all on one.

    1 - H / log T, H the entropy of the attention that each token receives as a share of all; mean
    over rows, steps and runs.
    """

    def __init__(self, model: Model, steps: int) -> None:
        super().__init__(model, steps)
        self.r = model.branches.index("attn") if "attn" in model.branches else 0
        self.total = np.zeros(self.cells[0])
        self.seen = 0

    def see(self, s: int, block: int, r: int, x: Tensor, out: Tensor, given: Conditioning) -> None:
        if r == self.r:
            share = self.family.received(x, given, s, block) / self.family.tokens
            self.total[block] += float(concentration(share).mean())
            self.seen += block == 0

    def solve(self, part: Hashable) -> np.ndarray:
        return self.total / max(1, self.seen)


def concentration(share: Tensor) -> Tensor:
    """1 - entropy / log T of shares (N, T) that sum to 1: (N,), 0 for even ones."""
    tokens = share.shape[-1]
    if tokens == 1:
        return torch.zeros_like(share[..., 0])
    entropy = -torch.special.xlogy(share, share).sum(-1)
    even: Tensor = 1 - entropy / math.log(tokens)
    return even
