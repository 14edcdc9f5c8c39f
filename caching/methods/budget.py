"""Budget: say how much faster, and get the schedule that is expected to lose least."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from caching.methods.base import Method, Plan, Setting, choice, number
from caching.policies.budget import Costs, Front, at_speedup, budget_schedules
from caching.policies.filled import filled_schedules
from caching.predict.kept import For, shipped

if TYPE_CHECKING:
    from caching.predict.response import Response

SHARES = ("filled", "steps", "blocks", "free")


@dataclass(frozen=True)
class Budget(Method):
    """Exact dynamic programs over an additive error; see caching/policies/{budget,filled}.py.

    "gradients" reads the first-order response of the final latent to every branch output, times how
    much that output has changed at each age, on pictures that no seed gives; "changes" the relative
    changes of a full run alone, which is known at once.

    Shapes of the grid: "steps" whole steps, "filled" whole steps topped up with single cells,
    "blocks" one pattern for each branch, "free" every row by itself.
    """

    speedup: float = number(2.0, 1, 5, "speed-up", "in multiply-accumulates", step=0.05)
    share: str = choice("filled", SHARES, "shape")
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
        if self.by == "gradients":
            return Plan(at_speedup(self._by_gradients(setting), self.speedup))
        return Plan(at_speedup(self._by_changes(setting), self.speedup))

    def _by_gradients(self, setting: Setting) -> Front:
        from caching.measure.cost import branch_macs

        response = response_of(setting)
        macs = branch_macs(setting.model).astype(float)
        costs = _Costs(float(setting.model.family.fixed_macs()), _frozen(macs))
        return _front(response, self.share, costs, setting.branches)

    def _by_changes(self, setting: Setting) -> Front:
        change = np.nan_to_num(setting.change().astype(np.float64), nan=0.0)
        even = np.ones((setting.blocks, len(setting.branches)))
        costs = Costs(0.0, even, np.zeros_like(even), "MACs")
        share: Any = "steps" if self.share == "filled" else self.share
        return budget_schedules(change, costs, share=share, branches=setting.branches)


def response_of(setting: Setting) -> Response:
    """The response of the model: shipped, or built once; Unready where that may not be done."""
    model = setting.model
    of = For(model.weights_hash, setting.steps, setting.cfg_scale, setting.sampler)
    if (kept := shipped(of)) is not None:
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


def _frozen(table: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(v) for v in row) for row in table)


@dataclass(frozen=True)
class _Costs:
    """Costs as a value that can be looked up by."""

    fixed: float
    macs: tuple[tuple[float, ...], ...]  # (L, R)


@lru_cache(maxsize=8)  # a slider asks for the same front over and over
def _front(response: Response, share: str, known: _Costs, branches: tuple[str, ...]) -> Front:
    macs = np.array(known.macs)
    costs = Costs(known.fixed, macs, np.zeros_like(macs), "MACs")
    if share == "filled":
        return filled_schedules(response.error, response.span_error, costs, branches=branches)
    one: Any = share
    return budget_schedules(
        response.error, costs, share=one, spans=response.span_error, branches=branches
    )
