"""How well the causes of a region's error foretell what computing a cell really changes.

`python -m tests.bench.causes`: on the shipped model, for a few schedules, the correlation of the
first-order parts with the measured drop of the region's error when that cell alone is computed,
over the ten largest parts and as many drawn ones; what the ten largest do together; and seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from caching import load_model
from caching.engine.run import sample
from caching.measure.causes import Causes, _pixels, causes, region_mask
from caching.policies import every
from caching.schedule import Schedule

ASKED = {"label": 3, "seed": 7, "cfg_scale": 2.0}
BOX = (0.25, 0.25, 0.75, 0.75)
TOP, DRAWN = 10, 10


def main() -> None:
    """Print the table."""
    model = load_model()
    mask = region_mask(model, BOX)
    with torch.no_grad():
        base = _pixels(model, sample(model, None, steps=20, **ASKED).latents)

    def error(schedule: Schedule) -> float:
        with torch.no_grad():
            gap = _pixels(model, sample(model, schedule, **ASKED).latents) - base
        return float(gap.square().mean(1)[0].numpy()[mask].mean())

    print("schedule      seconds  spearman  pearson  slope  ten worst, measured and estimated")
    for interval in (2, 3, 4):
        schedule = every(20, model.blocks, interval)
        began = time.perf_counter()
        found = causes(model, schedule, mask, **ASKED)
        took = time.perf_counter() - began
        print(
            f"every {interval:<6} {took:>8.1f}  {correlation(schedule, found, error)}", flush=True
        )


def correlation(schedule: Schedule, found: Causes, error: Callable[[Schedule], float]) -> str:
    """Parts against measured drops, and what the largest parts give together."""
    cells = found.cells
    order = [tuple(map(int, c)) for c in np.argwhere(~np.isnan(cells))]
    order.sort(key=lambda cell: -cells[cell])
    rng = np.random.default_rng(0)
    drawn = [order[k] for k in rng.choice(np.arange(TOP, len(order)), DRAWN, replace=False)]
    chosen, start = [*order[:TOP], *drawn], error(schedule)
    drops = np.array([start - error(schedule.paint(np.array([cell]), 0)) for cell in chosen])
    parts = np.array([cells[cell] for cell in chosen])
    ranks = [np.argsort(np.argsort(values)) for values in (parts, drops)]  # none are equal
    rank, linear = np.corrcoef(*ranks)[0, 1], np.corrcoef(parts, drops)[0, 1]
    top = np.zeros(cells.shape, bool)
    for cell in order[:TOP]:
        top[cell] = True
    real, asked = error(schedule.paint(top, 0)) / start - 1, found.together(top) - 1
    slope = float(parts @ drops / (parts @ parts))
    return f"{rank:>8.2f} {linear:>8.2f} {slope:>6.2f}  {real:+.0%} {asked:+.0%}"


if __name__ == "__main__":
    main()
