"""`calibrate`: what a method finds out about a model ahead, how long that takes, what it gives."""

from __future__ import annotations

import argparse
import dataclasses
import math
import time
from typing import TYPE_CHECKING, Any

from caching.cli import asked as shared
from caching.cli import plans
from caching.cli.terminal import Terminal
from caching.methods.base import Method, Plan, settings_of

if TYPE_CHECKING:
    from caching.methods.setting import ModelSetting

NAME = "calibrate"
HELP = "do what a method needs ahead, and show what was found"
EXAMPLES = """\
examples:
  python -m caching calibrate teacache
  python -m caching calibrate smoothcache --set alpha=0.3 --steps 50
  python -m caching calibrate magcache --guidance 1.5 --sampler euler --json

`run` and `compare` do the same by themselves; here is what it finds: curves, tables, fits, or what
was trained ahead, with the schedule or policy that comes of it. Arrays are whole in --json.
"""

FEW = 8  # numbers are printed one by one up to here


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("method", help="name of a method (see `methods`)")
    shared.add_options(parser, "the method")
    plans.add_learned(parser)
    shared.add_model(parser, steps=shared.ALWAYS)


def act(asked: argparse.Namespace, terminal: Terminal) -> None:
    method = plans.method_asked(asked.method, asked.set)
    model = shared.load(asked)
    setting = plans.setting_of(asked, model, terminal)
    start = time.perf_counter()
    plan = method.plan(setting)
    planned = time.perf_counter()
    fits = _fitted(setting, plan)
    value = {
        "method": {"name": method.name, "controls": dict(settings_of(method))},
        "needs": method.needs,
        "request": {
            "model": model.name,
            "weights_hash": model.weights_hash,
            "steps": setting.steps,
            "cfg_scale": setting.cfg_scale,
            "sampler": setting.sampler,
        },
        "seconds": round(planned - start, 3),
        "fit_seconds": round(time.perf_counter() - planned, 3),
        "fits": fits,
        "notes": list(plan.notes),
        "learned": _learned(method, setting),
        "found": {_kind(key): _plain(made) for key, made in setting.shelf.tables.items()},
        **_outcome(setting, plan),
    }
    terminal.result(value, _words(method, value))


def _fitted(setting: ModelSetting, plan: Plan) -> dict[str, Any] | None:
    """What brushes and actions of the schedule are fitted to, as the run would do it."""
    from caching.engine.fits import Fits
    from caching.engine.request import prepare

    if plan.policy is not None:
        return None
    request, schedule, _ = prepare(
        setting.model,
        plan.schedule,
        label=0,
        cfg_scale=setting.cfg_scale,
        sampler=setting.sampler,
    )
    fits = Fits()
    found = fits.of(setting.model, schedule, request)
    if not found:
        return None
    parts = {item.label: len(made) for item, made in found.items()}
    return {"parts": parts, "mib": fits.held_mib}


def _learned(method: Method, setting: ModelSetting) -> dict[str, Any] | None:
    """Where what was trained is from."""
    if method.needs != "training":
        return None
    found = setting.learned(method.name)
    names = {f.name for f in dataclasses.fields(found)} - {"curve", "values", "method"}
    kept = {name: getattr(found, name) for name in sorted(names)}
    shapes = {name: list(v.shape) for name, v in found.values.items()}
    return {"title": found.title, **kept, "options": dict(found.options), "arrays": shapes}


def _outcome(setting: ModelSetting, plan: Plan) -> dict[str, Any]:
    from caching.formats.native import to_json
    from caching.measure.cost import cost_of

    if plan.policy is not None:
        return {"policy": {"title": plan.policy.title, **_plain(plan.policy)}}
    cost = cost_of(setting.model, plan.schedule)
    return {"schedule": to_json(plan.schedule), "work": cost.work}


def _kind(key: Any) -> str:
    """What a setting keeps has the kind of calibration first in its key."""
    return str(key[0])


def _plain(value: Any) -> Any:
    """Dataclasses and arrays as dictionaries and lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # arrays of numpy and torch
        return value.tolist()
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _words(method: Method, value: dict[str, Any]) -> str:
    asked = value["request"]
    lines = [
        f"{method.words}: {asked['model']}, {asked['steps']} steps, {asked['sampler']}, guidance "
        f"{asked['cfg_scale']:g}",
        f"needs {method.needs}: took {value['seconds']:.1f} s",
        *value["notes"],
    ]
    if value["learned"]:
        lines.append(value["learned"]["title"])
    if value["fits"]:
        parts = ", ".join(f"{name} {n} parts" for name, n in value["fits"]["parts"].items())
        lines.append(f"fits: {parts}, {value['fits']['mib']:.1f} MiB, {value['fit_seconds']:.1f} s")
    for kind, found in value["found"].items():
        lines += [f"{kind}:", *_shown(found)]
    if "policy" in value:
        lines.append(f"policy: {value['policy']['title']}")
    else:
        lines.append(f"schedule: {value['work']:.1%} of the full run's work")
    return "\n".join(lines)


def _shown(found: Any) -> list[str]:
    """What a calibration found, in a line for each field that holds numbers."""
    fields = found if isinstance(found, dict) else {"": found}
    lines = []
    for name, item in fields.items():
        numbers = [n for n in _numbers(item) if math.isfinite(n)]
        if not numbers:
            continue
        if len(numbers) <= FEW:
            words = " ".join(f"{n:.4g}" for n in numbers)
        else:
            words = f"{len(numbers)} numbers, {min(numbers):.4g} to {max(numbers):.4g}"
        lines.append(f"  {name}: {words}" if name else f"  {words}")
    return lines


def _numbers(item: Any) -> list[float]:
    """All numbers in nested lists and dictionaries."""
    if isinstance(item, bool | int | float):
        return [float(item)]
    if isinstance(item, dict):
        item = list(item.values())
    return [n for part in item for n in _numbers(part)] if isinstance(item, list) else []
