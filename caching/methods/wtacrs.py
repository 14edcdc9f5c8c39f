"""WTA-CRS: the steps between computed ones run on estimated products, unbiased and cheaper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from caching.methods.base import Method, Plan, Setting, Source, number, whole
from caching.policies.interval import pattern
from caching.predictors.sampled import Sampled
from caching.schedule import Schedule

LEAST = 0.05


@dataclass(frozen=True)
class WtaCrs(Method):
    """WTA-CRS (arXiv 2305.15265): an estimator of products, made for fine-tuning.

    The paper keeps a fraction 0.3 of the column-row pairs of activations for the backward pass and
    computes the forward pass exactly. Here the forward pass of sampling is estimated: one step in N
    is computed, counted from the end as FORA counts, and at the others every linear of every branch
    runs on `fraction` of its inner dimension (`Sampled`).
    """

    fraction: float = number(0.3, LEAST, 1, "fraction", "of column-row pairs, where estimated")
    interval: int = whole(2, 2, 10, "N", "one step in N is computed exactly")

    name = "wtacrs"
    title = "WTA-CRS"
    about = (
        "Computes one step in N exactly; at the others every product is estimated from the most "
        "important column-row pairs and a random, rescaled sample of the rest."
    )
    source = Source(
        "Winner-Take-All Column Row Sampling for Memory Efficient Adaptation of Language Model",
        2023, "2305.15265", "zirui-ray-liu/WTACRS",
    )  # fmt: skip
    faithfulness = "analogue"
    because = (
        "The paper saves activation memory in training and caches nothing; here its estimator "
        "replaces products of the forward pass, where the error of a single draw, about as large "
        "as the product, does not average out."
    )
    tunes = "fraction"
    eager = False

    def plan(self, setting: Setting) -> Plan:
        computed = pattern(setting.steps, self.interval)
        shape = (setting.steps, setting.blocks, len(setting.branches))
        cells = np.broadcast_to(~computed[:, None, None], shape).astype(np.uint8)
        return Plan(Schedule(cells, (Sampled(self.fraction),), setting.branches).compact())

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """Smaller fractions of its own interval, then, at the smallest, longer intervals."""
        longer = range(self.interval + 1, 11)
        return (
            *super().ladder(setting),
            *(replace(self, fraction=LEAST, interval=n) for n in longer),
        )
