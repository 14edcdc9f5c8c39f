"""Improve: a local search from a grid, each proposal ranked by prediction before it is measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caching.engine.request import whole
from caching.formats.native import dumps
from caching.improve.moves import SIZES, Ground, Move, filled, ground_of, moved
from caching.improve.record import Entry, Record
from caching.improve.score import Conditions, Judge
from caching.improve.starts import starts
from caching.measure.cost import branch_macs
from caching.models.model import Model
from caching.policies.evolve import losses
from caching.predict.kept import Kept
from caching.predictors import Predictor
from caching.schedule import Schedule

PROPOSALS, LATER = 48, 12
"""Drawn for the first move of every one that is measured, and for each move after it."""
SLACK = 1e-9
SURE = 1.0
"""Standard errors that a gain must exceed: how much a change gains differs by a decibel and more
from picture to picture, so a few pictures alone can make anything look better."""
Rank = Callable[[Schedule], float]


@dataclass(frozen=True, eq=False)
class Task:
    """What to improve.

    Attributes:
        schedule: the grid to start from; its work is the budget.
        conditions: of the runs.
        locked: bool (S, L, R), cells that stay as they are; None: none.
        brushes: that may stand in; None: those in use.
        seed: of the search.
    """

    schedule: Schedule
    conditions: Conditions
    locked: NDArray[np.bool_] | None = None
    brushes: tuple[Predictor, ...] | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Step:
    """One more schedule was measured.

    Attributes:
        number: of its trial, from 0, which measures the start.
        db: of it, on the pictures it ran on.
        best, best_db, work: so far, its mean over all pictures, its share of the full run's MACs.
        start_db: of what it started from.
        better: whether this trial found the best one, by more than luck.
        pruned: whether it ran on the first pictures only.
        resumed: trials that were known when this search began.
        ranked_by: what ranked the proposals, in words.
        seconds: since the search began.
    """

    number: int
    db: float
    best: Schedule
    best_db: float
    work: float
    start_db: float
    better: bool
    pruned: bool
    resumed: int
    ranked_by: str
    seconds: float

    @property
    def gain_db(self) -> float:
        return self.best_db - self.start_db


def improve(
    model: Model,
    task: Task,
    *,
    storage: Path | None = None,
    trials: int | None = None,
    stopped: Callable[[], bool] | None = None,
    between: Callable[[], None] | None = None,
    known: Callable[[], Kept | None] | None = None,
) -> Iterator[Step]:
    """Measures one schedule after the other; yields after each, the start first.

    Ends after `trials` of them in all, earlier ones included, or when `stopped` says so, which is
    also asked between branches. `between` is called between two groups of pictures, for whoever
    shares the machine. `known` gives the prediction that was calibrated here, where none ships;
    proposals are ranked by the newest it has.

    Raises:
        ScheduleError: the grid is of another model, or nothing in it can be moved.
        RequestError: the storage is no record of a search, or the seed no whole number from 0 on.
    """
    of = task.conditions
    whole("seed", task.seed, 0, 2**63 - 1)
    task.schedule.check_fits(steps=of.steps, blocks=model.blocks, branches=model.branches)
    schedule, numbers = _with(task.schedule, task.brushes)
    task = replace(task, schedule=schedule)
    macs = branch_macs(model).astype(np.float64)
    ground = ground_of(schedule, macs, locked=task.locked, brushes=numbers)
    judge = Judge(model, of, stopped, known)
    record = Record(
        storage,
        _plain(model, task),
        seed=task.seed,
        kinds=ground.kinds,
        shape=schedule.actions.shape,
        pictures=of.pictures,
    )
    return _search(
        judge, task, ground, record, trials, stopped or (lambda: False), between or (lambda: None)
    )


def _search(
    judge: Judge,
    task: Task,
    ground: Ground,
    record: Record,
    trials: int | None,
    stopped: Callable[[], bool],
    between: Callable[[], None],
) -> Iterator[Step]:
    began = time.monotonic()
    known = record.entries()
    first = known[0] if known and known[0].schedule == task.schedule else None
    cheap = [e for e in known if judge.work(e.schedule) <= judge.work(task.schedule) + SLACK]
    best = max(cheap, key=lambda e: e.db, default=None)
    others: list[Schedule] = []
    seen = {e.schedule for e in known}
    ranking: _Ranking | None = None
    while not stopped() and (trials is None or _count(record) < trials):
        trial, random = record.begin()
        kept = judge.kept
        if ranking is None or ranking.kept is not kept:
            ranking = _ranking(judge, kept)
            if ranking is None:
                record.drop(trial)
                return
            others = starts(judge, task)
        given = True
        if first is None or best is None:
            candidate = task.schedule
        elif fresh := [one for one in others if one not in seen]:
            candidate = fresh[0]
        else:
            given = False
            move = Move(**trial.params)
            candidate = _proposed(
                judge, task, ground, best.schedule, ranking.rank, seen, move, random
            )
        measured, gains = np.empty(0), np.zeros(1)
        for group in range(task.conditions.groups):
            if group:
                between()
            part = judge.score(candidate, group)
            if part is None:
                record.drop(trial)
                return
            measured = np.concatenate([measured, part])
            if best is not None:
                gains = measured - best.scores[: len(measured)]
                if gains.mean() < 0:
                    break
        gain = float(gains.mean())
        pruned = len(measured) < task.conditions.pictures
        better = not pruned and (best is None or gain > _unsure(gains))
        seen.add(candidate)
        if pruned:
            record.prune(trial, 0.0 if given else gain)
        else:
            entry = Entry(trial.number, candidate, measured)
            record.end(trial, candidate, measured, 0.0 if given else gain)
            first = first or entry
            if better:
                best = entry
                judge.accept()
        assert first is not None and best is not None
        yield Step(
            trial.number, float(measured.mean()), best.schedule, best.db,
            judge.work(best.schedule), first.db, better, pruned,
            record.before, ranking.words, time.monotonic() - began,
        )  # fmt: skip


def _unsure(gains: NDArray[np.float64]) -> float:
    """What a mean gain must exceed not to be luck, which adds up in a search; 0 for one picture."""
    return SURE * float(gains.std(ddof=1) / len(gains) ** 0.5) if len(gains) > 1 else 0.0


def _with(
    schedule: Schedule, brushes: tuple[Predictor, ...] | None
) -> tuple[Schedule, tuple[int, ...] | None]:
    """The grid without what it does not use but with these brushes, and their numbers in it."""
    plain = replace(schedule.compact(), context=None)
    if brushes is None:
        return plain, None
    legend = tuple(dict.fromkeys((*plain.legend, *brushes)))
    numbers = tuple(sorted(legend.index(b) + 1 for b in set(brushes)))
    return replace(plain, legend=legend), numbers


def _count(record: Record) -> int:
    return len(record.study.get_trials(deepcopy=False))


def _proposed(
    judge: Judge,
    task: Task,
    ground: Ground,
    schedule: Schedule,
    rank: Rank,
    seen: set[Schedule],
    move: Move,
    random: np.random.Generator,
) -> Schedule:
    """Some moves away from the schedule: each the one of many that ranks first, never tried before.

    Later moves are of any kind, and only taken while they rank higher than what they start from.
    """
    limit = judge.work(task.schedule) + SLACK
    macs = (ground.costs.sum() + judge.model.family.fixed_macs()) * schedule.steps
    best, level = schedule, -np.inf
    for k in range(move.depth):
        if k:
            kind, size = random.choice(ground.kinds), random.choice(SIZES)
            move = replace(move, kind=str(kind), size=str(size))
        found = []
        for _ in range(LATER if k else PROPOSALS):
            one = moved(best, ground, move.kind, move.size, random)
            if one in seen or (work := judge.work(one)) > limit:
                continue
            one = filled(one, ground, (limit - work) * macs, random)
            if one not in seen and judge.work(one) <= limit:
                found.append((rank(one), one))
        if not found:
            continue
        value, one = max(found, key=lambda pair: pair[0])
        if best is schedule or value > level:
            best, level = one, value
    return best


@dataclass(frozen=True, eq=False)
class _Ranking:
    """What says which proposal to measure, in words, and the prediction it goes by, if any."""

    rank: Rank
    words: str
    kept: Kept | None


def _ranking(judge: Judge, kept: Kept | None) -> _Ranking | None:
    """The best there is; None when stopped."""
    if kept is not None:
        words = f"predicted PSNR, learned from {kept.source}"
        return _Ranking(lambda one: kept.predict(one).db, words, kept)
    if judge.full(0) is None:
        return None
    change = judge.change()
    return _Ranking(
        lambda one: -float(losses(one.computed[None], change)[0]),
        "the sum of relative changes, a proxy until predictions are calibrated",
        None,
    )


def _plain(model: Model, task: Task) -> dict[str, Any]:
    """What a search is of; where any of it differs, nothing found before counts."""
    locked = None if task.locked is None else np.packbits(task.locked).tolist()
    return {
        "weights": model.weights_hash,
        "dtype": str(model.dtype),
        "start": dumps(task.schedule),
        "locked": locked,
        "brushes": None if task.brushes is None else sorted(map(repr, task.brushes)),
        "seed": task.seed,
        **asdict(task.conditions),
    }
