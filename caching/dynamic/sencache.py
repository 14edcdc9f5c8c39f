"""SenCache: skip the blocks while known sensitivities bound the change of the output."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from caching.actions.base import StepAction
from caching.actions.residual import Residual
from caching.dynamic.base import Choice, Decider, Facts, Policy, View
from caching.errors import ScheduleError
from caching.fields import number_field, numbers_field, whole_field

if TYPE_CHECKING:
    from torch import Tensor

STRICT = 0.2  # of the steps are held to the first threshold


@dataclass(frozen=True)
class SenCache(Policy):
    """Skip while J_x ||z - z'|| + J_t |t - t'| is below a threshold, z', t' the last computed.

    SenCache (arXiv 2602.24208) as its code for Wan 2.1 does it: the sensitivities are those of the
    tabled timestep nearest to t'; the first fifth of the steps is held to `start`, the others to
    `main`, both times the square root of the number of latent elements; at most `most` steps are
    skipped in a row, and none of the first and last `retain`. z is the first sample of the batch,
    which is conditional, and decides for all. A skipped step adds the stack residual. The defaults
    are those for Wan and CogVideoX (LTX: 0.01, 0.7 and 4).

    `timesteps`, `j_x` and `j_t` are the tables (`calibrated`).
    """

    start: float = 0.005
    main: float = 0.07
    most: int = 10
    retain: int = 0
    timesteps: tuple[float, ...] = ()
    j_x: tuple[float, ...] = ()
    j_t: tuple[float, ...] = ()

    name: ClassVar[str] = "sencache"
    label: ClassVar[str] = "SenCache"

    def __post_init__(self) -> None:
        number_field(self, "start", 0, 1e9)
        number_field(self, "main", 0, 1e9)
        whole_field(self, "most", 0, 10**6)
        whole_field(self, "retain", 0, 1000)
        for name in ("timesteps", "j_x", "j_t"):
            numbers_field(self, name)
        if not len(self.timesteps) == len(self.j_x) == len(self.j_t):
            raise ScheduleError(
                f"sencache: {len(self.timesteps)} timesteps, {len(self.j_x)} j_x and "
                f"{len(self.j_t)} j_t were given: expected as many of each"
            )

    @classmethod
    def calibrated(
        cls,
        model: Any,
        *,
        start: float = 0.005,
        main: float = 0.07,
        most: int = 10,
        retain: int = 0,
        **asked: Any,
    ) -> SenCache:
        """With the tables of full runs of `model`; see `calibrate.sencache_tables`."""
        from caching.dynamic.calibrate import sencache_tables

        policy = cls(start, main, most, retain)  # refuses what it is given before runs take time
        timesteps, j_x, j_t = sencache_tables(model, **asked)
        return replace(policy, timesteps=timesteps, j_x=j_x, j_t=j_t)

    @property
    def step_legend(self) -> tuple[StepAction, ...]:
        return (Residual(),)

    def check(self, blocks: int) -> None:
        if not self.timesteps:
            raise ScheduleError(
                "sencache: no sensitivities were given, and they differ from model to model: "
                "expected tables of them; make them with SenCache.calibrated(model, steps=…)"
            )

    def begin(self, facts: Facts) -> Decider:
        return _Decider(self, facts)


class _Decider(Decider):
    def __init__(self, policy: SenCache, facts: Facts) -> None:
        self.policy, self.facts = policy, facts
        # The reference counts calls, two for each step, and rounds their number.
        self.strict = round(2 * facts.steps * STRICT)
        self.computed: tuple[Tensor, float] | None = None
        self.row = 0

    def decide(self, view: View) -> Choice:
        p, s, steps = self.policy, view.s, self.facts.steps
        now = (view.latents[:1], self.facts.timesteps[s])
        score = limit = None
        if self.computed is not None and p.retain <= s < steps - p.retain:
            score = self._error(now, self.computed)
            limit = (p.start if 2 * s < self.strict else p.main) * math.sqrt(now[0].numel())
            if score < limit and self.row < p.most:
                self.row += 1
                return Choice(action=Residual(), score=score, limit=limit)
        self.row, self.computed = 0, now
        return Choice(score=score, limit=limit)

    def _error(self, now: tuple[Tensor, float], then: tuple[Tensor, float]) -> float:
        p = self.policy
        nearest = int(np.argmin(np.abs(np.asarray(p.timesteps) - then[1])))
        moved = float((now[0].float() - then[0].float()).norm())
        return p.j_x[nearest] * moved + p.j_t[nearest] * abs(now[1] - then[1])
