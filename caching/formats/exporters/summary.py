"""The static graph in words: which steps are alike, what each of them computes and what is kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from caching.formats.exporters.base import Exported, Exporter
from caching.schedule import Schedule


@dataclass(frozen=True)
class Summary(Exporter):
    """For whoever builds a fixed graph by hand, or compiles one per kind of step.

    Which cells run is known before the run, so that a step needs no decision: the steps fall into
    a few kinds, each a graph of its own.
    """

    name: ClassVar[str] = "summary"
    label: ClassVar[str] = "static-graph summary (text)"
    expresses: ClassVar[str] = "everything, in words"

    def export(self, schedule: Schedule, stem: str) -> Exported:
        text = "\n".join([*_head(schedule), "", *_kinds(schedule), "", *_kept(schedule)]) + "\n"
        return Exported(f"{stem}-summary.txt", text, (), schedule)


def _head(schedule: Schedule) -> list[str]:
    computed = schedule.computed
    total = int(computed.sum())
    lines = [
        f"{schedule.steps} steps, {schedule.blocks} blocks, branches "
        f"{', '.join(schedule.branches)}: {total} of {computed.size} cells computed "
        f"({total / computed.size:.1%}).",
        *(
            f"  {name}: {int(computed[:, :, r].sum())} of {computed[:, :, r].size}"
            for r, name in enumerate(schedule.branches)
        ),
        f"Cells: C computed{_legend(zip(schedule.letters[1:], schedule.legend, strict=True))}.",
    ]
    if schedule.step_legend:
        pairs = zip(schedule.step_letters[1:], schedule.step_legend, strict=True)
        lines.append(f"Steps: {schedule.step_letters[0]} by the grid{_legend(pairs)}.")
    return lines


def _legend(pairs: Iterable[tuple[str, object]]) -> str:
    return "".join(f", {letter} {getattr(item, 'title', item)}" for letter, item in pairs)


def _kinds(schedule: Schedule) -> list[str]:
    """The steps grouped by what they do, each kind with its rows."""
    covered, computed = schedule.covered, schedule.computed
    kinds: dict[tuple[bytes, int], list[int]] = {}
    for s in range(schedule.steps):
        cells = np.where(covered[s], 255, schedule.actions[s]).astype(np.uint8)
        kinds.setdefault((cells.tobytes(), int(schedule.step_actions[s])), []).append(s)
    lines = [f"{len(kinds)} kinds of step, so {len(kinds)} graphs:"]
    for index, ((_, action), steps) in enumerate(kinds.items(), 1):
        s = steps[0]
        what = f"{int(computed[s].sum())} of {computed[s].size} cells computed"
        if action:
            what += f", {schedule.step_legend[action - 1].title}"
        lines += ["", f"Kind {index}: {what}", f"  steps {_ranges(steps)}"]
        if not computed[s].all() and not covered[s].all():
            lines += [f"  {name:<5} {row}" for name, row in _rows(schedule, s)]
    return lines


def _rows(schedule: Schedule, s: int) -> list[tuple[str, str]]:
    """For each branch, a letter per block at step s; "." where a whole-step action rules."""
    letters = np.array(list(schedule.letters))[schedule.actions[s]]
    letters = np.where(schedule.covered[s], ".", letters)
    return [(name, "".join(letters[:, r])) for r, name in enumerate(schedule.branches)]


def _kept(schedule: Schedule) -> list[str]:
    """How many outputs have to be kept after each step, by the computed outputs used later."""
    stored = [number for number, p in enumerate(schedule.legend, 1) if p.keeps]
    held = _held(schedule.computed, np.isin(schedule.actions, stored) & ~schedule.covered)
    most = int(held.max())
    lines = [
        f"Outputs kept for later steps: {most} at most (after step {int(held.argmax())}); one is "
        "(rows, tokens, width). A forecast keeps more than one output of its cell.",
    ]
    return [*lines, f"  after each step: {' '.join(map(str, held.tolist()))}"] if most else lines


def _held(computed: NDArray[np.bool_], used: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many cells' newest output is needed after each step: bool (S, L, R) twice to (S,)."""
    held = np.zeros(len(computed), np.int64)
    wanted = np.zeros(computed.shape[1:], bool)
    for s in range(len(computed) - 1, -1, -1):
        held[s] = wanted.sum()
        wanted = (wanted | used[s]) & ~computed[s]
    return held


def _ranges(steps: list[int]) -> str:
    """Step numbers in few letters: 0, 3-5, 8."""
    parts: list[list[int]] = []
    for s in steps:
        if parts and s == parts[-1][1] + 1:
            parts[-1][1] = s
        else:
            parts.append([s, s])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
