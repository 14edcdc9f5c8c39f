"""DuCa: ToCa's partial steps and plain reuse take turns between full steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caching.methods.base import Method, Plan, Setting, Source, choice, number, whole
from caching.methods.toca import rungs_of
from caching.policies.toca import full_steps, token_schedule
from caching.predictors.tokens import SCORES


@dataclass(frozen=True)
class DuCa(Method):
    """DuCa (arXiv 2412.18911): ToCa's full steps; of the others, odd i % interval are partial.

    i counts steps down. Every block decides for itself, as in ToCa's released code; "paper" has all
    blocks follow block 0. r is 0.05 in the README and 0.07 in the code. Its code adds 0.8 of itself
    to the score of the best token of each 2 x 2 patch, where the brush here has ToCa's 0.6. A later
    version of the paper finds tokens drawn by chance as good.
    """

    interval: int = whole(3, 2, 20, "N", "about one step in N is full")
    ratio: float = number(0.05, 0, 1, "r", "share of tokens, before its factors")
    decides: str = choice("released", ("released", "paper"), "full steps", "as code or paper")
    score: str = choice("attention", SCORES, "tokens by", "what makes a token matter")

    name = "duca"
    title = "DuCa"
    about = (
        "Between full steps, reuses everything at one step and computes the tokens that matter "
        "most in the feed-forwards at the next."
    )
    source = Source(
        "Accelerating Diffusion Transformers with Dual Feature Caching",
        2024, "2412.18911", "Shenyi-Z/DuCa", "GPL-3.0",
    )  # fmt: skip
    faithfulness = "as published"
    because = (
        "The schedule and shares of the authors' code for DiT, its quirk included; tokens are "
        "scored with ToCa's local bonus of 0.6 instead of 0.8."
    )
    tunes = "interval"

    def plan(self, setting: Setting) -> Plan:
        full, rest = full_steps(setting.steps, self.interval)
        where = np.zeros(setting.blocks, int)
        if self.decides == "released":
            where[1:] = 1
        whole = full[:, where]
        return Plan(
            token_schedule(
                whole,
                ~whole & (rest[:, where] % 2 == 1),
                ratio=self.ratio,
                interval=self.interval,
                score=self.score,
                branches=setting.branches,
            )
        )

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """More tokens at N = 2 and 3, and larger N, in order of their work."""
        return rungs_of(self, setting)
