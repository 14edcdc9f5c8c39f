"""InvarDiff: whatever changes more slowly than before is reused, whole steps and single cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from caching.actions.hidden import FinalHidden
from caching.methods.base import Method, Plan, Setting, Source, choice, number
from caching.methods.ordering import by_work
from caching.policies.invardiff import books

if TYPE_CHECKING:
    from caching.models.model import Model

PICTURES = 16


@dataclass(frozen=True)
class InvarDiff(Method):
    """InvarDiff (arXiv 2512.05134) by rates of change, ||f_{s+1} - f_s||_1 / ||f_s - f_{s-1}||_1.

    Of the hidden state behind the last block and of every branch output, mean over full runs of 16
    labels without guidance; what is below a quantile of its kind is reused, never at the first and
    last step. In a second pass the two older features of a rate stay where they are while the first
    pass reuses, so that long rows end; the model still runs in full there, as in the authors' code.
    A step of the step book takes the hidden state of the last step that ran, as it is, through the
    final layer; with "branches" all of its branches are reused instead, which is another
    approximation. Quantiles are the authors' slow setting; their fast one is 0.63, 0.22 and 0.22.
    """

    step: float = number(0.61, 0, 1, "steps", "quantile of the hidden state's rates")
    attn: float = number(0.2, 0, 1, "attn", "quantile of attention's rates")
    mlp: float = number(0.2, 0, 1, "mlp", "quantile of the feed-forwards' rates")
    passes: str = choice("corrected", ("corrected", "first"), "passes", "second one or not")
    rows: str = choice("hidden", ("hidden", "branches"), "steps reuse", "what stands in")

    name = "invardiff"
    title = "InvarDiff"
    about = (
        "Reuses whole steps and single branches where full runs change more slowly than a step "
        "before."
    )
    source = Source(
        "InvarDiff: Cross-Scale Invariance Caching for Accelerated Diffusion Models",
        2025, "2512.05134", "zihaowu25/InvarDiff", "Apache-2.0",
    )  # fmt: skip
    faithfulness = "as published"
    because = (
        "The authors' calibration on this model's own full runs, with their quantiles; their own "
        "books for DiT-XL/2 can be opened as files."
    )
    needs = "calibration"
    tunes = "step"

    def plan(self, setting: Setting) -> Plan:
        def unguided(model: Model, **asked: Any) -> np.ndarray:
            from caching.measure.distances import distances

            # Whatever the runs have; the authors calibrate so.
            return distances(model, **{**asked, "cfg_scale": 1.0}, pictures=PICTURES)

        quantiles = {"attn": self.attn, "mlp": self.mlp}
        found = books(
            setting.measured(f"invardiff distances, {PICTURES} pictures", unguided),
            len(setting.branches),
            self.step,
            tuple(quantiles.get(name, self.mlp) for name in setting.branches),
            correct=self.passes == "corrected",
        )
        full = setting.full()
        schedule = full.paint(found.cells.reshape(full.actions.shape), 1)
        if self.rows == "hidden" and found.steps.any():
            schedule = schedule.paint_steps(found.steps, FinalHidden())
        return Plan(schedule)

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """All quantiles in proportion, in order of their work."""
        attn, mlp = (q / self.step if self.step else 0.0 for q in (self.attn, self.mlp))
        found = [
            replace(self, step=q, attn=min(1.0, attn * q), mlp=min(1.0, mlp * q))
            for q in np.linspace(0, 1, 41).tolist()
        ]
        return by_work(setting, found)
