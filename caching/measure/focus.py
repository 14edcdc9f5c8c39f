"""Focus: how much of each block's attention goes to the foreground of a picture, step by step.

ProfilingDiT (arXiv 2504.03140) sorts a video model's blocks by whether they attend to foreground or
background masks, over many prompts, and keeps computing the former. Here it is looked at for one
picture: the foreground are the tokens whose colour is far from that of the picture's rim, by Otsu's
threshold (1979), and

    lift(s, l) = share of block l's attention at step s that foreground tokens receive / their share
                 of all tokens,

mean over heads and queries, of the conditional half: 1 where attention does not care.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from caching.engine.executor import Executor
from caching.engine.fits import guided
from caching.engine.request import prepare
from caching.engine.samplers import make_sampler
from caching.errors import RequestError, StochasticSamplerWarning
from caching.models.model import Model
from caching.readonly import read_only

RIM = 16  # of the side, one part in so many is rim


@dataclass(frozen=True, eq=False)
class Focus:
    """Where attention goes in the full run of one picture.

    Attributes:
        received: float32 (S, L, T), the share of all attention that each token receives.
        foreground: bool (T,), row by row.
        picture: uint8 (H, W, 3), the final one, which the foreground is from.
    """

    received: np.ndarray
    foreground: np.ndarray
    picture: np.ndarray

    def __post_init__(self) -> None:
        read_only(self)

    @property
    def lift(self) -> np.ndarray:
        """(S, L) attention to the foreground over its share of the tokens; NaN without one."""
        area = float(self.foreground.mean())
        if not 0 < area < 1:
            return np.full(self.received.shape[:2], np.nan)
        found: np.ndarray = self.received[..., self.foreground].sum(-1) / area
        return found


@torch.no_grad()
def measure_focus(
    model: Model,
    *,
    label: int,
    seed: int,
    steps: int,
    cfg_scale: float,
    sampler: str = "ddim",
    tell: Callable[[str, int, int], None] | None = None,
    stopped: Callable[[], bool] | None = None,
) -> Focus:
    """A full run of one picture, looked at for where attention goes.

    Raises:
        Stopped: `stopped` said so.
        RequestError: a number out of range, or the model has no attention branch.
    """
    if "attn" not in model.branches:
        raise RequestError(f"{model.name} has the branches {model.branches}: expected one attn.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StochasticSamplerWarning)
        request, schedule, start = prepare(
            model, None, label=label, seed=seed, steps=steps, cfg_scale=cfg_scale, sampler=sampler
        )
        solver = make_sampler(sampler, model.noise, steps, device=model.device, seed=seed)
    family, attn = model.family, model.branches.index("attn")
    labels = torch.tensor(request.labels, device=model.device)
    if request.passes == 2:
        labels = torch.cat([labels, torch.full_like(labels, family.classes)])
    given = family.condition(torch.tensor(solver.timesteps, device=model.device), labels)
    executor = Executor(family, schedule, given, passes=request.passes)
    received = np.zeros((steps, model.blocks, family.tokens), np.float32)

    def watch(s: int, block: int, r: int, x: Tensor, out: Tensor) -> None:
        if r == attn:
            rows = family.received(x, given, s, block)
            received[s, block] = (rows[0] / family.tokens).cpu().numpy()

    x = start.to(model.device).float() * solver.first_scale
    for s in range(steps):
        rows = torch.cat([solver.model_input(x, s).to(model.dtype)] * request.passes)
        result = executor.step(rows, s, watch=watch, stopped=stopped)
        x, _ = solver.step(guided(result.output.float(), request, x.shape[1]), x, s)
        if tell is not None:
            tell("full run, attention", s + 1, steps)
    picture: np.ndarray = model.decode(x)[0].numpy()
    return Focus(received, foreground(picture, family.tokens), picture)


def foreground(picture: np.ndarray, tokens: int) -> np.ndarray:
    """Bool (T,): the tokens of a picture (H, W, 3) whose colour is far from that of its rim.

    Distance of every pixel from the median colour of the rim, mean over each token's square, parted
    by Otsu's threshold; none are where all squares look alike.

    Raises:
        RequestError: tokens do not part the picture into squares.
    """
    side = round(tokens**0.5)
    tall, wide = picture.shape[:2]
    if side * side != tokens or tall % side or wide % side:
        raise RequestError(f"{tokens} tokens of a picture of {tall} x {wide}: expected squares.")
    colours = picture.astype(np.float64)
    rim = np.ones((tall, wide), bool)
    edge = max(1, min(tall, wide) // RIM)
    rim[edge:-edge, edge:-edge] = False
    far = np.linalg.norm(colours - np.median(colours[rim], axis=0), axis=-1)
    squares = far.reshape(side, tall // side, side, wide // side).mean((1, 3)).reshape(-1)
    if squares.max() - squares.min() < 1e-9:
        return np.zeros(tokens, bool)
    found: np.ndarray = squares > otsu(squares)
    return found


def otsu(values: np.ndarray) -> float:
    """The threshold that leaves the least variance within the two parts of `values` (n,)."""
    ordered = np.sort(np.asarray(values, np.float64))
    best, threshold = -1.0, float(ordered[0])
    for k in range(1, len(ordered)):
        if ordered[k] == ordered[k - 1]:
            continue
        low, high = ordered[:k], ordered[k:]
        between = len(low) * len(high) * (low.mean() - high.mean()) ** 2
        if between > best:
            best, threshold = between, float((ordered[k - 1] + ordered[k]) / 2)
    return threshold
