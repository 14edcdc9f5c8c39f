"""A study and the published tables as text for a shell."""

from __future__ import annotations

from collections.abc import Sequence

from caching.cli.terminal import table
from caching.study.bootstrap import Interval
from caching.study.published import Published
from caching.study.store import Row, Study

MARKS = {
    "as published": "published",
    "recalibrated here": "recalibrated",
    "analogue": "analogue",
    "of no paper": "ours",
    "rival": "rival",
}
HEADER = (
    "",
    "mark",
    "MACs",
    "ms",
    "time",
    "PSNR dB",
    "SSIM",
    "latent error",
    "class",
    "over plain steps",
)


def study_words(study: Study) -> str:
    """One table for each target, best PSNR first, then what has no row and why."""
    parts = [
        f"{study.model}, {study.steps} steps, {study.sampler}, guidance {study.cfg_scale:g}, "
        f"{study.pictures} pictures, against the full run of each"
        + (f"; recorded on {study.setting}, {study.date}" if study.setting else "")
    ]
    for target in study.targets:
        rows = [_cells(row) for row in study.group(target)]
        parts.append(f"{target:g}× fewer MACs\n" + table(HEADER, rows, left=2))
    if study.missing:
        lines = [
            f"  {m.method}{'' if m.target is None else f' at {m.target:g}×'}: {m.why}"
            for m in study.missing
        ]
        parts.append("no row, or beside its target:\n" + "\n".join(lines))
    parts.append(
        "± is half a 95 % interval over pictures. `class` is the share whose class the classifier "
        "sees. `over plain steps` is PSNR over the most plain steps of no more MACs, picture by "
        "picture; their number stands in brackets."
    )
    return "\n\n".join(parts)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.words + ("" if row.matched else " (beside)"),
        MARKS.get(row.faithfulness, row.faithfulness),
        f"{row.speedup:.2f}×",
        "–" if row.ms is None else f"{row.ms:.0f}",
        "–" if row.ms_speedup is None else f"{row.ms_speedup:.2f}×",
        _spread(row.psnr_db, ".2f"),
        _spread(row.ssim, ".4f"),
        _spread(row.latent_rel_l2, ".4f"),
        "–" if row.agrees is None else f"{row.agrees.mean:.1%}",
        "–" if row.gain_db is None else f"{_spread(row.gain_db, '+.2f')} ({row.rival_steps})",
    )


def _spread(value: Interval, form: str) -> str:
    return f"{value.mean:{form}} ±{value.half:{form.lstrip('+')}}"


def published_words(tables: Sequence[Published]) -> str:
    """The papers' own tables, each by itself: their axes are not ours, nor each other's."""
    parts = [
        "Quoted figures. Model, pictures, machine and starting values differ from table to table "
        "and from the study here: never compare rows of two tables."
    ]
    for one in tables:
        rows = [tuple("–" if v is None else f"{v:g}" if isinstance(v, float) else v for v in row)
                for row in one.rows]  # fmt: skip
        text = f"{one.title}\n{one.setting}\n" + table(one.columns, rows)
        parts.append(text + (f"\n{one.remark}" if one.remark else ""))
    return "\n\n".join(parts)
