"""ECAD: schedules found by evolution, on the changes of full runs instead of image rewards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from caching.methods.base import Method, Plan, Setting, Source, Tell, number, whole
from caching.policies.evolve import Evolved, evolve
from caching.schedule import Schedule

if TYPE_CHECKING:
    from caching.models.model import Model


@dataclass(frozen=True)
class Ecad(Method):
    """ECAD (arXiv 2506.15682), published for PixArt and FLUX.

    An NSGA-II kind of search over step, block and branch for the front of work and quality. The
    paper generates pictures for every individual and takes ImageReward; here an individual loses
    the summed relative change, since it was computed last, of every cell it reuses, as full runs
    have it, so that a search takes seconds and no pictures. The front is searched once for a seed;
    the speed-up then picks from it.
    """

    speedup: float = number(2.0, 1.0, 6.0, "speed-up", "in multiply-accumulates, at least")
    generations: int = whole(300, 10, 2000, "generations", "of the search")
    seed: int = whole(0, 0, 9999, "seed", "of the search's random numbers")

    name = "ecad"
    title = "ECAD"
    about = "Searches schedules by evolution, for little work and little change of what is reused."
    source = Source(
        "Evolutionary Caching to Accelerate Your Off-the-Shelf Diffusion Model",
        2025, "2506.15682", "aniaggarwal/ecad",
    )  # fmt: skip
    faithfulness = "recalibrated here"
    because = (
        "The paper's kind of search, on this model and with the change of reused cells in full "
        "runs for fitness where the paper generates pictures and scores them."
    )
    needs = "calibration"
    tunes = "speedup"

    def plan(self, setting: Setting) -> Plan:
        from caching.measure.cost import branch_macs

        change, model = setting.change(), setting.model
        costs = branch_macs(model)

        def make(_: Model, tell: Tell, stopped: Callable[[], bool] | None) -> Evolved:
            from caching.engine.executor import Stopped

            def heard(done: int) -> None:
                tell("generations", done, self.generations)
                if stopped is not None and stopped():
                    raise Stopped("the search was stopped between two generations.")

            return evolve(change, costs, generations=self.generations, seed=self.seed, tell=heard)

        front = setting.table(f"ecad {self.generations} generations, seed {self.seed}", make)
        fixed, cells = float(model.family.fixed_macs()), float(costs.sum())
        # Of the cells alone, so that fixed and computed parts together are as fast as asked for.
        work = ((fixed + cells) / self.speedup - fixed) / cells
        found = front.within(work)
        share = float((found * costs).sum()) / (len(found) * cells)
        reached = (fixed + cells) / (fixed + cells * share)
        notes = () if reached >= self.speedup - 1e-6 else (f"The search reached {reached:.2f}x.",)
        return Plan(Schedule((~found).astype(np.uint8), branches=setting.branches), notes=notes)

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """Speed-ups spaced by ratio."""
        values = np.geomspace(1.0, 6.0, 41)
        return tuple(replace(self, speedup=min(6.0, float(v))) for v in values)
