"""`study`: every method at the same work, over many seeds, beside fewer plain steps."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caching.cli import asked as shared
from caching.cli.places import check_places
from caching.cli.study_tables import published_words, study_words
from caching.cli.terminal import Terminal
from caching.errors import ModelError, RequestError
from caching.methods import method_of
from caching.study.published import PUBLISHED
from caching.study.store import SHIPPED, Study, load_study, save_study

if TYPE_CHECKING:
    from caching.measure.classifier import SceneClassifier
    from caching.study.ledger import Conditions

NAME = "study"
HELP = "all methods at the same work over many seeds, beside fewer plain steps"
EXAMPLES = """\
examples:
  python -m caching study --show                    the study that ships, as tables
  python -m caching study --published               what the papers print, quoted
  python -m caching study --methods fora,smoothcache --speedups 2 --seeds 8 --work out
  python -m caching study --threads 2 --repeats 3 --out study.json

Every method is tuned to each speed-up in MACs on seeds of its own and judged on --seeds others.
What is done is kept in --work, and a study that was stopped goes on there; --again judges anew.
Without --out nothing but --work is written.
"""

SPEEDUPS = "1.3,1.5,2,3,5"
TUNING_PICTURES = 6
FIRST_SEED = 0
FIRST_TUNING_SEED = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--methods", metavar="A,B", help="default: all that apply")
    parser.add_argument("--speedups", default=SPEEDUPS, help="in MACs (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=64, help="judged pictures (default: 64)")
    parser.add_argument("--repeats", type=int, default=0, help="timed pictures each (default: 0)")
    parser.add_argument("--again", metavar="A,B", help="forget what is known of these first")
    parser.add_argument(
        "--work", default="study-work", metavar="FOLDER", help="default: %(default)s"
    )
    parser.add_argument("--out", "-o", metavar="FILE", help="the finished study as JSON")
    parser.add_argument("--show", nargs="?", const=str(SHIPPED), metavar="FILE",
                        help="only print a finished study")  # fmt: skip
    parser.add_argument("--published", action="store_true", help="only print the papers' tables")
    group = parser.add_argument_group("the runs")
    group.add_argument("--model", default=shared.SHIPPED, help="default: %(default)s")
    group.add_argument("--steps", type=int, default=20, help="default: %(default)s")
    group.add_argument("--guidance", type=float, default=2.0, help="default: %(default)s")
    group.add_argument(
        "--sampler", default="ddim", help=f"{shared.SAMPLERS} (default: %(default)s)"
    )
    group.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    group.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    shared.add_kernels(group)


def act(asked: argparse.Namespace, terminal: Terminal) -> None:
    if asked.published:
        tables = [dataclasses.asdict(one) for one in PUBLISHED]
        terminal.result({"published": tables}, published_words(PUBLISHED))
    elif asked.show is not None:
        study = load_study(Path(asked.show))
        terminal.result(dataclasses.asdict(study), study_words(study))
    else:
        study = _conducted(asked, terminal)
        if asked.out:
            save_study(study, Path(asked.out))
            terminal.say(f"wrote {asked.out}")
        terminal.result(dataclasses.asdict(study), study_words(study))


def _conducted(asked: argparse.Namespace, terminal: Terminal) -> Study:
    from caching.measure.timing import setting_of
    from caching.methods.setting import ModelSetting
    from caching.study.conduct import chosen_methods, conduct, rivals_at
    from caching.study.judge import Judge
    from caching.study.ledger import Ledger
    from caching.study.summary import summarise

    names = chosen_methods(None if asked.methods is None else asked.methods.split(","))
    forgotten = () if asked.again is None else forgotten_of(asked.again)
    targets = targets_of(asked.speedups)
    for name, value, least, most in (
        ("seeds", asked.seeds, 1, 100_000),
        ("repeats", asked.repeats, 0, 1000),
        ("steps", asked.steps, 2, 1000),
    ):
        if not least <= value <= most:
            raise RequestError(f"{value} {name} were asked for, expected {least} to {most}.")
    check_places("--out", asked.out)
    check_places("--work", Path(asked.work) / "study.jsonl")
    model = shared.load(asked)
    conditions = conditions_of(asked, model)
    ledger = Ledger(Path(asked.work), conditions)
    if ledger.unread:
        terminal.say(f"{ledger.unread} lines of {ledger.path} cannot be read and are left out.")
    for name in forgotten:
        ledger.again(name)
    # Where bars cannot be written over, the line after each row is enough.
    show = terminal.progress if terminal.err.isatty() else lambda *_: None
    judge = Judge(
        model,
        conditions,
        classifier=classifier_of(asked.model, asked.device),
        kept=ledger.path.with_suffix(".npz"),
        tell=lambda done, total: show("  pictures", done, total),
    )
    setting = ModelSetting(
        model,
        steps=conditions.steps,
        cfg_scale=conditions.cfg_scale,
        sampler=conditions.sampler,
        tell=lambda what, done, total: show(f"  {what}", done, total),
    )
    for one in conduct(
        judge, ledger, setting, methods=names, targets=targets, repeats=asked.repeats
    ):
        terminal.say(
            f"{one.done} of {one.total}, {one.left_s / 60:.0f} min left: {one.name} at "
            f"{one.target:g}×: {one.words}"
        )
    return summarise(
        ledger,
        methods=names,
        rivals={target: rivals_at(judge, target) for target in targets},
        setting=setting_of(model),
        command=command_of(asked),
        date=datetime.date.today().isoformat(),
    )


def targets_of(text: str) -> tuple[float, ...]:
    """ "1.3,2" as numbers above 1, from small to large."""
    try:
        found = sorted({float(part) for part in text.split(",")})
    except ValueError:
        found = []
    if not found or not all(math.isfinite(t) and 1 < t <= 100 for t in found):
        raise RequestError(
            f"speed-ups {text!r:.60} were given, expected numbers above 1 such as {SPEEDUPS}."
        )
    return tuple(found)


def forgotten_of(text: str) -> tuple[str, ...]:
    """ "fora,even-steps" as names of methods and rivals."""
    from caching.study.rivals import EVEN, PLAIN, RANDOM

    found = tuple(text.split(","))
    for name in found:
        if name not in (EVEN, PLAIN, RANDOM):
            method_of(name)  # refuses what is none
    return found


def conditions_of(asked: argparse.Namespace, model: Any) -> Conditions:
    """What was asked for, checked as a run's own request is."""
    from caching.engine.request import prepare
    from caching.study.ledger import Conditions

    request, _, _ = prepare(
        model,
        None,
        label=0,
        steps=asked.steps,
        cfg_scale=asked.guidance,
        sampler=asked.sampler,
    )
    return Conditions(
        model=model.name,
        weights_hash=model.weights_hash,
        steps=request.steps,
        cfg_scale=request.cfg_scale,
        sampler=request.sampler,
        seeds=tuple(range(FIRST_SEED, FIRST_SEED + asked.seeds)),
        tuning_seeds=tuple(range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + TUNING_PICTURES)),
        dtype=request.dtype,
    )


def classifier_of(model: str, device: str) -> SceneClassifier | None:
    """The classifier beside a model's folder, where there is one."""
    from caching.measure.classifier import SceneClassifier
    from caching.models.loading import SHIPPED_FOLDER

    folder = (SHIPPED_FOLDER if model == shared.SHIPPED else Path(model)) / "classifier"
    try:
        return SceneClassifier.load(folder) if folder.is_dir() else None
    except ModelError:
        return None


def command_of(asked: argparse.Namespace) -> str:
    """What makes the same study again: what was given, without where it was kept."""
    words = ["python -m caching study"]
    for name, usual in (
        ("methods", None), ("speedups", SPEEDUPS), ("seeds", 64), ("repeats", 0),
        ("model", shared.SHIPPED), ("steps", 20), ("guidance", 2.0), ("sampler", "ddim"),
        ("device", "cpu"), ("threads", None), ("out", None),
    ):  # fmt: skip
        value = getattr(asked, name)
        if value != usual:
            words.append(f"--{name} {shlex.quote(str(value))}")
    return " ".join([*words, *shared.kernels_of(asked)])
