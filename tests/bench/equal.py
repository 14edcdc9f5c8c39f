"""A front of schedules judged at exactly what a rival takes: between two neighbours, in proportion.

Both the time of a run and its multiply-accumulates come in portions; no schedule of the slider
takes to the millisecond what a rival takes. So the slider's PSNR is read off the line through its
neighbours, picture by picture, which keeps the comparison paired.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def rising(values: ArrayLike) -> NDArray[np.float64]:
    """The nearest values (n,), by least squares, that never fall: what is measured of schedules
    in the order of their work is noisy, and neighbours that change places are averaged."""
    blocks: list[tuple[float, int]] = []
    for value in np.asarray(values, np.float64):
        mean, count = float(value), 1
        while blocks and blocks[-1][0] >= mean:
            before, many = blocks.pop()
            mean, count = (mean * count + before * many) / (count + many), count + many
        blocks.append((mean, count))
    return np.repeat([mean for mean, _ in blocks], [count for _, count in blocks])


def at_cost(cost: Sequence[float], psnr_db: ArrayLike, wanted: float) -> NDArray[np.float64] | None:
    """(N,) PSNR of every picture at a cost: (n,) costs that never fall with (n, N) PSNR.

    Above the dearest it is that one's, which takes less. None below the cheapest.
    """
    known, levels = np.asarray(cost, np.float64), np.asarray(psnr_db, np.float64)
    if wanted < known[0] * (1 - 1e-9):
        return None
    if wanted >= known[-1]:
        return np.asarray(levels[-1])
    upper = int(np.searchsorted(known, wanted, side="right"))
    lower = max(upper - 1, 0)
    share = (wanted - known[lower]) / (known[upper] - known[lower])
    return np.asarray((1 - share) * levels[lower] + share * levels[upper])
