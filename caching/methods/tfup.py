"""TFUP: a feature cache model of prompt prototypes for classification, a namesake only."""

from __future__ import annotations

from dataclasses import dataclass

from caching.errors import RequestError
from caching.methods.base import Method, Plan, Setting, Source


@dataclass(frozen=True)
class Tfup(Method):
    """TFUP (arXiv 2404.16339): its "feature cache model" holds samples that a classifier matches.
    """  # fmt: skip

    name = "tfup"
    title = "TFUP"
    about = "Classifies pictures with CLIP by their similarity to a cache of chosen samples."
    source = Source(
        "Training-Free Unsupervised Prompt for Vision-Language Models",
        2024, "2404.16339", "wlb12345/TFUP",
    )  # fmt: skip
    faithfulness = "does not apply"
    because = (
        "Its feature cache holds prototypes of classes that a vision-language classifier compares "
        "pictures with; it neither generates pictures nor skips any computation of a network."
    )

    def plan(self, setting: Setting) -> Plan:
        raise RequestError(f"{self.title} does not apply here. {self.because}")
