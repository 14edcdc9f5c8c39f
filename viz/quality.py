"""Evaluations as a page shows them: closeness to the data, and, apart from it, to the full run."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Literal

from caching.quality.record import CLOSENESS, QUALITY, Report, Row, names_in
from caching.study.bootstrap import Interval
from viz.judging import Judging
from viz.studies import SCROLLS
from viz.work import time_words

TITLE = "Judge against the data"
RECORDED_TITLE = "Recorded: PSNR falls, and the distance to the data need not follow"
INFO = (
    "Two questions, never mixed. <b>PSNR</b> is closeness to the uncached picture of the same "
    "noise. <b>Fréchet distance</b> is closeness to the data: many pictures of this grid against "
    "fresh renders, as the shipped classifier sees them. A grid may change every picture and leave "
    "how well they match the data alone."
)
PROMPT = (
    "Start draws N pictures twice, uncached and with your grid, from the same noises. Runs of your "
    "own and of others go on in between."
)
LIMITS = (
    "Fewer pictures give a higher Fréchet distance, so compare only tables of the same N. Kernel "
    "distance has no such bias and may fall just below 0. Small figures: 95 % intervals from "
    "drawing the judged pictures again; the change is taken picture by picture on the same noises."
)
Sort = Literal["quality", "closeness"]


def progress_html(item: Judging | None, words: str = "") -> str:
    """A bar with time left, or words in its place."""
    if item is None:
        return f'<p class="cb-figure-words">{html.escape(words)}</p>' if words else ""
    left = "" if item.left_s is None else f", about {time_words(item.left_s)} left"
    told = f"{item.done} of {item.total} pictures{left}"
    style = "width:220px;vertical-align:middle;accent-color:var(--cb-accent)"
    return (
        f'<p class="cb-figure-words"><progress max="{item.total}" value="{item.done}" '
        f'aria-label="pictures judged" style="{style}"></progress> {html.escape(told)}</p>'
    )


def report_html(report: Report | None, *, done: bool = True) -> str:
    """Both tables of an evaluation and what they say."""
    if report is None:
        return ""
    state = "true" if done else "false"
    return (
        f'<div data-testid="judged" data-done="{state}" data-samples="{report.samples}">'
        f"{_table(report, 'quality')}{_table(report, 'closeness')}"
        f'<p class="cb-figure-words" data-testid="verdict">{html.escape(verdict(report))}</p>'
        f'<p class="cb-figure-words">{html.escape(LIMITS)}</p></div>'
    )


def recorded_html(report: Report) -> str:
    """The recorded case, said to be one."""
    words = (
        f"Recorded on {report.setting}, {report.date}: {report.model}, {report.steps} steps, "
        f"guidance {report.cfg_scale:g}, {report.samples} pictures each, against "
        f"{report.reference}. Made by {report.command}."
    )
    return (
        f'<div data-testid="judged-recorded">'
        f'<p class="cb-figure-words">{html.escape(story(report))}</p>'
        f"{_table(report, 'quality')}{_table(report, 'closeness')}"
        f'<p class="cb-figure-words">{html.escape(words)}</p></div>'
    )


def _table(report: Report, sort: Sort) -> str:
    """One table: rows of arms, columns of measures of one sort."""
    names = names_in(report.rows, sort)
    if not names:
        return ""
    known = QUALITY if sort == "quality" else CLOSENESS
    caption = (
        f"Closeness to the data, {report.samples} pictures each"
        if sort == "quality"
        else "Closeness to the uncached picture of the same noise, mean"
    )
    arrows = {name: "↑" if known[name][1] else "↓" for name in names}
    heads = "".join(
        f'<th scope="col">{html.escape(known[name][0])} {arrows[name]}</th>' for name in names
    )
    body = ""
    for row in report.rows:
        values = row.quality if sort == "quality" else row.closeness
        if values:
            body += _row(_named(row), values, known, names)
        if sort == "quality" and row.change:
            body += _row("change", row.change, known, names, signed=True)
    return (
        f"{SCROLLS}<table><caption><b>{html.escape(caption)}</b></caption>"
        f'<thead><tr><th scope="col"></th>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _named(row: Row) -> str:
    """An arm with its work; the full model needs no such words."""
    if not row.change and not row.closeness:
        return "uncached"
    return f"{row.words}, {row.work:.0%} of the work"


def _row(
    words: str,
    values: Mapping[str, Interval],
    known: Mapping[str, tuple[str, bool, str]],
    names: Sequence[str],
    *,
    signed: bool = False,
) -> str:
    sign = "+" if signed else ""
    cells = ""
    for name in names:
        value = values.get(name)
        if value is None:
            cells += "<td>–</td>"
            continue
        form = known[name][2]
        mean = html.escape(f"{value.mean:{sign}{form}}")
        ends = html.escape(f"{value.low:{sign}{form}} … {value.high:{sign}{form}}")
        shown = f"<b>{mean}</b>" if signed and moved(value) else mean
        cells += f"<td>{shown} <small>{ends}</small></td>"
    kind = ' class="cb-rival"' if signed else ""
    return f'<tr{kind}><th scope="row">{html.escape(words)}</th>{cells}</tr>'


def moved(change: Interval) -> bool:
    """Whether a change's interval leaves out 0."""
    return not change.low <= 0 <= change.high


def verdict(report: Report) -> str:
    """What the table says of the last arm, in words that keep the two questions apart."""
    row = report.rows[-1]
    change, close = row.change.get("frechet"), row.closeness.get("psnr_db")
    if change is None:
        return "The full model alone: paint a grid to compare with it."
    data = change_words(change, report.samples)
    picture = "" if close is None else f"To the uncached pictures: PSNR {close.mean:.1f} dB. "
    also = f" Changed beyond doubt: {', '.join(others)}." if (others := others_of(row)) else ""
    return f"{picture}To the data: {data}{also}"


def change_words(change: Interval, samples: int) -> str:
    """A change of Fréchet distance in words."""
    ends = f"{change.mean:+.3f}, {change.low:+.3f} to {change.high:+.3f}"
    if not moved(change):
        return f"no change of Fréchet distance that {samples} pictures can tell from 0 ({ends})."
    return f"{'farther' if change.mean > 0 else 'nearer'} by Fréchet distance ({ends})."


def others_of(row: Row) -> list[str]:
    """The other measures against the data whose change leaves out 0."""
    return [
        f"{QUALITY[name][0]} {change.mean:+{QUALITY[name][2]}}"
        for name, change in row.change.items()
        if name != "frechet" and moved(change)
    ]


def story(report: Report) -> str:
    """The recorded case in words: arms whose pictures change while the distance to the data does
    not, and arms where it does."""
    same: list[str] = []
    worse: list[str] = []
    better: list[str] = []
    for row in report.rows:
        change, close = row.change.get("frechet"), row.closeness.get("psnr_db")
        if change is None or close is None:
            continue
        words = ", ".join([f"{close.mean:.1f} dB", f"{change.mean:+.3f}", *others_of(row)])
        kind = same if not moved(change) else worse if change.mean > 0 else better
        kind.append(f"{row.words} ({words})")
    parts = []
    if same:
        parts.append(
            "PSNR falls, and the Fréchet distance to the data cannot be told from the uncached "
            f"model's: {'; '.join(same)}."
        )
    if worse:
        parts.append(f"PSNR and Fréchet distance both get worse: {'; '.join(worse)}.")
    if better:
        parts.append(
            f"PSNR falls, and the pictures come nearer to the data: {'; '.join(better)}. Nearer to "
            "the data is not nearer to the uncached picture."
        )
    return " ".join(parts)
