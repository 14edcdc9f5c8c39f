"""`compare`: the full run, the cached one, and the same work spent on fewer plain steps."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caching.cli import asked as shared
from caching.cli import plans
from caching.cli.places import beside, check_places
from caching.cli.run import record_of, tell_note, what
from caching.cli.saved import as_saved
from caching.cli.terminal import Terminal, plain, table
from caching.errors import RequestError
from caching.formats.tables import csv_of
from caching.measure.result import NAMES
from caching.versions import versions

if TYPE_CHECKING:
    from caching.engine.record import Run
    from caching.measure.comparison import Comparison
    from caching.models.model import Model

NAME = "compare"
HELP = "full against cached against fewer plain steps: time, PSNR, SSIM in one table"
EXAMPLES = """\
examples:
  python -m caching compare --method fora
  python -m caching compare --schedule mine.json --seed 7 --repeats 5 -o out/mine
  python -m caching compare --method teacache --set threshold=0.15 --json
  python -m caching compare --method taylorseer --csv numbers.csv

PSNR, SSIM and latent error are against the full run of the same seed: closeness to it, not beauty.
The third row spends the cached run's work on fewer plain steps, the rival every schedule has to
beat. Times are medians of whole runs in turn; a longer list of them is in --json. A picture or a
record given as --schedule brings its class, seed, guidance and sampler, where none are asked for.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    plans.add_plan(parser)
    shared.add_picture(parser)
    parser.add_argument(
        "--repeats",
        type=int,
        default=3,
        help="timed runs each; 0 takes the times of the runs shown (default: 3)",
    )
    parser.add_argument(
        "--out", "-o", metavar="PREFIX", help="also writes PREFIX-full.png … and PREFIX.json"
    )
    parser.add_argument("--csv", metavar="FILE", help="also writes the table as CSV")


def act(asked: argparse.Namespace, terminal: Terminal) -> None:
    from caching.measure.comparison import Comparison, iter_compare

    if not 0 <= asked.repeats <= 1000:
        raise RequestError(f"{asked.repeats} repeats were asked for, expected 0 to 1000.")
    endings = (*(f"-{name}.png" for name in NAMES), ".json")
    files = () if asked.out is None else beside("--out", asked.out, *endings)
    check_places("--csv", asked.csv)
    model = shared.load(asked)
    asked = as_saved(asked, model, terminal)
    picture = shared.picture_of(asked, model)
    chosen = plans.schedule_of(asked, model, terminal)
    found = None
    for item in iter_compare(
        model,
        chosen.schedule,
        **picture,
        policy=chosen.policy,
        preview_every=0,
        repeats=asked.repeats,
    ):
        if isinstance(item, Comparison):
            found = item
        else:
            terminal.progress(f"{item.which} run", item.done, item.total)
    assert found is not None
    tell_note(found.cached, terminal)
    value = values_of(model, found, chosen.recipe)
    if files:
        _save(files, found, value)
    if asked.csv:
        shared.write(Path(asked.csv), _csv(value))
    terminal.result(value, _words(value))


def values_of(model: Model, found: Comparison, method: dict[str, Any] | None) -> dict[str, Any]:
    """A comparison as plain values, one object per run; `method` as in `record_of`."""
    runs = {"full": found.full, "cached": found.cached, "fewer": found.fewer}
    fidelities = {"cached": found.cached_fidelity, "fewer": found.fewer_fidelity}
    rows = {}
    for name, run in runs.items():
        f = fidelities.get(name)
        times = found.timing.total_ms[found.timing.names.index(name)]
        rows[name] = {
            "steps": run.request.steps,
            "work": run.cost.macs / found.full.cost.macs,
            "macs": run.cost.macs,
            "cache_mib": run.cost.cache_mib,
            "median_ms": found.timing.median_ms(name),
            "total_ms": list(times),
            "speedup": found.timing.speedup(name, "full"),
            "psnr_db": None if f is None else f.psnr_db,
            "ssim": None if f is None else f.ssim,
            "latent_rel_l2": None if f is None else f.latent_rel_l2,
            # The same after every step, of the clean latents predicted there; NaN where the
            # steps of both runs do not meet.
            "drift": None if f is None else f.drift.tolist(),
        }
    record = record_of(model, found.cached, method)
    return {
        "request": record["request"],
        "schedule": record["schedule"],
        "setting": found.timing.setting,
        "repeats": len(found.timing.total_ms[0]),
        "runs": rows,
    }


def _words(value: dict[str, Any]) -> str:
    asked = value["request"]
    header = ("", "steps", "work", "ms", "speed-up", "PSNR dB", "SSIM", "latent error")
    rows = []
    for name, run in value["runs"].items():
        close = [run["psnr_db"], run["ssim"], run["latent_rel_l2"]]
        words = (
            ["–"] * 3
            if close[0] is None
            else [
                "equal" if close[0] == float("inf") else f"{close[0]:.1f}",
                f"{close[1]:.4f}",
                f"{close[2]:.4f}",
            ]
        )
        rows.append(
            (
                name,
                str(run["steps"]),
                f"{run['work']:.1%}",
                f"{run['median_ms']:.0f}",
                f"{run['speedup']:.2f}×",
                *words,
            )
        )
    lines = [
        f"{asked['class']}, seed {asked['seed']}, {asked['sampler']}, guidance "
        f"{asked['cfg_scale']:g}{what(asked)}",
        table(header, rows),
        f"Times: median of {value['repeats']} on {value['setting']}. Speed-up: median of the "
        "ratios of runs that followed each other, so it need not be the ratio of these times.",
    ]
    return "\n".join(lines)


def _csv(value: dict[str, Any]) -> str:
    """The table as CSV: a row per run, plain numbers, an identical picture as "inf"."""
    whole = ("total_ms", "drift")  # lists, which belong into no cell
    names = [name for name in next(iter(value["runs"].values())) if name not in whole]
    rows = [(name, *(run[key] for key in names)) for name, run in value["runs"].items()]
    return csv_of(("run", *names), rows)


def _save(files: Sequence[Path], found: Comparison, value: dict[str, Any]) -> None:
    """Writes the pictures, in the order of `NAMES`, and the numbers."""
    from caching.formats.picture import png_of

    *pictures, numbers = files
    for name, file in zip(NAMES, pictures, strict=True):
        run: Run = getattr(found, name)
        request = {**value["request"], "steps": run.request.steps}
        mine = {k: v for k, v in value["runs"][name].items() if k not in ("total_ms", "macs")}
        measured = {**mine, "setting": value["setting"]}
        png = png_of(run.image, run.painted, request, measured=measured, made_with=versions())
        shared.write(file, png)
    shared.write(numbers, json.dumps(plain(value), ensure_ascii=False, indent=1) + "\n")
