"""What a prediction looks at: a few dozen sums over a schedule's reused cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caching.errors import ScheduleError
from caching.predict.response import Response
from caching.predictors.base import Combination
from caching.schedule import Schedule

QUARTERS, THIRDS = 4, 3
FLOOR_DB = -120.0

NAMES = (
    # in dB
    "first-order response, later cells answering",
    "first-order response, later cells of the step not answering",
    "the first, squared cell by cell (additive response)",
    "the second, squared cell by cell",
    "the first, squared step by step",
    "the second, squared step by step",
    "the first, squared row by row",
    "whole steps between computed steps, squared span by span",
    "fraction reused",
    "sum of relative L1 changes at age",
    "sum of their squares",
    "largest age",
    "mean age",
    "mean age, weighted by additive response",
    "largest share of a step's cells reused",
    "share of steps with a reused cell",
    "share of rows with a reused cell",
    "response, answered by what is computed",
    "the same, squared step by step",
    "the same, squared row by row",
    "the same, squared cell by cell",
    # shares, 0..1
    *(f"additive response in quarter {i + 1} of the steps" for i in range(QUARTERS)),
    *(f"additive response in third {i + 1} of the blocks" for i in range(THIRDS)),
    "additive response in the first branch",
    "additive response of forecasts",
    "additive response in its largest step",
    "additive response in its largest row",
    "additive response at age 1",
    "additive response at ages 2 and 3",
    *(f"relative changes in quarter {i + 1} of the steps" for i in range(QUARTERS)),
    *(f"relative changes in third {i + 1} of the blocks" for i in range(THIRDS)),
    "relative changes in the first branch",
    "relative changes of forecasts",
)

LEVELS = 21  # the first so many are in dB


@dataclass(frozen=True, eq=False)
class Stand:
    """Every stored output that stands in somewhere, with its weight, flat.

    Attributes:
        step, row: int64 (n,), of the reused cell; row = block * R + branch.
        age: int64 (n,) steps since that output was computed, 1 or more.
        weight: float64 (n,); of one cell they sum to 1.
        forecast: bool (n,).
    """

    step: NDArray[np.int64]
    row: NDArray[np.int64]
    age: NDArray[np.int64]
    weight: NDArray[np.float64]
    forecast: NDArray[np.bool_]


def stands_in(schedule: Schedule) -> Stand:
    """What stands in at every cell that is not computed.

    Predictors that combine stored outputs count as what they are. All others, and cells that a
    whole-step action covers, count as reuse of the newest output; one that `renews` as computed.
    """
    steps = schedule.steps
    computed = schedule.renewed.reshape(steps, -1)
    actions = np.where(schedule.covered, 0, schedule.actions).reshape(steps, -1)
    found: list[tuple[int, int, int, float, bool]] = []
    forecasts = [isinstance(p, Combination) and p.kind == "forecast" for p in schedule.legend]
    if not any(forecasts):
        age = schedule.age().reshape(steps, -1).astype(np.int64)
        at, of = np.nonzero(age)
        return Stand(at, of, age[at, of], np.ones(len(at)), np.zeros(len(at), bool))
    for row in range(computed.shape[1]):
        past: list[int] = []
        for step in range(steps):
            number = int(actions[step, row])
            if computed[step, row]:
                past.insert(0, step)
            elif number and forecasts[number - 1]:
                predictor = schedule.legend[number - 1]
                assert isinstance(predictor, Combination)
                used = tuple(past[: predictor.keeps])
                weights = predictor.weights(used, step)
                pairs = zip(used, weights, strict=True)
                found += [(step, row, step - s, float(w), True) for s, w in pairs if w]
            else:
                found.append((step, row, step - past[0], 1.0, False))
    table = np.array(found, np.float64).reshape(-1, 5)
    whole = table[:, :3].astype(np.int64).T
    return Stand(whole[0], whole[1], whole[2], table[:, 3], table[:, 4] > 0)


def features(schedule: Schedule, response: Response) -> NDArray[np.float64]:
    """The numbers of `NAMES` (F,): levels in dB, then shares; a full schedule has the floor.

    Raises:
        ScheduleError: the response was built for other steps, blocks or branches.
    """
    shape = (response.steps, response.blocks, response.width)
    if schedule.actions.shape != shape:
        raise ScheduleError(
            f"the schedule is of {schedule.actions.shape} steps, blocks and branches and the "
            f"response of {shape}: expected the same; build the response for this setting"
        )
    steps, rows, ages = shape[0], shape[1] * shape[2], response.ages
    s = stands_in(schedule)
    cell, size = s.step * rows + s.row, steps * rows
    reused = ~schedule.renewed.reshape(steps, rows)
    # Beyond the largest age known, effects go on in proportion.
    known, beyond = np.minimum(s.age, ages), np.maximum(1.0, s.age / ages)
    scale = s.weight * beyond

    def effects(table: NDArray[np.float16]) -> NDArray[np.float64]:
        """(G, S, L R): effect of every cell."""
        flat = table.reshape(len(table), steps, rows, ages)
        terms = flat[:, s.step, s.row, known - 1] * scale
        summed = [np.bincount(cell, term, size) for term in terms]
        return np.reshape(np.array(summed, np.float64), (-1, steps, rows)) * response.unit

    opened, held = effects(response.open), effects(response.held)
    own = (opened**2).sum(axis=0)  # (S, L R)
    answered = held + (opened - held) * _answering(reused)
    answered *= _lasting(reused, response)
    flat_change = response.change.reshape(steps, rows, ages)
    moved = flat_change[s.step, s.row, known - 1].astype(np.float64) * beyond * np.abs(s.weight)
    change = np.bincount(cell, moved, size).astype(np.float64).reshape(steps, rows)
    forecast = np.bincount(cell, s.forecast, size).reshape(steps, rows) > 0
    age = schedule.age().reshape(steps, rows).astype(np.int64)
    levels = [
        (opened.sum(axis=(1, 2)) ** 2).sum(),
        (held.sum(axis=(1, 2)) ** 2).sum(),
        own.sum(),
        (held**2).sum(),
        (opened.sum(axis=2) ** 2).sum(),
        (held.sum(axis=2) ** 2).sum(),
        (opened.sum(axis=1) ** 2).sum(),
        _spans(reused, response),
        reused.mean(),
        change.sum(),
        (change**2).sum(),
        age.max(),
        age[reused].mean() if reused.any() else 0.0,
        (own * age).sum() / max(own.sum(), 1e-300),
        reused.mean(axis=1).max(),
        reused.any(axis=1).mean(),
        reused.any(axis=0).mean(),
        (answered.sum(axis=(1, 2)) ** 2).sum(),
        (answered.sum(axis=2) ** 2).sum(),
        (answered.sum(axis=1) ** 2).sum(),
        (answered**2).sum(),
    ]
    # With a floor, because the dB of nothing is not a number.
    in_db = np.maximum(10 * np.log10(np.maximum(levels, 1e-300)), FLOOR_DB)
    ages_of = [own[age == 1].sum(), own[(age == 2) | (age == 3)].sum()]
    parts = [
        *_parts(own, shape, forecast),
        own.sum(axis=1).max(),
        own.sum(axis=0).max(),
        *ages_of,
    ]
    shares = np.array(parts) / max(float(own.sum()), 1e-300)
    changes = _parts(change, shape, forecast) / max(float(change.sum()), 1e-300)
    return np.concatenate([in_db, shares, changes])


def _parts(
    table: NDArray[np.float64], shape: tuple[int, int, int], forecast: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Sums by quarter of the steps and third of the blocks, of the first branch, of forecasts."""
    steps, blocks, width = shape
    by_step = table.sum(axis=1)
    by_block = table.reshape(steps, blocks, width).sum(axis=(0, 2))
    quarter = np.arange(steps) * QUARTERS // steps
    third = np.arange(blocks) * THIRDS // blocks
    return np.array(
        [
            *(by_step[quarter == i].sum() for i in range(QUARTERS)),
            *(by_block[third == i].sum() for i in range(THIRDS)),
            table[:, ::width].sum(),
            table[forecast].sum(),
        ]
    )


def _answering(reused: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(S, L R): share of the later cells of its step that are computed, and so answer a cell."""
    computed = (~reused).astype(np.float64)
    later = np.cumsum(computed[:, ::-1], axis=1)[:, ::-1] - computed
    count = np.arange(reused.shape[1])[::-1]
    return np.asarray(later / np.maximum(count, 1))


def _lasting(reused: NDArray[np.bool_], response: Response) -> NDArray[np.float64]:
    """(S, L R): what is left of effects because steps of a span do not answer, by how much of these
    steps is reused: all of `Response.lasting` where they are reused whole."""
    steps, rows = reused.shape
    share, lasting = reused.mean(axis=1), response.lasting
    left = np.ones((steps, rows))
    for row in range(rows):
        start = 0
        for s in range(1, steps + 1):
            if s == steps or not reused[s, row]:
                if s - start > 1:
                    between = slice(start + 1, s)
                    left[between, row] += (lasting[start, s] - 1) * share[between].mean()
                start = s
    return left


def _spans(reused: NDArray[np.bool_], response: Response) -> float:
    """Error of the runs of steps that are reused by more than half, as if reused whole.

    A run with an age beyond those known counts as its longest known part, in proportion.
    """
    total, start = 0.0, 0
    most = reused.mean(axis=1) > 0.5
    error = response.span_error
    for s in range(1, len(most) + 1):
        if s == len(most) or not most[s]:
            length = s - start - 1
            if length:
                known = min(length, response.ages)
                total += float(error[start, start + 1 + known]) * (length / known) ** 2
            start = s
    return total
