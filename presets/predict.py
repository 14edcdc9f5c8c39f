"""`python -m presets.predict`: learn how the shipped model answers schedules, for predictions.

Writes presets/predictions/scenes-dit-<steps>.npz. First it learns, an hour on two CPU threads; then
it measures schedules drawn anew, on pictures drawn anew, and these set how wide the intervals are,
half an hour more (`--keep-learned`: this alone, for what ships). What is in --work is kept, so that
a second start goes on. A third of the classes are left out of both: on these
`python -m tests.bench.prediction` judges it.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import time
from itertools import islice
from typing import Any

import numpy as np

from caching.engine.fits import calibration_noise
from caching.measure.timing import setting_of
from caching.models.model import Model
from caching.predict.calibration import NO_RUNS, POOL, TOGETHER, Runs, calibrations
from caching.predict.drawn import drawn
from caching.predict.features import features
from caching.predict.fit import FORECASTS
from caching.predict.kept import SHIPPED, Kept
from caching.predict.means import groups, means, measured
from caching.predict.packed import pack
from caching.predict.response import Response
from caching.predict.widths import Judged, width_of
from caching.schedule import Schedule
from presets.shipping import GUIDANCE, begin, name_of, parser_of, say, setting_for, ship

DRAW, TURNS = 4, 10
"""Seed of the schedules that set widths, and on how many times four pictures each runs."""
WIDTHS = "; ranges set by "


def taught(classes: int) -> list[int]:
    """The classes whose pictures a prediction learns from."""
    return [c for c in range(classes) if c % 3 != 1]


def learned(model: Model, args: argparse.Namespace) -> Kept:
    """From the schedules of `learned_from`; intervals as its own runs set them."""
    began = time.monotonic()
    name = f"{model.weights_hash}-{args.steps}.npz"
    stored, known = args.work / f"response-{name}", args.work / f"runs-{name}"
    last, runs, response = None, NO_RUNS, None
    if stored.exists():
        response = Response.from_bytes(stored.read_bytes())
    if known.exists():
        with np.load(known) as file:
            runs = Runs(file["psnr_db"], file["pictures"])
    for got in calibrations(
        model,
        steps=args.steps,
        cfg_scale=GUIDANCE,
        response=response,
        runs=runs,
        schedules=args.schedules,
        pool=args.pool,
        labels=taught(len(model.class_names)),
    ):
        if got.estimator is None:
            stored.write_bytes(got.response.to_bytes())
            say(f"response after {time.monotonic() - began:.0f} s")
            continue
        last, e = got, got.estimator
        if got.schedules > len(runs.psnr_db):
            np.savez(known, psnr_db=got.runs.psnr_db, pictures=got.runs.pictures)
        say(
            f"{got.schedules} schedules after {time.monotonic() - began:.0f} s: left out in turn, "
            f"Spearman {e.spearman:.4f}, median error {e.median_db:.2f} dB"
        )
    assert last is not None and last.estimator is not None
    pictures = len(np.unique(last.runs.pictures))
    words = (
        f"{last.schedules} schedules on {pictures} pictures, {datetime.date.today():%Y-%m-%d}, "
        f"{setting_of(model)}"
    )
    return Kept(setting_for(model, args.steps), last.response, last.estimator, words)


def fresh(kept: Kept, branches: tuple[str, ...], count: int) -> list[Schedule]:
    """Schedules of every kind that nothing was learned from, and that judge nothing either."""
    change = kept.response.change.astype(np.float64)
    return [schedule for _, schedule in islice(drawn(DRAW, change, branches), count)]


def judged(model: Model, kept: Kept, args: argparse.Namespace) -> Judged:
    """Fresh schedules, on pictures that come after those of the pool."""
    began, schedules = time.monotonic(), fresh(kept, model.branches, args.judged)
    path = args.work / f"judged-{model.weights_hash}-{args.steps}.npz"
    which = groups(args.judged, TURNS, 0)
    psnr = np.full((*which.shape, TOGETHER), np.nan)
    if path.exists():
        with np.load(path) as file:
            if file["groups"].shape == which.shape and (file["groups"] == which).all():
                psnr = file["psnr_db"]
    labels, count = taught(len(model.class_names)), (int(which.max()) + 1) * TOGETHER
    noise = calibration_noise(model, args.pool + count)[args.pool :]

    def asked(at: range) -> dict[str, Any]:
        return {
            "label": [labels[i % len(labels)] for i in at],
            "latents": noise[at.start : at.stop],
            "steps": args.steps,
            "cfg_scale": GUIDANCE,
            "sampler": "ddim",
        }

    for turn, n, got in measured(model, schedules, which, psnr.copy(), asked):
        psnr[turn, n] = got
        left = int(np.isnan(psnr[..., 0]).sum())
        if left % 20 == 0:
            np.savez(path, psnr_db=psnr, groups=which)
            say(f"{left} runs left after {time.monotonic() - began:.0f} s")
    return Judged(psnr, which)


def widened(kept: Kept, by: Judged, branches: tuple[str, ...]) -> Kept:
    """The same predictions, with intervals as wide as what was measured asks for."""
    turns, count = by.groups.shape
    exact = pack(kept).kept  # as the page has it
    values = np.stack([features(s, exact.response) for s in fresh(kept, branches, count)])
    told = means(by.psnr_db, by.groups)
    expected = np.array([exact.estimator.of(v).db for v in values])
    width = width_of(
        told.db - expected,
        np.array([exact.estimator.mean_of(v)[1] for v in values]),
        values[:, FORECASTS] > 0,
        floor_db=float(np.median(told.unsure)),
        pictures=turns * TOGETHER,
    )
    words = (
        f"{kept.source.split(WIDTHS)[0]}{WIDTHS}{count} others on {width.pictures} pictures each"
    )
    estimator = dataclasses.replace(kept.estimator, width=width)
    return Kept(kept.of, kept.response, estimator, words, by)


def main() -> None:
    parser = parser_of("predict", __doc__, out=SHIPPED)
    parser.add_argument("--schedules", type=int, default=1744)
    parser.add_argument("--pool", type=int, default=4 * POOL)
    parser.add_argument("--judged", type=int, default=120, help="schedules that set widths")
    parser.add_argument("--keep-learned", action="store_true", help="set widths of what ships")
    args = parser.parse_args()
    model = begin(args)
    shipped = SHIPPED / name_of(model, args.steps)
    kept = Kept.from_bytes(shipped.read_bytes()) if args.keep_learned else None
    kept = kept or learned(model, args)
    made = widened(kept, judged(model, kept, args), model.branches)
    say(f"{made.estimator.width}")
    ship(model, args, made.to_bytes())


if __name__ == "__main__":
    main()
