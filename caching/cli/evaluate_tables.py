"""An evaluation as text for a shell: two tables that are never mixed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from caching.cli.terminal import table
from caching.quality.record import CLOSENESS, QUALITY, Report, names_in
from caching.study.bootstrap import Interval

ALONE = "change"


def report_words(report: Report) -> str:
    """Closeness to the data with the change that caching makes, then closeness to the full run."""
    head = (
        f"{report.model}, {report.steps} steps, {report.sampler}, guidance {report.cfg_scale:g}, "
        f"{report.samples} pictures of each from seed {report.first_seed}; judged by {report.net} "
        f"against {report.reference}"
    )
    if report.setting:
        head += f"; recorded on {report.setting}, {report.date}"
    parts = [head, "closeness to the data\n" + _table(report, "quality")]
    if close := _table(report, "closeness"):
        parts.append("closeness to the uncached picture of the same noise\n" + close)
    parts.append(
        "Every value has its 95 % interval over the drawn pictures; `change` is taken on the same "
        "noises, * where its interval leaves out 0. A Fréchet distance falls with the number of "
        "pictures: compare equal numbers only. A kernel distance may fall just below 0."
    )
    return "\n\n".join(parts)


def _table(report: Report, kind: Literal["quality", "closeness"]) -> str:
    names = names_in(report.rows, kind)
    if not names:
        return ""
    known = QUALITY if kind == "quality" else CLOSENESS
    header = ("", "work", *(f"{known[n][0]} {'↑' if known[n][1] else '↓'}" for n in names))
    rows = []
    for row in report.rows:
        values = getattr(row, kind)
        if values:
            cells = (_cell(values.get(name), known[name][2]) for name in names)
            rows.append((row.words, f"{row.work:.1%}", *cells))
        if kind == "quality" and row.change:
            changes: Mapping[str, Interval] = row.change
            cells = (_cell(changes.get(n), "+" + known[n][2], marked=True) for n in names)
            rows.append((f"  {ALONE}", "", *cells))
    return table(header, rows)


def _cell(value: Interval | None, form: str, *, marked: bool = False) -> str:
    if value is None:
        return "–"
    star = "*" if marked and not value.low <= 0 <= value.high else ""
    return f"{value.mean:{form}} [{value.low:{form}}, {value.high:{form}}]{star}"
