"""The report as one HTML file: pictures, numbers, grid, method, curves, how to repeat it."""

from __future__ import annotations

import html
from collections.abc import Mapping
from importlib.resources import files

import numpy as np

from caching.formats.picture import png_of
from caching.measure.result import NAMES, Figures, Result
from viz import numbers, palette, reporttext
from viz.brushes import Canvas
from viz.figures.curves_svg import curves_svg
from viz.figures.grid_svg import Executed, grid_svg
from viz.figures.svg import PAGE
from viz.images import bytes_uri, picture_uri
from viz.methods import about_html
from viz.report import facts
from viz.report.facts import Origin
from viz.report.pictures import difference, difference_words

# A file from anywhere must not reach anywhere: not even what somebody put into a class's name.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = (files(__package__) / "report.css").read_text(encoding="utf-8")


def report_html(
    result: Result,
    canvas: Canvas,
    change: np.ndarray,
    *,
    held: str,
    sampler: str,
    origin: Origin,
) -> str:
    """A comparison as one HTML file.

    Args:
        result: the comparison.
        canvas: its schedule, with the colours of the page.
        change: (S, L, R), of the full run; all NaN where it is not known.
        held: what is equal in all pictures, in words.
        sampler: its title.
        origin: how the result came about.
    """
    esc = html.escape
    title = f"{numbers.title_of('cached', result.figures['cached'], result.policy)}: Cachebrush"
    sections = [
        _section(reporttext.PICTURES, _pictures(result, origin), f"<p>{esc(held)}.</p>"),
        _section(reporttext.NUMBERS, _numbers(result), f"<p>{esc(_where(result))}</p>"),
        _section(reporttext.GRID, _grid(result, canvas), f"<p>{esc(reporttext.GRID_WORDS)}</p>"),
        _section(reporttext.METHOD, _method(result, origin)),
    ]
    if np.isfinite(change).any():
        drawn = curves_svg(change, branches=result.branches, title=reporttext.CURVES, ink=PAGE)
        words = f"<p>{esc(reporttext.CURVES_WORDS)}</p>"
        sections.append(_section(reporttext.CURVES, f'<div class="wide">{drawn}</div>', words))
    sections.append(_section(reporttext.REPEAT, _repeat(result, origin)))
    sections.append(
        _section(reporttext.SETTINGS, _rows(facts.settings_rows(result, sampler, origin)))
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{esc(title)}</title><style>{_css()}</style></head>'
        f"<body><header><h1>{esc(reporttext.TITLE)}</h1>"
        f'<p data-testid="verdict">{esc(numbers.verdict(result))}</p></header>'
        f"<main>{''.join(sections)}</main>"
        f"<footer><p>{esc(reporttext.FOOTER)}</p></footer></body></html>\n"
    )


def _css() -> str:
    """The page's colours, by the reader's own theme, as a file has no switch; paper is light."""
    light, dark = palette.css_variables().split(".dark", 1)
    themes = f"{light}@media (prefers-color-scheme: dark) {{ :root{dark} }}\n"
    return f"{themes}@media print {{ {light} }}\n{_STYLE}"


def _section(title: str, body: str, words: str = "") -> str:
    return f"<section><h2>{html.escape(title)}</h2>{words}{body}</section>"


def _rows(rows: Mapping[str, str]) -> str:
    esc = html.escape
    lines = [
        f'<tr><th scope="row">{esc(name)}</th><td>{esc(value)}</td></tr>'
        for name, value in rows.items()
    ]
    return f'<div class="wide"><table class="facts">{"".join(lines)}</table></div>'


def _pictures(result: Result, origin: Origin) -> str:
    """Full, cached with its recipe inside, what was added and taken, and the rival."""
    full, cached = result.pictures["full"].final, result.pictures["cached"].final
    recipe = png_of(
        cached,
        result.schedule,
        facts.request_of(result, origin.weights_hash),
        measured=facts.measured_of(result),
        made_with=dict(origin.versions),
    )
    signed, gain = difference(full, cached)
    sources = {
        "full": picture_uri(full),
        "cached": bytes_uri(recipe, "png"),
        "fewer": picture_uri(result.pictures["fewer"].final),
    }
    shown = []
    for name in NAMES:
        f = result.figures[name]
        words = numbers.title_of(name, f, result.policy)
        note = "" if f.psnr_db is None else numbers.psnr_words(f.psnr_db)
        shown.append(_figure(sources[name], words, note, name))
    apart = reporttext.DIFFERENCE_WORDS.format(gain=gain, apart=difference_words(full, cached))
    shown.insert(2, _figure(picture_uri(signed), reporttext.DIFFERENCE, apart, "difference"))
    return f'<div class="pictures">{"".join(shown)}</div>'


def _figure(uri: str, words: str, note: str, name: str) -> str:
    esc = html.escape
    return (
        f'<figure data-testid="picture-{name}"><img src="{uri}" alt="{esc(words)}">'
        f"<figcaption><b>{esc(words)}</b> {esc(note)}</figcaption></figure>"
    )


def _numbers(result: Result) -> str:
    heads = "".join(f'<th scope="col">{html.escape(h)}</th>' for h in reporttext.COLUMNS)
    rows = "".join(_run(name, result.figures[name], result) for name in NAMES)
    return (
        f'<div class="wide"><table class="numbers"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _run(name: str, f: Figures, result: Result) -> str:
    dash = numbers.DASH
    cells = (
        f"{f.work:.1%}",
        f"{f.median_ms:.0f}",
        dash if name == "full" else f"{f.speedup:.2f}×",
        numbers.psnr_words(f.psnr_db),
        dash if f.ssim is None else f"{f.ssim:.4f}",
        dash if f.latent_rel_l2 is None else f"{f.latent_rel_l2:.4f}",
        f"{f.cache_mib:.2f}",
        ", ".join(f"{t:.0f}" for t in f.total_ms),
    )
    head = html.escape(numbers.title_of(name, f, result.policy))
    tests = ("work", "time", "speedup", "psnr", "ssim", "latent", "cache", "times")
    inside = "".join(
        f'<td data-testid="{name}-{test}">{html.escape(cell)}</td>'
        for test, cell in zip(tests, cells, strict=True)
    )
    return f'<tr class="run-{name}"><th scope="row">{head}</th>{inside}</tr>'


def _where(result: Result) -> str:
    count = len(result.figures["full"].total_ms)
    said = reporttext.RECORDED if result.recorded else reporttext.MEASURED
    return said.format(count=count, where=result.recorded or result.setting)


def _grid(result: Result, canvas: Canvas) -> str:
    executed = Executed(result.executed, result.executed_actions)
    drawn = grid_svg(canvas, title=reporttext.GRID, executed=executed, name="g", ink=PAGE)
    return f'<div class="wide">{drawn}</div>'


def _method(result: Result, origin: Origin) -> str:
    esc = html.escape
    kind = facts.kind_of(result, origin)
    if kind is None:
        made = reporttext.MADE.format(what=origin.made) if origin.made else reporttext.OWN_PAINT
        words = result.policy or made
        return f"<p>{esc(words)}</p>"
    said = origin.method.words if origin.method is not None else result.policy or kind.title
    return f"<p><b>{esc(said)}</b></p>{about_html(kind)}"


def _repeat(result: Result, origin: Origin) -> str:
    esc = html.escape
    command = facts.command_of(result, origin.method)
    parts = [f'<pre data-testid="command">{esc(command)}</pre>']
    if origin.method is None:
        parts.insert(0, f"<p>{esc(reporttext.SAVE_FIRST.format(name=facts.PICTURE))}</p>")
    parts.append(f"<p>{esc(reporttext.DROP)}</p>")
    if origin.fragment:
        parts.append(f"<p>{esc(reporttext.FRAGMENT)}</p>")
        parts.append(f'<pre data-testid="fragment">#{esc(origin.fragment)}</pre>')
    return "".join(parts)
