"""The pictures of a report: the signed difference as the page draws it, and data URIs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from viz import palette

GAINS = (16, 4, 1)
MOST_BEYOND = 0.01  # of the pixels may lie outside the scale


def difference(full: NDArray[np.uint8], cached: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """Cached less full, mean of the channels, as a picture centred at zero; and how much enlarged.

    Both are uint8 (H, W, 3). The gain is the largest of the page's that fits the scale.
    """
    signed = (cached.astype(np.float32) - full.astype(np.float32)).mean(axis=2)
    gain = next((g for g in GAINS if (np.abs(signed) * g > 255).mean() <= MOST_BEYOND), GAINS[-1])
    ramp = np.array([palette.rgb(c) for c in palette.ramp(palette.DIVERGING, 511)], np.uint8)
    place = np.clip(np.rint(signed * gain), -255, 255).astype(int) + 255
    return ramp[place], gain


def difference_words(full: NDArray[np.uint8], cached: NDArray[np.uint8]) -> str:
    """How far two pictures are apart, over all channels."""
    size = np.abs(cached.astype(np.int16) - full.astype(np.int16))
    if not size.any():
        return "identical: no pixel differs"
    share = size.any(axis=2).mean()
    return f"mean |Δ| {size.mean():.2f} of 255, max {size.max()}, {share:.0%} of the pixels differ"
