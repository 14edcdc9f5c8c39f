"""`python -m tests.bench.budget`: the budget slider against every method, at equal time.

Every method that only reuses is tuned to 1.5, 2 and 3 times fewer multiply-accumulates as a study
tunes it, TaylorSeer to 3 and 5. Over 64 seeds that nothing was fitted on, each is compared with the
slider at the milliseconds that it takes itself, and at its multiply-accumulates: the slider's PSNR
is read between two of its schedules, picture by picture. Bar: higher PSNR than all of them at equal
measured time.

Times are of one picture, all schedules in turn in one process, the median of the rounds that timed
every one of them, after how fast the machine was in each. Everything is kept in --work, and a bench
that was stopped goes on there: a folder of `python -m caching study` with the same steps and seeds
has the rivals' pictures already.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from caching import load_model
from caching.formats.native import dumps
from caching.measure.timing import setting_of
from caching.methods.budget import Budget
from caching.methods.setting import ModelSetting
from caching.study import rivals
from caching.study.bootstrap import interval
from caching.study.judge import Judge
from caching.study.ledger import Conditions, Ledger
from caching.study.tune import NEAR
from tests.bench.equal import at_cost, rising
from tests.bench.rivals import DECIDES, FORECASTS, REUSES, Judged, Ring

GUIDANCE, SAMPLER = 2.0, "ddim"
FIRST_SEED, FIRST_TUNING_SEED, TUNING = 0, 1_000_000, 6  # those of a study
FEW, CLEAR_DB = 16, 3.0
"""A method this far behind over so many pictures is not run over the others."""
TIMED_DB = 6.0
"""A method this far behind at equal multiply-accumulates is not timed."""

SLIDER = {
    "reuse": (1.3, 1.5, 1.7, 1.9, 2.0, 2.2, 2.5, 3.0, 3.24, 3.8),
    "taylor": (2.4, 2.7, 3.0, 3.5, 4.5, 5.0),
}
"""Speed-ups asked of the slider; whole steps come in portions, so some get the same grid."""
FINE = 40
SLIDER_FINE = {
    "reuse": (1.5, 1.75, 2.0, 2.5, 3.0, 3.3, 3.6, 3.9, 4.2),
    "taylor": (2.75, 3.0, 4.0, 4.75, 5.0),
}
"""Likewise from so many steps on: there whole steps are small portions, and runs are long."""
NEAR_FINE, TUNING_FINE = 1.1, 2
"""Likewise, how near to its target a rival is tuned, and on how many pictures a policy: it is
compared at what it takes."""
TARGETS = {"reuse": (1.5, 2.0, 3.0), "taylor": (3.0, 5.0)}


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def slider(ring: Ring, brush: str) -> list[Judged]:
    """The slider's schedules over all pictures, least work first."""
    made: dict[str, rivals.Contender] = {}
    asked = SLIDER if ring.judge.conditions.steps < FINE else SLIDER_FINE
    for x in asked[brush]:
        method = Budget(speedup=min(x, 5.0), brush=brush)
        plan = method.plan(ring.setting)
        # What was found of a budget before its search was changed is of another grid.
        grid = hashlib.sha256(dumps(plan.schedule).encode()).hexdigest()[:12]
        one = rivals.of_method(method, plan)
        made.setdefault(grid, replace(one, controls={"grid": grid}))
    found = [ring.judged(one) for one in made.values()]
    return sorted(found, key=lambda one: one.work)


def against(
    ring: Ring, brush: str, methods: tuple[str, ...]
) -> tuple[list[tuple[float, Judged]], list[str]]:
    """Rivals with the speed-up each was tuned to, and words on those that there are not."""
    mine = slider(ring, brush)
    work, psnr = [m.work for m in mine], [m.psnr_db for m in mine]
    found, missing = [], []
    for target in TARGETS[brush]:
        own = [] if brush != "reuse" else [
            rivals.even(ring.judge.full_plan, target, ring.judge.work),
            rivals.random_cells(ring.judge.full_plan, target, ring.judge.work),
        ]  # fmt: skip
        for name in methods:
            one = ring.tuned(name, target)
            if isinstance(one, str):
                missing.append(f"{name} at {target:g}×: {one}")
            else:
                own.append(one)
        for one in own:
            at = at_cost(work, psnr, 1 / target)
            behind = None if at is None else float(at[:FEW].mean()) - CLEAR_DB
            judged = ring.judged(one, behind)
            found.append((target, judged))
            say(f"  {target:g}× {judged.psnr_db.mean():6.2f} dB  {one.words}")
    return found, missing


def close(ring: Ring, brush: str, found: list[tuple[float, Judged]]) -> list[Judged]:
    """The rivals that time could bring before the slider: the others lie too far behind."""
    mine = slider(ring, brush)

    def behind(rival: Judged) -> float:
        gain = gains(mine, [m.work for m in mine], rival, rival.work)
        return np.inf if gain is None else float(gain.mean())

    return [rival for _, rival in found if behind(rival) < TIMED_DB]


def gains(mine: list[Judged], costs: list[float], rival: Judged, cost: float) -> np.ndarray | None:
    """(N,) what the slider gains on every picture at the rival's cost."""
    count = len(rival.psnr_db)
    at = at_cost(list(rising(costs)), [m.psnr_db[:count] for m in mine], cost)
    return None if at is None else at - rival.psnr_db


def table(
    ring: Ring, brush: str, found: list[tuple[float, Judged]], ms_of: Mapping[str, float]
) -> list[str]:
    """Prints it; gives the rivals that the bar is missed against."""
    mine = slider(ring, brush)
    times = [ms_of.get(m.name) for m in mine]
    known = [t for t in times if t is not None]
    say(f"\nthe slider, {brush}\n{'MACs':>8}{'ms':>8}{'PSNR dB':>9}")
    for m, t in zip(mine, times, strict=True):
        say(f"{1 / m.work:7.2f}×{t or float('nan'):8.0f}{m.psnr_db.mean():9.2f}")
    say(
        f"\n{'':52}{'seeds':>6}{'MACs':>7}{'ms':>7}{'PSNR dB':>9}"
        f"{'slider at its time':>26}{'slider at its MACs':>26}"
    )
    missed, last = [], 0.0
    for target, rival in sorted(found, key=lambda f: (f[0], -f[1].psnr_db.mean())):
        if target != last:
            say(f"tuned to {target:g}×")
            last = target
        ms = ms_of.get(rival.name)
        in_time = None
        if ms is not None and len(known) == len(times):
            in_time = gains(mine, known, rival, ms)
        in_macs = gains(mine, [m.work for m in mine], rival, rival.work)
        say(
            f"  {rival.contender.words:50.50}{len(rival.psnr_db):6}{1 / rival.work:6.2f}×"
            f"{ms or float('nan'):7.0f}{rival.psnr_db.mean():9.2f}"
            f"{'not timed' if ms is None else _words(in_time):>26}{_words(in_macs):>26}"
        )
        judge_by = in_macs if ms is None else in_time
        if judge_by is None or judge_by.mean() <= 0:
            missed.append(f"{rival.contender.words} at {target:g}×")
    return missed


def _words(gain: np.ndarray | None) -> str:
    if gain is None:
        return "no schedule as fast"
    mean, low, high = interval(gain)
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"


def ring_of(args: argparse.Namespace) -> Ring:
    model, folder = load_model(), Path(args.work)

    def at(seeds: int) -> tuple[Judge, Ledger]:
        of = Conditions(
            model=model.name,
            weights_hash=model.weights_hash,
            steps=args.steps,
            cfg_scale=GUIDANCE,
            sampler=SAMPLER,
            seeds=tuple(range(FIRST_SEED, FIRST_SEED + seeds)),
            tuning_seeds=tuple(range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + TUNING)),
            dtype=str(model.dtype).removeprefix("torch."),
        )
        ledger = Ledger(folder, of)
        return Judge(model, of, kept=ledger.path.with_suffix(".npz")), ledger

    setting = ModelSetting(model, steps=args.steps, cfg_scale=GUIDANCE, sampler=SAMPLER)
    near, tuning = (NEAR, None) if args.steps < FINE else (NEAR_FINE, TUNING_FINE)
    few = at(min(FEW, args.seeds))
    return Ring(*at(args.seeds), few, setting, folder, near=near, tuning=tuning)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.budget", description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=64)
    parser.add_argument("--methods", help="names; default: all that only reuse, and TaylorSeer")
    parser.add_argument("--brush", choices=("reuse", "taylor"), help="default: both")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=0, help="more timed runs of each schedule")
    parser.add_argument("--work", default="build/bench-budget", help="where all results are kept")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    ring = ring_of(args)
    asked = tuple(args.methods.split(",")) if args.methods else None
    say(
        f"{args.steps} steps of {SAMPLER}, guidance {GUIDANCE:g}, {args.seeds} seeds, "
        f"{setting_of(ring.judge.model)}"
    )
    brushes = (args.brush,) if args.brush else tuple(SLIDER)
    rows, missing = {}, []
    for brush in brushes:
        names = (*REUSES, *DECIDES) if brush == "reuse" else FORECASTS
        names = names if asked is None else tuple(n for n in names if n in asked)
        rows[brush], lacking = against(ring, brush, names)
        missing += lacking
    everyone = {
        one.name: one
        for brush in brushes
        for one in [*slider(ring, brush), *close(ring, brush, rows[brush])]
    }
    if args.repeats:
        ring.time(list(everyone.values()), args.repeats)
    ms_of, rounds = ring.times(list(everyone.values()))
    say(f"\nms: the median of {rounds} rounds that timed them all, each at its own pace")
    say(f"not timed: more than {TIMED_DB:g} dB behind at equal MACs; these go by MACs alone")
    for brush in brushes:
        missed = table(ring, brush, rows[brush], ms_of)
        words = "met" if not missed else "missed: " + "; ".join(missed)
        say(f"\nbar, {brush}, higher PSNR than each at equal time: {words}")
    say("\nnot there:\n  " + "\n  ".join(missing))


if __name__ == "__main__":
    main()
