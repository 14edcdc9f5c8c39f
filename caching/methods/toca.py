"""ToCa: between full steps the feed-forwards compute the tokens that matter most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from caching.methods.base import Method, Plan, Setting, Source, choice, number, whole
from caching.methods.ordering import by_work
from caching.policies.toca import full_steps, token_schedule
from caching.predictors.tokens import SCORES

if TYPE_CHECKING:
    from caching.methods.duca import DuCa

RATIOS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1.0)
"""Of tokens, that the ladder tries at short intervals."""


@dataclass(frozen=True)
class ToCa(Method):
    """ToCa (arXiv 2410.05317), its DDIM-50 settings: N = 3, r = 0.07, scheduler "ToCa-ddim50".

    Attention is reused. A feed-forward computes r · step · layer · 2.5 of its tokens, none in the
    first quarter of the run and most at its end and in deep blocks; `caching.policies.toca` has the
    factors. Full steps lie further apart early: the interval is about N / (1.4 - 0.8 i / S).

    In the released code every block decides anew whether a step is full, and block 0 has changed
    the interval by then: of 50 steps block 0 has 20 full ones and the others 18. "released" does
    likewise; "paper" has all blocks follow block 0. Which of them the paper's figures have is not
    known. The share of tokens is the mean over each row of partial steps here, in 30 values.
    """

    interval: int = whole(3, 2, 20, "N", "about one step in N is full")
    ratio: float = number(0.07, 0, 1, "r", "share of tokens, before its factors")
    decides: str = choice("released", ("released", "paper"), "full steps", "as code or paper")
    score: str = choice("attention", SCORES, "tokens by", "what makes a token matter")

    name = "toca"
    title = "ToCa"
    about = (
        "Reuses attention between full steps and computes the feed-forwards of the tokens that "
        "receive most attention or are oldest."
    )
    source = Source(
        "Accelerating Diffusion Transformers with Token-wise Feature Caching",
        2024, "2410.05317", "Shenyi-Z/ToCa", "GPL-3.0",
    )  # fmt: skip
    faithfulness = "as published"
    because = (
        "The schedule, scores and shares of the authors' code for DiT, its quirk included; a token "
        "at least is computed where theirs would round to none."
    )
    tunes = "interval"

    def plan(self, setting: Setting) -> Plan:
        full, _ = full_steps(setting.steps, self.interval)
        whole = np.repeat(full[:, :1], setting.blocks, axis=1)
        if self.decides == "released":
            whole[:, 1:] = full[:, 1:]
        return Plan(
            token_schedule(
                whole,
                ~whole,
                ratio=self.ratio,
                interval=self.interval,
                score=self.score,
                branches=setting.branches,
            )
        )

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """More tokens at N = 2 and 3, and larger N, in order of their work."""
        return rungs_of(self, setting)


def rungs_of(method: ToCa | DuCa, setting: Setting) -> Sequence[Method]:
    """More tokens at N = 2 and 3, and larger N, in order of their work."""
    shares = {method.ratio, *(r for r in RATIOS if r > method.ratio)}
    found = [replace(method, interval=n, ratio=r) for n in (2, 3) for r in sorted(shares)]
    found += [replace(method, interval=n) for n in range(4, 21)]
    return by_work(setting, found)
