"""The base of whole-step actions: what a step does instead of running all blocks by the grid."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from caching.models.family import Family
    from caching.predictors.base import Fitter

Kind = Literal["delta", "hidden", "output", "guidance", "scale"]


class Delta(NamedTuple):
    """What blocks start..stop-1 added: hidden state after them minus before them, (N, T, D)."""

    start: int
    stop: int


class Hidden(NamedTuple):
    """The hidden state after the last block, (N, T, D)."""


class Pair(NamedTuple):
    """Input latents (N, C, h, w) and output (N, C', h, w) of the whole transformer."""


Key = Delta | Hidden | Pair


class StepRun(Protocol):
    """One running step as a whole-step action sees it."""

    @property
    def s(self) -> int: ...

    @property
    def blocks(self) -> int:
        """L."""
        ...

    @property
    def latents(self) -> Tensor:
        """(N, C, h, w), the doubled batch where guidance has two passes."""
        ...

    @property
    def passes(self) -> int:
        """2 where the batch is [conditional; null], otherwise 1."""
        ...

    @property
    def fitted(self) -> Any:
        """What the action's fitter found before the run, or None."""
        ...

    def embed(self) -> Tensor:
        """Tokens (N, T, D) before block 0."""
        ...

    def through(self, x: Tensor, start: int, stop: int) -> Tensor:
        """The hidden state after blocks start..stop-1, their cells run as the grid says."""
        ...

    def head(self, x: Tensor) -> Tensor:
        """Model output (N, C', h, w)."""
        ...

    def recall(self, key: Key) -> tuple[tuple[int, Any], ...]:
        """(step, value) of the last steps that ran what `key` spans, newest first."""
        ...

    def lowered(self) -> None:
        """Say that the action runs at less than was asked, because history is short."""
        ...

    def halved(self) -> StepRun:
        """The same step for the conditional half of the batch only."""
        ...


@dataclass(frozen=True)
class StepAction(ABC):
    """Base of all whole-step actions: a frozen dataclass whose fields are plain JSON scalars.

    Attributes:
        name: the word used in files, unique over all actions.
        letter: the ASCII letter the step row prefers for it; "C" stands for running the blocks.
        label: what a person reads on the palette; `title` has the parameters.
        depth: how many remembered values of a key it looks back on.
        embeds: whether it needs patch embedding, modulation and final layer.
        half: whether it runs the conditional half of the batch only.
    """

    name: ClassVar[str]
    letter: ClassVar[str]
    label: ClassVar[str]
    kind: ClassVar[Kind]
    depth: ClassVar[int] = 1
    embeds: ClassVar[bool] = True
    half: ClassVar[bool] = False

    @property
    def title(self) -> str:
        """The label with its parameters, for people."""
        values = [
            f"{v:g}" if isinstance(v, float) else str(v)
            for v in (getattr(self, name) for name in self.__dataclass_fields__)
        ]
        return f"{self.label} ({', '.join(values)})" if values else self.label

    def covers(self, blocks: int) -> range:
        """The blocks of L whose cells do not run at such a step; empty: all run by the grid."""
        return range(0)

    def remembers(self, blocks: int) -> tuple[Key, ...]:
        """What earlier steps must leave for it."""
        return ()

    def check(self, blocks: int) -> None:  # noqa: B027
        """Raises ScheduleError when a model of L blocks cannot run it."""

    def fitter(self, family: Family, steps: Any, number: int) -> Fitter | None:
        """A fitter for step actions (S,) where this is action `number`; None: nothing to fit."""
        return None

    @abstractmethod
    def run(self, step: StepRun) -> Tensor:
        """The model output (N, C', h, w) of a step that does this."""
