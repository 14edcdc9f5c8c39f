"""Random cells: a share of the cells reused wherever chance has it; the control of every grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from caching.methods.base import Method, Plan, Setting, choice, number, whole


@dataclass(frozen=True)
class RandomCells(Method):
    """A learned or calibrated grid has to beat this at the same work.

    Cells are reused in one order of chance, drawn from the seed alone, so that a larger share only
    adds cells. With "odd steps" none but those of steps 1, 3, 5 ... are, up to all of them: what is
    reused is then one step old, as in Learning-to-Cache, whose grid it is the control of.
    """

    share: float = number(0.25, 0, 1, "share", "of all cells reused")
    where: str = choice("all steps", ("all steps", "odd steps"), "where", "cells may be reused")
    seed: int = whole(0, 0, 9999, "seed", "of the draw")

    name = "random"
    title = "Random cells"
    about = "Reuses a share of all cells, chosen by chance: what a better-than-chance grid beats."
    faithfulness = "of no paper"
    because = "A baseline: what chance does with the same number of cells."
    tunes = "share"

    def plan(self, setting: Setting) -> Plan:
        full, free = setting.full(), self._free(setting)
        order = np.random.default_rng(self.seed).permutation(np.flatnonzero(free))
        wanted = round(self.share * free.size)
        cells = np.zeros(free.size, bool)
        cells[order[:wanted]] = True
        notes: tuple[str, ...] = ()
        if wanted > len(order):
            notes = (
                f"Only {len(order)} of {free.size} cells may be reused, "
                f"{len(order) / free.size:.0%}; all of them are.",
            )
        return Plan(full.paint(cells.reshape(free.shape), 1), notes=notes)

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """Shares up to that of the cells that may be reused."""
        most = float(self._free(setting).mean())
        return tuple(replace(self, share=float(v)) for v in np.linspace(0, most, 41))

    def _free(self, setting: Setting) -> NDArray[np.bool_]:
        """Bool (S, L, R), True where a cell may be reused."""
        free = np.zeros(setting.full().actions.shape, bool)
        free[1 :: 2 if self.where == "odd steps" else 1] = True
        return free
