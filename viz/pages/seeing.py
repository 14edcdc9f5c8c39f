"""The Look closer box: one figure at a time about the result on show and the present paint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from caching.marks import PARTLY
from caching.measure.likeness import Likeness
from caching.measure.result import Result
from caching.predictors import Reuse
from caching.schedule import Schedule
from viz import text
from viz.figures import closer
from viz.figures.focus import focus_map
from viz.focus import focus_html, key_of, measure, words_of
from viz.pages import studio
from viz.pages.edits import Parts
from viz.pages.handlers import Handlers
from viz.pages.runs import failed
from viz.pages.visit import Visit
from viz.work import Made

if TYPE_CHECKING:
    from caching.measure.focus import Focus

KINDS = {
    "drift": "Drift",
    "time": "Time",
    "alike": "Steps alike",
    "path": "Path",
    "focus": "Attention",
}
OF_ROW = ("alike", "path")
PARTS = ("attention", "MLP", "standing in", "outside blocks", "not explained")


class Seeing:
    """The handlers of the box. While it is closed nothing is drawn."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers

    def look(self, kind: Any, row: Any, opened: Any, visit: Visit) -> Parts:
        """The chosen figure of the present result and paint, and the same in words."""
        if not opened:
            return {"seen": gr.skip()}
        kind = kind if kind in KINDS else "drift"
        rows = rows_of(visit.result)
        number = row if isinstance(row, int) and 0 <= row < len(rows) else 0
        figure, words = seen(kind, number, visit)
        found = focus_of(visit) if kind == "focus" else None
        return {
            "seen": gr.update(value=figure, visible=figure is not None),
            "seen_words": text.figure_words(words) if found is None else focus_html(found),
            "seen_measure": gr.update(visible=kind == "focus" and found is None),
            "seen_row": gr.update(
                choices=[(name, k) for k, name in enumerate(rows)],
                value=number,
                visible=kind in OF_ROW,
            ),
        }

    def measure(self, visit: Visit) -> Iterator[Parts]:
        """See where attention goes in a full run of the page's picture."""
        state, stopped = visit.state, visit.session.begin_run()
        mine = visit.busy = object()
        try:
            yield from self.handlers._waiting(visit)
            for item in measure(self.handlers.engine, state, stopped):
                if isinstance(item, Made):
                    visit.focus = key_of(state), item.value
                    shown = self.look("focus", 0, True, visit)
                    yield {**shown, "notice": studio.notice_html(text.FOCUS_DONE, "ready")}
                    return
                yield {"notice": studio.notice_html(f"Measuring: {item.words} …", "busy")}
        except Exception as error:
            yield {"notice": failed("measurement", error)}
            return
        finally:
            if visit.busy is mine:
                visit.busy = None
        if visit.session.at_rest:
            yield {"notice": studio.notice_html(text.STOPPED)}


def focus_of(visit: Visit) -> Focus | None:
    """What was measured of the page's present picture."""
    if visit.focus is None or visit.focus[0] != key_of(visit.state):
        return None
    return visit.focus[1]


def seen(kind: str, row: int, visit: Visit) -> tuple[Any, str]:
    """A figure, None where there is nothing to draw yet, and its words."""
    result = visit.result
    if kind == "drift":
        return drift_of(result)
    if kind == "time":
        return times_of(result)
    if kind == "focus":
        if (found := focus_of(visit)) is None:
            return None, text.FOCUS_ASK
        branches = visit.state.model.branches
        return focus_map(found.lift, attn=branches.index("attn")), words_of(found)
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
    words, formulas = [], []
    for name, title in (("full", "Full"), ("cached", "Cached")):
        steps = result.figures[name].steps
        executed = result.executed if name == "cached" else np.zeros_like(result.executed[:steps])
        parts = parts_of(result, executed, result.figures[name].median_ms)
        rows.append((title, [max(0.0, v) for v in parts]))
        formulas.append(formulas_of(result, executed, parts, result.figures[name].median_ms))
        told = ", ".join(f"{p} {v:.0f}" for p, v in zip(PARTS, parts, strict=True))
        words.append(f"{title}: {result.figures[name].median_ms:.0f} ms measured: {told}.")
    words.append(text.SEEN_TIME.format(setting=result.setting))
    return closer.time_bars(rows, PARTS, formulas), " ".join(words)


def formulas_of(
    result: Result, executed: np.ndarray, parts: Sequence[float], measured_ms: float
) -> list[str]:
    """How each of `parts_of` came about, with its numbers filled in."""
    computed = (executed == 0) | (executed == PARTLY)
    counts = [
        int(computed[:, :, result.branches.index(name)].sum()) if name in result.branches else 0
        for name in ("attn", "mlp")
    ]
    counts.append(int((~computed).sum()))
    steps = len(executed)
    own = [
        text.SEEN_CELLS.format(count=n, each=f"{ms / n:.3f}", ms=f"{ms:.1f}") if n else "no cell"
        for n, ms in zip(counts, parts, strict=False)
    ]
    rest = f"{measured_ms:.1f} − " + " − ".join(f"{ms:.1f}" for ms in parts[:4])
    return [
        *own,
        text.SEEN_FIXED.format(steps=steps, each=f"{parts[3] / steps:.3f}", ms=f"{parts[3]:.1f}"),
        f"measured less all that is explained = {rest} = {parts[4]:.1f} ms",
    ]


def parts_of(result: Result, executed: np.ndarray, measured_ms: float) -> list[float]:
    """ms by PARTS: times of one branch each, as measured at load, times how often it ran."""
    tables = result.tables
    computed = (executed == 0) | (executed == PARTLY)  # (S, L, R)
    by_branch = (computed.sum(0) * tables.compute_ms).sum(0)  # (R,)
    held = float(((~computed).sum(0) * tables.reuse_ms).sum())
    fixed = tables.start_ms + len(executed) * tables.fixed_ms
    fixed += int(computed.any((1, 2)).sum()) * tables.busy_ms
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
