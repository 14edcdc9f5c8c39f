"""Budget: say how much faster, and get the schedule that is expected to lose least."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from caching.methods.base import Method, Plan, Setting, choice, number
from caching.policies.budget import Costs, Front, at_speedup, budget_schedules
from caching.policies.filled import filled_schedules
from caching.policies.forecast import best_steps
from caching.predict.fronts import KnownFront, known_front
from caching.predict.kept import For, shipped

if TYPE_CHECKING:
    from caching.predict.response import Response

SHARES = ("filled", "steps", "blocks", "free")
BRUSHES = ("reuse", "taylor")


@dataclass(frozen=True)
class Budget(Method):
    """Exact dynamic programs over an additive error; see caching/policies/{budget,filled}.py.

    "gradients" reads the first-order response of the final latent to every branch output, times how
    much that output has changed at each age, on pictures that no seed gives; "changes" the relative
    changes of a full run alone, which is known at once.

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
        if self.brush == "taylor":
            return self._forecast(setting)
        if self.by == "gradients":
            return Plan(at_speedup(self._by_gradients(setting), self.speedup))
        return Plan(at_speedup(self._by_changes(setting), self.speedup))

    def _by_gradients(self, setting: Setting) -> Front:
        known = known_front(_of(setting)) or response_of(setting)
        return _front(known, self.share, _costs(setting), setting.branches)

    def _forecast(self, setting: Setting) -> Plan:
        """The best of the whole steps that were measured; of another model, by its response."""
        costs, known = _costs(setting), known_front(_of(setting))
        fast = [
            n
            for n in range(1, setting.steps + 1)
            if costs.speedup_of_steps(n, setting.steps) >= self.speedup * (1 - 1e-9)
        ]
        most = max(fast, default=1)
        if most == setting.steps:
            return Plan(setting.full())
        fitting = [one for one in known.steps if len(one.computed) <= most] if known else []
        if fitting:
            best = max(fitting, key=lambda one: len(one.computed))
        else:
            best = best_steps(response_of(setting), most)
        note = (
            f"measured on {best.pictures} pictures when this app was made"
            if best.pictures
            else "by what the gradients say of forecasts"
        )
        schedule = best.schedule(setting.steps, setting.blocks, setting.branches)
        return Plan(schedule, notes=(f"{len(best.computed)} whole steps, {note}.",))

    def _by_changes(self, setting: Setting) -> Front:
        change = np.nan_to_num(setting.change().astype(np.float64), nan=0.0)
        even = np.ones((setting.blocks, len(setting.branches)))
        costs = Costs(0.0, even, np.zeros_like(even), "MACs")
        share: Any = "steps" if self.share == "filled" else self.share
        return budget_schedules(change, costs, share=share, branches=setting.branches)


def response_of(setting: Setting) -> Response:
    """The response of the model: shipped, or built once; Unready where that may not be done."""
    if (kept := shipped(_of(setting))) is not None:
        return kept.response

    def make(model: Any, tell: Any, stopped: Any) -> Response:
        from caching.predict.adjoint import build_response

        return build_response(
            model,
            steps=setting.steps,
            sampler=setting.sampler,
            cfg_scale=setting.cfg_scale,
            progress=lambda share, words: tell(words, round(100 * share), 100),
            stopped=stopped,
        )

    return setting.table("response", make)


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


@lru_cache(maxsize=8)  # a slider asks for the same front over and over
def _front(
    table: Response | KnownFront, share: str, known: _Costs, branches: tuple[str, ...]
) -> Front:
    macs = np.array(known.macs)
    costs = Costs(known.fixed, macs, np.zeros_like(macs), "MACs")
    if share == "filled":
        return filled_schedules(table.error, table.span_error, costs, branches=branches)
    one: Any = share
    return budget_schedules(
        table.error, costs, share=one, spans=table.span_error, branches=branches
    )
