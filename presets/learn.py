"""`python -m presets.learn`: train what learned methods need for the shipped model.

Pictures come from the renderer and are encoded by the shipped autoencoder; methods that are
image-free do without. Several prices of computing give several routers in one file, ordered from
the most work to the least. TokenCache's scores are a fit on full runs of the model itself.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from caching import load_model
from caching.cli.asked import value_of
from caching.cli.learn import interrupted, watched
from caching.cli.terminal import Terminal
from caching.learn.base import Data, Trainer
from caching.learn.scores import METHOD, RUNS, learn_scores
from caching.learn.store import Learned, load_learned, save_learned
from caching.learn.trainers import TRAINERS, trainer_of
from caching.models.model import Model
from presets.train.data import pictures

OUT = Path(__file__).parent / "learned"
PICTURES = 2048
PICTURES_SEED = 4000  # no shard of `presets.train` has it
# What the shipped files are made with.
SHIPPED: dict[str, dict[str, Any]] = {
    "l2c": {"weights": (8e-5, 1.3e-4), "iterations": 700, "rate": 0.1, "batch": 8},
    "lazydit": {"weights": (1e-4, 3e-4, 1e-3)},
    "harmonica": {
        "weights": (1e-8, 3e-8),
        "iterations": 100,
        "rate": 0.1,
        "batch": 2,
        "every": 25,
    },
}


@torch.no_grad()
def rendered(model: Model, count: int, *, seed: int = PICTURES_SEED) -> Data:
    """Pictures of the renderer as the shipped autoencoder encodes them."""
    images, labels = pictures(seed, count)
    config = model.vae.config
    scale, shift = config.scaling_factor, getattr(config, "shift_factor", None) or 0.0
    found = []
    for part in images.split(64):
        x = part.to(model.device, model.vae.dtype) / 127.5 - 1
        found.append(((model.vae.encode(x).latents - shift) * scale).float().cpu())
    words = f"{count} renders of presets.scenes, seed {seed}"
    return Data(torch.cat(found), labels, words)


def together(parts: list[Learned]) -> Learned:
    """Trainings that differ in their price alone as one, by rising price.

    The curves of all are kept under their own names, those of the first under the plain ones too.
    """
    parts = sorted(parts, key=lambda part: float(part.options["weight"]))
    first, curve = parts[0], dict(parts[0].curve)
    for name in ("method", "weights_hash", "steps", "seed", "cfg_scale", "data"):
        if len(values := {getattr(part, name) for part in parts}) > 1:
            raise ValueError(f"{name} is {values}: expected trainings that differ in price alone")
    for part in parts[1:]:
        name = f"{part.options['weight']:g}"
        if len(part.curve["iteration"]) == len(curve["iteration"]):
            curve[f"loss at {name}"] = part.curve["loss"]
            curve[f"share at {name}"] = part.curve["share"]
    names = set.intersection(*(set(part.values) for part in parts))
    arrays = {
        name: np.concatenate([np.atleast_1d(part.values[name]) for part in parts])
        for name in sorted(names & {"logits", "gates", "weights"})
    }
    weights = [float(part.options["weight"]) for part in parts]
    return replace(
        first,
        command="; ".join(dict.fromkeys(part.command for part in parts)),
        seconds=round(sum(part.seconds for part in parts), 1),
        iterations=sum(part.iterations for part in parts),
        options={**first.options, "weight": weights},
        curve=curve,
        values=arrays,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m presets.learn", description=__doc__)
    parser.add_argument("training", choices=(*TRAINERS, METHOD))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=int, default=PICTURES)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"of {METHOD}")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--weights", type=float, nargs="+", help="prices of computing, one or more")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--join", type=Path, nargs="+", help="only join these files into one")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.join:
        _say(save_learned(together([load_learned(path) for path in asked.join]), asked.out))
        return 0
    if asked.training == METHOD:
        _say(save_learned(_scores(asked), asked.out))
        return 0
    options = dict(SHIPPED.get(asked.training, {}))
    weights = asked.weights or options.pop("weights", None)
    options.pop("weights", None)
    defaults: Any = TRAINERS[asked.training].__dataclass_fields__
    for item in asked.set:
        name, _, text = item.partition("=")
        options[name] = value_of(text, defaults[name].default)
    prices = [{}] if weights is None else [{"weight": weight} for weight in weights]
    trainers = [trainer_of(asked.training, **options, **price) for price in prices]
    model = load_model()
    data = rendered(model, asked.pictures) if trainers[0].takes_data else None
    parts = [one for t in trainers if (one := _one(t, model, asked, data)) is not None]
    if not parts:
        return 130
    _say(save_learned(together(parts) if len(parts) > 1 else parts[0], asked.out))
    return 0


def _scores(asked: argparse.Namespace) -> Learned:
    words = [METHOD, "--steps", str(asked.steps), "--guidance", f"{asked.guidance:g}"]
    if asked.runs != RUNS:
        words += ["--runs", str(asked.runs)]
    return learn_scores(
        load_model(),
        steps=asked.steps,
        cfg_scale=asked.guidance,
        runs=asked.runs,
        command="python -m presets.learn " + shlex.join(words),
    )


def _one(
    trainer: Trainer, model: Model, asked: argparse.Namespace, data: Data | None
) -> Learned | None:
    terminal = Terminal(sys.stdout, sys.stderr)
    with interrupted() as stopped:
        learned = watched(
            trainer.learn(
                model,
                steps=asked.steps,
                cfg_scale=asked.guidance,
                data=data,
                seed=asked.seed,
                command=_command(asked, trainer),
                stopped=stopped,
            ),
            terminal,
            trainer.title,
        )
    if learned is None or learned.iterations == getattr(trainer, "iterations", None):
        return learned
    # Ended early: what does it again ends there too.
    done = replace(trainer, iterations=learned.iterations)  # type: ignore[call-arg]
    return replace(learned, command=_command(asked, done))


def _command(asked: argparse.Namespace, trainer: Trainer) -> str:
    """What trains this again, whatever the folder and the other prices were."""
    words = [asked.training, "--steps", str(asked.steps), "--seed", str(asked.seed)]
    if trainer.takes_guidance:
        words += ["--guidance", f"{asked.guidance:g}"]
    if trainer.takes_data and asked.pictures != PICTURES:
        words += ["--pictures", str(asked.pictures)]
    shipped = SHIPPED.get(asked.training, {})
    defaults = {f.name: f.default for f in fields(trainer)} | shipped
    for name, value in asdict(trainer).items():
        if name == "weight":
            words += ["--weights", f"{value:g}"]
        elif value != defaults[name]:
            words += ["--set", f"{name}={value}"]
    return "python -m presets.learn " + shlex.join(words)


def _say(path: Path) -> None:
    sys.stdout.write(f"wrote {path}\n")


if __name__ == "__main__":
    sys.exit(main())
