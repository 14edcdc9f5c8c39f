"""What methods with trained routers share: which cells a threshold on probabilities reuses.

A router is a table of logits (S, L, R); sigmoid of a logit is the probability w to compute a cell.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from caching.errors import RequestError
from caching.methods.base import Method, Plan, Setting, number, whole
from caching.schedule import Schedule

if TYPE_CHECKING:
    from caching.learn.store import Learned

# Closer together where probabilities gather.
LADDER_THETAS = (
    *(0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.88),
    *(0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98),
)
MOST_ROUTERS = 9
TRAINED_FOR = 0.1  # the papers' threshold


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Of every number, in float32."""
    found: np.ndarray = (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)
    return found


def routers_of(learned: Learned, shape: tuple[int, int, int]) -> np.ndarray:
    """The routers (W, S, L, R) of what was learned, if they are of this grid.

    Raises:
        RequestError: there are none, or they are of another grid.
    """
    found = learned.values.get("logits")
    if found is None or found.ndim != 4 or found.shape[1:] != shape or not len(found):
        had = "no routers" if found is None else f"routers of shape {found.shape}"
        raise RequestError(
            f"{learned.method}: {had} were found for {learned.model}, expected (routers, steps, "
            f"blocks, branches) that end in {shape}; learn it again."
        )
    if found.dtype.kind != "f" or not np.isfinite(found).all():
        raise RequestError(
            f"{learned.method}: the routers for {learned.model} are {found.dtype} or hold numbers "
            "that are not finite, expected finite floats; learn it again."
        )
    return found


@dataclass(frozen=True)
class RouterMethod(Method):
    """A cell is reused where the trained probability to compute it is at most theta.

    Routers trained at several prices of computing may lie in one file, ordered from the most work
    to the least. Within one, theta orders the cells: those that training has pushed down first.
    """

    theta: float = number(0.1, 0.01, 0.99, "θ", "at most this probability to compute is reused")
    router: int = whole(
        1, 1, MOST_ROUTERS, "router", "of those that were trained, from the most work to the least"
    )

    needs = "training"
    tunes = "theta"

    @abstractmethod
    def may_reuse(self, steps: int) -> Sequence[int]:
        """The steps whose routers were trained."""

    def plan(self, setting: Setting) -> Plan:
        learned = setting.learned(self.name)
        found = routers_of(learned, (setting.steps, setting.blocks, len(setting.branches)))
        which = min(self.router, len(found))
        price = learned.values.get("weights")
        words = f"router {which} of {len(found)}"
        if price is not None and price.shape == (len(found),):
            words += f", trained at a price of {price[which - 1]:g} for a computed branch"
        reused = self._reused(found[which - 1])
        schedule = Schedule(reused.astype(np.uint8), branches=setting.branches)
        return Plan(schedule, notes=(learned.title, words))

    def _reused(self, logits: np.ndarray) -> np.ndarray:
        """Bool (S, L, R)."""
        rows = list(self.may_reuse(len(logits)))
        reused = np.zeros(logits.shape, bool)
        reused[rows] = sigmoid(logits[rows]) <= self.theta
        return reused

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """All routers at several thresholds, one for each amount of work.

        Of several that do the same, that of the router which does most nearly this at the threshold
        it was trained for.
        """
        from caching.measure.cost import branch_macs

        learned = setting.learned(self.name)
        found = routers_of(learned, (setting.steps, setting.blocks, len(setting.branches)))
        macs = branch_macs(setting.model)
        rungs: dict[int, tuple[int, RouterMethod]] = {}
        for which, logits in enumerate(found[:MOST_ROUTERS], 1):
            own = int((replace(self, theta=TRAINED_FOR)._reused(logits) * macs).sum())
            for theta in LADDER_THETAS:
                one = replace(self, theta=theta, router=which)
                saved = int((one._reused(logits) * macs).sum())
                off = abs(saved - own)
                if saved not in rungs or off < rungs[saved][0]:
                    rungs[saved] = off, one
        return tuple(rungs[saved][1] for saved in sorted(rungs))
