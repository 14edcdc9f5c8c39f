"""`python -m tests.bench.prediction`: predicted beside measured PSNR, on what it never saw.

The shipped prediction learned from two thirds of the classes, on noise that no seed gives; it
is judged on schedules drawn anew, on pictures of the other classes from seeds. Every schedule runs
on four pictures at a time: in a few turns on other ones than its neighbours, since pictures differ
by several dB whatever the schedule, then on some that all have in common. What is judged is the
mean over all held-out pictures: least squares with levels at random tells pictures from schedules.
It is what the page says, packed as the page has it.

Bars: Spearman at least 0.99, median error at most 0.5 dB, and of the means 76 to 84 % inside the
interval that says 80. Every run is kept under --work, so that a second start goes on.
"""

import argparse
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from caching import load_model
from caching.measure.timing import setting_of
from caching.predict.calibration import TOGETHER
from caching.predict.drawn import KINDS, drawn
from caching.predict.features import features
from caching.predict.fit import spearman
from caching.predict.kept import SHIPPED, Kept
from caching.predict.means import groups, means, measured
from caching.predict.packed import pack
from presets.predict import taught
from tests.bench.coverage import report

FIRST_SEED, DRAW = 70_004, 90_001
SPEARMAN_BAR, MEDIAN_BAR_DB = 0.99, 0.5
NORMAL = 0.6745  # the median of a normal error, in standard deviations


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def measure(kept, model, schedules, held, args):
    """PSNR (turns, schedules, 4), saved as it grows."""
    path = Path(args.work) / f"held-out-{model.weights_hash}-{args.steps}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    which = groups(len(schedules), args.turns, args.common)
    psnr = np.full((*which.shape, TOGETHER), np.nan)
    if path.exists():
        with np.load(path) as file:
            known, of = file["psnr"], file["groups"]
        turns = min(len(of), len(which))
        if of.shape[1] == which.shape[1] and (of[:turns] == which[:turns]).all():
            psnr[:turns] = known[:turns]
    setting = {
        "steps": args.steps, "cfg_scale": kept.of.cfg_scale, "sampler": kept.of.sampler,
    }  # fmt: skip

    def asked(at):
        pictures = {
            "label": [held[i % len(held)] for i in at],
            "seed": [FIRST_SEED + i for i in at],
        }
        return pictures | setting

    began, plans = time.perf_counter(), [schedule for _, schedule in schedules]
    stream = measured(model, plans, which, psnr.copy(), asked)
    for done, (turn, n, got) in enumerate(stream, 1):
        psnr[turn, n] = got
        left, spent = np.isnan(psnr[..., 0]), time.perf_counter() - began
        late = args.minutes and spent > 60 * args.minutes
        if done % 20 == 0 or late or not left.any():
            np.savez(path, psnr=psnr, groups=which)
            say(f"  {done} measured in {spent:.0f} s, {left.sum()} left")
        if late and not left.all(axis=0).any():
            break
    return psnr, which


def table(kinds, measured, predicted, alone):
    """One line for each kind and one for all: rank correlation, errors as they are and centred, and
    the median error that noise of what was measured would make alone."""
    heads = f"{'median dB':>11}{'centred':>9}{'noise':>7}{'p95':>7}{'bias':>7}"
    say(f"\n{'kind':12}{'n':>5}{'Spearman':>10}{heads}")
    everywhere = float(np.median(measured - predicted))
    for kind in (*KINDS, "all"):
        of = np.array([kind in (k, "all") for k in kinds])
        if not of.any():
            continue
        gap = (measured - predicted)[of]
        rank = spearman(measured[of], predicted[of])
        say(
            f"{kind:12}{of.sum():5}{rank:10.4f}{np.median(np.abs(gap)):11.2f}"
            f"{np.median(np.abs(gap - everywhere)):9.2f}"
            f"{NORMAL * np.mean(alone[of] ** 2) ** 0.5:7.2f}"
            f"{np.quantile(np.abs(gap), 0.95):7.2f}{np.median(gap):+7.2f}"
        )
    return rank, float(np.median(np.abs(gap)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.prediction", description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--schedules", type=int, default=300)
    parser.add_argument("--turns", type=int, default=3, help="each on four pictures more")
    parser.add_argument("--common", type=int, default=7, help="all on the same four more")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", default="build/bench-prediction")
    parser.add_argument("--kept", type=Path, help="a prediction other than the shipped one")
    parser.add_argument("--minutes", type=float, help="report on what was measured by then")
    parser.add_argument("--quick", action="store_true", help="few schedules, a few minutes")
    args = parser.parse_args()
    if args.quick:
        args.schedules, args.work = 24, args.work + "-quick"
    torch.set_num_threads(args.threads)
    model = load_model()
    kept = Kept.from_bytes((args.kept or SHIPPED / f"{model.name}-{args.steps}.npz").read_bytes())
    classes = len(model.class_names)
    held = [c for c in range(classes) if c not in taught(classes)]
    say(f"{args.steps} steps, guidance {kept.of.cfg_scale:g}, on {setting_of(model)}")
    say(f"learned from {kept.source}")
    say(f"judged on {', '.join(model.class_names[c] for c in held)}")
    change = kept.response.change.astype(np.float64)
    schedules = list(islice(drawn(DRAW, change, model.branches), args.schedules))
    psnr, which = measure(kept, model, schedules, held, args)
    told = means(psnr, which)
    measured, unsure = told.db, told.unsure
    kinds = [kind for kind, _ in schedules]
    guesses = [pack(kept).kept.predict(schedule) for _, schedule in schedules]
    predicted = np.array([g.db for g in guesses])
    each = (~np.isnan(psnr)).sum(axis=(0, 2))
    runs = f"{each.min()} to {each.max()}"
    spread, besides = told.levels.std(), told.noise_db
    say(f"\n{len(told.pictures)} pictures, {runs} for each schedule; their levels spread by")
    say(f"{spread:.1f} dB, and what a schedule does to one by {besides:.1f} dB more:")
    say(f"a mean over all pictures is known to {np.median(unsure):.2f} dB (standard error, median)")
    values = np.stack([features(schedule, kept.response) for _, schedule in schedules])
    for name, column in (
        ("fraction reused", -values[:, 8]),
        ("sum of relative L1 changes", -values[:, 9]),
        ("additive response", -values[:, 2]),
        ("first-order response, answered", -values[:, 0]),
        ("first-order response, held", -values[:, 1]),
    ):
        say(f"{name:32} Spearman {spearman(measured, column):.4f}")
    rank, median = table(kinds, measured, predicted, told.alone)
    gap = np.abs(measured - predicted)
    own = NORMAL * float(np.median(unsure))
    rest = max(float(np.median(gap)) ** 2 - own**2, 0.0) ** 0.5
    say(f"\nOf the median error {own:.2f} dB would come of the measurement's own noise alone;")
    say(f"without it about {rest:.2f} dB is left to the prediction.")
    if len(psnr) > 1:
        halves = [means(psnr[i::2], which[i::2]).db for i in (0, 1)]
        apart = NORMAL * float(np.std(halves[0] - halves[1])) / 2
        say("Measured on one half of the pictures and on the other: Spearman")
        say(f"{spearman(*halves):.4f}; the mean of both is off by {apart:.2f} dB (median).")
    inside = report(say, kinds, guesses, measured, psnr, which)
    for name, value, good in (
        (f"Spearman, bar {SPEARMAN_BAR}", rank, rank >= SPEARMAN_BAR),
        (f"median error dB, bar {MEDIAN_BAR_DB}", median, median <= MEDIAN_BAR_DB),
        ("inside the interval, bar 0.76-0.84", inside, abs(inside - 0.8) <= 0.04),
    ):
        say(f"{name:34} {value:.4f} {'met' if good else 'missed'}")


if __name__ == "__main__":
    main()
