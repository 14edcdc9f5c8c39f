"""What is cached, as a shell names it: a method with its controls, or a file of any format."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caching.cli.asked import guidance_of, options_of, sampler_of, value_of
from caching.cli.terminal import Terminal
from caching.errors import RequestError
from caching.formats.importers import import_schedule
from caching.methods import METHODS, Method, method_of
from caching.methods.base import controls, settings_of
from caching.methods.listing import expected
from caching.schedule import Schedule

if TYPE_CHECKING:
    from caching.dynamic.base import Policy
    from caching.methods.setting import ModelSetting
    from caching.models.model import Model

STEPS = 20


@dataclass(frozen=True)
class Chosen:
    """What a command was asked to cache.

    Attributes:
        schedule: the grid; all computed where a policy decides.
        policy: decides while the run goes on, or None.
        method: what made both, or None for a file.
    """

    schedule: Schedule
    policy: Policy | None = None
    method: Method | None = None

    @property
    def recipe(self) -> dict[str, Any] | None:
        """The method by name with its controls, for records."""
        if self.method is None:
            return None
        return {"name": self.method.name, "controls": dict(settings_of(self.method))}


def add_plan(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is cached (default: nothing)")
    group.add_argument(
        "--method", metavar="NAME", help="fills the grid or decides on the way (see `methods`)"
    )
    add_learned(group)
    group.add_argument(
        "--schedule", metavar="FILE", help="a schedule of any known format, or a picture of ours"
    )
    group.add_argument(
        "--resample",
        action="store_true",
        help="carry a schedule of another step count over to --steps",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a control of the method or an option of the file's format; several times",
    )


def add_learned(parser: Any) -> None:
    """What `learn` wrote, beside what ships."""
    parser.add_argument(
        "--learned",
        action="append",
        default=[],
        metavar="FILE",
        help="a .json that `learn` wrote, instead of what ships; several times",
    )


def schedule_of(asked: argparse.Namespace, model: Model, terminal: Terminal) -> Chosen:
    """What was asked for; calibrates where a method needs it."""
    _agree(asked)
    if asked.schedule is not None:
        return Chosen(_from_file(asked, model, terminal))
    if asked.method is None:
        steps = asked.steps if asked.steps is not None else STEPS
        return Chosen(Schedule.full(steps, model.blocks, branches=model.branches))
    method = method_asked(asked.method, asked.set)
    plan = method.plan(setting_of(asked, model, terminal))
    for note in plan.notes:
        terminal.say(f"  {note}")
    return Chosen(plan.schedule, plan.policy, method)


def _agree(asked: argparse.Namespace) -> None:
    """Refuses options that would go unheard."""
    if asked.method is not None and asked.schedule is not None:
        raise RequestError("--method and --schedule were both given, expected one of them.")
    if asked.resample and asked.schedule is None:
        raise RequestError("--resample was given without a --schedule: it carries a file over.")
    if asked.learned and asked.method is None:
        raise RequestError(f"--learned {asked.learned[0]:.60} was given without a --method.")
    if asked.set and asked.method is None and asked.schedule is None:
        raise RequestError(f"--set {asked.set[0]:.60} was given without a --method or --schedule.")


def setting_of(asked: argparse.Namespace, model: Model, terminal: Terminal) -> ModelSetting:
    """The model with the run asked for; what calibrations do is told on the terminal."""
    from caching.engine.request import prepare
    from caching.learn.store import load_learned
    from caching.methods.setting import ModelSetting, Shelf

    steps = asked.steps if asked.steps is not None else STEPS
    guidance, sampler = guidance_of(asked), sampler_of(asked)
    # Refuses here what the engine would, before something is calibrated for it.
    prepare(model, None, label=0, steps=steps, cfg_scale=guidance, sampler=sampler)
    shelf = Shelf()
    for path in asked.learned:
        found = load_learned(Path(path))
        if found.weights_hash != model.weights_hash:
            raise RequestError(
                f"{path} was learned for {found.model} ({found.weights_hash}), expected one for "
                f"{model.name} ({model.weights_hash})."
            )
        shelf.learned.append(found)
    return ModelSetting(
        model,
        shelf=shelf,
        steps=steps,
        cfg_scale=guidance,
        sampler=sampler,
        tell=terminal.progress,
    )


def method_asked(name: str, given: Sequence[str]) -> Method:
    """A method by name with name=value texts as its controls."""
    kind = type(method_of(name))
    known = {c.name: c for c in controls(kind)}
    values: dict[str, Any] = {}
    for item in given:
        key, equals, text = item.partition("=")
        if not equals or key not in known:
            raise RequestError(
                f"control {item!r:.60} is not known for {kind.title}: expected "
                f"{', '.join(f'{n}=…' for n in known) or 'none'}."
            )
        try:
            values[key] = value_of(text, known[key].default)
        except ValueError as error:
            raise RequestError(
                f"control {item!r:.60} cannot be read: expected {expected(known[key])}."
            ) from error
    return method_of(name, **values)


def _from_file(asked: argparse.Namespace, model: Model, terminal: Terminal) -> Schedule:
    if not Path(asked.schedule).exists():
        name = asked.schedule.partition(":")[0]
        hint = f" A method is asked for as --method {name}." if name in METHODS else ""
        raise RequestError(f"{asked.schedule!r:.80} is no file, expected a schedule.{hint}")
    options = file_options(asked.schedule, asked.set)
    found = import_schedule(asked.schedule, blocks=model.blocks, branches=model.branches, **options)
    for line in found.report.sentences:
        terminal.say(f"  {line}")
    if asked.resample and asked.steps is not None:
        return found.schedule.resample(asked.steps)
    if asked.steps not in (None, found.schedule.steps):
        raise RequestError(
            f"the schedule has {found.schedule.steps} steps and --steps {asked.steps} was given, "
            "expected the same: leave --steps out, or carry it over with --resample."
        )
    return found.schedule


def file_options(path: str, given: list[str], format: str | None = None) -> dict[str, Any]:
    """name=value texts as options of the format that a file is of."""
    if not given:
        return {}
    from caching.formats.importers import IMPORTERS, detect
    from caching.formats.importers.source import read_source

    kind = IMPORTERS.get(format or "") or detect(read_source(path))
    return options_of(given, kind)
