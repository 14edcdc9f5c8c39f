"""HarmoniCa: at any step but the first, the branches that a trained router does not compute."""

from __future__ import annotations

from dataclasses import dataclass

from caching.methods.base import Source
from caching.methods.routers import RouterMethod


@dataclass(frozen=True)
class HarmoniCa(RouterMethod):
    """HarmoniCa (arXiv 2410.01723): sigmoid(logit) > theta computes; what is stored may grow old.

    The router of the first step that runs is fixed to compute. Trained along whole guided runs
    with each step's error weighted by its effect on the final picture; see
    `caching.learn.harmonica`.
    """

    name = "harmonica"
    title = "HarmoniCa"
    about = (
        "A router trained along whole runs of this model decides, for any step after the first, "
        "which branches repeat their last output."
    )
    source = Source(
        "HarmoniCa: Harmonizing Training and Inference for Better Feature Caching in Diffusion "
        "Transformer Acceleration",
        2024, "2410.01723", "ModelTC/HarmoniCa", "Apache-2.0",
    )  # fmt: skip
    faithfulness = "as published"
    because = (
        "Its training along whole runs and its weighted objective, trained here for this model "
        "with a higher rate, a smaller batch and fewer runs, at β of its own."
    )

    def may_reuse(self, steps: int) -> range:
        return range(1, steps)
