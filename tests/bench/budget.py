"""`python -m tests.bench.budget`: the budget's schedules against every way to reuse at equal MACs.

Held-out seeds of all classes, the response from noise that no seed gives. A rival is tuned to cost
no more than a full run over 1.5, 2 or 3; the budget then gets what that rival costs, not more.

Rows: "filled" is whole steps topped up with single cells, "steps" whole steps alone, "blocks" one
pattern for each branch, "free" every row by itself under the additive response. Bar: higher PSNR,
in the mean over seeds, than every rival that only reuses. Fewer plain steps are shown beside them:
the honest rival of all caching.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

from caching import Schedule, load_model, sample
from caching.measure.cost import branch_macs
from caching.measure.timing import setting_of
from caching.policies.budget import Costs, at_speedup, budget_schedules
from caching.policies.filled import filled_schedules
from caching.policies.interval import every
from caching.policies.threshold import smoothcache
from caching.predict.adjoint import build_response
from caching.predict.calibration import psnr_db
from caching.predict.response import Response

GUIDANCE, FIRST_SEED, TOGETHER = 2.0, 40_000, 8
SPEEDUPS = (1.5, 2.0, 3.0)


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def tuned(make, fast_enough):
    """The schedule of the least threshold that is fast enough, by bisection."""
    low, high = 1e-4, 10.0
    for _ in range(40):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if fast_enough(make(middle)) else (middle, high)
    return make(high)


def rivals(model, steps, change, fast_enough):
    """Name -> schedule that only reuses, each the least fast of its kind that is fast enough."""

    def evenly(n):
        computed = np.zeros(steps, bool)
        computed[np.round(np.linspace(0, steps - 1, n)).astype(int)] = True
        return Schedule.from_steps(computed, model.blocks, branches=model.branches)

    def fora(align):
        plans = (every(steps, model.blocks, n, align=align) for n in range(1, steps + 1))
        return next(plan for plan in plans if fast_enough(plan))

    def scattered(order, share):
        cells = order < share
        cells[0] = False
        return Schedule(cells.astype(np.uint8), branches=model.branches)

    rng = np.random.default_rng(3)
    order = rng.random((steps, model.blocks, len(model.branches)))
    odd = np.where((np.arange(steps) % 2 == 1)[:, None, None], order, 1 + order)
    shares = np.linspace(0, 2, 2001)
    look = min(3, change.shape[3])
    return {
        "SmoothCache, per branch": tuned(
            lambda a: smoothcache(change, a, lookahead=look, branches=model.branches), fast_enough
        ),
        "threshold, per block": tuned(
            lambda a: smoothcache(change, a, lookahead=look, per="block", branches=model.branches),
            fast_enough,
        ),
        "evenly spaced steps": next(
            plan for n in range(steps, 0, -1) if fast_enough(plan := evenly(n))
        ),
        "FORA, every N": fora("end"),
        "FORA, from step 0": fora("start"),
        "random cells": next(
            plan for share in shares if fast_enough(plan := scattered(order, share))
        ),
        "random cells, odd first": next(
            plan for share in shares if fast_enough(plan := scattered(odd, share))
        ),
    }


class Judge:
    """Runs schedules on the held-out pictures, each schedule once."""

    def __init__(self, model, steps, seeds):
        self.model, self.steps, self.known = model, steps, {}
        groups = [range(i, min(i + TOGETHER, seeds)) for i in range(0, seeds, TOGETHER)]
        count = len(model.class_names)
        self.asked = [
            {
                "label": [i % count for i in g],
                "seed": [FIRST_SEED + i for i in g],
                "cfg_scale": GUIDANCE,
            }
            for g in groups
        ]
        self.fulls = [sample(model, None, steps=steps, **a) for a in self.asked]

    def of(self, schedule, steps=None):
        """Mean PSNR and latent error, and milliseconds for one picture."""
        key = steps or schedule
        if key not in self.known:
            psnr, error, ms = [], [], []
            for asked, full in zip(self.asked, self.fulls, strict=True):
                run = sample(self.model, schedule, steps=steps or self.steps, **asked)
                psnr.append(psnr_db(run, full))
                gap = (run.latents - full.latents).flatten(1).norm(dim=1)
                error.append((gap / full.latents.flatten(1).norm(dim=1)).numpy())
                ms.append(run.step_ms.sum() / len(asked["label"]))
            self.known[key] = (
                float(np.concatenate(psnr).mean()),
                float(np.concatenate(error).mean()),
                float(np.median(ms)),
            )
        return self.known[key]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.budget", description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", default="build/bench-budget", help="where the response is kept")
    parser.add_argument("--quick", action="store_true", help="4 seeds, a smaller response")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, steps = load_model(), args.steps
    seeds, pictures = (4, 2) if args.quick else (args.seeds, 6)
    say(f"{steps} steps, guidance {GUIDANCE:g}, {seeds} seeds, on {setting_of(model)}")
    stored = Path(args.work) / f"response-{model.weights_hash}-{steps}-{pictures}.npz"
    began = time.perf_counter()
    if stored.exists():
        response = Response.from_bytes(stored.read_bytes())
    else:
        response = build_response(model, steps=steps, cfg_scale=GUIDANCE, pictures=pictures)
        stored.parent.mkdir(parents=True, exist_ok=True)
        stored.write_bytes(response.to_bytes())
    say(f"response in {time.perf_counter() - began:.0f} s: {response.source}")
    macs = branch_macs(model).astype(float)
    costs = Costs(float(model.family.fixed_macs()), macs, np.zeros_like(macs), "MACs")
    full = costs.of(np.ones((steps, *macs.shape), bool))
    change = response.change.astype(np.float64)

    def speed(schedule):
        return full / costs.of(schedule.computed)

    def budget(x, share):
        began = time.perf_counter()
        if share == "filled":
            front = filled_schedules(
                response.error, response.span_error, costs, speedups=[x], branches=model.branches
            )
        else:
            front = budget_schedules(
                response.error,
                costs,
                speedups=[x],
                share=share,
                spans=response.span_error,
                branches=model.branches,
            )
        return at_speedup(front, x), (time.perf_counter() - began) * 1e3

    judge = Judge(model, steps, seeds)
    missed = []
    for x in SPEEDUPS:
        say(f"\nat least {x:g} x the speed of a full run, in MACs")
        say(f"{'':28}{'speed':>7}{'PSNR dB':>9}{'latent':>8}{'ms':>7}{'budget at its cost':>20}")
        for share in ("filled", "steps", "blocks", "free"):
            schedule, ms = budget(x, share)
            psnr, error, run_ms = judge.of(schedule)
            name = f"budget, {share} ({ms:.0f} ms)"
            say(f"{name:28}{speed(schedule):7.3f}{psnr:9.2f}{error:8.4f}{run_ms:7.0f}")
        plans = rivals(model, steps, change, lambda plan, x=x: speed(plan) >= x * (1 - 1e-9))
        for name, plan in plans.items():
            psnr, error, run_ms = judge.of(plan)
            mine = judge.of(budget(speed(plan) * (1 - 1e-9), "filled")[0])[0]
            say(
                f"{name:28}{speed(plan):7.3f}{psnr:9.2f}{error:8.4f}{run_ms:7.0f}"
                f"{mine:11.2f} ({mine - psnr:+.2f})"
            )
            if mine <= psnr:
                missed.append(f"{name} at {x:g}")
        fewer = max(1, int(steps / x))
        psnr, error, run_ms = judge.of(None, fewer)
        mine = judge.of(budget(steps / fewer, "filled")[0])[0]
        say(
            f"{f'{fewer} plain steps':28}{steps / fewer:7.3f}{psnr:9.2f}{error:8.4f}{run_ms:7.0f}"
            f"{mine:11.2f} ({mine - psnr:+.2f})"
        )
    words = "met" if not missed else "missed: " + ", ".join(missed)
    say(f"\nbar, higher PSNR than every rival that only reuses, at its cost: {words}")


if __name__ == "__main__":
    main()
