"""Clusters: a Taylor forecast in which one token of each cluster is computed (ClusCa)."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from caching.fields import number_field, whole_field
from caching.predictors.base import Cell, Kind, Output, Predictor, combine
from caching.predictors.draws import uniform
from caching.predictors.taylor import MAX_ORDER, Taylor, difference_weights

if TYPE_CHECKING:
    from torch import Tensor

    from caching.models.family import Family

MAX_ITERATIONS = 100
TOLERANCE = 1e-4
DRAW, DRAW_FIRST = 2, 3


@lru_cache(maxsize=4096)
def change_weights(steps: tuple[int, ...], step: int) -> tuple[float, ...]:
    """Taylor's terms of order 1 and up as weights of first differences.

    Weight j is that of what the cell computed at steps[j] minus what stood in its place as D_0 at
    steps[j + 1], when steps[j] became the newest.
    """
    gaps = [a - b for a, b in pairwise(steps)]
    total = [0.0] * len(gaps)
    factor, x = 1.0, step - steps[0]
    for k, row in enumerate(difference_weights(steps[:-1]) if gaps else (), 1):
        factor *= x / k
        total = [t + factor * w / g for t, w, g in zip(total, row, gaps, strict=True)]
    return tuple(total)


@dataclass(frozen=True)
class Clusters(Predictor):
    """F = D_0 + sum over k >= 1 of D_k x^k / k!, one token of each cluster fresh in D_0.

    ClusCa (arXiv 2509.10312). After every full step the tokens behind the last block are parted
    into `k` clusters by k-means (L1 distances, means, at most 100 rounds, from the last centroids).
    A feed-forward cell then computes one random token of each cluster, scatters them into its D_0,
    moves all of D_0 by `gamma` towards its cluster's fresh token and forecasts from it as
    TaylorSeer does; later steps find D_0 as it was left, and so does the next D_1. An attention
    cell is plain Taylor. Defaults are those of its sample_ddp.py, with intervals of 4; sample.py
    has gamma 0.

    The code forecasts the fresh tokens too, as if they were from the last full step. Here their
    output is what was computed, so that with as many clusters as tokens the branch is computed;
    with order 0 the two are one. Where a cluster is empty the code takes token 0 again and moves
    the centroid to the origin; here another random token has its turn and the centroid stays.
    Centroids begin as `k` different tokens, there with repetition, and each row of a batch stops
    its rounds when its own centroids stand still.
    """

    k: int = 16
    gamma: float = 0.005
    order: int = 4

    name: ClassVar[str] = "clusters"
    letter: ClassVar[str] = "K"
    label: ClassVar[str] = "clusters"
    kind: ClassVar[Kind] = "partial"

    def __post_init__(self) -> None:
        whole_field(self, "k", 1, 1024)
        number_field(self, "gamma", 0.0, 1.0)
        whole_field(self, "order", 0, MAX_ORDER)

    @property
    def keeps(self) -> int:
        return self.order + 1

    def hands_on(self, branch: str, held: int) -> bool:
        return branch == "attn" and held == 1

    def estimate(self, past: Sequence[tuple[int, Output]], step: int) -> Output:
        """The forecast without fresh tokens."""
        return Taylor(self.order).estimate(past, step)

    def stand_in(self, cell: Cell) -> Tensor:
        if cell.family.branches[cell.r] == "attn":
            out: Tensor = super().stand_in(cell)
            return out
        n, tokens = cell.x.shape[:2]
        left = {step: d0[:n] for step, d0 in cell.shared.get((cell.block, cell.r), ())}
        (newest, *_) = cell.past
        labels = cell.shared["labels"][:n].long()
        place = (DRAW, cell.s, cell.block, cell.r)
        draws = uniform(cell.seeds, place, tokens, cell.x)
        rows = one_of_each(labels, draws, min(self.k, tokens))
        where = rows[..., None].expand(-1, -1, cell.x.shape[2])
        fresh = cell.family.branch_rows(cell.x, cell.given, cell.s, cell.block, cell.r, rows)
        d0 = left.get(newest.step, newest.output).scatter(1, where, fresh)
        if self.gamma:
            mean, _ = _means(fresh, labels.gather(1, rows), fresh.shape[1])
            d0 = d0.lerp(mean.gather(1, labels[..., None].expand(d0.shape)), self.gamma)
        noted = [(e.step, left[e.step]) for e in cell.past[1:] if e.step in left]
        cell.shared[cell.block, cell.r] = ((newest.step, d0), *noted)
        left[newest.step] = d0
        weights, outputs = [1.0], [d0]
        steps = tuple(e.step for e in cell.past)
        changes = change_weights(steps, cell.s)
        for w, (one, before) in zip(changes, pairwise(cell.past), strict=True):
            weights += [w, -w]
            outputs += [one.output, left.get(before.step, before.output)]
        out = combine(weights, outputs).scatter(1, where, fresh)
        return out

    def end_step(
        self,
        shared: MutableMapping[Any, Any],
        x: Tensor,
        s: int,
        *,
        full: bool,
        seeds: tuple[int, ...],
    ) -> None:
        if not full:
            return
        import torch

        tokens = x.float()
        k = min(self.k, tokens.shape[1])
        centroids = shared.get("centroids")
        if centroids is None:
            first = uniform(seeds, (DRAW_FIRST,), tokens.shape[1], tokens).argsort(1)[:, :k]
            centroids = tokens.gather(1, first[..., None].expand(-1, -1, tokens.shape[2]))
        labels, shared["centroids"] = k_means(tokens, centroids)
        shared["labels"] = labels.to(torch.int16)

    # -- cost ------------------------------------------------------------------------------

    def macs(self, family: Family, block: int, r: int) -> int:
        """Of the fresh tokens; the distances of k-means are no products and not counted."""
        if family.branches[r] == "attn":
            return 0
        return family.row_macs(block, r, min(self.k, family.tokens))

    def note_bytes(self, family: Family, cells: Any, computed: Any, watched: Any) -> Any:
        """D_0 of the computed steps that were forecast from, int16 labels, float32 centroids."""
        import torch

        number = torch.finfo(family.dtype).bits // 8
        tokens, width = family.tokens, family.width
        own = [name != "attn" for name in family.branches]
        held = _anchors(cells & own, computed & own, self.keeps) * tokens * width * number
        # Of the whole step, from the end of the first one on.
        held[1:, 0, 0] += tokens * 2 + min(self.k, tokens) * width * 4
        return held


def _anchors(cells: Any, computed: Any, keeps: int) -> Any:
    """Int (S, L, R): how many of the newest computed steps of a cell have been forecast from."""
    steps = len(cells)
    used = [np.zeros(cells.shape[1:], np.int64)] * keeps  # of the newest computed steps
    noted = np.zeros(cells.shape[1:], np.int64)
    found = np.zeros(cells.shape, np.int64)
    for s in range(steps):
        shifted = [np.zeros_like(noted), *used[:-1]]
        used = [np.where(computed[s], a, b) for a, b in zip(shifted, used, strict=True)]
        used[0] = np.where(cells[s], 1, used[0])
        # Old ones are dropped when the cell is forecast again.
        noted = np.where(cells[s], sum(used), noted)
        found[s] = noted
    return found


def one_of_each(labels: Tensor, draws: Tensor, k: int) -> Tensor:
    """Int64 (N, k): the token with the highest draw of every cluster, then the highest others.

    Args:
        labels, draws: (N, T), at most k labels in a row.
    """
    best = draws.new_full((len(labels), k), -1.0)
    best = best.scatter_reduce(1, labels, draws, "amax")
    first = draws == best.gather(1, labels)
    return (draws + first).argsort(dim=1, descending=True, stable=True)[:, :k]


def _means(values: Tensor, labels: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Mean (N, k, D) of the values (N, T, D) with each label (N, T), and how many (N, k, 1)."""
    import torch
    import torch.nn.functional as F

    if values.is_cuda:
        # scatter_add sums in any order there, and a run would not repeat to the last bit.
        total = F.one_hot(labels, k).to(values.dtype).mT @ values
    else:
        total = values.new_zeros(len(values), k, values.shape[2])
        total = total.scatter_add(1, labels[..., None].expand(values.shape), values)
    count = torch.zeros_like(total[..., 0])
    count = count.scatter_add(1, labels, torch.ones_like(values[..., 0]))[..., None]
    return total / count.clamp(min=1), count


def k_means(tokens: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """Int64 labels (N, T) and centroids (N, k, D) for tokens (N, T, D), each row by itself.

    As ClusCa: the nearest centroid by L1 distance, then the mean of its tokens, until no centroid
    moves by more than 1e-4 of itself.
    """
    import torch

    running = torch.ones(len(tokens), dtype=torch.bool, device=tokens.device)
    labels = torch.zeros(tokens.shape[:2], dtype=torch.int64, device=tokens.device)
    for _ in range(MAX_ITERATIONS):
        x, old = tokens[running], centroids[running]
        nearest = torch.cdist(x, old, p=1).argmin(-1)
        labels[running] = nearest
        mean, count = _means(x, nearest, old.shape[1])
        mean = torch.where(count > 0, mean, old)
        moves = ~torch.isclose(old, mean, rtol=TOLERANCE).flatten(1).all(1)
        still = running.clone()
        still[running] = moves
        centroids = centroids.clone()
        centroids[still] = mean[moves]
        running = still
        if not moves.any():
            break
    return labels, centroids
