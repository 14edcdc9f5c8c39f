"""Evolve: a genetic search for schedules that lose little at little work (NSGA-II's selection).

Shapes: P individuals, S steps, L blocks, R branches, K lags.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.bool_]
"""Bool (P, S, L, R), True = computed; step 0 always is."""


@dataclass(frozen=True, eq=False)
class Evolved:
    """What a search ended with: the individuals that no other one beats, most work first.

    Attributes:
        computed: bool (P, S, L, R).
        work: (P,) share of all cells' cost.
        loss: (P,) summed change of what is reused, falling work and rising loss.
    """

    computed: Cells
    work: NDArray[np.float64]
    loss: NDArray[np.float64]

    def within(self, work: float) -> Cells:
        """The individual (S, L, R) of least loss whose work is at most this, else the laziest."""
        fit = np.flatnonzero(self.work <= work + 1e-9)
        found: Cells = self.computed[fit[0] if len(fit) else -1]
        return found


def losses(computed: Cells, change: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P,) sum over reused cells of the change (S, L, R, K) since they were last computed.

    Beyond K lags changes grow in proportion.
    """
    lags = change.shape[-1]
    age = np.zeros((len(computed), *computed.shape[2:]), np.int64)
    total = np.zeros(len(computed))
    rows = np.indices(computed.shape[2:])
    for s in range(1, computed.shape[1]):
        age = np.where(computed[:, s], 0, age + 1)
        lag = np.clip(age, 1, lags) - 1
        own = change[s][rows[0], rows[1], lag] * np.maximum(1.0, age / lags)
        total += np.where(age > 0, own, 0.0).sum(axis=(1, 2))
    return total


def ranks(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """(P,) 0 for points (P, 2) that no other is better than in both, 1 for those next, ...

    Both are to be small. A point beats another when it is at most as large in both and smaller in
    one.
    """
    least = (points[:, None] <= points[None]).all(-1)
    beats = least & (points[:, None] < points[None]).any(-1)  # [i, j]: i beats j
    rank = np.full(len(points), -1)
    level = 0
    while (left := rank < 0).any():
        rank[left & ~(beats & left[:, None]).any(axis=0)] = level
        level += 1
    return rank


def _ranks_of_different(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """As `ranks`, but of points that are equal all after the first come last."""
    rank = ranks(points)
    _, first = np.unique(points.round(9), axis=0, return_index=True)
    again = np.ones(len(points), bool)
    again[first] = False
    rank[again] = rank.max() + 1
    return rank


def crowding(points: NDArray[np.float64], rank: NDArray[np.int64]) -> NDArray[np.float64]:
    """(P,) how far the neighbours of equal rank lie apart; the ends of a rank are infinitely so."""
    room = np.zeros(len(points))
    for level in range(int(rank.max()) + 1):
        (members,) = np.nonzero(rank == level)
        for column in points.T:
            order = members[np.argsort(column[members], kind="stable")]
            room[order[[0, -1]]] = np.inf
            span = column[order[-1]] - column[order[0]]
            if span > 0:
                room[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return room


def evolve(
    change: NDArray[np.floating],
    costs: NDArray[np.floating],
    *,
    generations: int,
    population: int = 100,
    seed: int = 0,
    tell: Callable[[int], None] | None = None,
) -> Evolved:
    """The front after so many generations, from one step in n computed for many n.

    Parents are drawn by tournaments of two, rank before crowding; a child has the steps between two
    cuts from one of them and the others from the other. Half of the children then move the cells of
    some rows to the step after, and all of them flip about one cell, or one branch of one step. Of
    parents and children together the better half lives on.

    Args:
        change: (S, L, R, K) relative change at lags 1..K, NaN where a lag reaches before step 0.
        costs: (L, R) what a computed cell costs.
        generations, population: of the search.
        seed: of its random numbers.
        tell: told the number of each generation when it is done.
    """
    known = np.nan_to_num(np.asarray(change, np.float64))
    steps, blocks, branches, _ = known.shape
    share = np.asarray(costs, np.float64) / (steps * np.sum(costs))
    random = np.random.default_rng(seed)

    def points_of(cells: Cells) -> NDArray[np.float64]:
        return np.stack([np.einsum("pslr,lr->p", cells, share), losses(cells, known)], axis=1)

    cells = _first(steps, blocks, branches, population, random)
    points = points_of(cells)
    for generation in range(generations):
        rank = ranks(points)
        room = crowding(points, rank)
        children = _children(cells, rank, room, random)
        cells = np.concatenate([cells, children])
        points = np.concatenate([points, points_of(children)])
        rank = _ranks_of_different(points)
        best = np.lexsort((-crowding(points, rank), rank))[:population]
        cells, points = cells[best], points[best]
        if tell is not None:
            tell(generation + 1)
    (front,) = np.nonzero(_ranks_of_different(points) == 0)
    front = front[np.lexsort((points[front, 1], -points[front, 0]))]
    return Evolved(cells[front], points[front, 0], points[front, 1])


def _first(
    steps: int, blocks: int, branches: int, population: int, random: np.random.Generator
) -> Cells:
    """One step in n computed for n from 1 on, the rest such with some steps flipped."""
    most = max(2, min(steps, population // 2))
    beats = np.array([np.arange(steps) % (1 + i % most) == 0 for i in range(population)])
    flipped = random.random(beats.shape) < 0.1
    beats[most:] ^= flipped[most:]
    beats[:, 0] = True
    return np.broadcast_to(beats[:, :, None, None], (population, steps, blocks, branches)).copy()


def _children(
    cells: Cells,
    rank: NDArray[np.int64],
    room: NDArray[np.float64],
    random: np.random.Generator,
) -> Cells:
    """As many as there are individuals."""
    count, steps, _, branches = cells.shape
    drawn = random.integers(0, count, (2, 2, count))  # (parent, rival, child)
    first, second = drawn[:, 0], drawn[:, 1]
    better = (rank[first] < rank[second]) | (
        (rank[first] == rank[second]) & (room[first] >= room[second])
    )
    one, other = np.where(better, first, second)
    cuts = np.sort(random.integers(0, steps + 1, (2, count)), axis=0)
    at = np.arange(steps)
    inside = (at >= cuts[0][:, None]) & (at < cuts[1][:, None])  # (P, S)
    children: Cells = np.where(inside[:, :, None, None], cells[other], cells[one])
    _move(children, random)
    # Half of the children change in whole branches of a step, the others in single cells.
    coarse = random.random((count, 1, 1, 1)) < 0.5
    branch = random.random((count, steps, 1, branches)) < 1 / (steps * branches)
    cell = random.random(cells.shape) < 1 / cells[0].size
    children = np.logical_xor(children, np.where(coarse, branch, cell))
    children[:, 0] = True
    return children


def _move(cells: Cells, random: np.random.Generator) -> None:
    """In one individual of two, the cells of some rows change places with those a step later."""
    count, steps, blocks, branches = cells.shape
    if steps < 3:
        return
    s = random.integers(1, steps - 1, count)
    some = random.random((count, blocks, branches)) < random.random((count, 1, 1))
    whole = random.random((count, 1, branches)) < 0.5
    moving = random.random((count, 1, 1)) < 0.5
    rows = (some | whole) & moving
    who = np.arange(count)
    here, there = cells[who, s], cells[who, s + 1]
    cells[who, s], cells[who, s + 1] = np.where(rows, there, here), np.where(rows, here, there)
