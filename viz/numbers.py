"""The table of measured numbers: full run, cached run and its rival of the same budget."""

from __future__ import annotations

import html
import math

from caching.measure.result import NAMES, Figures, Result
from viz.glossary import term_html

DASH = "–"
HEADS = (
    ("Run", ""), ("Work", "work"), ("Time", ""), ("Faster", "speed-up"), ("PSNR", "PSNR"),
    ("SSIM", "SSIM"),
)  # fmt: skip
PSNR_TIP = (
    "peak signal-to-noise ratio against the full picture of the same noise: closeness to it, not "
    "beauty"
)
SSIM_TIP = "structural similarity to the full picture of the same noise, 1 = equal"


def psnr_words(psnr_db: float | None) -> str:
    """PSNR for people: a dash for the full run itself, ∞ for an identical picture."""
    if psnr_db is None:
        return DASH
    return "∞ (identical)" if math.isinf(psnr_db) else f"{psnr_db:.1f} dB"


def _time_words(ms: float) -> str:
    return f"{ms / 1000:.2f} s" if ms >= 1000 else f"{ms:.0f} ms"


def title_of(name: str, f: Figures, policy: str | None = None) -> str:
    """What a run is called on the page; `policy`: what decided the cached one."""
    return title_at(name, f.steps, policy)


def title_at(name: str, steps: int, policy: str | None = None) -> str:
    """The same of a run that may still be going on."""
    return {
        "full": f"Full, {steps} steps",
        "cached": policy or "Your schedule",
        "fewer": f"{steps} plain steps",
    }[name]


def verdict(result: Result) -> str:
    """One sentence: what the paint gained, and whether fewer steps would have done better."""
    cached, fewer = result.figures["cached"], result.figures["fewer"]
    if cached.work > 0.9999:
        return "Every cell was computed: this is the full run itself, nothing is saved."
    assert cached.psnr_db is not None and fewer.psnr_db is not None
    gap = cached.psnr_db - fewer.psnr_db
    share = f"{1 - cached.work:.0%} of the work was reused and the run was "
    share += f"{cached.speedup:.2f}× as fast"
    plain = f"simply taking {fewer.steps} steps"
    if math.isnan(gap) or abs(gap) < 0.5:
        return f"{share}; {plain} comes out about as close to the full picture."
    better = "closer to" if gap > 0 else "farther from"
    by = "much" if math.isinf(gap) else f"{abs(gap):.1f} dB"
    return f"{share}; it is {by} {better} the full picture than {plain}."


def _cell(text: str, tip: str, test: str) -> str:
    return f'<td title="{html.escape(tip)}" data-testid="{test}">{html.escape(text)}</td>'


def _row(name: str, f: Figures, result: Result) -> str:
    full, setting = result.figures["full"], result.setting
    many = ", ".join(f"{t:.0f}" for t in f.total_ms)
    times = (
        f"median of {len(f.total_ms)} runs in turn ({many} ms), {setting}; autoencoder not included"
    )
    speed = (
        f"median over {len(f.total_ms)} rounds of the full run's time over this one's in the same "
        f"round; of the medians: {full.median_ms:.0f} ms / {f.median_ms:.0f} ms"
    )
    work = (
        f"multiply-accumulates over those of the full run; {f.nfe} network evaluations; "
        f"cache {f.cache_mib:.2f} MiB"
    )
    cells = [
        _cell(f"{f.work:.0%}", work, f"{name}-work"),
        _cell(_time_words(f.median_ms), times, f"{name}-time"),
        _cell(DASH if name == "full" else f"{f.speedup:.2f}×", speed, f"{name}-speedup"),
        _cell(psnr_words(f.psnr_db), PSNR_TIP, f"{name}-psnr"),
        _cell(DASH if f.ssim is None else f"{f.ssim:.3f}", SSIM_TIP, f"{name}-ssim"),
    ]
    head = f'<th scope="row">{html.escape(title_of(name, f, result.policy))}</th>'
    return f'<tr class="cb-row-{name}">{head}{"".join(cells)}</tr>'


def _note(result: Result, *, stale: bool, other_model: bool) -> str:
    if other_model:
        return f"Measured with {result.model}, not with this model: press Run to measure this one."
    if stale:
        return "Measured before the last change; press Run, or wait for the run in progress."
    if result.policy is not None:
        return f"{verdict(result)} {result.policy} decided this, not your paint: Bake paints it."
    return verdict(result)


def numbers_html(result: Result, *, stale: bool, other_model: bool = False) -> str:
    """The table as HTML.

    `stale`: the page asks for something else than what was measured; `other_model`: even of another
    model.
    """
    rows = "".join(_row(name, result.figures[name], result) for name in NAMES)
    heads = "".join(
        f'<th scope="col">{term_html(term, head) if term else head}</th>' for head, term in HEADS
    )
    source = result.recorded or f"measured on {result.setting}"
    stale = stale or other_model
    note = _note(result, stale=stale, other_model=other_model)
    return (
        f'<div class="cb-numbers{" cb-stale" if stale else ""}" data-testid="numbers" '
        f'data-source="{"recorded" if result.recorded else "live"}">'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        f'<p class="cb-verdict" data-testid="verdict" role="status">{html.escape(note)}</p>'
        f'<p class="cb-source" data-testid="source">{html.escape(source)}</p></div>'
    )
