"""`evaluate`: do pictures look like the data, with and without caching, from the same noises?"""

from __future__ import annotations

import argparse
import datetime
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caching.cli import asked as shared
from caching.cli import plans
from caching.cli.evaluate_tables import report_words
from caching.cli.places import check_places
from caching.cli.terminal import Terminal
from caching.errors import RequestError
from caching.quality.record import Report, load_report, save_report, to_json

if TYPE_CHECKING:
    from caching.models.model import Model
    from caching.quality.features import Net
    from caching.quality.judged import Arm
    from caching.quality.reference import Reference

NAME = "evaluate"
HELP = "closeness to the data: class agreement, Fréchet, kernel, precision, recall"
EXAMPLES = """\
examples:
  python -m caching evaluate --show
      a recorded case: caching lowers PSNR, and the distance to the data need not follow
  python -m caching evaluate --method fora --samples 64 --out fora.npz
      quick; the same command with --samples 1000 goes on from there
  python -m caching evaluate --schedule mine.json --samples 5000 --threads 2 --out mine.npz
  python -m caching evaluate --model facebook/DiT-XL-2-256 --method fora --device cuda \\
      --features inception --weights weights-inception-2015-12-05-6726825d.pth \\
      --reference pictures/ --keep imagenet.npz --samples 5000 --out xl.npz
      FID, sFID and Inception Score against a folder of pictures; --reference imagenet.npz next time

Two questions are kept apart. PSNR, SSIM and latent error: how close is a picture to the uncached
one of the same noise? Fréchet and kernel distance, precision, recall: how close are many pictures
to the data, in a net's features? A picture can change and be just as good.
Ctrl-C stops; --out keeps what was judged and the same command goes on. A Fréchet distance falls
with N, so compare equal N only. ± and … are 95 % intervals from drawing the pictures again.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    plans.add_plan(parser)
    group = parser.add_argument_group("the evaluation")
    add = group.add_argument
    add("--samples", type=int, default=64, metavar="N", help="64 is quick, 5000 full (default: 64)")
    add("--seed", type=int, metavar="S", help="picture i has seed S + i (default: 10000000)")
    add("--out", "-o", metavar="FILE", help="kept there, and gone on from")
    add("--batch", type=int, default=8, help="pictures at once (default: 8)")
    nets = ("classifier", "inception")
    add("--features", choices=nets, default=nets[0], help="what judges (default: %(default)s)")
    add("--weights", metavar="FILE", help="InceptionV3's, for --features inception")
    add(
        "--reference",
        metavar="PATH",
        help="a folder of pictures, or what --keep wrote (default: what ships)",
    )
    add("--keep", metavar="FILE", help="keeps what was seen in a --reference folder")
    add("--lpips", action="store_true", help="LPIPS too; needs torchvision")
    add("--report", metavar="FILE", help="also writes the table as JSON")
    add(
        "--show",
        nargs="?",
        const="",
        metavar="FILE",
        help="only print a --report, by default the recorded one",
    )
    shared.add_model(parser)


def act(asked: argparse.Namespace, terminal: Terminal) -> None:
    if asked.show is not None:
        report = load_report(Path(asked.show)) if asked.show else load_report()
    else:
        report = evaluated(asked, terminal)
        if asked.report:
            save_report(report, Path(asked.report))
            terminal.say(f"wrote {asked.report}")
    terminal.result(to_json(report), report_words(report))


def evaluated(asked: argparse.Namespace, terminal: Terminal) -> Report:
    """The table of what was asked for; what was judged is kept on the way."""
    from caching.measure.timing import setting_of
    from caching.quality.evaluate import FIRST_SEED, conditions_of, iter_evaluate
    from caching.quality.perceptual import Lpips
    from caching.quality.report import LEAST, report_of

    if not LEAST <= asked.samples <= 100_000 or not 1 <= asked.batch <= 1024:
        raise RequestError(
            f"{asked.samples} samples in batches of {asked.batch} were asked for, expected {LEAST} "
            "to 100000 in batches of 1 to 1024."
        )
    if asked.keep and not asked.reference:
        raise RequestError("--keep was given without a --reference folder.")
    for option in ("out", "report", "keep"):
        check_places(f"--{option}", getattr(asked, option))
    net = net_of(asked)  # before anything takes long
    lpips = Lpips.load() if asked.lpips else None
    model = shared.load(asked)
    reference = reference_of(asked, net, model, terminal)
    chosen = plans.schedule_of(asked, model, terminal)
    arms = arms_of(asked, chosen)
    conditions = conditions_of(
        model,
        net,
        steps=asked.steps if asked.steps is not None else chosen.schedule.steps,
        cfg_scale=shared.guidance_of(asked),
        sampler=shared.sampler_of(asked),
        first_seed=FIRST_SEED if asked.seed is None else asked.seed,
        lpips=asked.lpips,
    )
    saved = None
    for item in iter_evaluate(
        model,
        arms,
        net,
        conditions,
        samples=asked.samples,
        path=Path(asked.out) if asked.out else None,
        batch=asked.batch,
        lpips=lpips,
    ):
        left = "" if not item.left_s else f", {item.left_s / 60:.0f} min left"
        terminal.progress(f"pictures{left}", item.done, item.total)
        saved = item.saved
    assert saved is not None
    report = report_of(
        saved,
        reference,
        classes=len(model.class_names),
        net=net.name,
        setting=setting_of(model),
        command=command_of(asked),
        date=datetime.date.today().isoformat(),
    )
    assert report is not None  # nobody stops it
    return report


def net_of(asked: argparse.Namespace) -> Net:
    """The net that judges."""
    from caching.models.loading import SHIPPED_FOLDER
    from caching.quality.features import ClassifierNet
    from caching.quality.inception import InceptionNet

    if asked.features == "inception":
        return InceptionNet.load(Path(asked.weights) if asked.weights else None)
    if asked.weights:
        raise RequestError("--weights was given without --features inception.")
    folder = (SHIPPED_FOLDER if asked.model == shared.SHIPPED else Path(asked.model)) / "classifier"
    if not folder.is_dir():
        raise RequestError(
            f"{asked.model!r:.80} has no classifier beside it: judge it with --features inception "
            "--reference FOLDER."
        )
    return ClassifierNet.load(folder)


def reference_of(
    asked: argparse.Namespace, net: Net, model: Model, terminal: Terminal
) -> Reference:
    """What the pictures are judged against: what ships, a file, or a folder that is looked at."""
    from caching.engine.run import sample
    from caching.quality import reference as data

    if asked.reference is None:
        if asked.model != shared.SHIPPED or asked.features != "classifier":
            raise RequestError(
                f"no reference ships for {asked.model!r:.80} and {net.name}: give --reference with "
                "a folder of pictures."
            )
        found = data.load_reference()
    elif Path(asked.reference).is_dir():
        paths = data.pictures_in(Path(asked.reference))
        size = sample(model, label=0, steps=2, cfg_scale=1.0).image.shape[0]
        found = data.reference_of(
            data.batches_of(paths, size=size),
            net,
            source=f"{len(paths):,} pictures of {Path(asked.reference).name}",
            command=command_of(asked),
            date=datetime.date.today().isoformat(),
            tell=lambda done: terminal.progress("reference", done, len(paths)),
        )
        if asked.keep:
            data.save_reference(found, Path(asked.keep))
            terminal.say(f"wrote {asked.keep}")
    else:
        found = data.load_reference(Path(asked.reference))
    found.check(net)
    return found


def arms_of(asked: argparse.Namespace, chosen: plans.Chosen) -> tuple[Arm, ...]:
    """What is compared with the full model; nothing where nothing is cached."""
    from caching.quality.judged import Arm

    if chosen.policy is None and chosen.schedule.is_full:
        return ()
    words = chosen.method.words if chosen.method is not None else Path(asked.schedule).name
    recipe = "" if chosen.policy is None else f"{chosen.recipe}"
    return (Arm(words, chosen.schedule, chosen.policy, recipe),)


def command_of(asked: argparse.Namespace) -> str:
    """What makes the same table again, without where it was kept."""
    words = ["python -m caching evaluate"]
    usual: dict[str, Any] = {
        "method": None, "schedule": None, "samples": 64, "seed": None, "features": "classifier",
        "reference": None, "model": shared.SHIPPED, "steps": None, "guidance": None,
        "sampler": None, "device": "cpu", "threads": None,
    }  # fmt: skip
    for name, default in usual.items():
        if (value := getattr(asked, name)) != default:
            words.append(f"--{name} {shlex.quote(str(value))}")
        if name == "schedule":
            words += [f"--set {shlex.quote(item)}" for item in asked.set]
    return " ".join([*words, *shared.kernels_of(asked)])
