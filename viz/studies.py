"""The recorded study as a page shows it: every method at the same work, one table per speed-up."""

from __future__ import annotations

import html

from caching.errors import CachebrushError
from caching.methods import METHODS, Method, method_of
from caching.study.published import PUBLISHED, Published
from caching.study.store import Row, Study
from caching.study.tune import LEAST, MOST
from viz.methods import MARKS

RIVAL = "◆"
# A table that may be wider than the page is a place the keyboard can go to and scroll.
SCROLLS = '<div class="cb-study" role="region" tabindex="0" aria-label="Table">'
HEADS = (
    "", "method", "fewer MACs", "measured", "PSNR dB", "latent error", "right class",
    "over plain steps",
)  # fmt: skip


def target_words(target: float) -> str:
    """A speed-up as a choice."""
    return f"{target:g}×"


def intro_html(study: Study) -> str:
    """What was compared with what, where and when."""
    times = f" Recorded on {study.setting}, {study.date}." if study.setting else ""
    judged = len({row.method for row in study.rows} & set(METHODS))
    count = "1 method" if judged == 1 else f"{judged} methods"
    words = (
        f"{count} on {study.model}, {study.steps} steps, guidance "
        f"{study.cfg_scale:g}, {study.pictures} pictures each, against the full run of the same "
        f"noise; the best PSNR first, the line is that of as many plain steps.{times} Made by "
        f"{study.command}. PSNR is closeness to the uncached picture, not beauty."
    )
    return f'<p class="cb-figure-words">{html.escape(words)}</p>'


def table_html(study: Study, target: float) -> str:
    """The rows of one speed-up, each with its PSNR as a dot and its 95 % interval as a line."""
    rows = study.group(target)
    if not rows:
        return '<p class="cb-figure-words">No method was judged at this speed-up.</p>'
    low = min(row.psnr_db.low for row in rows)
    high = max(row.psnr_db.high for row in rows)
    plain = next((row.psnr_db.mean for row in rows if row.method == "plain-steps"), None)
    heads = "".join(f"<th scope='col'>{html.escape(head)}</th>" for head in HEADS)
    body = "".join(_row_html(row, low, high, plain) for row in rows)
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    beside = [m for m in study.missing if m.target == target and METHODS.get(m.method)]
    words = ", ".join(
        METHODS[m.method].title + (f" ({m.nearest:.2f}×)" if m.nearest else "") for m in beside
    )
    note = f"Not within {LEAST:g} to {MOST:g} of this speed-up: {words}." if words else ""
    return f'{SCROLLS}{table}</div><p class="cb-figure-words">{html.escape(note)}</p>'


def _row_html(row: Row, low: float, high: float, plain: float | None) -> str:
    mark = RIVAL if row.faithfulness == "rival" else MARKS.get(row.faithfulness, "")  # type: ignore[call-overload]

    def place(db: float) -> float:
        return round(100 * (db - low) / max(high - low, 1e-9), 1)

    p = row.psnr_db
    line = "" if plain is None else f'<i class="cb-plain" style="left:{place(plain)}%"></i>'
    span = f"left:{place(p.low)}%;width:{max(0.5, place(p.high) - place(p.low))}%"
    strip = (
        f'<span class="cb-strip">{line}<i class="cb-whisker" style="{span}"></i>'
        f'<i class="cb-dot" style="left:{place(p.mean)}%"></i></span>'
    )
    cells = (
        f"{row.speedup:.2f}×" + ("" if row.matched else " (beside)"),
        "–" if row.ms_speedup is None else f"{row.ms_speedup:.2f}×",
        f"<b>{p.mean:.1f}</b> ±{p.half:.1f} {strip}",
        f"{row.latent_rel_l2.mean:.3f}",
        "–" if row.agrees is None else f"{row.agrees.mean:.0%}",
        "–"
        if row.gain_db is None
        else f"{row.gain_db.mean:+.1f} ±{row.gain_db.half:.1f} ({row.rival_steps})",
    )
    kind = " class='cb-rival'" if row.faithfulness == "rival" else ""
    name = f"<td>{mark}</td><th scope='row'>{html.escape(row.words)}</th>"
    return f"<tr{kind}>{name}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def choices(study: Study, target: float) -> list[tuple[str, str]]:
    """Words and number of every row of a speed-up that can be put on the grid."""
    found = []
    for number, row in enumerate(study.rows):
        if row.target == target and row.method in METHODS:
            found.append((f"{row.words}: {row.psnr_db.mean:.1f} dB", str(number)))
    return found


def method_at(study: Study, number: object) -> Method:
    """The method of a row with the controls it had.

    Raises:
        CachebrushError: there is no such row, or its method has changed since.
    """
    known = isinstance(number, str) and number.isdecimal() and int(number) < len(study.rows)
    if not known:
        raise CachebrushError("no row of the study was chosen; choose one of the list.")
    row = study.rows[int(str(number))]
    return method_of(row.method, **row.controls)


def published_html() -> str:
    """The papers' own tables, each by itself."""
    words = (
        "Quoted figures. Model, pictures, machine and starting values differ from table to table "
        "and from the study above: never compare rows of two tables."
    )
    tables = "".join(_published(one) for one in PUBLISHED)
    return f'<p class="cb-figure-words">{words}</p>{tables}'


def _published(one: Published) -> str:
    heads = "".join(f"<th scope='col'>{html.escape(head)}</th>" for head in one.columns)
    body = ""
    for row in one.rows:
        cells = ["–" if v is None else f"{v:g}" if isinstance(v, float) else str(v) for v in row]
        first, *rest = (html.escape(cell) for cell in cells)
        body += f"<tr><th scope='row'>{first}</th>{''.join(f'<td>{c}</td>' for c in rest)}</tr>"
    return (
        f"{SCROLLS}<table><caption><b>{html.escape(one.title)}</b>. "
        f"{html.escape(one.setting)}. {html.escape(one.remark)}</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )
