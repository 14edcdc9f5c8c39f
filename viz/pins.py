"""Two pinned schedules side by side: the cells that differ, and what each difference is worth."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from caching.predict.kept import Kept
from caching.predict.proxy import Tables, predict
from caching.predictors import Reuse
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule
from viz import text
from viz.state import Entry

MOST_SHOWN = 6  # of rows, and of steps
CELL_W, CELL_H, MOST_W, MOST_H = 12, 7, 420, 260


@dataclass(frozen=True)
class Worth:
    """What changing A into B in some cells does, as predicted.

    Attributes:
        where: "block 3 attn" or "step 7".
        cells: how many differ there.
        db: change of PSNR, None where nothing predicts it.
        ms: change of time, None where no times are known.
    """

    where: str
    cells: int
    db: float | None
    ms: float | None


@dataclass(frozen=True, eq=False)
class Difference:
    """Where two schedules of one shape differ, and what it is worth by row and by step."""

    a: Schedule
    b: Schedule
    rows: tuple[Worth, ...]
    steps: tuple[Worth, ...]
    whole: Worth

    @property
    def cells(self) -> int:
        return self.whole.cells


def difference(
    a: Schedule, b: Schedule, kept: Kept | None, tables: Tables | None
) -> Difference | None:
    """The cells that differ with what A would gain or lose by taking them over from B.

    None for grids of different shapes. Cells of a row, or of a step, are taken over together; the
    parts do not add up to the whole, because errors do not.
    """
    if a.actions.shape != b.actions.shape or a.branches != b.branches:
        return None
    found = a.diff(b)
    mask = np.zeros(a.actions.shape, bool)
    for cell in (*found.only_a, *found.only_b, *found.other_predictor):
        mask[cell] = True
    kept = kept if _known(kept, a, b) else None
    fits = tables is not None and tables.change.shape[:3] == a.actions.shape
    base = _predicted(a, kept, tables if fits else None)

    def worth(where: str, cells: np.ndarray) -> Worth:
        other = _predicted(a.keep(b, cells), kept, tables if fits else None)
        db, ms = (None if x is None or y is None else x - y
                  for x, y in zip(other, base, strict=True))  # fmt: skip
        return Worth(where, int(cells.sum()), db, ms)

    steps, blocks, branches = a.actions.shape
    rows = [
        worth(f"block {block} {a.branches[branch]}", _only(mask, np.s_[:, block, branch]))
        for block in range(blocks)
        for branch in range(branches)
        if mask[:, block, branch].any()
    ]
    by_step = [worth(f"step {s}", _only(mask, np.s_[s])) for s in range(steps) if mask[s].any()]
    return Difference(a, b, _sorted(rows), _sorted(by_step), worth("all of it", mask))


def _only(mask: np.ndarray, where: Any) -> np.ndarray:
    part = np.zeros_like(mask)
    part[where] = mask[where]
    return part


def _known(kept: Kept | None, *schedules: Schedule) -> bool:
    """Whether the prediction has learned what these are made of."""
    if kept is None or schedules[0].actions.shape != kept.response.open.shape[1:4]:
        return False
    used = [s.compact() for s in schedules]
    plain = all(type(p) in (Reuse, Taylor) for s in used for p in s.legend)
    return plain and not any(s.step_legend for s in used)


def _predicted(
    schedule: Schedule, kept: Kept | None, tables: Tables | None
) -> tuple[float | None, float | None]:
    db = None if kept is None or schedule.is_full else kept.predict(schedule).db
    return db, None if tables is None else predict(schedule, tables).ms


def _sorted(found: Sequence[Worth]) -> tuple[Worth, ...]:
    return tuple(sorted(found, key=lambda w: (-abs(w.db or 0.0), -w.cells, w.where)))


# -- shown -------------------------------------------------------------------------------------


def pins_html(a: Entry | None, b: Entry | None, kept: Kept | None, tables: Tables | None) -> str:
    """Both pins, the grid of their differences, and the list of what these are worth."""
    heads = "".join(_pin(letter, entry) for letter, entry in (("A", a), ("B", b)))
    if a is None or b is None:
        body = f"<p>{text.PINS_HOW}</p>"
    elif (found := difference(a.schedule, b.schedule, kept, tables)) is None:
        body = f"<p>{text.PINS_OTHER_SHAPE}</p>"
    elif not found.cells:
        body = f"<p>{text.PINS_EQUAL}</p>"
    else:
        body = _difference(found)
    heads = f'<div class="cb-pin-heads">{heads}</div>'
    return f'<div class="cb-pins" data-testid="pins">{heads}{body}</div>'


def _pin(letter: str, entry: Entry | None) -> str:
    if entry is None:
        return f'<p class="cb-pin-head"><b class="cb-pin">{letter}</b> nothing pinned</p>'
    return (
        f'<p class="cb-pin-head"><b class="cb-pin">{letter}</b> {html.escape(entry.what[:60])}'
        f'<button type="button" data-do="clear" data-of="{letter}" aria-label="Unpin {letter}">×'
        "</button></p>"
    )


def _difference(found: Difference) -> str:
    whole = found.whole
    words = text.PINS_DIFFER.format(cells=whole.cells, worth=_worth_words(whole))
    lists = "".join(
        f"<div><h3>{head}</h3><ol>{''.join(map(_item, some[:MOST_SHOWN]))}</ol>{_more(some)}</div>"
        for head, some in (("by row", found.rows), ("by step", found.steps))
    )
    why = text.PINS_WORTH if whole.db is not None else text.PINS_UNKNOWN
    return (
        f'<p data-testid="pins-words">{html.escape(words)}</p>{difference_svg(found)}'
        f'<div class="cb-worth">{lists}</div><p class="cb-figure-words">{why}</p>'
    )


def _item(worth: Worth) -> str:
    return f"<li>{html.escape(worth.where)}: {html.escape(_worth_words(worth))}</li>"


def _more(some: Sequence[Worth]) -> str:
    left = len(some) - MOST_SHOWN
    return f"<p>and {left} more</p>" if left > 0 else ""


def _worth_words(worth: Worth) -> str:
    cells = "1 cell" if worth.cells == 1 else f"{worth.cells} cells"
    parts = [cells]
    if worth.db is not None:
        parts.append(f"{worth.db:+.2f} dB".replace("-", "−"))
    if worth.ms is not None:
        parts.append(f"{worth.ms:+.1f} ms".replace("-", "−"))
    return ", ".join(parts)


def difference_svg(found: Difference) -> str:
    """Rows of blocks and branches, columns of steps; what only one of them computes is marked."""
    steps, blocks, branches = found.a.actions.shape
    rows = blocks * branches
    w, h = min(CELL_W, MOST_W / steps), min(CELL_H, MOST_H / rows)
    parts = []
    diff = found.a.diff(found.b)
    kinds = (("a", diff.only_a), ("b", diff.only_b), ("o", diff.other_predictor))
    for kind, cells in kinds:
        for s, block, branch in cells:
            x, y = s * w, (block * branches + branch) * h
            parts.append(
                f'<rect class="cb-only-{kind}" x="{x:.1f}" y="{y:.1f}" width="{w - 0.6:.1f}" '
                f'height="{h - 0.6:.1f}"/>'
            )
    label = (
        f"{len(diff.only_a)} cells that only A computes, {len(diff.only_b)} that only B computes, "
        f"{len(diff.other_predictor)} with another brush"
    )
    key = "".join(
        f'<span><i class="cb-only-{kind}"></i>{words}</span>'
        for kind, words in (
            ("a", "only A computes"),
            ("b", "only B computes"),
            ("o", "other brush"),
        )
    )
    return (
        f'<svg class="cb-difference" viewBox="0 0 {w * steps:.1f} {h * rows:.1f}" role="img" '
        f'aria-label="{label}" style="max-width:{w * steps:.0f}px">'
        f'<rect class="cb-same" width="100%" height="100%"/>{"".join(parts)}</svg>'
        f'<p class="cb-key">{key} rows: blocks from the top, columns: steps</p>'
    )
