"""TokenCache's scores, trained ahead on many full runs, and handed to runs of that setting."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from caching.errors import RequestError
from caching.learn.base import Diary
from caching.learn.store import Learned, shipped
from caching.predictors.base import Fitter
from caching.predictors.scored import ScoreFitter

if TYPE_CHECKING:
    from torch import Tensor

    from caching.engine.request import Request
    from caching.models.family import Conditioning, Family
    from caching.models.model import Model

METHOD = "tokencache"
RUNS = 32


def learn_scores(
    model: Model,
    *,
    steps: int,
    cfg_scale: float,
    runs: int = RUNS,
    command: str = "",
    stopped: Callable[[], bool] | None = None,
) -> Learned:
    """The scores of every branch of every block, (L, R, D), fitted on full runs of one picture.

    They are those of `Scored`; nothing is drawn but the noise of calibrations. The loss of a run
    is what the scores of the runs before it miss of the tokens' differences in it: 1 for none.

    Raises:
        RequestError: fewer than two steps, or a value out of range.
        Stopped: `stopped` said so.
    """
    from caching.engine.fits import NOISE_SEED, calibrate
    from caching.engine.request import prepare

    if steps < 2:
        raise RequestError(f"{METHOD}: {steps} steps were given, expected at least 2.")
    request, _, _ = prepare(model, None, label=0, steps=steps, cfg_scale=cfg_scale)
    words = "full runs of its own, classes in turn (image-free)"
    diary = Diary(METHOD, model, steps, cfg_scale, words, command, NOISE_SEED, runs, {"runs": runs})
    parts = [(block, r) for block in range(model.blocks) for r in range(len(model.branches))]
    noting = _Noting(model.family, parts, diary)
    calibrate(model, request, [noting], pictures=runs, stopped=stopped)
    table = np.stack([noting.solve(part)[0].float().cpu().numpy() for part in parts])
    learned = diary.learned({"scores": table.reshape(model.blocks, len(model.branches), -1)})
    curve = {name: learned.curve[name] for name in ("iteration", "loss")}  # nothing is reused yet
    return replace(learned, curve=curve)


class _Noting(Fitter):
    """Fits over all runs, and asks of each what the runs before it would have said."""

    def __init__(self, family: Family, parts: Collection[Any], diary: Diary) -> None:
        self.family, self.parts, self.diary = family, tuple(parts), diary
        self.all = ScoreFitter(family, self.parts)
        self.run = ScoreFitter(family, self.parts)

    def see(self, s: int, block: int, r: int, x: Tensor, out: Tensor, given: Conditioning) -> None:
        self.run.see(s, block, r, x, out, given)

    def next_run(self) -> None:
        missed = [self.run.missed(part, self.all.solve(part)) for part in self.parts]
        self.diary.step(float(np.mean(missed)), 0.0, np.zeros(0))
        self.all.take(self.run)
        self.run = ScoreFitter(self.family, self.parts)

    def solve(self, part: Hashable) -> Tensor:
        return self.all.solve(part)


@cache
def _shipped() -> tuple[Learned, ...]:
    return tuple(one for one in shipped() if one.method == METHOD)


def trained_scores(
    model: Model, request: Request, learned: Collection[Learned] | None = None
) -> Mapping[Hashable, Any]:
    """(block, branch) -> w (1, D) of what ships for such runs of this model; none otherwise."""
    import torch

    guidance = request.cfg_scale if request.passes == 2 else 1.0
    asked = (model.weights_hash, request.steps, guidance, request.sampler)
    shape = (model.blocks, len(model.branches), model.family.width)
    for one in _shipped() if learned is None else learned:
        scores = one.values.get("scores", np.zeros(0))
        if (one.weights_hash, one.steps, one.cfg_scale, one.sampler) != asked:
            continue
        if scores.shape == shape and scores.dtype.kind == "f":
            table = torch.from_numpy(scores).to(model.family.device, model.family.dtype)
            parts = [(b, r) for b in range(shape[0]) for r in range(shape[1])]
            return {part: table[part][None].clone() for part in parts}
    return {}
