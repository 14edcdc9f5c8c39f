"""Threshold: reuse for as long as the measured change stays small (SmoothCache, 2411.10510)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from caching.checks import MAX_BLOCKS, MAX_STEPS, check_count
from caching.context import Context
from caching.errors import ScheduleError
from caching.schedule import BRANCHES, Schedule

Per = Literal["branch", "block"]


def smoothcache(
    change: NDArray[np.floating],
    alpha: float,
    *,
    lookahead: int = 3,
    per: Per = "branch",
    branches: Sequence[str] = BRANCHES,
    context: Context | None = None,
) -> Schedule:
    """The schedule SmoothCache (arXiv 2411.10510) makes from the changes of a full run.

    With o_s the output of a branch before the gate at step s,

        E_k(s) = mean over blocks of ||o_s - o_{s+k}||_1 / ||o_{s+k}||_1,    k = 1..lookahead.

    From a computed step s the largest k with E_k(s) <= alpha is taken, the next k steps are
    reused, and the step after them is computed. The first and the last step are computed. The
    paper divides by ||o_{s+k}||, the later output, and so does a trace: `change[s, l, r, k - 1]`
    is ||o_s - o_{s-k}||_1 / ||o_s||_1, hence E_k(s) is read at step s + k.

    Args:
        change: (S, L, R, K) relative L1 change at lags 1..K; entries with s < lag are not read.
        alpha: the threshold, 0 or more. A value tuned for one sampler, step count or guidance
            means something else under another.
        lookahead: the most steps reused in a row, at most K; the paper uses 3.
        per: "branch" pools all blocks, as the paper does: one list for all attn and one for all
            mlp. "block" lets every block decide on its own change; a variant closer to Block
            Caching (arXiv 2312.03209) than to SmoothCache, and to be labelled so.
        branches: R names.
        context: the run the changes were measured on.

    Raises:
        ScheduleError: wrong shape, NaN or negative changes, or a number out of range.
    """
    change = _checked(change, branches)
    steps, blocks, width, lags = change.shape
    lookahead = check_count("lookahead", lookahead, lags)
    if isinstance(alpha, bool) or not isinstance(alpha, int | float | np.floating) or alpha < 0:
        raise ScheduleError(f"alpha is {alpha!r:.40}: expected a number of 0 or more")
    if not np.isfinite(alpha):
        raise ScheduleError(f"alpha is {alpha}: expected a finite number")
    if per == "branch":
        error = np.broadcast_to(change.mean(axis=1, keepdims=True), change.shape)
    elif per == "block":
        error = change
    else:
        raise ScheduleError(f'per is {per!r:.40}: expected "branch" or "block"')
    actions = np.zeros((steps, blocks, width), np.uint8)
    for block in range(blocks):
        for branch in range(width):
            row = _greedy(error[:, block, branch, :lookahead], float(alpha))
            actions[:, block, branch] = ~row
    return Schedule(actions, branches=tuple(branches), context=context)


def smoothcache_rows(
    change: NDArray[np.floating], *, lookahead: int = 3, branches: Sequence[str] = BRANCHES
) -> dict[str, tuple[tuple[float, str], ...]]:
    """All that `smoothcache` can make of the changes, so that a page can follow a moving alpha.

    By branch: pairs of the alpha from which on a pattern holds, rising from 0, and the pattern of
    all blocks as S characters, "0" computed and "1" reused. Between two neighbouring values of E_k
    nothing can change, so that these are finitely many.
    """
    change = _checked(change, branches)
    steps, _, width, lags = change.shape
    lookahead = check_count("lookahead", lookahead, lags)
    error = change.mean(axis=1)[..., :lookahead]  # (S, R, lookahead)
    read = np.arange(steps)[:, None] >= np.arange(1, lookahead + 1)
    found = {}
    for branch in range(width):
        pairs: list[tuple[float, str]] = []
        for alpha in np.unique([0.0, *error[:, branch][read]]):
            computed = _greedy(error[:, branch], float(alpha))
            row = "".join("0" if one else "1" for one in computed)
            if not pairs or pairs[-1][1] != row:
                pairs.append((float(alpha), row))
        found[branches[branch]] = tuple(pairs)
    return found


def _greedy(error: NDArray[np.float64], alpha: float) -> NDArray[np.bool_]:
    """Bool (S,), True = computed, from error (S, lookahead) of one row."""
    steps, lookahead = error.shape
    computed = np.zeros(steps, bool)
    step = 0
    while step < steps:
        computed[step] = True
        reach = min(lookahead, steps - 1 - step)
        reused = next((k for k in range(reach, 0, -1) if error[step + k, k - 1] <= alpha), 0)
        step += reused + 1
    computed[-1] = True
    return computed


def _checked(change: NDArray[np.floating], branches: Sequence[str]) -> NDArray[np.float64]:
    """The changes as float64, entries before the first lag set to 0."""
    given = np.asarray(change)
    if given.ndim != 4 or given.shape[2] != len(branches) or given.dtype.kind != "f":
        raise ScheduleError(
            f"change is {given.dtype} {given.shape}: expected floats (steps, blocks, "
            f"{len(branches)}, lags), the third for {', '.join(branches)}"
        )
    steps, blocks, _, lags = given.shape
    check_count("steps", steps, MAX_STEPS)
    check_count("blocks", blocks, MAX_BLOCKS)
    check_count("lags", lags, MAX_STEPS)
    values = given.astype(np.float64)
    unread = np.arange(steps)[:, None] < np.arange(1, lags + 1)
    values = np.where(unread[:, None, None, :], 0.0, values)
    wrong = ~(values >= 0)
    if wrong.any():
        step, block, branch, lag = map(int, np.argwhere(wrong)[0])
        raise ScheduleError(
            f"block {block}, {branches[branch]}, step {step}: the change at lag {lag + 1} is "
            f"{values[step, block, branch, lag]}: expected 0 or more; measure the trace again"
        )
    return values
