"""What the engine bench says of what it timed: ratios, the share of promises, and the bars."""

import statistics
import sys

import numpy as np
import torch

from caching import Model
from caching.engine.run import now
from caching.measure.cost import branch_macs
from caching.measure.result import tables_of
from caching.measure.timing import measure_branches, setting_of
from caching.predict.proxy import Tables, predict
from tests.bench.engine_rows import DIFFUSERS, LAUNCHED, OURS, REUSED, SHIPPED, Row

# Bars of the shipped model: full over diffusers' time, a reused step over a full one, and reached.
BAR_FULL, BAR_REUSED, BAR_REACHED, BAR_TAYLOR = 0.75, 0.05, 0.97, 0.90
# Of DiT-XL/2 on a GPU, one picture, launched as graphs.
BAR_GRAPHS, GRAPHS = 0.90, ", CUDA graphs"


def ratio(over: list[float], under: list[float]) -> float:
    """Median of the turns' own ratios: what slows a whole turn down cancels."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def reached(row: Row, base: Row) -> tuple[float, float | None]:
    """Measured over promised speed-up: of the whole run, and of our steps alone."""
    if not row.around:
        return ratio(base.seconds, row.seconds) * row.work, None
    whole, stepped = zip(*row.around, strict=True)
    return ratio(whole, row.seconds) * row.work, ratio(stepped, row.stepped) * row.work


def modulation_s(model: Model, steps: int) -> float:
    """Seconds that the modulation of a first run takes, median of nine."""
    family, took = model.family, []
    times = torch.linspace(999, 0, steps, device=model.device)
    labels = torch.tensor([1, family.classes], device=model.device)
    with torch.no_grad():
        for _ in range(9):
            family.kept.clear()
            given = family.condition(times, labels)
            began = now(model.device)
            given.get(0, 0, 0)
            took.append(now(model.device) - began)
    return statistics.median(took)


def reached_first(row: Row, more_s: float) -> float:
    """As `reached` of the whole run, if it and the full run take that much more."""
    pairs = zip(row.around, row.seconds, strict=True)
    return statistics.median((w + more_s) / (t + more_s) for (w, _), t in pairs) * row.work


def kept_by_parts(row: Row, tables: Tables) -> float:
    """The share of the promised speed-up that the times of single parts make."""
    return predict(row.schedule, tables).speedup * row.work


def made_of(model: Model, tables: Tables, steps: int) -> str:
    """What a full run's time is made of, where that is not in proportion to its products."""
    cells_ms, macs = tables.compute_ms.sum(axis=0), branch_macs(model).sum(axis=0)
    fixed_ms = tables.start_ms + steps * (tables.fixed_ms + tables.busy_ms)
    full_ms, own = fixed_ms + steps * cells_ms.sum(), model.family.fixed_macs()
    attn, mlp = cells_ms / macs
    return (
        f"outside the branches a full run spends {fixed_ms / full_ms:.1%} of its {full_ms:.0f} ms "
        f"for {own / (own + macs.sum()):.1%} of its products ({tables.start_ms:.1f} ms once, "
        f"{tables.fixed_ms:.2f} ms a step and {tables.busy_ms:.2f} ms more where it computes); "
        f"attention takes {attn / mlp:.2f} times as long per product as an mlp; a reused cell "
        f"{tables.reuse_ms.mean() * 1e3:.0f} us, a computed one {tables.compute_ms.mean():.2f} ms"
    )


def bar_of(rows: list[Row], base: Row, bar: float) -> tuple[str, bool]:
    """How many schedules reach the bar, with the worst, and whether all do."""
    shares = {row.name: reached(row, base)[0] for row in rows}
    worst = min(shares, key=shares.get)
    held = sum(share >= bar for share in shares.values())
    text = f"{held} of {len(rows)} schedules reach {bar:.0%}, {worst} {shares[worst]:.1%}"
    return text, held == len(rows)


def bars_of(name: str, model: Model, by_name: dict[str, Row], reused: float) -> list[str]:
    """The bars that are of this model here, each with whether it holds."""
    bars, ours = [], by_name[OURS]
    cached = [row for row in by_name.values() if row.work is not None]
    if name == SHIPPED and model.dtype == torch.float32 and model.device.type == "cpu":
        full = ratio(ours.seconds, by_name[DIFFUSERS].seconds)
        mine = [row for row in cached if row.base == OURS and row.name != REUSED]
        plain, forecasts = ([r for r in mine if ("Taylor" in r.name) == f] for f in (False, True))
        bars = [
            (f"full at {full:.2f} of diffusers' time (bar {BAR_FULL})", full <= BAR_FULL),
            (f"reused step {reused:.1%} (bar {BAR_REUSED:.0%})", reused <= BAR_REUSED),
            bar_of(plain, ours, BAR_REACHED),
            bar_of(forecasts, ours, BAR_TAYLOR),
        ]
    launched = [by_name[n + GRAPHS] for n in LAUNCHED if n + GRAPHS in by_name and n != REUSED]
    if launched:
        base, *rest = launched
        bars.append(bar_of(rest, base, BAR_GRAPHS))
    return [f"{text}: {'holds' if holds else 'MISSED'}" for text, holds in bars]


def say(name: str, model: Model, steps: int, rows: list[Row], left_out: list[str]) -> None:
    by_name = {row.name: row for row in rows}
    diffusers, ours = by_name[DIFFUSERS].seconds, by_name[OURS]
    images = len(ours.run.keywords["label"])
    of = "" if images == 1 else f" of {images} pictures"
    tables = tables_of(model, measure_branches(model), np.zeros((steps, model.blocks, 2, 1)))
    out = [f"\n{name}: {steps} steps{of} with guidance on {setting_of(model)}"]
    out.append(
        f"{'':37} {'seconds':>8} {'fastest':>8} {'of diffusers':>13} {'speed-up':>9} "
        f"{'promised':>9} {'reached':>8} {'steps alone':>12} {'first run':>10} {'by its parts':>13}"
    )
    more_s = modulation_s(model, steps)
    for row in rows:
        text = f"{row.name:37} {statistics.median(row.seconds):8.3f} {min(row.seconds):8.3f} "
        text += f"{ratio(row.seconds, diffusers):13.2f}"
        if row.work is not None:
            whole, alone = reached(row, by_name[row.base])
            text += f" {whole / row.work:8.2f}x {1 / row.work:8.2f}x {whole:8.1%}"
            if alone:
                text += f" {alone:12.1%}"
            # Of the plain model, whose parts were timed.
            if alone and row.base == OURS and images == 1:
                first, parts = reached_first(row, more_s), kept_by_parts(row, tables)
                text += f" {first:10.1%} {parts:13.1%}"
        out.append(text)
    reused = statistics.median(by_name[REUSED].step_ms) / statistics.median(ours.step_ms)
    out.append(f"a step with everything reused takes {reused:.1%} of a full step")
    out.append(made_of(model, tables, steps))
    out.append(f"a first run takes {more_s * 1e3:.1f} ms more, to make its modulation")
    for row in (row for row in rows if row.plain):
        share = ratio(row.seconds, by_name[row.plain].seconds)
        out.append(f"{row.name}: {share:.3f} of the time")
    # The bars are of one picture.
    out.extend([*left_out, *(bars_of(name, model, by_name, reused) if images == 1 else ())])
    sys.stdout.write("\n".join(out) + "\n")
    sys.stdout.flush()
