"""Schedules as a shell names them: a file of any known format, a preset, or a policy."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caching.cli.asked import options_of
from caching.cli.terminal import Terminal
from caching.dynamic import POLICIES
from caching.errors import RequestError
from caching.formats.importers import import_schedule
from caching.policies import ends, every, full, smoothcache
from caching.policies.taylorseer import taylorseer
from caching.schedule import Schedule

if TYPE_CHECKING:
    from caching.dynamic import Policy
    from caching.models.model import Model

STEPS = 20
LOOKAHEAD = 3


@dataclass(frozen=True)
class Shape:
    """The grid a preset fills."""

    steps: int
    blocks: int
    branches: tuple[str, ...]
    change: Callable[[], Any]  # (S, L, R, K) of a full run, made when it is asked for


@dataclass(frozen=True)
class Preset:
    """One way to fill the grid from numbers behind a colon."""

    usage: str
    help: str
    least: int  # numbers it needs
    make: Callable[..., Schedule]


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise RequestError(
            f"{text!r:.40} was given in a preset, expected a whole number."
        ) from error


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise RequestError(f"{text!r:.40} was given in a preset, expected a number.") from error


def _smooth(shape: Shape, alpha: str) -> Schedule:
    change = shape.change()
    lookahead = min(LOOKAHEAD, change.shape[-1])
    return smoothcache(change, _number(alpha), lookahead=lookahead, branches=shape.branches)


PRESETS = {
    "full": Preset(
        "full",
        "every cell computed",
        0,
        lambda g: full(g.steps, g.blocks, branches=g.branches),
    ),
    "fora": Preset(
        "fora:N",
        "FORA (arXiv 2407.01425): one step in N, counted from the last, as its code does",
        1,
        lambda g, n: every(g.steps, g.blocks, _whole(n), branches=g.branches),
    ),
    "every": Preset(
        "every:N",
        "one step in N counted from step 0, and the last one",
        1,
        lambda g, n: every(g.steps, g.blocks, _whole(n), align="start", branches=g.branches),
    ),
    "ends": Preset(
        "ends:FIRST,LAST",
        "the first and last steps computed, the middle reused",
        2,
        lambda g, a, b: ends(g.steps, g.blocks, _whole(a), _whole(b), branches=g.branches),
    ),
    "taylorseer": Preset(
        "taylorseer:N",
        "TaylorSeer (arXiv 2503.06923): one step in N, the others forecast",
        1,
        lambda g, n: taylorseer(g.steps, g.blocks, _whole(n), branches=g.branches),
    ),
    "smoothcache": Preset(
        "smoothcache:ALPHA",
        "SmoothCache (arXiv 2411.10510) on a full run of this picture: reuse while the change is "
        "below ALPHA",
        1,
        _smooth,
    ),
}


def add_plan(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is cached")
    usages = ", ".join(preset.usage for preset in PRESETS.values())
    group.add_argument(
        "--schedule",
        default="full",
        metavar="FILE|PRESET",
        help=f"a file of any known format, or one of {usages} (default: full)",
    )
    group.add_argument(
        "--resample",
        action="store_true",
        help="carry a schedule of another step count over to --steps",
    )
    group.add_argument(
        "--policy",
        metavar="NAME",
        help=f"decide while the run goes on instead: {', '.join(POLICIES) or 'none known'}",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the policy or of the file's format; several times (see `methods`)",
    )


def schedule_of(
    asked: argparse.Namespace, model: Model, picture: dict[str, Any], terminal: Terminal
) -> tuple[Schedule, Policy | None]:
    """The schedule asked for, and the policy if there is one; the schedule is then full."""
    if asked.policy is not None:
        steps = asked.steps if asked.steps is not None else STEPS
        return full(steps, model.blocks, branches=model.branches), _policy(
            asked, model, picture, steps, terminal
        )
    name, _, numbers = asked.schedule.partition(":")
    preset = PRESETS.get(name)
    if preset is None or Path(asked.schedule).is_file():
        return _from_file(asked, model, terminal), None
    given = numbers.split(",") if numbers else []
    if len(given) != preset.least:
        raise RequestError(
            f"preset {asked.schedule!r:.40} has {len(given)} numbers, expected {preset.usage}."
        )
    steps = asked.steps if asked.steps is not None else STEPS

    def change() -> Any:
        return _change(model, picture, steps, terminal)

    return preset.make(Shape(steps, model.blocks, model.branches, change), *given), None


def _from_file(asked: argparse.Namespace, model: Model, terminal: Terminal) -> Schedule:
    if not Path(asked.schedule).exists():
        raise RequestError(
            f"{asked.schedule!r:.80} is no file and no preset, expected a file or one of "
            f"{', '.join(preset.usage for preset in PRESETS.values())}."
        )
    options = file_options(asked.schedule, asked.set)
    found = import_schedule(asked.schedule, blocks=model.blocks, branches=model.branches, **options)
    for line in found.report.sentences:
        terminal.say(f"  {line}")
    if asked.resample and asked.steps is not None:
        return found.schedule.resample(asked.steps)
    found.schedule.check_fits(steps=asked.steps)
    return found.schedule


def file_options(path: str, given: list[str], format: str | None = None) -> dict[str, Any]:
    """name=value texts as options of the format that a file is of."""
    if not given:
        return {}
    from caching.formats.importers import IMPORTERS, detect
    from caching.formats.importers.source import read_source

    kind = IMPORTERS.get(format or "") or detect(read_source(path))
    return options_of(given, kind)


def _policy(
    asked: argparse.Namespace, model: Model, picture: dict[str, Any], steps: int, terminal: Terminal
) -> Policy:
    if asked.policy not in POLICIES:
        raise RequestError(
            f"policy {asked.policy!r:.40} is not known, expected one of: {', '.join(POLICIES)}."
        )
    kind: Any = POLICIES[asked.policy]
    options = options_of(asked.set, kind)
    made: Policy
    if not hasattr(kind, "calibrated"):
        made = kind(**options)
        return made
    terminal.say(f"calibrating {kind.label} on full runs of other pictures …")
    rest = {name: picture[name] for name in ("cfg_scale", "sampler")}
    made = kind.calibrated(model, steps=steps, **rest, **options)
    return made


def _change(model: Model, picture: dict[str, Any], steps: int, terminal: Terminal) -> Any:
    """Relative L1 changes (S, L, R, K) of this picture's full run."""
    from caching.engine.run import Run, iter_sample

    lags = max(1, min(LOOKAHEAD, steps - 1))
    for item in iter_sample(model, None, steps=steps, lags=lags, **picture):
        if isinstance(item, Run):
            assert item.trace is not None
            return item.trace.rel_l1
        terminal.progress("full run for the preset", item.step + 1, item.steps)
    raise AssertionError("a run ends with a Run")
