"""What a run leaves behind: an event for every step, and the whole record at the end."""

import dataclasses
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from caching.dynamic.base import Choice, Policy
from caching.engine.request import Request, context_of
from caching.errors import ScheduleError
from caching.formats.words import counted
from caching.marks import COVERED, LOWERED, PARTLY
from caching.measure.cost import Cost
from caching.measure.trace import Trace
from caching.readonly import read_only
from caching.schedule import Schedule


@dataclass(frozen=True, eq=False)
class StepEvent:
    """One step that has just run.

    Attributes:
        step, steps: its number from 0, and S.
        timestep: what the model was told.
        executed: uint8 (L, R), what really ran; see `Run.executed`.
        action: see `Run.executed_actions`.
        ms: the transformer and the sampler, without preview and trace.
        clean: (C, h, w) clean latents predicted at this step, of the first picture.
        preview: uint8 (H, W, 3), `clean` decoded, where it was asked for.
        choice: what a policy decided here, and by which number.
        resumed: not run again, but taken from an earlier run that begins alike.
    """

    step: int
    steps: int
    timestep: float
    executed: np.ndarray
    action: int
    ms: float
    clean: Tensor
    preview: np.ndarray | None
    choice: Choice | None = None
    resumed: bool = False

    def __post_init__(self) -> None:
        read_only(self)


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run: the pictures and the whole record of how they came about.

    Its NumPy arrays cannot be written to; copy one to change it.

    Attributes:
        request: what was asked for, apart from the schedule.
        schedule: as asked; under a policy, with what the policy may choose in its legends.
        images: uint8 (N, H, W, 3); of a model without autoencoder, a look at the latents.
        latents: (N, C, h, w) float32, the final ones.
        executed: uint8 (S, L, R), what really ran: 0 where a cell was computed, k where predictor k
            of the schedule's legend stood in, k | LOWERED where it did so at a lower order than
            asked for want of history, COVERED where a whole-step action left the cell out, and
            PARTLY where a gate computed it for some samples of the batch only (`caching.marks`).
        timesteps: (S,) what the model was told.
        step_ms: float64 (S,), the transformer and the sampler, without previews and traces.
        clean: (S, C, h, w) clean latents predicted at each step, of the first picture.
        cost: multiply-accumulates, evaluations and cache of this run.
        trace: changes of every branch, where `lags` asked for them.
        executed_actions: uint8 (S,), 0 where a step ran its blocks, and k (| LOWERED) where action
            k of the step legend did.
        policy: what decided, or None.
        choices: (S,) what it decided at each step, under a policy.
        resumed_from: steps before it were taken from an earlier run.
    """

    request: Request
    schedule: Schedule
    images: np.ndarray
    latents: Tensor
    executed: np.ndarray
    timesteps: tuple[float, ...]
    step_ms: np.ndarray
    clean: Tensor
    cost: Cost
    trace: Trace | None
    executed_actions: np.ndarray
    policy: Policy | None = None
    choices: tuple[Choice, ...] = ()
    resumed_from: int = 0

    def __post_init__(self) -> None:
        read_only(self)

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
        """What ran, as near as paint says it: a note says which cells paint cannot say.

        Cells that a gate computed for some samples only are painted as stood in for, so that of a
        run without such cells this is `baked`.
        """
        partly = self.executed == PARTLY
        # A gate has one predictor to fall back on.
        cells = np.where(partly, 1, self.executed & ~np.uint8(LOWERED))
        cells = np.where(self.executed == COVERED, 0, cells)
        steps = self.executed_actions & ~np.uint8(LOWERED)
        context = context_of(self.request, self.timesteps)
        if count := int(partly.sum()):
            note = (
                f"{counted(count, 'cell')} ran for some samples of the batch only and cannot be "
                "painted: this grid reuses them for all, and gives another picture"
            )
            context = dataclasses.replace(context, note=note)
        return dataclasses.replace(
            self.schedule, actions=cells, step_actions=steps, context=context
        )
