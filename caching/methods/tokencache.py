"""TokenCache: between full steps only the tokens that a trained score puts first are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from caching.methods.base import Method, Plan, Setting, Source, number, whole
from caching.predictors.scored import Scored
from caching.schedule import Schedule

LEAST, LONGEST = 0.05, 10


@dataclass(frozen=True)
class TokenCache(Method):
    """TokenCache (arXiv 2409.18523), of which no code is published.

    Its scheduler, two-phase round-robin: after every full step come K steps that compute the
    important tokens alone, K1 of them in the first phase, where tokens of neighbouring steps are
    most alike, and fewer, K2, in the second. The values of K1, K2 and where the second phase begins
    are not known here: it begins, with a full step, at half of the steps. Its Cache Predictor is
    `Scored`, trained on full runs in another way; see there. For the shipped model's 20 steps it
    ships trained, otherwise four full runs fit it before the first run. The paper also gives each
    block a pruning ratio of its own; here all have the same.
    """

    fraction: float = number(0.3, LEAST, 1, "fraction", "of tokens computed between full steps")
    first: int = whole(3, 1, LONGEST, "K1", "such steps after a full one, in the first half")
    second: int = whole(2, 1, LONGEST, "K2", "such steps after a full one, in the second half")

    name = "tokencache"
    title = "TokenCache"
    about = (
        "Between full steps computes only the tokens whose output a trained score expects to have "
        "changed most, and reuses the others; full steps come more often in the second half."
    )
    source = Source("Token Caching for Diffusion Transformer Acceleration", 2024, "2409.18523")
    faithfulness = "analogue"
    because = (
        "Nothing is published to run: the two-phase schedule is the paper's with values of our "
        "own, but the score is a regression on token changes instead of its trained network, and "
        "its pruning ratio per block is left out."
    )
    needs = "calibration"
    tunes = "fraction"
    eager = False

    def plan(self, setting: Setting) -> Plan:
        computed = two_phases(setting.steps, self.first, self.second)
        shape = (setting.steps, setting.blocks, len(setting.branches))
        cells = np.broadcast_to(~computed[:, None, None], shape).astype(np.uint8)
        return Plan(Schedule(cells, (Scored(self.fraction),), setting.branches).compact())

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """Fewer tokens at its own intervals, then, at the fewest, longer intervals."""
        more = range(1, LONGEST - min(self.first, self.second) + 1)
        return (
            *super().ladder(setting),
            *(
                replace(
                    self,
                    fraction=LEAST,
                    first=min(LONGEST, self.first + n),
                    second=min(LONGEST, self.second + n),
                )
                for n in more
            ),
        )


def two_phases(steps: int, first: int, second: int) -> NDArray[np.bool_]:
    """Bool (S,): full steps, `first` others after each in the first half, `second` later."""
    index = np.arange(steps)
    half = (steps + 1) // 2
    late = index >= half
    early, later = index % (first + 1) == 0, (index - half) % (second + 1) == 0
    computed: NDArray[np.bool_] = np.where(late, later, early)
    return computed
