"""MagCache: skip the blocks while a known curve of residual magnitudes says little is lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from caching.actions.base import StepAction
from caching.actions.residual import Residual
from caching.dynamic.base import Choice, Decider, Facts, Policy, View
from caching.errors import ScheduleError
from caching.fields import number_field, numbers_field, whole_field


@dataclass(frozen=True)
class MagCache(Policy):
    """Skip while the sum of |1 - product of ratios| since the last computed step is small.

    MagCache (arXiv 2506.09045), as diffusers' hook and the reference do it: after the first
    `retain` of the steps, the running product takes in the step's ratio, the error grows by its
    distance from 1, and the step is skipped when the error is at most `threshold` and it is at most
    the `most`-th in a row; otherwise it is computed and all three start anew. It looks at nothing
    of the run: with the same ratios every run skips the same steps.

    `ratios` (S,) are ||R_s|| / ||R_{s-1}|| of the stack residual, mean over tokens, the first one 1
    (`calibrated`); a curve of another length is read at the nearest point, as there. The defaults
    are diffusers'; the paper's for FLUX are 0.24, 5 and 0.1.
    """

    threshold: float = 0.06
    most: int = 3
    retain: float = 0.2
    ratios: tuple[float, ...] = ()

    name: ClassVar[str] = "magcache"
    label: ClassVar[str] = "MagCache"

    def __post_init__(self) -> None:
        number_field(self, "threshold", 0, 1e9)
        whole_field(self, "most", 1, 10**6)
        number_field(self, "retain", 0, 1)
        numbers_field(self, "ratios")

    @classmethod
    def calibrated(
        cls,
        model: Any,
        *,
        threshold: float = 0.06,
        most: int = 3,
        retain: float = 0.2,
        **asked: Any,
    ) -> MagCache:
        """With the ratios of full runs of `model`; see `calibrate.magcache_ratios`."""
        from caching.dynamic.calibrate import magcache_ratios

        # Made first: it refuses what it is given before runs take their time.
        policy = cls(threshold, most, retain)
        return replace(policy, ratios=magcache_ratios(model, **asked))

    @property
    def step_legend(self) -> tuple[StepAction, ...]:
        return (Residual(),)

    def check(self, blocks: int) -> None:
        if not self.ratios:
            raise ScheduleError(
                "magcache: no ratios were given, and they differ from model to model: expected one "
                "per step; make them with MagCache.calibrated(model, steps=…)"
            )

    def begin(self, facts: Facts) -> Decider:
        return _Decider(self, nearest(self.ratios, facts.steps))


def nearest(curve: tuple[float, ...], steps: int) -> tuple[float, ...]:
    """The curve read at `steps` evenly spaced points, the nearest value at each."""
    if len(curve) == steps:
        return curve
    if steps == 1:
        return curve[-1:]
    scale = (len(curve) - 1) / (steps - 1)
    return tuple(curve[round(s * scale)] for s in range(steps))


class _Decider(Decider):
    def __init__(self, policy: MagCache, ratios: tuple[float, ...]) -> None:
        self.policy, self.ratios = policy, ratios
        # Rounded as the reference does, half up.
        self.retained = max(1, int(policy.retain * len(ratios) + 0.5))
        self._anew()

    def _anew(self) -> None:
        self.product, self.error, self.row = 1.0, 0.0, 0

    def decide(self, view: View) -> Choice:
        if view.s < self.retained:
            return Choice()
        self.product *= self.ratios[view.s]
        self.row += 1
        self.error += abs(1 - self.product)
        score, limit = self.error, self.policy.threshold
        if score <= limit and self.row <= self.policy.most:
            return Choice(action=Residual(), score=score, limit=limit)
        self._anew()
        return Choice(score=score, limit=limit)
