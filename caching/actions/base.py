"""The base of whole-step actions: what a step does instead of running all blocks by the grid."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable
from dataclasses import dataclass, fields
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


class Probed(NamedTuple):
    """What blocks 0..stop-1 added and what all blocks added, each (N, T, D), in one step."""

    stop: int
    what: str = "probed"


class Hidden(NamedTuple):
    """The hidden state after the last block, (N, T, D)."""

    # Named tuples without fields would all be equal, and one key would stand for the other.
    what: str = "hidden"


class Pair(NamedTuple):
    """Input latents (N, C, h, w) and output (N, C', h, w) of the whole transformer."""

    what: str = "pair"


Key = Delta | Probed | Hidden | Pair


class Timeline(NamedTuple):
    """What the numbers of a run's steps mean."""

    timesteps: tuple[float, ...]  # (S,), falling
    alphas: tuple[float, ...]  # (S,) alpha-bar there: x = sqrt(a) clean + sqrt(1 - a) noise
    predicts: str  # what the model gives: "epsilon", "v_prediction" or "sample"


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
    def timeline(self) -> Timeline: ...

    @property
    def fitted(self) -> Any:
        """Part -> what was fitted for it before the run, or None where nothing is."""
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
        embeds: whether it needs the patch embedding.
        heads: whether it needs the final layer.
        at_first: whether it may stand at step 0, before which nothing is stored.
        half: whether it runs the conditional half of the batch only.
    """

    name: ClassVar[str]
    letter: ClassVar[str]
    label: ClassVar[str]
    kind: ClassVar[Kind]
    depth: ClassVar[int] = 1
    embeds: ClassVar[bool] = True
    heads: ClassVar[bool] = True
    at_first: ClassVar[bool] = False
    half: ClassVar[bool] = False

    @property
    def title(self) -> str:
        """The label with its parameters, for people."""
        values = [
            f"{v:g}" if isinstance(v, float) else str(v)
            for v in (getattr(self, field.name) for field in fields(self))
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

    @property
    def calibrates(self) -> bool:
        """Whether its parts are fitted on full runs; False: in the weights alone."""
        return True

    def parts(self, steps: Any, number: int) -> Collection[Hashable]:
        """Names of all that has to be fitted for a schedule; see `Predictor.parts`.

        Args:
            steps: uint8 (S,), `number` where this is the step's action, 0 where the step takes anew
                all that this action `remembers`, and something else everywhere else.
            number: of this action.
        """
        return ()

    def fitter(self, family: Family, parts: Collection[Hashable]) -> Fitter:
        """What fits some of its `parts`."""
        raise NotImplementedError

    @abstractmethod
    def run(self, step: StepRun) -> Tensor:
        """The model output (N, C', h, w) of a step that does this."""
