"""The base of policies that decide while a run goes on: what they see, and what they may choose."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from caching.actions.base import StepAction
from caching.predictors.base import Predictor

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Facts:
    """What a policy is told before the first step."""

    steps: int  # S
    timesteps: tuple[float, ...]  # (S,), falling
    blocks: int  # L
    branches: tuple[str, ...]
    passes: int  # 2: the batch is [conditional; null]
    width: int = 0  # D


class View(Protocol):
    """What a policy may look at in the step that is running; each paper looks at little of it."""

    @property
    def s(self) -> int: ...

    @property
    def latents(self) -> Tensor:
        """(N, C, h, w), the input of the transformer."""
        ...

    def tokens(self, block: int) -> Tensor:
        """Hidden state (N, T, D) before `block`: 0, what the probe reached, or a boundary that the
        decider asked for and that has been reached."""
        ...

    def modulated(self) -> Tensor:
        """(N, T, D), the normed and modulated input of block 0's first branch."""
        ...

    def computed(self, x: Tensor, block: int) -> Tensor:
        """What `block` makes of the hidden state x (N, T, D), computed and kept nowhere."""
        ...


@dataclass(frozen=True)
class Choice:
    """What a policy wants a step to do, and the number it decided by.

    Attributes:
        action: a whole-step action of the policy's `step_legend`; None: run the blocks.
        cells: a predictor of its `legend` for every cell; None: compute them.
        score: the number it compared, None where it compared none (warm-up, last step); the mean of
            them where it compares one for every branch and sample.
        limit: what the score was compared with.
    """

    action: StepAction | None = None
    cells: Predictor | None = None
    score: float | None = None
    limit: float | None = None

    @property
    def runs_all(self) -> bool:
        """Whether every cell of the step is computed."""
        return self.action is None and self.cells is None


class Decider(ABC):
    """A policy during one run: made fresh for it, so that no decision outlives it."""

    probe: int = 0
    """Blocks that run before it decides; they are not run twice."""

    boundaries: tuple[int, ...] = ()
    """Blocks before which, or L: after which, it wants to see the hidden state."""

    gates: bool = False
    """Whether `keep` decides each branch by sample, where its choice names a predictor."""

    @abstractmethod
    def decide(self, view: View) -> Choice:
        """What step `view.s` does; at step 0 every cell has to be computed."""

    def keep(self, z: Tensor, s: int, block: int, r: int) -> Tensor:
        """With `gates`: bool (N,), the samples whose branch is computed.

        Args:
            z: (N, T, D), what the branch reads: its input, normed and modulated.
            s, block, r: the cell; where nothing is stored for it yet, it is computed unasked.
        """
        raise NotImplementedError

    def after(self, view: View, choice: Choice, output: Tensor) -> Choice | None:
        """The step is over; `output` (N, C', h, w) is what the transformer gave.

        Returns the choice with a score that is known only now, or None to leave it.
        """
        return None


@dataclass(frozen=True)
class Policy(ABC):
    """Base of all policies: a frozen value that makes one Decider per run.

    Attributes:
        name: the word used in files and on the page, unique over all policies.
        label: what a person reads.
    """

    name: ClassVar[str]
    label: ClassVar[str]

    @property
    def title(self) -> str:
        """The label with its parameters, tables of numbers left out, for people."""
        values = [getattr(self, field.name) for field in fields(self)]
        words = [f"{v:g}" if isinstance(v, float) else str(v) for v in values if _is_scalar(v)]
        return f"{self.label} ({', '.join(words)})" if words else self.label

    @property
    def legend(self) -> tuple[Predictor, ...]:
        """The predictors it may choose."""
        return ()

    @property
    def step_legend(self) -> tuple[StepAction, ...]:
        """The whole-step actions it may choose."""
        return ()

    def check(self, blocks: int) -> None:  # noqa: B027
        """Raises ScheduleError when a model of L blocks cannot run it."""

    @abstractmethod
    def begin(self, facts: Facts) -> Decider:
        """A decider for one run."""


def _is_scalar(value: object) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def relative_l1(now: Tensor, before: Tensor) -> float:
    """mean|now - before| / mean|before| over the whole batch."""
    gap: Any = (now - before).abs().mean() / before.abs().mean()
    return float(gap)
