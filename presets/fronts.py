"""`python -m presets.fronts`: what the budget slider knows of the shipped model beforehand.

Writes presets/fronts/scenes-dit-<steps>.npz: what the response says of reuse, and for every number
of whole steps the ones between which Taylor forecasts do best. These are proposed by the response,
then searched for by running them on pictures that no seed gives. About an hour on two CPU threads
for 20 steps and three for 50; what is in --work is kept, so that a second start goes on.
"""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from caching import sample
from caching.engine.fits import calibration_noise
from caching.engine.run import Run
from caching.measure.timing import setting_of
from caching.models.model import Model
from caching.policies.forecast import Forecasts, Steps, best_steps, even_steps, neighbours
from caching.predict.adjoint import build_response
from caching.predict.calibration import psnr_db
from caching.predict.fronts import SHIPPED, KnownFront
from caching.predict.kept import For, shipped
from caching.predict.response import Response
from presets.shipping import GUIDANCE, begin, parser_of, say, setting_for, ship

PICTURES, BEHIND = 8, 100
"""How many pictures, and how many of the pool are left to the response and to predictions."""
ORDERS = (1, 2, 3, 4)
PROPOSED = 5
ROUGH = 4
"""Rounds of the search for counts that are not run."""
BETTER_DB = 0.02


class Measured:
    """PSNR of whole steps with forecasts between, each run once and kept in a file."""

    def __init__(self, model: Model, steps: int, file: Path) -> None:
        self.model, self.steps, self.file = model, steps, file
        noise = calibration_noise(model, BEHIND + PICTURES)[BEHIND:]
        labels = [5 * i % len(model.class_names) for i in range(PICTURES)]
        self.asked: dict[str, Any] = {
            "label": labels,
            "latents": noise,
            "cfg_scale": GUIDANCE,
            "steps": steps,
        }
        self.known: dict[tuple[tuple[int, ...], int], float] = {}
        self.full: Run | None = None
        if file.is_file():
            for line in file.read_text(encoding="utf-8").splitlines():
                computed, order, db = json.loads(line)
                self.known[tuple(computed), int(order)] = float(db)

    def db(self, computed: tuple[int, ...], order: int) -> float:
        """Mean over the pictures."""
        key = (computed, order)
        if key not in self.known:
            if self.full is None:
                self.full = sample(self.model, None, **self.asked)
            one = Steps(computed, order, 0.0)
            schedule = one.schedule(self.steps, self.model.blocks, self.model.branches)
            run = sample(self.model, schedule, **self.asked)
            self.known[key] = round(float(psnr_db(run, self.full).mean()), 3)
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps([computed, order, self.known[key]]) + "\n")
        return self.known[key]


def searched(response: Response, measured: Measured, count: int, runs: int) -> Steps:
    """The best of `count` computed steps after so many runs, these of earlier starts included."""
    table = Forecasts(response)
    best = max(_proposed(response, table, count), key=lambda k: measured.db(*k))
    while True:
        done = [k for k in measured.known if len(k[0]) == count]
        best = max((best, *done), key=lambda k: measured.db(*k))
        computed, order = best
        near = [(one, order) for one in neighbours(computed, measured.steps, 1)]
        near += [(computed, o) for o in (order - 1, order + 1) if o in ORDERS]
        near = sorted((k for k in near if k not in measured.known), key=lambda k: -table.db(*k))
        level = measured.db(*best)
        for key in near[: max(0, runs - len(done))]:
            if measured.db(*key) > level + BETTER_DB:
                break
        else:
            return Steps(computed, order, level, PICTURES)


def _proposed(
    response: Response, table: Forecasts, count: int
) -> list[tuple[tuple[int, ...], int]]:
    """What the response thinks best, and the best of evenly spaced steps, of every order."""

    def ways() -> Iterator[tuple[tuple[int, ...], int]]:
        for order in ORDERS:
            yield best_steps(response, count, orders=(order,), forecasts=table).computed, order
            yield max(even_steps(response.steps, count), key=lambda a: table.db(a, order)), order

    return sorted(set(ways()), key=lambda k: -table.db(*k))[:PROPOSED]


def main() -> None:
    parser = parser_of("fronts", __doc__, out=SHIPPED)
    parser.add_argument(
        "--counts", help="of computed steps to run, others by the response; default: all"
    )
    parser.add_argument("--runs", type=int, default=16, help="of each count")
    parser.add_argument("--pictures", type=int, default=6, help="of a response that is built")
    args = parser.parse_args()
    model, began = begin(args), time.monotonic()
    of = setting_for(model, args.steps)
    name = f"{model.weights_hash}-{args.steps}"
    response = _response(model, of, args.work / f"response-{name}.npz", args.pictures)
    measured = Measured(model, args.steps, args.work / f"steps-{name}.jsonl")
    counts = range(1, args.steps)
    run = counts if args.counts is None else [int(n) for n in args.counts.split(",") if n]
    found, table = [], Forecasts(response)
    for count in counts:
        if count in run:
            found.append(searched(response, measured, count, args.runs))
        else:
            # A round takes longer the more steps there are: seconds at 50.
            found.append(best_steps(response, count, orders=(2,), rounds=ROUGH, forecasts=table))
        say(f"after {time.monotonic() - began:.0f} s: {count} steps, {found[-1]}")
    source = (
        f"{response.source}; whole steps on {PICTURES} other pictures, {len(measured.known)} "
        f"schedules measured, {datetime.date.today():%Y-%m-%d}, {setting_of(model)}"
    )
    kept = KnownFront(of, response.error, response.span_error, tuple(found), source)
    ship(model, args, kept.to_bytes())


def _response(model: Model, of: For, stored: Path, pictures: int) -> Response:
    """The shipped one, or else one that is built and kept."""
    if (kept := shipped(of)) is not None:
        return kept.response
    if stored.is_file():
        return Response.from_bytes(stored.read_bytes())
    made = build_response(
        model,
        steps=of.steps,
        cfg_scale=of.cfg_scale,
        pictures=pictures,
        progress=lambda share, words: say(f"{100 * share:.0f} %, {words}"),
    )
    stored.write_bytes(made.to_bytes())
    return made


if __name__ == "__main__":
    main()
