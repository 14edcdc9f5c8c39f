"""`python -m tests.bench.latency`: predicted beside measured milliseconds of 100 drawn schedules.

The parts are timed once as at a model's load, then every schedule runs between full runs, and
all turns come round several times. A machine that slows down or speeds up takes full runs along:
they say by how much, and what is judged is free of it. Medians; bars: 3 % in the median, 8 % for
95 of 100. `--clock cpu` counts processor time, which other programs lengthen less (one thread).
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
from caching.measure import timing
from caching.measure.result import tables_of
from caching.measure.timing import measure_branches, setting_of
from caching.predict.drawn import KINDS, drawn
from caching.predict.proxy import predict

GUIDANCE, DRAW = 2.0, 51_001
MEDIAN_BAR, P95_BAR = 0.03, 0.08


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def steps_ms(model, schedule):
    """(S,) of one run."""
    *_, run = iter_sample(model, schedule, label=1, seed=5, cfg_scale=GUIDANCE)
    return np.asarray(run.step_ms)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.latency", description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--schedules", type=int, default=100)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--save", help="write the times of all steps to this .npz")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.clock == "cpu":
        for module in (engine, timing):
            module.now = lambda device: time.process_time()
    model, steps = load_model(), args.steps
    say(f"{steps} steps, guidance {GUIDANCE:g}, on {setting_of(model)}, {args.clock} clock")
    say(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    shape = (steps, model.blocks, len(model.branches))
    rng = np.random.default_rng(1)
    # What thresholds are drawn against: any table that rises with age does.
    change = np.abs(rng.normal(1, 0.4, (*shape, 8))).cumsum(axis=3) / 20
    plans = list(islice(drawn(DRAW, change, model.branches), args.schedules))
    full = Schedule.full(steps, model.blocks, branches=model.branches)
    steps_ms(model, full)
    times = measure_branches(model)
    tables = tables_of(model, times, np.zeros((*shape, 1)))
    took, beside = [], []
    for turn in range(args.turns):
        mine, anchors = [], [steps_ms(model, full)]
        for _, schedule in plans:
            mine.append(steps_ms(model, schedule))
            anchors.append(steps_ms(model, full))
        took.append(mine)
        beside.append(anchors)
        say(f"  turn {turn + 1} of {args.turns}, load {os.getloadavg()[0]:.1f}")
    took, beside = np.array(took), np.array(beside)  # (turns, n, S), (turns, n + 1, S)
    if args.save:
        np.savez(args.save, took=took, beside=beside, kinds=[k for k, _ in plans])
    total, whole = took.sum(axis=2), beside.sum(axis=2)
    around = (whole[:, :-1] + whole[:, 1:]) / 2
    measured = np.median(total / around, axis=0)  # of a full run
    predicted = np.array([predict(s, tables).ms for _, s in plans])
    predicted_full = predict(full, tables).ms
    gap = predicted / predicted_full / measured - 1
    kinds = np.array([k for k, _ in plans])
    say(f"\n{'kind':12}{'n':>5}{'median':>9}{'p95':>8}{'bias':>8}")
    for kind in (*KINDS, "all"):
        of = (kinds == kind) | (kind == "all")
        if of.any():
            say(
                f"{kind:12}{of.sum():5}{np.median(np.abs(gap[of])):9.1%}"
                f"{np.quantile(np.abs(gap[of]), 0.95):8.1%}{np.median(gap[of]):+8.1%}"
            )
    own = np.median(whole)
    say(f"\nfull run: predicted {predicted_full:.0f} ms, measured {own:.0f} ms")
    apart = np.abs(total / around / measured - 1)
    say(f"measured ratios differ between turns by {np.median(apart):.1%} (median)")
    for name, value, bar in (
        ("median error", np.median(np.abs(gap)), MEDIAN_BAR),
        ("95th percentile", np.quantile(np.abs(gap), 0.95), P95_BAR),
    ):
        say(f"{name:16}{value:6.1%}, bar {bar:.0%} {'met' if value <= bar else 'missed'}")


if __name__ == "__main__":
    main()
