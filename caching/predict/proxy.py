"""The first prediction: work, speed-up and drift of a schedule, as sums over plain tables.

The page computes the same sums from the same tables while a stroke is being drawn, so the formula
stays small enough to stand in two languages. Per cell, with age = steps since it was computed:

    part   = 1 if computed, 0 if a whole-step action covers it, else what its predictor computes
             of the branch: 0 for reuse and forecasts, `shares` for the others
    time   = compute_ms if computed, 0 if covered, else reuse_ms + part (compute_ms - reuse_ms),
             and forecast_ms more if its predictor forecasts
    change = 0 if computed, 1 if left out (kind "skip"), else change[s, l, r, min(age, K) - 1]
             max(1, age / K)

and per step w = 1/2 where only the conditional half of the batch runs, e and h = 0 where there is
no patch embedding and no final layer, all 1 elsewhere; b = 1 where any cell computes any part of
its branch, else 0. With ends = e embed_macs + h head_macs:

    work    = (sum (fixed_macs - embed_macs - head_macs + w ends) + sum w part compute_macs)
              / (all of it computed)
    ms      = sum (w max(e, h) fixed_ms + w b busy_ms) + start_ms + sum w time
    speedup = ms of the full schedule / ms
    drift   = sum change / (S L R)

The changes were measured for reuse. Forecasts, corrected and partly computed branches and covered
cells count in `drift` as if they were reused: for them it is rather too high, but nothing
guarantees that. A branch that is left out changes by all of its output, so it counts 1.

What a predictor notes besides, where a branch is computed, is not in these sums; `Cost` has it.

Every sum adds the cells in one order, row by row (row = l * R + r), a row from step 0 on, so that
the page's numbers equal these to the last digit.
"""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caching.checks import MAX_STEPS, check_count
from caching.errors import ScheduleError
from caching.predictors import Predictor
from caching.schedule import Schedule

_MAX_EXACT = 2**53 // 1000  # S times this is still exact in a browser's numbers


@dataclass(frozen=True, eq=False)
class Tables:
    """What a prediction sums over; all arrays are read-only copies.

    Attributes:
        fixed_ms: milliseconds of a step outside all branches.
        compute_ms: (L, R) milliseconds of a computed branch.
        reuse_ms: (L, R) milliseconds of a reused branch.
        forecast_ms: milliseconds that a forecast takes beyond reuse.
        busy_ms: milliseconds more of a step where any branch is computed.
        start_ms: milliseconds that a run takes once.
        fixed_macs: MACs of a step outside all branches.
        compute_macs: int64 (L, R) MACs of a computed branch.
        change: float16 (S, L, R, K) relative L1 change of the branch output at lags 1..K. Given
            in any float type; NaN where s < lag becomes 0. Half precision, because that is what
            the page receives, and both must add the same numbers.
        source: where the numbers are from, for a reader.
        embed_macs, head_macs: what patch embedding and final layer take of fixed_macs.
        shares: predictor -> (L, R) its MACs over those of the branch; one that is missing counts
            nothing. `caching.predict.shares` fills it. Not part of the JSON.

    Raises:
        ScheduleError: shapes that do not agree, or numbers that are negative or not finite.
    """

    fixed_ms: float
    compute_ms: NDArray[np.float64]
    reuse_ms: NDArray[np.float64]
    fixed_macs: int
    compute_macs: NDArray[np.int64]
    change: NDArray[np.float16]
    source: str
    embed_macs: int = 0
    head_macs: int = 0
    forecast_ms: float = 0.0
    busy_ms: float = 0.0
    start_ms: float = 0.0
    shares: Mapping[Predictor, NDArray[np.float64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        change = _checked_change(self.change)
        shape = change.shape[1:3]
        values = {
            "fixed_ms": float(_checked("fixed_ms", self.fixed_ms, ())),
            "compute_ms": _checked("compute_ms", self.compute_ms, shape),
            "reuse_ms": _checked("reuse_ms", self.reuse_ms, shape),
            "fixed_macs": int(_checked("fixed_macs", self.fixed_macs, (), whole=True)),
            "compute_macs": _checked("compute_macs", self.compute_macs, shape, whole=True),
            "change": change,
            "embed_macs": int(_checked("embed_macs", self.embed_macs, (), whole=True)),
            "head_macs": int(_checked("head_macs", self.head_macs, (), whole=True)),
            "forecast_ms": float(_checked("forecast_ms", self.forecast_ms, ())),
            "busy_ms": float(_checked("busy_ms", self.busy_ms, ())),
            "start_ms": float(_checked("start_ms", self.start_ms, ())),
        }
        shares = {p: _checked(f"share of {p.title}", v, shape) for p, v in self.shares.items()}
        for name, value in values.items():
            object.__setattr__(self, name, value)
        for array in (*values.values(), *shares.values()):
            if isinstance(array, np.ndarray):
                array.setflags(write=False)
        object.__setattr__(self, "shares", MappingProxyType(shares))
        if not self.full_step_ms > 0 or not self.full_step_macs > 0:
            raise ScheduleError(
                f"a full step costs {self.full_step_ms} ms and {self.full_step_macs} MACs: "
                "expected more than 0 of both; measure the model first"
            )
        if self.embed_macs + self.head_macs > self.fixed_macs:
            raise ScheduleError(
                f"embedding and final layer take {self.embed_macs} + {self.head_macs} MACs: "
                f"expected no more than the {self.fixed_macs} outside all branches"
            )
        if not isinstance(self.source, str) or not self.source:
            raise ScheduleError("source is empty: expected where the numbers are from")

    @property
    def full_step_ms(self) -> float:
        """Milliseconds of a step with every branch computed."""
        return self.fixed_ms + self.busy_ms + float(self.compute_ms.sum())

    @property
    def full_step_macs(self) -> int:
        """MACs of a step with every branch computed."""
        return self.fixed_macs + int(self.compute_macs.sum())

    def resample(self, steps: int) -> Tables:
        """The tables carried over to another step count, and marked so in `source`.

        A lag of k among the new steps spans k (S - 1) / (steps - 1) of the old ones: changes are
        interpolated between the measured lags, from 0 at lag 0, and grow in proportion beyond lag
        K, as the drift sum lets them. Costs per step stay as they are.
        """
        steps = check_count("steps", steps, MAX_STEPS)
        old_steps, _, _, lags = self.change.shape
        if steps == old_steps:
            return self
        ratio = (old_steps - 1) / max(1, steps - 1)
        change = np.zeros((steps, *self.change.shape[1:]))
        for step in range(1, steps if old_steps > 1 else 1):
            # Step 0 has nothing before it to compare with: the nearest row that has is row 1.
            old = min(old_steps - 1, max(1, int(step * ratio + 0.5)))
            row = self.change[old].astype(np.float64)  # (L, R, K)
            known = min(old, lags)
            # Lags that reach before step 0 were never measured and are left out.
            row = np.concatenate([np.zeros((*row.shape[:2], 1)), row[..., :known]], axis=2)
            for lag in range(1, min(step, lags) + 1):
                span = lag * ratio
                low = min(int(span), known - 1)
                part = min(span, known) - low
                value = row[..., low] * (1 - part) + row[..., low + 1] * part
                change[step, ..., lag - 1] = value * max(1.0, span / known)
        change = np.minimum(change, np.finfo(np.float16).max)
        source = f"{self.source}; carried over from {old_steps} steps"
        return dataclasses.replace(self, change=change, source=source)

    def to_json(self) -> dict[str, Any]:
        """The tables as plain JSON values for the page.

        (L, R) tables are flat lists, row = l * R + r. `change` holds `k` = K and `data`, base64 of
        little-endian float16 (S, L, R, K) in C order.
        """
        packed = np.ascontiguousarray(self.change, "<f2").tobytes()
        return {
            "fixed_ms": self.fixed_ms,
            "compute_ms": self.compute_ms.reshape(-1).tolist(),
            "reuse_ms": self.reuse_ms.reshape(-1).tolist(),
            "forecast_ms": self.forecast_ms,
            "busy_ms": self.busy_ms,
            "start_ms": self.start_ms,
            "fixed_macs": self.fixed_macs,
            "compute_macs": self.compute_macs.reshape(-1).tolist(),
            "change": {
                "k": int(self.change.shape[3]),
                "data": base64.b64encode(packed).decode("ascii"),
            },
            "source": self.source,
            "embed_macs": self.embed_macs,
            "head_macs": self.head_macs,
        }


@dataclass(frozen=True)
class Prediction:
    """What the tables say about one schedule.

    Attributes:
        work: share of the MACs of a full run, 0..1.
        speedup: time of a full run over the time of this one.
        drift: predicted drift (proxy), 0 for a full schedule.
        ms: milliseconds of the whole run.
    """

    work: float
    speedup: float
    drift: float
    ms: float


def predict(schedule: Schedule, tables: Tables) -> Prediction:
    """Predicts work, speed-up, drift and time of a schedule.

    Raises:
        ScheduleError: the tables were measured for other steps, blocks or branches.
    """
    steps, blocks, width, lags = tables.change.shape
    schedule.check_fits(steps=steps, blocks=blocks)
    if width != len(schedule.branches):
        raise ScheduleError(
            f"the schedule has {len(schedule.branches)} branches and the tables {width}: expected "
            "the same; measure the model the schedule is for"
        )
    computed, covered = schedule.computed, schedule.covered
    part, zeroed = computed.astype(np.float64), np.zeros(computed.shape, bool)
    extra_ms = np.zeros(computed.shape)
    for number, predictor in enumerate(schedule.legend, 1):
        stands = (schedule.actions == number) & ~covered
        part = np.where(stands, tables.shares.get(predictor, 0.0), part)
        if predictor.kind == "skip":
            zeroed |= stands
        if predictor.kind == "forecast":
            extra_ms[stands] = tables.forecast_ms
    batch, embeds, heads = _of_steps(schedule)
    ends = embeds * tables.embed_macs + heads * tables.head_macs
    kept = tables.fixed_macs - tables.embed_macs - tables.head_macs
    wide = batch[:, None, None]
    own_ms = tables.reuse_ms + part * (tables.compute_ms - tables.reuse_ms) + extra_ms
    cell_ms = np.where(computed, tables.compute_ms, np.where(covered, 0.0, own_ms))
    macs = _total(kept + batch * ends) + _rows(wide * part * tables.compute_macs)
    busy = (part > 0).any(axis=(1, 2))
    of_steps = batch * np.maximum(embeds, heads) * tables.fixed_ms + batch * busy * tables.busy_ms
    ms = _total(of_steps) + tables.start_ms + _rows(wide * cell_ms)

    age = schedule.age().astype(np.int64)
    # Cells that are computed or renewed have age 0: index 0 is read for them, and multiplied away.
    lag = np.clip(age, 1, lags) - 1
    change = np.take_along_axis(tables.change, lag[..., None], axis=3)[..., 0]
    as_reused = change.astype(np.float64) * np.maximum(1.0, age / lags)
    drift = _rows(np.where(zeroed, 1.0, as_reused) * (age > 0))

    ones, every = np.ones(steps), np.ones(computed.shape)
    full_macs = _total(ones * tables.fixed_macs) + _rows(every * tables.compute_macs)
    full_ms = _total(ones * tables.fixed_ms + ones * tables.busy_ms) + tables.start_ms
    full_ms += _rows(every * tables.compute_ms)
    return Prediction(
        work=macs / full_macs, speedup=full_ms / ms, drift=drift / computed.size, ms=ms
    )


def _of_steps(schedule: Schedule) -> tuple[NDArray[np.float64], ...]:
    """(S,) each: the part of the batch a step runs, and 1 or 0: does it embed, has it a head."""
    batch, embeds, heads = np.ones((3, schedule.steps))
    for number, action in enumerate(schedule.step_legend, 1):
        at = schedule.step_actions == number
        batch[at] = 0.5 if action.half else 1.0
        embeds[at] = float(action.embeds)
        heads[at] = float(action.heads)
    return batch, embeds, heads


def _total(terms: NDArray[np.float64]) -> float:
    """The sum of terms (n,), added one after the other; numpy's own sum adds in pairs."""
    return float(np.add.accumulate(terms)[-1])


def _rows(terms: NDArray[np.float64]) -> float:
    """The sum of terms (S, L, R), row by row."""
    return _total(terms.transpose(1, 2, 0).reshape(-1))


def _checked(
    name: str, value: ArrayLike, shape: Sequence[int], *, whole: bool = False
) -> NDArray[Any]:
    """A non-negative finite array of the given shape, as float64 or int64."""
    given = np.asarray(value)
    if given.dtype.kind not in ("iu" if whole else "iuf") or given.shape != tuple(shape):
        kind = "whole numbers" if whole else "numbers"
        raise ScheduleError(
            f"{name} is {given.dtype} {given.shape}: expected {kind} {tuple(shape)}, blocks by "
            "branches"
        )
    top = _MAX_EXACT if whole else math.inf
    if not ((given >= 0) & (given < top)).all():
        raise ScheduleError(f"{name} holds a negative, infinite or too large number: measure again")
    return given.astype(np.int64 if whole else np.float64)


def _checked_change(value: ArrayLike) -> NDArray[np.float16]:
    given = np.asarray(value)
    if given.ndim != 4 or given.dtype.kind != "f" or 0 in given.shape:
        raise ScheduleError(
            f"change is {given.dtype} {given.shape}: expected floats (steps, blocks, branches, "
            "lags)"
        )
    steps, lags = given.shape[0], given.shape[3]
    before = np.arange(steps)[:, None] < np.arange(1, lags + 1)
    change = np.where(before[:, None, None, :] & np.isnan(given), 0.0, given)
    if not ((change >= 0) & (change <= np.finfo(np.float16).max)).all():
        step, block, branch, lag = map(
            int, np.argwhere(~((change >= 0) & (change <= np.finfo(np.float16).max)))[0]
        )
        raise ScheduleError(
            f"block {block}, branch {branch}, step {step}: the change at lag {lag + 1} is "
            f"{change[step, block, branch, lag]}: expected 0 to 65504; measure the trace again"
        )
    return change.astype(np.float16)
