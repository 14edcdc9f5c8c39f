"""`run`: one picture under a schedule, as a PNG with its recipe inside and a JSON record."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING, Any

from caching.cli import asked as shared
from caching.cli import plans
from caching.cli.places import beside
from caching.cli.saved import as_saved
from caching.cli.terminal import Terminal, plain
from caching.methods import method_of
from caching.versions import versions

if TYPE_CHECKING:
    from caching.engine.record import Run
    from caching.models.model import Model

NAME = "run"
HELP = "make one picture under a method or a schedule"
EXAMPLES = """\
examples:
  python -m caching run
      the shipped model, all computed: cachebrush.png and cachebrush.json
  python -m caching run --label 3 --seed 7 --method fora --set interval=2 -o out/fora
  python -m caching run --schedule router.pt --set theta=0.5 --model facebook/DiT-XL-2-256
  python -m caching run --method fbcache --set threshold=0.1 --json

The PNG and the JSON carry the schedule and the request: every command that takes a schedule takes
either, and `run` and `compare` take class, seed, guidance and sampler from it where none are asked
for.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    plans.add_plan(parser)
    shared.add_picture(parser)
    parser.add_argument(
        "--out",
        "-o",
        default="cachebrush",
        metavar="PREFIX",
        help="writes PREFIX.png and PREFIX.json (default: %(default)s)",
    )


def act(asked: argparse.Namespace, terminal: Terminal) -> None:
    from caching.engine.run import Run, iter_sample
    from caching.formats.picture import png_of

    png, text = beside("--out", asked.out, ".png", ".json")
    model = shared.load(asked)
    asked = as_saved(asked, model, terminal)
    picture = shared.picture_of(asked, model)
    chosen = plans.schedule_of(asked, model, terminal)
    run = None
    for item in iter_sample(model, chosen.schedule, policy=chosen.policy, **picture):
        if isinstance(item, Run):
            run = item
        else:
            terminal.progress("step", item.step + 1, item.steps)
    assert run is not None
    tell_note(run, terminal)
    record = record_of(model, run, chosen.recipe)
    measured = {"work": run.cost.work, "total_ms": record["total_ms"], "setting": record["setting"]}
    data = png_of(
        run.image, run.painted, record["request"], measured=measured, made_with=versions()
    )
    shared.write(png, data)
    shared.write(text, json.dumps(plain(record), ensure_ascii=False, indent=1) + "\n")
    record["files"] = [str(png), str(text)]
    terminal.result(record, _words(record))


def tell_note(run: Run, terminal: Terminal) -> None:
    """Says where the grid that is written is not quite what ran."""
    context = run.painted.context
    if context is not None and context.note is not None:
        terminal.say(f"  {context.note}.")


def record_of(model: Model, run: Run, method: dict[str, Any] | None) -> dict[str, Any]:
    """A run as plain values: what was asked, what ran, what it cost and took.

    Args:
        model, run: what ran.
        method: by name with its controls, None where a file was given.
    """
    from caching.formats.native import to_json
    from caching.measure.timing import setting_of

    label = run.request.labels[0]
    request = {
        "model": run.request.model,
        "label": label,
        "class": model.class_names[label],
        "seed": run.request.seeds[0] if run.request.seeds else None,
        "steps": run.request.steps,
        "cfg_scale": run.request.cfg_scale,
        "sampler": run.request.sampler,
        "method": method,
        "policy": None if run.policy is None else run.policy.title,
        "weights_hash": model.weights_hash,
    }
    choices = run.choices or (None,) * run.request.steps
    steps = [
        {
            "timestep": run.timesteps[s],
            "ms": round(float(run.step_ms[s]), 3),
            "computed": int((run.executed[s] == 0).sum()),
            "action": int(run.executed_actions[s]),
            "score": None if choice is None else choice.score,
            "limit": None if choice is None else choice.limit,
        }
        for s, choice in enumerate(choices)
    ]
    return {
        "request": request,
        "schedule": to_json(run.painted),
        "cost": {**dataclasses.asdict(run.cost), "work": run.cost.work},
        "total_ms": float(run.step_ms.sum()),
        "setting": setting_of(model),
        "steps": steps,
    }


def _words(record: dict[str, Any]) -> str:
    asked, cost = record["request"], record["cost"]
    return "\n".join(
        [
            f"{asked['class']}, seed {asked['seed']}, {asked['steps']} steps, {asked['sampler']}, "
            f"guidance {asked['cfg_scale']:g}" + what(asked),
            f"{cost['work']:.1%} of the full run's work, {record['total_ms']:.0f} ms "
            f"({record['setting']}), {cost['cache_mib']:.1f} MiB of cache",
            f"wrote {' and '.join(record['files'])}",
        ]
    )


def what(asked: dict[str, Any]) -> str:
    """The method or policy of a request, in words behind others."""
    if asked["method"]:
        return f", {method_of(asked['method']['name'], **asked['method']['controls']).words}"
    return f", {asked['policy']}" if asked["policy"] else ""
