"""LazyDiT: trained gates decide branch by branch, picture by picture, what is reused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from caching.dynamic.lazydit import LazyDiT
from caching.errors import RequestError
from caching.methods.base import Method, Plan, Setting, Source, number

LADDER = 6.0  # the farthest logit of a threshold that tuning tries


@dataclass(frozen=True)
class LazyDiTMethod(Method):
    """LazyDiT (arXiv 2412.12444): sigmoid(sum over tokens of W . Z) >= threshold computes.

    The paper's threshold is 0.5 and its share of work is set by the training's ρ; here the
    threshold is a control, so that one training gives many shares. Steps that follow a reused one
    were not trained, there as here, and compute whatever the threshold: half of all work is the
    least there can be.
    """

    threshold: float = number(0.5, 0, 1, "threshold", "branches that score less are reused")

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
        "Gates trained with the paper's objective for the shipped model at one number of steps, on "
        "renders, with fewer pictures and a larger penalty than the paper's."
    )
    needs = "training"
    tunes = "threshold"

    def plan(self, setting: Setting) -> Plan:
        learned = setting.learned(self.name)
        weights = learned.values.get("weights")
        shape = (setting.steps, setting.blocks, len(setting.branches))
        if weights is None or weights.ndim != 4 or weights.shape[:3] != shape:
            had = "none" if weights is None else str(weights.shape)
            raise RequestError(
                f"lazydit: gates {had} were learned for {learned.model}, expected {shape} with the "
                "width behind; learn it again."
            )
        gated = tuple(int(s) for s in np.flatnonzero(weights.any(axis=(1, 2, 3))))
        policy = LazyDiT(weights, self.threshold, gated)
        return Plan(setting.full(), policy, (f"Gates: {learned.title}.",))

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """Evenly spaced as logits, since scores crowd near 0 and 1."""
        logits = np.linspace(-LADDER, LADDER, 25)
        return tuple(replace(self, threshold=float(1 / (1 + np.exp(-x)))) for x in logits)
