"""LazyDiT: trained gates decide branch by branch, picture by picture, what is reused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from caching.dynamic.lazydit import LazyDiT
from caching.errors import RequestError
from caching.methods.base import Method, Plan, Setting, Source, number, whole

if TYPE_CHECKING:
    from caching.learn.store import Learned

MOST_GATES = 9
# Scores crowd near 0 and 1, so that only the ends of the range of a threshold move much.
LADDER = (0.01, 0.1, 0.5, 0.9, 0.99)
FIRST = (*LADDER, 0.999, 0.9999)  # of the dearest gates, nearer to those behind them
ALL = 1.0  # every lazy step reuses everything


@dataclass(frozen=True)
class LazyDiTMethod(Method):
    """LazyDiT (arXiv 2412.12444): sigmoid(sum over tokens of W . Z) >= threshold computes.

    The paper's threshold is 0.5, and the price rho of computing that the gates are trained at sets
    the share of work. Gates trained at several prices lie in one file, from the most work to the
    least. Steps that follow a lazy one are not trained, there as here, and compute whatever the
    threshold: half of all work is the least there can be.
    """

    threshold: float = number(0.5, 0, 1, "threshold", "branches that score less are reused")
    gates: int = whole(
        1, 1, MOST_GATES, "gates", "of those that were trained, from the most work to the least"
    )

    name = "lazydit"
    title = "LazyDiT"
    about = (
        "A trained linear gate on the input of each branch decides for each picture whether the "
        "last output will do."
    )
    source = Source(
        "LazyDiT: Lazy Learning for the Acceleration of Diffusion Transformers",
        2024, "2412.12444", "shawnricecake/lazydit",
    )  # fmt: skip
    faithfulness = "as published"
    because = (
        "The paper's gates, objective and threshold, trained here for this model at rho of its "
        "own, with a smaller batch and fewer iterations; the authors published no weights."
    )
    needs = "training"
    tunes = "threshold"

    def plan(self, setting: Setting) -> Plan:
        learned = setting.learned(self.name)
        found = gates_of(learned, (setting.steps, setting.blocks, len(setting.branches)))
        which = min(self.gates, len(found))
        mine = found[which - 1]
        gated = tuple(int(s) for s in np.flatnonzero(mine.any(axis=(1, 2, 3))))
        words = f"gates {which} of {len(found)}"
        price = learned.values.get("weights")
        if price is not None and price.shape == (len(found),):
            words += f", trained at a price of {price[which - 1]:g} for a computed branch"
        return Plan(setting.full(), LazyDiT(mine, self.threshold, gated), (learned.title, words))

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """All gates at several thresholds, the cheaper ones behind the dearer."""
        learned = setting.learned(self.name)
        found = gates_of(learned, (setting.steps, setting.blocks, len(setting.branches)))
        last = min(MOST_GATES, len(found))
        pairs = [(1, threshold) for threshold in FIRST]
        pairs += [(which, threshold) for which in range(2, last + 1) for threshold in LADDER]
        return tuple(replace(self, gates=g, threshold=t) for g, t in (*pairs, (last, ALL)))


def gates_of(learned: Learned, shape: tuple[int, int, int]) -> np.ndarray:
    """The gates (G, S, L, R, D) of what was learned, if they are of this grid.

    Raises:
        RequestError: there are none, or they are of another grid.
    """
    found = learned.values.get("gates")
    if found is None or found.ndim != 5 or found.shape[1:4] != shape or not len(found):
        had = "no gates" if found is None else f"gates of shape {found.shape}"
        raise RequestError(
            f"lazydit: {had} were found for {learned.model}, expected (gates, steps, blocks, "
            f"branches, width) with {shape} in the middle; learn it again."
        )
    return found
