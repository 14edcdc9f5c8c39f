"""The marks of an executed grid that say more than the number of an action."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

PARTLY = 126
"""A cell that was computed for some pictures of the batch and reused for others."""
COVERED = 127
"""A cell that a whole-step action left out."""
LOWERED = 128
"""Added to the action of a cell or step that ran at less than was asked: too little history."""


def renumbering(old: Sequence[Any], new: Sequence[Any]) -> NDArray[np.uint8]:
    """Marks under one legend -> the marks that say the same under another, uint8 (256,).

    Entries that the other legend lacks keep their number.
    """
    table = np.arange(256, dtype=np.uint8)
    for number, item in enumerate(old, 1):
        if item in new:
            table[number] = new.index(item) + 1
            table[number | LOWERED] = table[number] | LOWERED
    return table
