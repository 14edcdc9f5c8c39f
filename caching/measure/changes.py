"""How much branches change in full runs of pictures that no seed gives: for calibrations."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from caching.engine.executor import Stopped
from caching.engine.fits import PICTURES, calibration_noise
from caching.engine.run import Run, iter_sample

if TYPE_CHECKING:
    from caching.models.model import Model


def mean_change(
    model: Model,
    *,
    steps: int,
    cfg_scale: float,
    sampler: str,
    lags: int,
    pictures: int = PICTURES,
    tell: Callable[[str, int, int], None] | None = None,
    stopped: Callable[[], bool] | None = None,
) -> np.ndarray:
    """Relative L1 change (S, L, R, K) over a batch of pictures, labels spread over the classes.

    Raises:
        Stopped: `stopped` said so.
        RequestError: steps, guidance or sampler out of range.
    """
    count = len(model.class_names)
    for item in iter_sample(
        model,
        None,
        label=[i * count // pictures for i in range(pictures)],
        latents=calibration_noise(model, pictures),
        steps=steps,
        cfg_scale=cfg_scale,
        sampler=sampler,
        lags=lags,
        stopped=stopped,
    ):
        if isinstance(item, Run):
            assert item.trace is not None
            found: np.ndarray = item.trace.rel_l1
            return found
        if tell is not None:
            tell("full runs", item.step + 1, item.steps)
    raise Stopped("the full runs of a calibration were stopped.")
