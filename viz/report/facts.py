"""What a report says of a result in words: its request, its method, how to repeat and reopen it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from caching.measure.result import Result
from caching.methods import METHODS, Method
from caching.methods.base import settings_of

HOME = "scenes-dit"  # the model a command needs no name for
PICTURE = "cached.png"


@dataclass(frozen=True)
class Origin:
    """How a result came about, as far as the page knows.

    Attributes:
        method: with its controls, where it painted the schedule.
        made: what last changed the schedule, in the words of the history; "" where it is not known.
        fragment: the text behind `#` that opens the page in this state; "" where the page has
            gone on since.
        weights_hash: of the model, "" before it is loaded.
        versions: by package.
        made_at: when the report was made, in words.
    """

    method: Method | None = None
    made: str = ""
    fragment: str = ""
    weights_hash: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    made_at: str = ""


def kind_of(result: Result, origin: Origin) -> type[Method] | None:
    """The method that made the schedule or decided it, None for a person's own paint."""
    if origin.method is not None:
        return type(origin.method)
    if result.policy is None:
        return None
    named = [k for k in METHODS.values() if result.policy.split(" (")[0] == k.title]
    return named[0] if named else None


def request_of(result: Result, weights_hash: str = "") -> dict[str, Any]:
    """What the picture was asked for with, as a recipe says it; the keys are those of the shell."""
    said: dict[str, Any] = {
        "model": result.model,
        "label": result.label,
        "class": result.class_names[result.label],
        "seed": result.seed,
        "steps": result.schedule.steps,
        "cfg_scale": result.cfg_scale,
        "sampler": result.sampler,
        "policy": result.policy,
    }
    return {**said, "weights_hash": weights_hash} if weights_hash else said


def measured_of(result: Result, name: str = "cached") -> dict[str, Any]:
    """The numbers of one run, as a recipe says them."""
    f = result.figures[name]
    said = {field.name: getattr(f, field.name) for field in fields(f) if field.name != "total_ms"}
    return {
        **{key: value for key, value in said.items() if value is not None},
        "median_ms": f.median_ms,
        "repeats": len(f.total_ms),
        "setting": result.setting,
        "recorded": result.recorded or "",
    }


def command_of(result: Result, method: Method | None) -> str:
    """The command that measures the same; of paint, with the picture that holds it."""
    words = ["python", "-m", "caching", "compare"]
    if method is None:
        words += ["--schedule", PICTURE]
    else:
        words += ["--method", method.name]
        default = settings_of(type(method)())
        for name, value in settings_of(method).items():
            if value != default[name]:
                words += ["--set", f"{name}={value}"]
    words += ["--label", str(result.label), "--seed", str(result.seed)]
    words += ["--steps", str(result.schedule.steps), "--guidance", f"{result.cfg_scale:g}"]
    words += ["--sampler", result.sampler]
    if result.model != HOME:
        words += ["--model", result.model]
    return shlex.join(words)


def settings_rows(result: Result, sampler: str, origin: Origin) -> Mapping[str, str]:
    """The request in words, a row each; `sampler`: its title."""
    rows = {
        "Model": f"{result.model}, {result.blocks} blocks × {', '.join(result.branches)}",
        "Class": result.class_names[result.label],
        "Seed of the noise": str(result.seed),
        "Steps": str(result.schedule.steps),
        "Guidance": f"{result.cfg_scale:g}",
        "Sampler": sampler,
        "Times measured on": result.setting,
    }
    if result.recorded:
        rows["Recorded"] = result.recorded
    if origin.weights_hash:
        rows["Weights"] = origin.weights_hash
    if origin.versions:
        rows["Versions"] = ", ".join(f"{name} {version}" for name, version in origin.versions)
    if origin.made_at:
        rows["Report made"] = origin.made_at
    return rows
