"""How far branch outputs and the last hidden state of full runs lie apart, over pairs of steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from caching.engine.fits import calibrate
from caching.engine.request import prepare
from caching.predictors.base import Fitter

if TYPE_CHECKING:
    from caching.models.model import Model

MEMORY_MIB = 1024


def distances(
    model: Model,
    *,
    steps: int,
    cfg_scale: float,
    sampler: str,
    pictures: int,
    tell: Callable[[str, int, int], None] | None = None,
    stopped: Callable[[], bool] | None = None,
) -> np.ndarray:
    """||f_s - f_{s-k}||_1, float32 (P, S, K, L R + 1), over full runs of other noise.

    The last feature is the hidden state behind the last block. K is S - 1, or fewer where a GiB
    does not hold the outputs of that many steps. Where s < k it is 0.

    Raises:
        Stopped: `stopped` said so.
        RequestError: steps, guidance or sampler out of range.
    """
    request, _, _ = prepare(model, None, label=0, steps=steps, cfg_scale=cfg_scale, sampler=sampler)
    features = model.blocks * len(model.branches) + 1
    number = request.passes * model.family.tokens * model.family.width * 4
    lags = max(1, min(steps - 1, int(MEMORY_MIB * 2**20 / (features * number))))
    seen = _Distances(pictures, steps, lags, model.blocks, len(model.branches), tell)
    calibrate(model, request, [seen], pictures=pictures, stopped=stopped)
    return seen.found


class _Distances(Fitter):
    def __init__(
        self,
        pictures: int,
        steps: int,
        lags: int,
        blocks: int,
        branches: int,
        tell: Callable[[str, int, int], None] | None,
    ) -> None:
        self.pictures, self.branches, self.tell = pictures, branches, tell
        features = blocks * branches + 1
        self.found = np.zeros((pictures, steps, lags, features), np.float32)
        self.past: list[deque[Tensor]] = [deque(maxlen=lags) for _ in range(features)]
        self.picture = 0

    def see(self, s: int, block: int, r: int, x: Any, out: Any, given: Any) -> None:
        self._take(s, block * self.branches + r, out)

    def see_step(self, s: int, before: Any, after: Any) -> None:
        self._take(s, len(self.past) - 1, after)

    def _take(self, s: int, feature: int, value: Tensor) -> None:
        value, past = value.float(), self.past[feature]
        for k, earlier in enumerate(past):
            self.found[self.picture, s, k, feature] = float((value - earlier).abs().sum())
        past.appendleft(value)

    def next_run(self) -> None:
        for past in self.past:
            past.clear()
        self.picture += 1
        if self.tell is not None:
            self.tell("full runs", self.picture, self.pictures)

    def solve(self, part: Any) -> Any:
        raise NotImplementedError("distances are read from `found`")
