"""Making a file about the shipped model for one step count: asked for, begun, named, written."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from caching import load_model
from caching.models.model import Model
from caching.predict.kept import For

GUIDANCE = 2.0  # what the page opens with


def say(text: str) -> None:
    """A remark on the way, at once, as some of this takes hours."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def parser_of(command: str, about: str | None, *, out: Path) -> argparse.ArgumentParser:
    """The arguments that every maker has; what it has of its own is added to them."""
    parser = argparse.ArgumentParser(prog=f"python -m presets.{command}", description=about)
    parser.add_argument("--steps", type=int, default=20, help="of the runs (default: 20)")
    parser.add_argument("--threads", type=int, default=2)
    work = Path("build") / command
    parser.add_argument("--work", type=Path, default=work, help="kept there, and gone on from")
    parser.add_argument("--out", type=Path, default=out, help="folder (default: %(default)s)")
    return parser


def begin(asked: argparse.Namespace) -> Model:
    """The shipped model, once the folders are there: what cannot be made is said first."""
    for folder in (asked.work, asked.out):
        folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(asked.threads)
    return load_model()


def setting_for(model: Model, steps: int) -> For:
    """What the file is about."""
    return For(model.weights_hash, steps, GUIDANCE, "ddim")


def name_of(model: Model, steps: int) -> str:
    """Of the file."""
    return f"{model.name}-{steps}.npz"


def ship(model: Model, asked: argparse.Namespace, data: bytes) -> None:
    """Writes it."""
    target = asked.out / name_of(model, asked.steps)
    target.write_bytes(data)
    say(f"wrote {target}, {len(data) / 1024:,.0f} KiB")
