"""`python -m tests.bench.latency`: predicted beside measured milliseconds of 100 drawn schedules.

The parts are timed once as at a model's load. Then all schedules run in every turn, in another
order each time, with a full run before every third: full runs say how fast the machine is just
then, and what is judged is free of it, as the page's own figures are after a run. Medians over the
turns; bars: 3 % in the median, 8 % for 95 of 100. What two halves of the turns differ by is what
the measurement itself is worth. `--clock cpu` counts processor time, which other programs lengthen
less (one thread).
"""

import argparse
import os
import sys
import time
from itertools import islice

import numpy as np
import torch

from caching import Schedule, load_model
from caching.engine import run as engine
from caching.engine.run import iter_sample
from caching.measure.result import tables_of
from caching.measure.timing import measure_branches, setting_of
from caching.predict.drawn import KINDS, drawn
from caching.predict.proxy import predict

GUIDANCE, DRAW, BETWEEN = 2.0, 51_001, 3
MEDIAN_BAR, P95_BAR = 0.03, 0.08


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def took_ms(model, schedule):
    """All steps of one run."""
    *_, run = iter_sample(model, schedule, label=1, seed=5, cfg_scale=GUIDANCE)
    return float(np.sum(run.step_ms))


def turn_of(model, plans, full, order):
    """(n,) times over that of the full runs around each, and the full runs' own."""
    fulls, times, places = [took_ms(model, full)], np.empty(len(plans)), []
    for i, k in enumerate(order):
        times[k] = took_ms(model, plans[k])
        places.append((k, len(fulls)))
        if i % BETWEEN == BETWEEN - 1 or i == len(order) - 1:
            fulls.append(took_ms(model, full))
    for k, place in places:
        times[k] /= (fulls[place - 1] + fulls[place]) / 2
    return times, fulls


def halves_apart(ratios):
    """(n,) what the medians of even and odd turns differ by; ratios (turns, n)."""
    return np.abs(np.median(ratios[::2], axis=0) / np.median(ratios[1::2], axis=0) - 1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.latency", description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--schedules", type=int, default=100)
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, help="begin no turn that may end after them")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--save", help="write the times of all turns to this .npz")
    args = parser.parse_args()
    began = time.monotonic()
    torch.set_num_threads(args.threads)
    if args.clock == "cpu":
        engine.now = lambda device: time.process_time()
    model, steps = load_model(), args.steps
    say(f"{steps} steps, guidance {GUIDANCE:g}, on {setting_of(model)}, {args.clock} clock")
    say(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    shape = (steps, model.blocks, len(model.branches))
    rng = np.random.default_rng(1)
    # What thresholds are drawn against: any table that rises with age does.
    change = np.abs(rng.normal(1, 0.4, (*shape, 8))).cumsum(axis=3) / 20
    of_kinds = list(islice(drawn(DRAW, change, model.branches), args.schedules))
    plans, kinds = [s for _, s in of_kinds], np.array([k for k, _ in of_kinds])
    full = Schedule.full(steps, model.blocks, branches=model.branches)
    took_ms(model, full)
    started = time.monotonic()
    times = measure_branches(model)
    say(f"parts of a step {times.source}, in {time.monotonic() - started:.1f} s")
    tables = tables_of(model, times, np.zeros((*shape, 1)))
    ratios, fulls, each = [], [], 0.0
    for turn in range(args.turns):
        if args.minutes and turn and time.monotonic() - began + each > 60 * args.minutes:
            break
        started = time.monotonic()
        mine, own = turn_of(model, plans, full, rng.permutation(len(plans)))
        each = time.monotonic() - started
        ratios.append(mine)
        fulls.extend(own)
        say(f"  turn {turn + 1} of {args.turns} in {each:.0f} s, load {os.getloadavg()[0]:.1f}")
    ratios = np.array(ratios)
    if args.save:
        np.savez(args.save, ratios=ratios, fulls=fulls, kinds=kinds)
    measured = np.median(ratios, axis=0)
    predicted_full = predict(full, tables).ms
    gap = np.array([predict(s, tables).ms for s in plans]) / predicted_full / measured - 1
    say(f"\n{'kind':12}{'n':>5}{'median':>9}{'p95':>8}{'bias':>8}")
    for kind in (*KINDS, "all"):
        of = (kinds == kind) | (kind == "all")
        if of.any():
            say(
                f"{kind:12}{of.sum():5}{np.median(np.abs(gap[of])):9.1%}"
                f"{np.quantile(np.abs(gap[of]), 0.95):8.1%}{np.median(gap[of]):+8.1%}"
            )
    low, own, high = np.quantile(fulls, [0.1, 0.5, 0.9])
    say(
        f"\nfull run: predicted {predicted_full:.0f} ms, measured {own:.0f} ms "
        f"({low:.0f} to {high:.0f} for 80 of 100)"
    )
    if len(ratios) > 1:
        apart = halves_apart(ratios)
        say(
            f"two halves of the {len(ratios)} turns differ by {np.median(apart):.1%} (median), "
            f"{np.quantile(apart, 0.95):.1%} (95th percentile)"
        )
    for name, value, bar in (
        ("median error", np.median(np.abs(gap)), MEDIAN_BAR),
        ("95th percentile", np.quantile(np.abs(gap), 0.95), P95_BAR),
    ):
        say(f"{name:16}{value:6.1%}, bar {bar:.0%} {'met' if value <= bar else 'missed'}")


if __name__ == "__main__":
    main()
