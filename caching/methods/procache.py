"""ProCache: full steps further and further apart towards the start, tokens in the deep blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caching.methods.base import Method, Plan, Setting, Source, choice, number
from caching.policies.toca import token_schedule
from caching.predictors.tokens import SCORES

STEPS = 50
INTERVALS = (4,) * 6 + (3,) * 4 + (2,) * 7
"""Between the full steps of the released pattern, in execution order."""

DEEP = 21 / 28


@dataclass(frozen=True)
class ProCache(Method):
    """ProCache (arXiv 2512.17298): intervals that never grow, found by search; here the found one.

    Of 50 steps 17 are full: every fourth, then every third, then every other one. Of the steps
    between two full ones every second is mixed: the first three quarters of the blocks are reused,
    and the feed-forwards behind them compute tokens as ToCa does. For other step counts and shares
    of full steps the curve of full steps over the run is kept and intervals are put in falling
    order. The paper samples patterns under a budget and picks one by FID over 1,000 pictures.
    """

    full: float = number(0.34, 0.05, 1, "full", "share of full steps; 17 of 50 in the paper")
    ratio: float = number(0.07, 0, 1, "r", "share of tokens, before ToCa's factors")
    score: str = choice("attention", SCORES, "tokens by", "what makes a token matter")

    name = "procache"
    title = "ProCache"
    about = (
        "Full steps are rare early and frequent late; every second step between them computes some "
        "tokens in the deep blocks."
    )
    source = Source(
        "ProCache: Constraint-Aware Feature Caching with Selective Computation for Diffusion "
        "Transformer Acceleration",
        2025, "2512.17298", "macovaseas/ProCache", "GPL-3.0",
    )  # fmt: skip
    faithfulness = "as published"
    because = (
        "The pattern of the authors' code for 50 steps, scaled to other step counts and budgets; "
        "their search by FID is not repeated for this model."
    )
    tunes = "full"
    eager = False

    def plan(self, setting: Setting) -> Plan:
        row = pattern(setting.steps, self.full)
        deep = np.arange(setting.blocks) >= round(DEEP * setting.blocks)
        whole = np.repeat((row == 1)[:, None], setting.blocks, axis=1)
        return Plan(
            token_schedule(
                whole,
                (row == 2)[:, None] & deep,
                ratio=self.ratio,
                interval=max(1, round(1 / self.full)),
                score=self.score,
                branches=setting.branches,
            )
        )


def pattern(steps: int, share: float) -> NDArray[np.int64]:
    """(S,) 1 full, 0 reused, 2 mixed."""
    count = min(steps, max(1, round(share * steps)))
    # Share of the run done at each share of the full steps.
    curve = np.concatenate([[0], np.cumsum(INTERVALS)]) / STEPS
    places = np.interp(np.arange(count + 1) / count, np.linspace(0, 1, len(curve)), curve)
    # Full steps are different ones, whatever rounding does.
    starts = np.rint(places * steps).astype(int)
    starts = np.maximum.accumulate(starts - np.arange(count + 1)) + np.arange(count + 1)
    starts = np.minimum(starts, steps - np.arange(count + 1)[::-1])
    row = np.zeros(steps, np.int64)
    at = 0
    for interval in sorted(np.diff(starts).tolist(), reverse=True):
        row[at] = 1
        row[at + 2 : at + interval : 2] = 2
        at += interval
    return row
