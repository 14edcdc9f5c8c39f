"""Learning-to-Cache: at every second step, the branches that a trained router does not compute."""

from __future__ import annotations

from dataclasses import dataclass

from caching.methods.base import Source
from caching.methods.routers import RouterMethod


def cache_steps(steps: int) -> tuple[int, ...]:
    """Steps that may reuse, in the order of execution: of the paper's index i = S-1-s the even.

    With an even number of steps these are the odd ones. With an odd number the first step has an
    even index too, but nothing before it to reuse, so it computes.
    """
    return tuple(s for s in range(1, steps) if (steps - 1 - s) % 2 == 0)


@dataclass(frozen=True)
class LearningToCache(RouterMethod):
    """Learning-to-Cache (arXiv 2406.01733): sigmoid(logit) > theta computes, on cache steps alone.

    Steps come in pairs: the first computes whole and the second may reuse it, so that nothing is
    older than one step and the work saved stays under one half. The reference thresholds with `>`
    (load_ranking), theta 0.1; the routers of the other steps are never trained and never read.
    """

    name = "l2c"
    title = "Learning-to-Cache (L2C)"
    about = (
        "A router trained for this model decides, for every second step, which branches repeat "
        "the step before."
    )
    source = Source(
        "Learning-to-Cache: Accelerating Diffusion Transformer via Layer Caching",
        2024, "2406.01733", "horseee/learning-to-cache",
    )  # fmt: skip
    faithfulness = "recalibrated here"
    because = (
        "The paper's pairs of steps, mixing, price and threshold, trained here for this model at "
        "λ of its own, with the error taken on the clean latents instead of the output, "
        "since this model predicts v and the paper's noise, and with a higher rate, a smaller "
        "batch and fewer iterations."
    )

    def may_reuse(self, steps: int) -> tuple[int, ...]:
        return cache_steps(steps)
