"""What a run leaves behind: an event for every step, and the whole record at the end."""

import dataclasses
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from caching.dynamic.base import Choice, Policy
from caching.engine.request import Request, context_of
from caching.errors import ScheduleError
from caching.marks import COVERED, LOWERED, PARTLY
from caching.measure.cost import Cost
from caching.measure.trace import Trace
from caching.schedule import Schedule


@dataclass(frozen=True, eq=False)
class StepEvent:
    """One step that has just run."""

    step: int
    steps: int
    timestep: float
    executed: np.ndarray  # uint8 (L, R), what really ran: see Run.executed
    action: int  # see Run.executed_actions
    ms: float  # the transformer and the sampler, without preview and trace
    clean: Tensor  # (C, h, w) clean latents predicted at this step, first image
    preview: np.ndarray | None  # uint8 (H, W, 3), `clean` decoded, when asked for
    choice: Choice | None = None  # what a policy decided here, and by which number
    resumed: bool = False  # not run again: taken from an earlier run with the same beginning


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run: the picture and the whole record of how it came about.

    `executed` holds, for every cell, 0 where it was computed, k where predictor k of the schedule's
    legend stood in, k | LOWERED where it did so at a lower order than asked for want of history,
    COVERED where a whole-step action left the cell out, and PARTLY where a gate computed it for
    some samples of the batch only. `executed_actions` holds, for every
    step, 0 where its blocks ran, and k (| LOWERED) where action k of the step legend did.
    """

    request: Request
    schedule: Schedule  # as asked; under a policy, with what the policy may choose in its legends
    images: np.ndarray  # uint8 (N, H, W, 3)
    latents: Tensor  # (N, C, h, w) final latents
    executed: np.ndarray  # uint8 (S, L, R)
    timesteps: tuple[float, ...]  # (S,)
    step_ms: np.ndarray  # float64 (S,)
    clean: Tensor  # (S, C, h, w) clean latents predicted after each step, first image
    cost: Cost
    trace: Trace | None
    executed_actions: np.ndarray  # uint8 (S,)
    policy: Policy | None = None
    choices: tuple[Choice, ...] = ()  # (S,) under a policy
    resumed_from: int = 0  # steps before it were taken from an earlier run

    @property
    def image(self) -> np.ndarray:
        """The first picture, uint8 (H, W, 3)."""
        first: np.ndarray = self.images[0]
        return first

    @property
    def baked(self) -> Schedule:
        """What ran as a painted schedule: running it again gives the same latents.

        Raises:
            ScheduleError: some cell was computed for some samples only, which no paint says.
        """
        if len(partly := np.argwhere(self.executed == PARTLY)):
            step, block, branch = map(int, partly[0])
            raise ScheduleError(
                f"block {block}, {self.schedule.branches[branch]}, step {step}: computed for some "
                f"samples of the batch and not for others, as in {len(partly)} cells: a schedule "
                "is one for all samples; run one picture at a time, without guidance"
            )
        return self.painted

    @property
    def painted(self) -> Schedule:
        """What ran as a schedule, for its cost: cells that were computed partly count as not."""
        partly = self.executed == PARTLY
        # A gate has one predictor to fall back on.
        cells = np.where(partly, 1, self.executed & ~np.uint8(LOWERED))
        cells = np.where(self.executed == COVERED, 0, cells)
        steps = self.executed_actions & ~np.uint8(LOWERED)
        return dataclasses.replace(
            self.schedule,
            actions=cells,
            step_actions=steps,
            context=context_of(self.request, self.timesteps),
        )
