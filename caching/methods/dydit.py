"""DyDiT: trained routers say how many heads and hidden channels each block computes, by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caching.errors import RequestError
from caching.methods.base import Method, Plan, Setting, Source, number
from caching.predictors.narrow import Narrow
from caching.schedule import Schedule


@dataclass(frozen=True)
class DyDiT(Method):
    """DyDiT (arXiv 2410.03456), its timestep-wise dynamic width, as Narrow brushes.

    A cell computes the width whose trained score, less `pressure` times the width, is the highest.
    At a pressure of 0 the work is about the target of the training. Step 0 computes whole, as every
    schedule's does here; the paper narrows it too.
    """

    pressure: float = number(
        0, -40, 40, "pressure", "towards fewer heads and channels than the routers chose", step=0.1
    )

    name = "dydit"
    title = "DyDiT"
    about = (
        "Trained routers say at each timestep how many heads and hidden channels of each block are "
        "computed; nothing is cached."
    )
    source = Source(
        "Dynamic Diffusion Transformer",
        2024, "2410.03456", "NUS-HPC-AI-Lab/Dynamic-Diffusion-Transformer",
    )  # fmt: skip
    faithfulness = "analogue"
    because = (
        "Width by timestep is trained here for this model, by distillation and the paper's FLOPs "
        "loss; instead of its long fine-tune of all weights, last linears are fitted in closed "
        "form, and its routers for tokens are left out."
    )
    needs = "training"
    tunes = "pressure"

    def plan(self, setting: Setting) -> Plan:
        learned = setting.learned(self.name)
        shape = (setting.steps, setting.blocks, len(setting.branches))
        scores, widths = learned.values.get("logits"), learned.values.get("widths")
        if scores is None or widths is None or scores.shape != (*shape, len(widths)):
            had = "no scores" if scores is None else f"scores of shape {scores.shape}"
            raise RequestError(
                f"dydit: {had} were found for {learned.model}, expected {shape} with as many "
                "widths behind as there are; learn it again."
            )
        width = widths[(scores - self.pressure * widths).argmax(axis=-1)]  # (S, L, R)
        width[0] = 1
        legend = tuple(float(w) for w in sorted(set(widths.tolist())) if w < 1)
        cells = np.zeros(shape, np.uint8)
        for number_, one in enumerate(legend, 1):
            cells[width == one] = number_
        brushes = tuple(Narrow(one, one) for one in legend)
        words = f"mean width {width.mean():.0%} of all heads and channels"
        return Plan(Schedule(cells, brushes, setting.branches), notes=(learned.title, words))
