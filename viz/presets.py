"""The presets of the page: each repaints the grid from a few controls and says where it is from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from caching.actions.residual import Residual
from caching.errors import RequestError
from caching.policies.budget import Costs, at_speedup, budget_schedules
from caching.policies.ends import ends
from caching.policies.full import full
from caching.policies.interval import every, pattern
from caching.policies.taylorseer import taylorseer
from caching.policies.threshold import smoothcache
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule
from viz.state import ViewState


@dataclass(frozen=True)
class Controls:
    """What the preset controls of the page say; each preset reads only its own."""

    interval: int = 2
    alpha: float = 0.1
    first: int = 3
    last: int = 3
    order: int = 2
    speedup: float = 2.0


Plan = Callable[[ViewState, Controls, np.ndarray], Schedule]


@dataclass(frozen=True)
class Preset:
    """One way to fill the grid. `uses` names the controls it reads."""

    name: str
    title: str
    note: str  # what it does and where it is from, one or two sentences
    uses: tuple[str, ...]
    plan: Plan
    words: Callable[[Controls], str]


def _full(state: ViewState, c: Controls, change: np.ndarray) -> Schedule:
    return full(state.schedule.steps, state.model.blocks, branches=state.model.branches)


def _every(align: Literal["end", "start"]) -> Plan:
    def plan(state: ViewState, c: Controls, change: np.ndarray) -> Schedule:
        steps, blocks = state.schedule.steps, state.model.blocks
        return every(steps, blocks, c.interval, align=align, branches=state.model.branches)

    return plan


def _known(change: np.ndarray) -> np.ndarray:
    """The measured changes; without any, a threshold would call every cell reusable."""
    if not change.any():
        raise RequestError(
            "this preset reads how much each block changes, which is not known before this model's "
            "first full run: press Run, then choose it again."
        )
    return change


def _threshold(per: Literal["branch", "block"]) -> Plan:
    def plan(state: ViewState, c: Controls, change: np.ndarray) -> Schedule:
        lookahead = min(3, change.shape[-1])
        branches = state.model.branches
        return smoothcache(_known(change), c.alpha, lookahead=lookahead, per=per, branches=branches)

    return plan


def _ends(state: ViewState, c: Controls, change: np.ndarray) -> Schedule:
    return ends(
        state.schedule.steps, state.model.blocks, c.first, c.last, branches=state.model.branches
    )


def _taylorseer(state: ViewState, c: Controls, change: np.ndarray) -> Schedule:
    return taylorseer(
        state.schedule.steps,
        state.model.blocks,
        c.interval,
        predictor=Taylor(c.order),
        branches=state.model.branches,
    )


def _residual(state: ViewState, c: Controls, change: np.ndarray) -> Schedule:
    steps, blocks = state.schedule.steps, state.model.blocks
    plain = full(steps, blocks, branches=state.model.branches)
    others = np.flatnonzero(~pattern(steps, c.interval))
    return plain.paint_steps(others, Residual(c.first, c.last))


def _budget(state: ViewState, c: Controls, change: np.ndarray) -> Schedule:
    blocks, branches = state.model.blocks, state.model.branches
    table = np.nan_to_num(_known(change).astype(np.float64), nan=0.0)
    even = np.ones((blocks, len(branches)))
    costs = Costs(0.0, even, np.zeros_like(even), "MACs")
    front = budget_schedules(table, costs, share="steps", branches=branches)
    return at_speedup(front, c.speedup)


PRESETS: tuple[Preset, ...] = (
    Preset(
        "full",
        "Full",
        "Every cell computed: the run all others are judged against.",
        (),
        _full,
        lambda c: "full",
    ),
    Preset(
        "fora",
        "FORA, every N",
        "FORA (arXiv 2407.01425) as its code runs: it counts steps down, so the last step falls on "
        "the beat.",
        ("interval",),
        _every("end"),
        lambda c: f"FORA, every {c.interval}",
    ),
    Preset(
        "fora-start",
        "FORA, from step 0",
        "The same interval counted from step 0 with the last step forced, as SmoothCache's “fora” "
        "files have it: the mirror image.",
        ("interval",),
        _every("start"),
        lambda c: f"every {c.interval} from step 0",
    ),
    Preset(
        "smoothcache",
        "SmoothCache",
        "SmoothCache (arXiv 2411.10510) on this model's own full run: reuse up to 3 steps while "
        "the mean change over blocks stays under α; one pattern per branch.",
        ("alpha",),
        _threshold("branch"),
        lambda c: f"SmoothCache α {c.alpha:g}",
    ),
    Preset(
        "per-block",
        "Threshold per block",
        "SmoothCache's rule on every block's own curve instead of their mean; closer to Block "
        "Caching (arXiv 2312.03209) than to SmoothCache.",
        ("alpha",),
        _threshold("block"),
        lambda c: f"per block α {c.alpha:g}",
    ),
    Preset(
        "budget",
        "Budget",
        "Ours: say how much faster, and those whole steps are reused whose outputs changed least "
        "in the last full run; the best choice for that sum, found exactly.",
        ("speedup",),
        _budget,
        lambda c: f"budget {c.speedup:g}×",
    ),
    Preset(
        "taylorseer",
        "TaylorSeer",
        "TaylorSeer (arXiv 2503.06923): two full steps, then one in N; between them every branch "
        "is forecast from differences of its computed outputs. The paper uses N 4 and order 4 over "
        "50 steps; with few steps low orders do better.",
        ("interval", "order"),
        _taylorseer,
        lambda c: f"TaylorSeer N {c.interval}, order {c.order}",
    ),
    Preset(
        "residual",
        "Block range, every N",
        "What the blocks between the first and last ones added is added again, one step in N runs "
        "them: DBCache's shape with a fixed interval, and DeepCache's (arXiv 2312.00858) and "
        "Δ-DiT's (2406.01125) idea on a DiT. With 0 and 0 the whole stack.",
        ("interval", "first", "last"),
        _residual,
        lambda c: f"range {c.first} to -{c.last}, every {c.interval}",
    ),
    Preset(
        "ends",
        "First and last computed",
        "The first and last steps computed, everything between reused from the last of the first.",
        ("first", "last"),
        _ends,
        lambda c: f"first {c.first}, last {c.last}",
    ),
)


def preset(name: str) -> Preset:
    """A preset by name; RequestError lists the known ones."""
    for one in PRESETS:
        if one.name == name:
            return one
    raise RequestError(
        f"preset {name!r:.40} is not known, expected one of: {', '.join(p.name for p in PRESETS)}."
    )
