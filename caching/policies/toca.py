"""ToCa's schedule: which steps are full, and how many tokens the others compute in each block.

ToCa counts its steps down: i = S - 1 - s. ProCache and DuCa share its partial steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caching.checks import MAX_BLOCKS, MAX_STEPS, check_count
from caching.policies.timed import column
from caching.predictors import Predictor
from caching.predictors.reuse import Reuse
from caching.predictors.tokens import Tokens
from caching.schedule import BRANCHES, Schedule

LEVELS = 30
"""Shares of tokens are rounded to this many, as a legend has room for 32 entries."""

MLP_FACTOR = 2.5
"""Of the feed-forward, 1 + 0.6 · 2.5; attention's, 1 - 0.4 · 2.5, is 0."""


def thresholds(steps: int, interval: int) -> NDArray[np.int64]:
    """(S,) the interval that a full step sets, by s: N / (1.4 - 0.8 i / S), and 2 between a fifth
    and two fifths of the run counted from its end."""
    steps = check_count("steps", steps, MAX_STEPS)
    interval = check_count("interval", interval, MAX_STEPS)
    i = np.arange(steps)[::-1]
    # Whole numbers, as 0.2 · 5 steps and the like are not exact.
    forced = (5 * i >= steps) & (5 * i < 2 * steps)
    # At least 1 / 1.4, which rounds to 1.
    grown = np.rint(interval / (1.4 - 0.8 * i / steps))
    return np.where(forced, 2, grown).astype(np.int64)


def full_steps(steps: int, interval: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Bool (S, 2) full steps of block 0 and of all others, int (S, 2) i % interval at the others.

    A step is full if i % interval == 0, where the interval is what the last full step has set. The
    released code decides in every block: at a full step block 0 sets the interval, and the blocks
    behind it decide with the new one, so that they are full less often.
    """
    new = thresholds(steps, interval)
    full = np.zeros((steps, 2), bool)
    rest = np.zeros((steps, 2), np.int64)
    now = interval
    for s in range(steps):
        i = steps - 1 - s
        for which in range(2):
            rest[s, which] = i % now
            full[s, which] = s == 0 or i % now == 0
            if full[s, which]:
                now = int(new[s])
    return full, rest


def token_shares(steps: int, blocks: int, ratio: float) -> NDArray[np.float64]:
    """(S, L) share of tokens a feed-forward computes, 0..1: ratio · step · layer · 2.5.

    ToCa's scheduler "ToCa-ddim50": step = 1 + 2 - 4 i / S, below 0 in the first quarter of the run;
    layer = 0.8 + 0.4 l / (L - 1).
    """
    steps = check_count("steps", steps, MAX_STEPS)
    blocks = check_count("blocks", blocks, MAX_BLOCKS)
    step = 3 - 4 * np.arange(steps)[::-1] / steps
    layer = 0.8 + 0.4 * np.arange(blocks) / max(1, blocks - 1)
    shares: NDArray[np.float64] = np.clip(ratio * MLP_FACTOR * step[:, None] * layer, 0, 1)
    return shares


def token_schedule(
    full: ArrayLike,
    partial: ArrayLike,
    *,
    ratio: float,
    interval: int,
    score: str = "attention",
    branches: Sequence[str] = BRANCHES,
) -> Schedule:
    """Full blocks computed, attention reused elsewhere, feed-forward tokens where `partial`.

    The share of tokens is the mean of `token_shares` over the partial steps between two full ones,
    rounded to one of 30: with one brush for them all, its notes of ages and of attention last from
    one full step to the next.

    Args:
        full: bool (S, L), both branches computed; step 0 all True.
        partial: bool (S, L), the feed-forward computes some tokens; where their share rounds to
            none, and everywhere else, it is reused.
        ratio: ToCa's r.
        interval: N, by which a token's age counts in its score.
        score: how tokens are chosen; see `Tokens`.
        branches: R names, "mlp" among them.

    Raises:
        ScheduleError: shapes or numbers out of range, or no "mlp" branch.
    """
    whole = np.asarray(full, bool)
    mixed = np.asarray(partial, bool) & ~whole
    steps, blocks = whole.shape
    shares = _per_row(whole, mixed, token_shares(steps, blocks, ratio))
    top = float(shares.max())
    level = np.rint(LEVELS * shares / top).astype(int) if top else np.zeros(shares.shape, int)
    found = [k for k in range(1, LEVELS + 1) if (level == k).any()]
    legend: list[Predictor] = [Reuse()]
    numbers = np.ones(LEVELS + 1, np.uint8)
    for k in found:
        legend.append(Tokens(max(0.001, round(top * k / LEVELS, 6)), score, interval))
        numbers[k] = len(legend)
    actions = np.ones((steps, blocks, len(branches)), np.uint8)
    actions[:, :, column(branches, "mlp")] = numbers[level]
    actions[whole] = 0
    return Schedule(actions, tuple(legend), tuple(branches))


def _per_row(
    whole: NDArray[np.bool_], mixed: NDArray[np.bool_], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(S, L) the mean share of each row of partial steps between two full ones, 0 elsewhere."""
    out = np.zeros_like(shares)
    for block in range(whole.shape[1]):
        row = np.cumsum(whole[:, block])
        for k in np.unique(row[mixed[:, block]]):
            here = mixed[:, block] & (row == k)
            out[here, block] = shares[here, block].mean()
    return out
