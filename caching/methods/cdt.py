"""CDT: a video tokenizer's feature cache, which an image transformer has no place for."""

from __future__ import annotations

from dataclasses import dataclass

from caching.errors import RequestError
from caching.methods.base import Method, Plan, Setting, Source


@dataclass(frozen=True)
class Cdt(Method):
    """CDT (arXiv 2503.03708): its cache carries causal convolutions from one chunk to the next."""

    name = "cdt"
    title = "CDT"
    about = "A video tokenizer whose decoder keeps convolution states between chunks of a video."
    source = Source(
        "Rethinking Video Tokenization: A Conditioned Diffusion-based Approach",
        2025, "2503.03708", "ali-vilab/CDT",
    )  # fmt: skip
    faithfulness = "does not apply"
    because = (
        "Its feature cache hands the states of causal 3D convolutions from one chunk of a video to "
        "the next; an image transformer has neither chunks nor such convolutions, and nothing is "
        "reused between its denoising steps."
    )

    def plan(self, setting: Setting) -> Plan:
        raise RequestError(f"{self.title} does not apply here. {self.because}")
