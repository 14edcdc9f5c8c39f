"""`improve`: a better grid at the same budget, found by measuring."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caching.cli import asked as shared
from caching.cli.learn import interrupted
from caching.cli.places import check_places
from caching.cli.terminal import Terminal
from caching.errors import RequestError
from caching.formats.importers import import_schedule
from caching.formats.native import dumps

if TYPE_CHECKING:
    from caching.improve import Step

NAME = "improve"
HELP = "look for a better grid at the same budget by measuring"
EXAMPLES = """\
examples:
  python -m caching improve mine.json --minutes 5 --out better.json
  python -m caching improve mine.json --minutes 60 --storage search.journal --out better.json
  python -m caching improve mine.json --objective latent --pictures 64 --trials 200

Searches from the grid of a schedule file, never computing more than it does. Candidates are ranked
by the prediction where one is known for these settings, and the first of them is measured against
the full run on pictures that no --seed gives. With --storage the search goes on where it was
stopped (Ctrl-C keeps the best). The storage is an Optuna journal of JSON lines.
"""
SAY_EVERY_S = 20.0
MOST_MINUTES = 7 * 24 * 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="a schedule of any known format, or a picture of ours")
    parser.add_argument("--minutes", type=float, default=5.0, help="default: %(default)s")
    parser.add_argument("--trials", type=int, help="end after so many, earlier ones included")
    parser.add_argument("--storage", metavar="PATH", help="keeps the search; made where missing")
    parser.add_argument("--out", "-o", metavar="FILE", help="the best schedule found")
    parser.add_argument("--objective", default="psnr", help="psnr or latent (default: psnr)")
    parser.add_argument("--pictures", type=int, default=32, help="measured (default: %(default)s)")
    parser.add_argument("--groups", type=int, default=8, help="they run in (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the search (default: %(default)s)")
    shared.add_model(parser, steps="the schedule's")


def act(asked: argparse.Namespace, terminal: Terminal) -> None:
    if not 0 < asked.minutes <= MOST_MINUTES:
        raise RequestError(
            f"{asked.minutes:g} minutes were asked for, expected more than 0, at most a week."
        )
    if asked.trials is not None and asked.trials < 1:
        raise RequestError(f"{asked.trials} trials were asked for, expected 1 or more.")
    check_places("--out", asked.out)
    check_places("--storage", asked.storage)

    from caching.engine.request import whole
    from caching.improve import Task, improve
    from caching.improve.score import Conditions

    whole("seed", asked.seed, 0, 2**63 - 1)
    model = shared.load(asked)
    found = import_schedule(asked.file, blocks=model.blocks, branches=model.branches)
    schedule = found.schedule
    conditions = Conditions(
        steps=schedule.steps if asked.steps is None else asked.steps,
        cfg_scale=shared.guidance_of(asked),
        sampler=shared.sampler_of(asked),
        objective=asked.objective,
        pictures=asked.pictures,
        groups=asked.groups,
    )
    task = Task(schedule, conditions, seed=asked.seed)
    for line in found.report.sentences:
        terminal.say(f"  {line}")
    storage = None if asked.storage is None else Path(asked.storage)
    began, said = time.monotonic(), 0.0
    seconds = 60 * asked.minutes
    last: Step | None = None
    with interrupted() as pressed:

        def stopped() -> bool:
            return pressed() or time.monotonic() - began > seconds

        for step in improve(model, task, storage=storage, trials=asked.trials, stopped=stopped):
            if last is None and step.resumed:
                terminal.say(f"goes on after {step.resumed} trials")
            last = step
            left = max(0.0, seconds - (time.monotonic() - began))
            words = (
                f"{step.best_db:.2f} dB, {step.gain_db:+.2f} on the start; trial {step.number}, "
                f"{left / 60:.1f} min left"
            )
            if terminal.err.isatty():
                terminal.progress(words, round(seconds - left), round(seconds))
            elif step.better or time.monotonic() - said > SAY_EVERY_S:
                said = time.monotonic()
                terminal.say(words)
    if last is None:
        raise RequestError("nothing was measured in the time given; give it more --minutes.")
    from dataclasses import replace

    best = replace(last.best, context=schedule.context)
    if asked.out:
        shared.write(Path(asked.out), dumps(best))
        terminal.say(f"wrote {asked.out}")
    value: dict[str, Any] = {
        "trials": last.number + 1,
        "resumed": last.resumed,
        "seconds": round(last.seconds, 1),
        "start_db": last.start_db,
        "best_db": last.best_db,
        "objective": conditions.objective,
        "pictures": conditions.pictures,
        "ranked_by": last.ranked_by,
        "file": asked.out,
    }
    terminal.result(
        value,
        f"{last.start_db:.2f} -> {last.best_db:.2f} dB ({last.gain_db:+.2f}) on "
        f"{conditions.pictures} pictures after {last.number + 1} trials",
    )
