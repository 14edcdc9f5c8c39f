"""The Look closer box: one figure at a time about the result on show and the present paint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
import numpy as np

from caching.marks import PARTLY
from caching.measure.likeness import Likeness
from caching.measure.result import Result
from caching.predictors import Reuse
from caching.schedule import Schedule
from viz import text
from viz.figures import closer
from viz.pages.edits import Parts
from viz.pages.visit import Visit

KINDS = {
    "drift": "Drift",
    "time": "Time",
    "alike": "Steps alike",
    "path": "Path",
}
OF_ROW = ("alike", "path")
PARTS = ("attention", "MLP", "standing in", "outside blocks", "not explained")


class Seeing:
    """The handlers of the box. While it is closed nothing is drawn."""

    def look(self, kind: Any, row: Any, opened: Any, visit: Visit) -> Parts:
        """The chosen figure of the present result and paint, and the same in words."""
        if not opened:
            return {"seen": gr.skip()}
        kind = kind if kind in KINDS else "drift"
        rows = rows_of(visit.result)
        number = row if isinstance(row, int) and 0 <= row < len(rows) else 0
        figure, words = seen(kind, number, visit)
        return {
            "seen": gr.update(value=figure, visible=figure is not None),
            "seen_words": text.figure_words(words),
            "seen_row": gr.update(
                choices=[(name, k) for k, name in enumerate(rows)],
                value=number,
                visible=kind in OF_ROW,
            ),
        }


def seen(kind: str, row: int, visit: Visit) -> tuple[Any, str]:
    """A figure, None where there is nothing to draw yet, and its words."""
    result = visit.result
    if kind == "drift":
        return drift_of(result)
    if kind == "time":
        return times_of(result)
    if result.products is None:
        return None, text.SEEN_NOTHING
    schedule = visit.state.schedule
    likeness = Likeness(result.products)
    shape = (likeness.steps, *likeness.products.shape[:2])
    if result.model != visit.state.model.name or schedule.actions.shape != shape:
        return None, text.SEEN_OTHER
    block, branch = divmod(row, len(result.branches))
    name = rows_of(result)[row]
    used = used_of(schedule, block, branch)
    change = likeness.change(block, branch)
    held = [s for s in range(likeness.steps) if 0 <= used[s] < s]
    most = max(held, key=lambda s: change[s, used[s]], default=None)
    words = f"{name} of the full run. "
    if most is None:
        words += "As painted, no step uses an earlier output here."
    else:
        words += (
            f"As painted, {len(held)} of {likeness.steps} steps use an earlier output; it is off "
            f"by {np.mean([change[s, used[s]] for s in held]):.1%} on average and by "
            f"{change[most, used[most]]:.1%} at step {most}, which uses step {used[most]}'s."
        )
    draw = closer.likeness_map if kind == "alike" else closer.feature_path
    words += f" {text.SEEN_ALIKE if kind == 'alike' else text.SEEN_PATH}"
    return draw(likeness, used, block=block, branch=branch, name=name), words


def used_of(schedule: Schedule, block: int, branch: int) -> list[int]:
    """(S,) whose output each step uses: its own, an earlier one's, or -1 for something else."""
    actions, age = schedule.actions[:, block, branch], schedule.age()[:, block, branch]
    used = []
    for s, action in enumerate(actions):
        if schedule.step_actions[s]:
            used.append(-1)
        elif not action:
            used.append(s)
        else:
            plain = isinstance(schedule.legend[action - 1], Reuse)
            used.append(s - int(age[s]) if plain else -1)
    return used


def drift_of(result: Result) -> tuple[Any, str]:
    """How far the cached run was from the full one after each step."""
    computed = (result.executed == 0) | (result.executed == PARTLY)
    reused = 1 - computed.reshape(len(computed), -1).mean(1)
    drift = np.asarray(result.drift)
    last = f"{drift[-1]:.2%}"
    if not drift.any():
        return closer.drift_curve(drift.tolist(), reused.tolist()), text.SEEN_NO_DRIFT
    growth = int(np.argmax(np.diff(drift, prepend=0.0)))
    words = text.SEEN_DRIFT.format(last=last, step=growth, most=f"{drift.max():.2%}")
    return closer.drift_curve(drift.tolist(), reused.tolist()), words


def times_of(result: Result) -> tuple[Any, str]:
    """Where the milliseconds of the full and the cached run go."""
    rows: list[tuple[str, Sequence[float]]] = []
    words = []
    for name, title in (("full", "Full"), ("cached", "Cached")):
        steps = result.figures[name].steps
        executed = result.executed if name == "cached" else np.zeros_like(result.executed[:steps])
        parts = parts_of(result, executed, result.figures[name].median_ms)
        rows.append((title, [max(0.0, v) for v in parts]))
        told = ", ".join(f"{p} {v:.0f}" for p, v in zip(PARTS, parts, strict=True))
        words.append(f"{title}: {result.figures[name].median_ms:.0f} ms measured: {told}.")
    words.append(text.SEEN_TIME.format(setting=result.setting))
    return closer.time_bars(rows, PARTS), " ".join(words)


def parts_of(result: Result, executed: np.ndarray, measured_ms: float) -> list[float]:
    """ms by PARTS: times of one branch each, as measured alone, times how often it ran."""
    tables = result.tables
    computed = (executed == 0) | (executed == PARTLY)  # (S, L, R)
    by_branch = (computed.sum(0) * tables.compute_ms).sum(0)  # (R,)
    held = float(((~computed).sum(0) * tables.reuse_ms).sum())
    fixed = len(executed) * float(tables.fixed_ms)
    attn, mlp = (_of(result.branches, by_branch, name) for name in ("attn", "mlp"))
    return [attn, mlp, held, fixed, measured_ms - attn - mlp - held - fixed]


def _of(branches: tuple[str, ...], ms: np.ndarray, name: str) -> float:
    return float(ms[branches.index(name)]) if name in branches else 0.0


def rows_of(result: Result) -> list[str]:
    """Every branch by name, block by block."""
    return [
        f"block {block}, {closer.NAMES.get(branch, branch)}"
        for block in range(result.blocks)
        for branch in result.branches
    ]
