"""The base of all predictors: a frozen value that turns stored outputs into a stand-in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

Output = TypeVar("Output")
"""A branch output (N, T, D): a tensor or an array, only ever used through its arithmetic."""


@dataclass(frozen=True)
class Predictor(ABC):
    """Base of all predictors: a frozen dataclass whose fields are plain JSON scalars.

    Attributes:
        name: the word used in files, unique over all predictors.
        letter: the ASCII letter a row string prefers for it; "C" is taken by compute.
        label: what a person reads on the palette.
        keeps: how many computed outputs it looks back on.
    """

    name: ClassVar[str]
    letter: ClassVar[str]
    label: ClassVar[str]
    keeps: ClassVar[int] = 1

    @abstractmethod
    def estimate(self, past: Sequence[tuple[int, Output]], step: int) -> Output:
        """What stands in for the branch at `step`, made from outputs it computed before.

        Args:
            past: (step it was computed at, output), newest first, 1 to `keeps` of them; the
                outputs are never written to.
            step: the step that is running.
        """
