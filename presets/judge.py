"""`python -m presets.judge`: what the shipped model's pictures are judged against.

`reference` renders fresh scenes, which nothing was trained on, and keeps what the shipped
classifier sees in them: presets/quality/scenes-dit.npz. `cases` judges a few schedules and keeps
the table that the page shows: presets/quality/cases.json.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from caching import load_model
from caching.cli.evaluate_tables import report_words
from caching.measure.timing import setting_of
from caching.methods import method_of
from caching.methods.setting import ModelSetting
from caching.models.loading import SHIPPED_FOLDER
from caching.models.model import Model
from caching.quality.evaluate import conditions_of, iter_evaluate
from caching.quality.features import ClassifierNet
from caching.quality.judged import Arm
from caching.quality.record import RECORDED, save_report
from caching.quality.reference import SHIPPED, load_reference, reference_of, save_reference
from caching.quality.report import report_of
from caching.schedule import Schedule
from presets.scenes import CLASS_NAMES, draw_scenes, render
from presets.train.data import FRESH_SEED

PICTURES = 5000
BATCH = 4 * len(CLASS_NAMES)
STEPS, GUIDANCE, SAMPLER = 20, 2.0, "ddim"  # what the page opens with
WORK = Path("judged.npz")

# From gentle to rough, and the same number of whole steps spent on fewer plain ones.
METHODS: tuple[tuple[str, dict[str, int]], ...] = (
    ("fora", {"interval": 2}),
    ("taylorseer", {"interval": 3}),
    ("fora", {"interval": 5}),
    ("fora", {"interval": 10}),
)
PLAIN = 10


def rendered(count: int, size: int = 128) -> Iterator[np.ndarray]:
    """Fresh renders uint8 (N, H, W, 3) in batches, classes in turn."""
    generator = torch.Generator().manual_seed(FRESH_SEED)
    for first in range(0, count, BATCH):
        labels = torch.arange(len(CLASS_NAMES)).repeat(4)[: count - first]
        yield render(draw_scenes(labels, generator), size).permute(0, 2, 3, 1).numpy()


def make_reference(count: int, out: Path) -> None:
    """Writes the reference of `count` renders."""
    net = ClassifierNet.load(SHIPPED_FOLDER / "classifier")

    def tell(done: int) -> None:
        sys.stderr.write(f"reference {done}/{count}\n")

    reference = reference_of(
        rendered(count),
        net,
        source=f"{count:,} fresh renders of presets/scenes",
        command=f"python -m presets.judge reference --pictures {count}",
        date=datetime.date.today().isoformat(),
        tell=tell,
    )
    save_reference(reference, out)
    sys.stderr.write(f"wrote {out}, {out.stat().st_size / 2**20:.2f} MiB\n")


def arms_of(model: Model) -> tuple[Arm, ...]:
    """What is judged beside the full model."""
    setting = ModelSetting(model, steps=STEPS, cfg_scale=GUIDANCE, sampler=SAMPLER)
    found = []
    for name, controls in METHODS:
        method = method_of(name, **controls)
        found.append(Arm(method.words, method.plan(setting).schedule))
    plain = Schedule.full(PLAIN, model.blocks, branches=model.branches)
    return (*found, Arm(f"{PLAIN} plain steps", plain))


def judge_cases(samples: int, work: Path, out: Path) -> None:
    """Judges the cases, going on from `work`, and writes the table."""
    model = load_model()
    net = ClassifierNet.load(SHIPPED_FOLDER / "classifier")
    conditions = conditions_of(model, net, steps=STEPS, cfg_scale=GUIDANCE, sampler=SAMPLER)
    last = None
    for last in iter_evaluate(model, arms_of(model), net, conditions, samples=samples, path=work):
        left_min = (last.left_s or 0) / 60
        sys.stderr.write(f"cases {last.done}/{last.total}, {left_min:.0f} min left\n")
    assert last is not None
    report = report_of(
        last.saved,
        load_reference(),
        classes=len(model.class_names),
        net=net.name,
        setting=setting_of(model),
        command=f"python -m presets.judge cases --samples {samples}",
        date=datetime.date.today().isoformat(),
    )
    assert report is not None  # nobody stops it
    save_report(report, out)
    sys.stdout.write(report_words(report) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m presets.judge", description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    commands = parser.add_subparsers(dest="command", required=True)
    of = commands.add_parser("reference", help="what the classifier sees in fresh renders")
    of.add_argument("--pictures", type=int, default=PICTURES)
    of.add_argument("--out", type=Path, default=SHIPPED)
    of = commands.add_parser("cases", help="a few schedules, judged")
    of.add_argument("--samples", type=int, default=1000)
    of.add_argument("--work", type=Path, default=WORK, help="kept there, and gone on from")
    of.add_argument("--out", type=Path, default=RECORDED)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.command == "reference":
        make_reference(asked.pictures, asked.out)
    else:
        judge_cases(asked.samples, asked.work, asked.out)


if __name__ == "__main__":
    main()
