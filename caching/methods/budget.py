"""Budget: say how much faster, and get the schedule that is expected to lose least."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caching.methods.base import Method, Plan, Setting, Unready, choice, number
from caching.once import Once
from caching.policies.budget import Costs, Front, at_speedup, budget_schedules
from caching.policies.filled import filled_schedules
from caching.policies.forecast import Steps, best_steps, even_steps
from caching.predict.fronts import KnownFront, known_front
from caching.predict.kept import For

if TYPE_CHECKING:
    from caching.predict.response import Response

SHARES = ("filled", "steps", "blocks", "free")
BRUSHES = ("reuse", "taylor")
LAGS = 8  # of ages, where nothing else is known
CLEARER = "Calibrate, under the grid or here, makes it know better."
BY_SHIPPED = "Chosen by what shipped for this setting: {source}."
BY_RUNS = "Measured on {pictures} pictures when this app was made."
BY_KEPT = "Chosen by the calibration of this setting: {source}."
BY_RESPONSE = "Chosen by {source}."
BY_CHANGES = "Chosen by the relative changes of a full run, a proxy for what the picture loses"
BY_AGES = "Chosen by how old each output gets, a proxy: no full run of this setting is known yet"
EVENLY = "Evenly spread: nothing is calibrated for these settings"
PROVISIONAL = "Whole steps for now: which single cells to add is being worked out."
SPREAD = "Evenly spread for now: which steps to compute is being worked out."


@dataclass(frozen=True)
class Budget(Method):
    """Exact dynamic programs over an additive error; see caching/policies/{budget,filled}.py.

    "gradients" reads the first-order response of the final latent to every branch output, times how
    much that output has changed at each age, on pictures that no seed gives; "changes" the relative
    changes of a full run alone, which is known at once. Where no response is known and none may be
    measured, changes stand in for it, and ages for these; the notes say which it was.

    Shapes of the grid: "steps" whole steps, "filled" whole steps topped up with single cells,
    "blocks" one pattern for each branch, "free" every row by itself.

    With the brush "taylor" whole steps are forecast, by the order that does best, and the shape is
    not looked at: a forecast needs several earlier steps, and these are found by a local search.
    """

    speedup: float = number(2.0, 1, 5, "speed-up", "in multiply-accumulates", step=0.05)
    share: str = choice("filled", SHARES, "shape")
    brush: str = choice("reuse", BRUSHES, "brush", "what stands in for what is not computed")
    by: str = choice("gradients", ("gradients", "changes"), "judged by")

    name = "budget"
    title = "Budget"
    about = (
        "Say how much faster: the steps and cells are reused that are expected to move the final "
        "picture least."
    )
    faithfulness = "of no paper"
    because = "Our own exact search over what this model's gradients say of every cell."
    needs = "calibration"
    tunes = "speedup"

    def plan(self, setting: Setting) -> Plan:
        costs = _costs(setting)
        if self.brush == "taylor":
            return self._forecast(setting, costs)
        table, words = self._table(setting)
        share = self.share
        if share == "filled" and not table.gradients:
            share = "steps"  # proxies say nothing of how cells of a step move the picture together
        key = (table.key, share, costs, setting.branches)
        front = FRONTS.find(key)
        wait = setting.patient or share != "filled"
        if front is None and not wait:
            share, words = "steps", f"{PROVISIONAL} {words}"
            key = (table.key, share, costs, setting.branches)
        front = front or FRONTS.get(key, lambda: _front(table, share, costs, setting.branches))
        return Plan(
            at_speedup(front, self.speedup),
            notes=(words,),
            provisional=share != self.share and table.gradients,
            improvable=self.by == "gradients" and not table.gradients,
        )

    def _table(self, setting: Setting) -> tuple[_Table, str]:
        """The best that says what reuse loses, and in words where it is from."""
        why = ""
        if self.by == "gradients":
            try:
                found, words = _known(setting)
                return _Table(found, found.error, found.span_error, gradients=True), words
            except Unready:
                why = f": nothing is calibrated for these settings. {CLEARER}"
        try:
            change = np.nan_to_num(setting.change().astype(np.float64), nan=0.0)
            return _Table(sha256(change.tobytes()).digest(), change), f"{BY_CHANGES}{why or '.'}"
        except Unready:
            if not why:
                raise
        ages = np.arange(1.0, max(2, min(LAGS + 1, setting.steps)))
        shape = (setting.steps, setting.blocks, len(setting.branches), len(ages))
        return _Table(shape, np.broadcast_to(ages, shape)), f"{BY_AGES}. {CLEARER}"

    def _forecast(self, setting: Setting, costs: _Costs) -> Plan:
        """The best of the whole steps that were measured; of another model, by its response."""
        fast = [
            n
            for n in range(1, setting.steps + 1)
            if costs.speedup_of_steps(n, setting.steps) >= self.speedup * (1 - 1e-9)
        ]
        most = max(fast, default=1)
        if most == setting.steps:
            return Plan(setting.full())
        best, words = _best_steps(setting, most)
        return Plan(
            best.schedule(setting.steps, setting.blocks, setting.branches),
            notes=(f"{len(best.computed)} whole steps. {words}",),
            provisional=words.startswith(SPREAD),
            improvable=words.startswith(EVENLY),
        )


def _best_steps(setting: Setting, most: int) -> tuple[Steps, str]:
    """At most so many whole steps with forecasts between, and where they are from."""
    known = known_front(_of(setting))
    fitting = [one for one in known.steps if len(one.computed) <= most] if known else []
    if known and fitting:
        best = max(fitting, key=lambda one: len(one.computed))
        measured = BY_RUNS.format(pictures=best.pictures)
        return best, measured if best.pictures else BY_SHIPPED.format(source=known.source)
    even = Steps(next(even_steps(setting.steps, most)), 1, 0.0)
    try:
        response, words = _response(setting)
    except Unready:
        return even, f"{EVENLY}. {CLEARER}"
    found = STEPS.find((response, most))
    if found is None and not setting.patient:
        return even, f"{SPREAD} {words}"
    return found or STEPS.get((response, most), lambda: best_steps(response, most)), words


def _known(setting: Setting) -> tuple[KnownFront | Response, str]:
    """The sums that the programs read, with where they are from; Unready where none are known."""
    if (known := known_front(_of(setting))) is not None:
        return known, BY_SHIPPED.format(source=known.source)
    return _response(setting)


def _response(setting: Setting) -> tuple[Response, str]:
    """Likewise of the response: calibrated here, else built once."""
    if (kept := setting.prediction()) is not None:
        return kept.response, BY_KEPT.format(source=kept.source)

    def make(model: Any, *, tell: Any, **asked: Any) -> Response:
        from caching.predict.adjoint import build_response

        def progress(share: float, words: str) -> None:
            tell(words, round(100 * share), 100)

        return build_response(model, progress=progress, **asked)

    found = setting.measured("response", make)
    return found, BY_RESPONSE.format(source=found.source)


def _of(setting: Setting) -> For:
    return For(setting.model.weights_hash, setting.steps, setting.cfg_scale, setting.sampler)


def _costs(setting: Setting) -> _Costs:
    from caching.measure.cost import branch_macs

    macs = branch_macs(setting.model).astype(float)
    return _Costs(float(setting.model.family.fixed_macs()), _frozen(macs))


def _frozen(table: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(v) for v in row) for row in table)


@dataclass(frozen=True)
class _Costs:
    """Costs as a value that can be looked up by."""

    fixed: float
    macs: tuple[tuple[float, ...], ...]  # (L, R)

    def speedup_of_steps(self, count: int, steps: int) -> float:
        """With `count` of the steps computed and nothing but the fixed parts of the others."""
        step = self.fixed + sum(map(sum, self.macs))
        return steps * step / (count * step + (steps - count) * self.fixed)


@dataclass(frozen=True, eq=False)
class _Table:
    """What a program sums.

    Attributes:
        key: the same for the same numbers.
        error: (S, L, R, A) of reuse at every age.
        spans: (S, S + 1) of whole steps, None where the sum over cells has to do.
        gradients: whether it says more than a proxy.
    """

    key: Any
    error: NDArray[np.float64]
    spans: NDArray[np.float64] | None = None
    gradients: bool = False


# A slider asks for the same one over and over; the keys keep what they were made of.
FRONTS: Once[Front] = Once(12)
STEPS: Once[Steps] = Once(256)


def _front(table: _Table, share: str, known: _Costs, branches: tuple[str, ...]) -> Front:
    macs = np.array(known.macs)
    costs = Costs(known.fixed, macs, np.zeros_like(macs), "MACs")
    if share == "filled":
        assert table.spans is not None
        return filled_schedules(table.error, table.spans, costs, branches=branches)
    one: Any = share
    return budget_schedules(table.error, costs, share=one, spans=table.spans, branches=branches)
