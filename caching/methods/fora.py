"""FORA: every N-th step computed whole, the others reused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from caching.methods.base import Method, Plan, Setting, Source, choice, whole
from caching.policies.interval import every


@dataclass(frozen=True)
class Fora(Method):
    """FORA (arXiv 2407.01425): attn and mlp of all blocks are reused before the gate.

    Its code computes iff `step == T-1 or step % N == 0` with steps counted down, so the last step
    falls on the beat; "start" counts from step 0 and forces the last step, as SmoothCache's "fora"
    files have it.
    """

    interval: int = whole(2, 2, 10, "N", "one step in N is computed")
    align: str = choice("end", ("end", "start"), "counted from")

    name = "fora"
    title = "FORA"
    about = "Computes one step in N whole and reuses every block between."
    source = Source(
        "FORA: Fast-Forward Caching in Diffusion Transformer Acceleration",
        2024, "2407.01425", "prathebaselva/FORA",
    )  # fmt: skip
    faithfulness = "as published"
    because = "The paper's rule needs no files and no calibration."
    tunes = "interval"

    def plan(self, setting: Setting) -> Plan:
        align = cast(Literal["end", "start"], self.align)
        return Plan(
            every(
                setting.steps, setting.blocks, self.interval, align=align, branches=setting.branches
            )
        )
