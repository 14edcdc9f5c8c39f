"""`python -m tests.bench.prediction`: predicted beside measured PSNR, on what it never saw.

The prediction is calibrated on two thirds of the classes, on noise that no seed gives. It is judged
on schedules drawn anew, on pictures of the other classes from seeds. Bars: Spearman at least 0.99,
median error at most 0.5 dB. Every run is kept under --work, so that a second start goes on.
"""

import argparse
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from caching import load_model, sample
from caching.measure.timing import setting_of
from caching.predict.calibration import calibrations, psnr_db
from caching.predict.drawn import KINDS, drawn
from caching.predict.features import features
from caching.predict.fit import spearman
from caching.predict.response import Response, response_of_changes

GUIDANCE, FIRST_SEED, DRAW = 2.0, 70_000, 90_001
SPEARMAN_BAR, MEDIAN_BAR_DB = 0.99, 0.5


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def measure(model, schedules, labels, args):
    """PSNR (schedules, pictures), four pictures at a time, saved as it grows."""
    path = Path(args.work) / f"measured-{model.weights_hash}-{args.steps}-{len(labels)}.npz"
    known = np.load(path)["psnr"] if path.exists() else np.zeros((0, len(labels)))
    rows, began = list(known[: len(schedules)]), time.perf_counter()
    setting = {"cfg_scale": GUIDANCE, "sampler": "ddim"}
    groups = [range(i, min(i + 4, len(labels))) for i in range(0, len(labels), 4)]
    asked = [
        {"label": [labels[i] for i in g], "seed": [FIRST_SEED + i for i in g], **setting}
        for g in groups
    ]
    if len(rows) < len(schedules):
        fulls = [sample(model, None, steps=args.steps, **a) for a in asked]
    for n in range(len(rows), len(schedules)):
        runs = [sample(model, schedules[n][1], **a) for a in asked]
        pairs = zip(runs, fulls, strict=True)
        rows.append(np.concatenate([psnr_db(run, full) for run, full in pairs]))
        if n % 10 == 9 or n + 1 == len(schedules):
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, psnr=np.stack(rows))
            say(f"  measured {n + 1} of {len(schedules)}, {time.perf_counter() - began:.0f} s")
    return np.stack(rows)


def table(title, kinds, measured, predicted):
    """One line for each kind and one for all: rank correlation, errors as they are and centred."""
    say(f"\n{title}")
    say(f"{'kind':12}{'n':>5}{'Spearman':>10}{'median dB':>11}{'centred':>9}{'p95':>7}{'bias':>7}")
    for kind in (*KINDS, "all"):
        of = np.array([kind in (k, "all") for k in kinds])
        gap = (measured - predicted)[of]
        bias = float(np.median(measured - predicted))
        rank = spearman(measured[of], predicted[of])
        centred = np.abs(gap - bias)
        say(
            f"{kind:12}{of.sum():5}{rank:10.4f}{np.median(np.abs(gap)):11.2f}"
            f"{np.median(centred):9.2f}{np.quantile(centred, 0.95):7.2f}{np.median(gap):+7.2f}"
        )
    return rank, float(np.median(np.abs(gap)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.prediction", description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--schedules", type=int, default=300, help="held out")
    parser.add_argument("--pictures", type=int, default=16, help="held out")
    parser.add_argument("--learn", type=int, default=400, help="schedules to calibrate on")
    parser.add_argument("--pool", type=int, default=32, help="pictures to calibrate on")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", default="build/bench-prediction")
    parser.add_argument("--quick", action="store_true", help="few of everything, a few minutes")
    args = parser.parse_args()
    if args.quick:
        args.schedules, args.pictures, args.learn, args.pool = 40, 4, 48, 8
    torch.set_num_threads(args.threads)
    model = load_model()
    classes = range(len(model.class_names))
    held = [c for c in classes if c % 3 == 1]
    taught = [c for c in classes if c % 3 != 1]
    say(f"{args.steps} steps, guidance {GUIDANCE:g}, on {setting_of(model)}")
    say(f"calibrated on classes {taught}, judged on {held}")
    began, response, estimator = time.perf_counter(), None, None
    steps = {"steps": args.steps, "cfg_scale": GUIDANCE}
    stored = Path(args.work) / f"response-{model.weights_hash}-{args.steps}.npz"
    if stored.exists():
        response = Response.from_bytes(stored.read_bytes())
    for got in calibrations(
        model, response=response, schedules=args.learn, pool=args.pool, labels=taught, **steps
    ):
        response, estimator = got.response, got.estimator
        if estimator is None:
            stored.parent.mkdir(parents=True, exist_ok=True)
            stored.write_bytes(response.to_bytes())
            say(f"response after {time.perf_counter() - began:.0f} s: {response.source}")
        else:
            say(
                f"  {got.schedules} schedules after {time.perf_counter() - began:.0f} s: left out "
                f"in turn, Spearman {estimator.spearman:.4f}, median {estimator.median_db:.2f} dB"
            )
    change = response.change.astype(np.float64)
    schedules = list(islice(drawn(DRAW, change, model.branches), args.schedules))
    labels = [held[i % len(held)] for i in range(args.pictures)]
    psnr = measure(model, schedules, labels, args)
    kinds = [kind for kind, _ in schedules]
    values = np.stack([features(schedule, response) for _, schedule in schedules])
    guesses = [estimator.of(row) for row in values]
    predicted = np.array([g.db for g in guesses])
    mean = psnr.mean(axis=1)
    half = args.pictures // 2
    table(
        "what the pictures alone allow: half of them against the other half",
        kinds,
        psnr[:, :half].mean(axis=1),
        psnr[:, half:].mean(axis=1),
    )
    plain = response_of_changes(change, pictures=1, source="relative changes")
    for name, column in (
        ("fraction reused, as it is", -10 * values[:, 8]),
        ("sum of relative L1 changes", -10 * values[:, 9]),
        ("additive response", -values[:, 2]),
        ("first-order response", -values[:, 0]),
        ("substitute without gradients", -features_of(schedules, plain)[:, 0]),
    ):
        say(f"{name:32} Spearman {spearman(mean, column):.4f}")
    rank, median = table("the prediction", kinds, mean, predicted)
    inside = np.mean([g.low_db <= m <= g.high_db for g, m in zip(guesses, mean, strict=True)])
    say(f"\nmeasured inside the stated interval: {inside:.0%} (it says 80 %)")
    for name, value, good in (
        (f"Spearman, bar {SPEARMAN_BAR}", rank, rank >= SPEARMAN_BAR),
        (f"median error dB, bar {MEDIAN_BAR_DB}", median, median <= MEDIAN_BAR_DB),
    ):
        say(f"{name:32} {value:.4f} {'met' if good else 'missed'}")


def features_of(schedules, response):
    return np.stack([features(schedule, response) for _, schedule in schedules])


if __name__ == "__main__":
    main()
