"""LazyDiT: a trained gate on each branch's input decides, picture by picture, to skip it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from caching.checks import as_array
from caching.dynamic.base import Choice, Decider, Facts, Policy, View
from caching.errors import ScheduleError
from caching.fields import number_field
from caching.predictors.base import Predictor
from caching.predictors.reuse import Reuse

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class LazyDiT(Policy):
    """Compute a branch where sigmoid(sum over tokens of W . Z) >= threshold, by sample.

    LazyDiT (arXiv 2412.12444): Z (T, D) is the branch's normed and modulated input, W (D,) a linear
    without bias of its own for every step, block and branch. A sample is a row of the batch, so
    that the two halves of guidance decide for themselves. The others take their last output before
    the gate of the block, and what is made of both takes its place. Zero weights, from which
    training starts, give 0.5 and compute everywhere; step 0 is computed.

    `weights` (S, L, R, D), in the order of execution, step 0 the noisiest; checkpoints of the
    reference count the other way. None are published: they are trained for a model and a number of
    steps. Training leaves every second step's at zero, which above a threshold of 0.5 would all be
    reused: `gated` names the steps that are asked, None for all behind step 0.
    """

    weights: Any = None
    threshold: float = 0.5
    gated: tuple[int, ...] | None = None

    name: ClassVar[str] = "lazydit"
    label: ClassVar[str] = "LazyDiT"

    def __post_init__(self) -> None:
        number_field(self, "threshold", 0, 1)
        if self.weights is None:
            return
        given = as_array("lazydit: weights", self.weights)
        if given.dtype.kind != "f" or given.ndim != 4 or not np.isfinite(given).all():
            raise ScheduleError(
                f"lazydit: weights are {given.dtype} {given.shape}: expected finite floats "
                "(steps, blocks, branches, width)"
            )
        kept = np.frombuffer(given.astype(np.float32).tobytes(), np.float32).reshape(given.shape)
        object.__setattr__(self, "weights", kept)

    @property
    def legend(self) -> tuple[Predictor, ...]:
        return (Reuse(),)

    def check(self, blocks: int) -> None:
        if self.weights is None:
            raise ScheduleError(
                "lazydit: no gate weights were given, and none are published: expected an array "
                "(steps, blocks, branches, width) trained for this model; zeros compute everything"
            )
        if self.weights.shape[1] != blocks:
            raise ScheduleError(
                f"lazydit: weights are for {self.weights.shape[1]} blocks and the model has "
                f"{blocks}: expected the same; train gates for this model"
            )

    def begin(self, facts: Facts) -> Decider:
        shape = self.weights.shape[:3]
        if shape != (facts.steps, facts.blocks, len(facts.branches)):
            raise ScheduleError(
                f"lazydit: weights are for (steps, blocks, branches) {shape} and the run has "
                f"({facts.steps}, {facts.blocks}, {len(facts.branches)}): expected the same; gates "
                "belong to one number of steps"
            )
        if self.weights.shape[3] != facts.width:
            raise ScheduleError(
                f"lazydit: weights are for width {self.weights.shape[3]} and the model has "
                f"{facts.width}: expected the same; train gates for this model"
            )
        return _Decider(self)


class _Decider(Decider):
    gates = True

    def __init__(self, policy: LazyDiT) -> None:
        self.policy = policy
        self.scores: list[Tensor] = []

    def decide(self, view: View) -> Choice:
        self.scores = []
        gated = self.policy.gated
        asked = view.s > 0 and (gated is None or view.s in gated)
        return Choice(cells=Reuse()) if asked else Choice()

    def keep(self, z: Tensor, s: int, block: int, r: int) -> Tensor:
        import torch

        w = torch.from_numpy(self.policy.weights[s, block, r].copy()).to(z.device)
        score = (z.float() @ w).sum(1).sigmoid()
        self.scores.append(score)
        return score >= self.policy.threshold

    def after(self, view: View, choice: Choice, output: Tensor) -> Choice | None:
        if not self.scores:
            return None
        mean = sum(float(score.mean()) for score in self.scores) / len(self.scores)
        return replace(choice, score=mean, limit=self.policy.threshold)
