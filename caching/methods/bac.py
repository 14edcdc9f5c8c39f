"""BAC: each row's steps by dynamic programming on similarity, and unions where errors surge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caching.methods.base import Method, Plan, Setting, Source, whole
from caching.policies.updates import best_updates, bubbling_union
from caching.schedule import Schedule

if TYPE_CHECKING:
    from caching.models.model import Model


@dataclass(frozen=True)
class Bac(Method):
    """Block-wise Adaptive Caching (arXiv 2506.13456), published for diffusion policies of robots.

    Adaptive caching scheduler: each branch of each block is computed at `updates` steps, chosen to
    maximise the summed cosine similarity between what is reused and what would have been computed.
    Bubbling union: the `union` rows of largest pairwise L1 error are computed also wherever a
    feed-forward downstream of them is. Its code takes about 10 of 100 steps and forces the first
    two besides; here 8 of 20 are the default and step 0 alone is forced. On the shipped model the
    largest errors are those of the last feed-forwards, which have little downstream, so a union of
    3 rows adds nothing there; the default is 5.
    """

    updates: int = whole(8, 1, 100, "updates", "steps at which each row is computed")
    union: int = whole(5, 0, 24, "union", "rows of largest error that take over later steps")

    name = "bac"
    title = "BAC"
    about = (
        "Computes each branch of each block at the steps whose reuse is most similar, found by "
        "dynamic programming, and more often where errors would surge downstream."
    )
    source = Source(
        "Block-wise Adaptive Caching for Accelerating Diffusion Policy",
        2025, "2506.13456", "kyji/BAC", "MIT",
    )  # fmt: skip
    faithfulness = "recalibrated here"
    because = (
        "Published for robots' diffusion policies; its dynamic program and its union run here on "
        "similarities of this model's own full runs."
    )
    needs = "calibration"
    tunes = "updates"
    eager = False

    def plan(self, setting: Setting) -> Plan:
        alone, united = self._computed(setting)
        added = int(united.sum() - alone.sum())
        return Plan(
            Schedule((~united).astype(np.uint8), branches=setting.branches),
            notes=(f"The union computes {added} cells more than {self.updates} updates would.",),
        )

    def _computed(self, setting: Setting) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Bool (S, L, R) without the union and with it."""
        best, error = setting.measured("bac", best_of)
        alone = best[min(self.updates, setting.steps) - 1]
        last = len(setting.branches) - 1
        ff = setting.branches.index("mlp") if "mlp" in setting.branches else last
        return alone, bubbling_union(alone, error, self.union, ff=ff)

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """Updates from all steps down to one, put in order by what the union makes of them."""
        from caching.measure.cost import branch_macs

        costs = branch_macs(setting.model)
        rungs = {
            float((one._computed(setting)[1] * costs).sum()): one
            for one in (replace(self, updates=n) for n in range(1, min(100, setting.steps) + 1))
        }
        return tuple(rungs[work] for work in sorted(rungs, reverse=True))


def best_of(
    model: Model, *, steps: int, **asked: Any
) -> tuple[NDArray[np.bool_], NDArray[np.floating]]:
    """The best cells (S, S, L, R) for every number of updates, and each row's error (L, R).

    Of full runs; see `profiled`.
    """
    from caching.measure.profiles import Pairs, profiled

    similarity, error = profiled(model, Pairs, steps=steps, **asked)
    best = best_updates(similarity.reshape(steps, steps, -1))
    return best.reshape(similarity.shape), error
