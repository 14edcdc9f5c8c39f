"""What commands share: the arguments of a picture, and options given as name=value."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caching.errors import RequestError

if TYPE_CHECKING:
    from caching.models.model import Model

SHIPPED = "scenes-dit"
OPENS_WITH, USUAL = 2.0, 4.0
"""Guidance: what the page opens with and what ships was made for; what DiT's authors take."""
SAMPLER = "ddim"
SAMPLERS = "ddim, ddim-diffusers, dpmsolver++, euler or ddpm"
OF_FILE, ALWAYS = "the schedule's, else 20", "20"
"""How many steps there are where none are asked for."""


def add_picture(parser: argparse.ArgumentParser, *, steps: str = OF_FILE) -> None:
    """The arguments that decide a picture apart from its schedule."""
    group = parser.add_argument_group("the picture")
    group.add_argument("--label", help="class number or name (default: 0)")
    group.add_argument("--seed", type=int, help="of the noise (default: 0)")
    add_model(parser, steps=steps)


def add_model(parser: argparse.ArgumentParser, *, steps: str = OF_FILE) -> None:
    """The model and how it runs, whatever it draws; `steps` is their default in words."""
    group = parser.add_argument_group("the model and its run")
    group.add_argument(
        "--model", default=SHIPPED, help=f"{SHIPPED} (shipped), a diffusers folder or a hub id"
    )
    group.add_argument("--steps", type=int, help=f"sampling steps (default: {steps})")
    group.add_argument(
        "--guidance", type=float,
        help=f"default: {OPENS_WITH:g} for {SHIPPED}, as on the page; {USUAL:g} for others",
    )  # fmt: skip
    group.add_argument("--sampler", help=f"{SAMPLERS} (default: {SAMPLER})")
    group.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    group.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    add_kernels(group)


def add_kernels(group: Any) -> None:
    """How the model computes, which rounds otherwise and may be quicker."""
    group.add_argument(
        "--dtype",
        default="float32",
        choices=("float32", "bfloat16"),
        help="of weights and products (default: %(default)s)",
    )
    group.add_argument(
        "--attention",
        default="auto",
        metavar="KERNEL",
        help="auto, math, flash, efficient, cudnn or products (default: %(default)s)",
    )
    group.add_argument(
        "--compile",
        action="store_true",
        help="compile the branches before the first run; needs a C++ compiler",
    )
    group.add_argument(
        "--graphs",
        action="store_true",
        help="launch steps that compute and reuse as CUDA graphs; needs an NVIDIA GPU",
    )


def kernels_of(asked: argparse.Namespace) -> list[str]:
    """What was asked of `add_kernels` beyond the defaults, as words of a command."""
    words = [] if asked.dtype == "float32" else [f"--dtype {asked.dtype}"]
    words += [] if asked.attention == "auto" else [f"--attention {asked.attention}"]
    return words + ["--compile"] * asked.compile + ["--graphs"] * asked.graphs


def load(asked: argparse.Namespace) -> Model:
    """The model asked for, on its device."""
    import torch

    from caching.models.loading import load_model
    from caching.models.speed import Speed

    if asked.threads is not None:
        if not 1 <= asked.threads <= 1024:
            raise RequestError(f"{asked.threads} threads were asked for, expected 1 to 1024.")
        torch.set_num_threads(asked.threads)
    try:
        device = torch.device(asked.device)
        if device.type == "cuda" and not torch.cuda.is_available():
            raise RequestError("cuda was asked for and there is none: use --device cpu.")
    except RuntimeError as error:
        raise RequestError(f"device {asked.device!r:.40} is not known: use cpu or cuda.") from error
    speed = Speed(compiled=asked.compile, attention=asked.attention, graphs=asked.graphs)
    return load_model(asked.model, device=device, dtype=getattr(torch, asked.dtype), speed=speed)


def picture_of(asked: argparse.Namespace, model: Model) -> dict[str, Any]:
    """Label, seed, guidance and sampler as the engine takes them."""
    label = "0" if asked.label is None else asked.label
    return {
        "label": model.label_of(int(label) if label.isdecimal() else label),
        "seed": 0 if asked.seed is None else asked.seed,
        "cfg_scale": guidance_of(asked),
        "sampler": sampler_of(asked),
    }


def guidance_of(asked: argparse.Namespace) -> float:
    """The guidance asked for, or what goes with the model."""
    usual = OPENS_WITH if asked.model == SHIPPED else USUAL
    return usual if asked.guidance is None else float(asked.guidance)


def sampler_of(asked: argparse.Namespace) -> str:
    """The sampler asked for, or the usual one."""
    return SAMPLER if asked.sampler is None else str(asked.sampler)


def add_options(parser: argparse.ArgumentParser, of: str, *, listed: str = "`methods`") -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"an option of {of}; may be given several times (see {listed})",
    )


def options_of(given: Sequence[str], owner: type[Any]) -> dict[str, Any]:
    """name=value texts as the fields of a frozen class, each of the type of its default."""
    known = {field.name: field for field in dataclasses.fields(owner)}
    found: dict[str, Any] = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or name not in known:
            raise RequestError(
                f"option {item!r:.60} is not known for {owner.label}: expected "
                f"{', '.join(f'{n}=…' for n in known) or 'none'}."
            )
        default = known[name].default
        if not isinstance(default, bool | int | float | str):
            raise RequestError(f"option {item!r:.60} cannot be set from a shell.")
        try:
            found[name] = value_of(text, default)
        except ValueError as error:
            kind = type(default).__name__
            raise RequestError(f"option {item!r:.60}: expected a value of type {kind}.") from error
    return found


def value_of(text: str, default: bool | int | float | str) -> bool | int | float | str:
    """A text as a value of the default's type; ValueError where it is none."""
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{text!r:.40} is neither true nor false")
        return text.lower() == "true"
    return type(default)(text)


def write(path: Path, content: str | bytes) -> None:
    """Writes a file, its folder first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
