"""What the controls of the page ask for, checked: anybody may send anything to a handler.

Every check gives a clean value or raises ValueError that says what was wrong with which control.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from viz.pages import studio
from viz.state import Settings

MIN_STEPS, MAX_STEPS = 5, 100
MAX_LABEL = 2**53 - 1  # the largest integer that survives JavaScript
MAX_SEED = 2**31 - 1  # as links have it; what models draw for themselves begins above
MAX_MODEL_NAME = 300  # as long as a schedule file lets a model's name be


def _shown(value: object) -> str:
    """A value for a message, never long: it may be a megabyte."""
    if value is None or value == "":
        return "nothing"
    try:
        return f"{value!r:.40}"
    except ValueError:  # Python refuses to write out whole numbers of thousands of digits
        return "a huge number"


def _whole(value: Any) -> int | None:
    """A whole number as int, also when it came as a float; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if isinstance(value, int) or value.is_integer() else None


def _between(value: Any, low: float, high: float) -> float | None:
    """A number from low to high as float; else None, also for NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        return None
    return float(value)


def settings_of(label: Any, seed: Any, cfg_scale: Any, sampler: Any) -> Settings:
    """Class, seed, guidance and sampler; whether the model has the class is not known here."""
    number = _whole(label)
    if number is None or not 0 <= number <= MAX_LABEL:
        raise ValueError(f"class {_shown(label)} is not known; choose one from the list.")
    start = _whole(seed)
    if start is None or not 0 <= start <= MAX_SEED:
        raise ValueError(
            f"seed {_shown(seed)} was given, expected a whole number from 0 to {MAX_SEED:,}."
        )
    guidance = _between(cfg_scale, 1, 10)
    if guidance is None:
        raise ValueError(f"guidance {_shown(cfg_scale)} was given, expected 1 to 10.")
    if not isinstance(sampler, str) or sampler not in studio.SAMPLER_NAMES:
        known = ", ".join(studio.SAMPLER_NAMES)
        raise ValueError(f"sampler {_shown(sampler)} is not known, expected one of: {known}.")
    return Settings(number, start, guidance, sampler)


def steps_of(steps: Any) -> int:
    """The number of steps."""
    number = _whole(steps)
    if number is None or not MIN_STEPS <= number <= MAX_STEPS:
        raise ValueError(
            f"steps: {_shown(steps)} was given, expected {MIN_STEPS} to {MAX_STEPS} whole ones."
        )
    return number


def model_name_of(name: Any) -> str:
    """A hub id or folder. On a public Space a visitor may name hub models only."""
    wanted = name.strip() if isinstance(name, str) else ""
    if not wanted:
        raise ValueError(
            'no model was named, expected a hub id such as "facebook/DiT-XL-2-256" or a folder.'
        )
    if len(wanted) > MAX_MODEL_NAME or not wanted.isprintable():
        raise ValueError(
            f"the model's name {_shown(wanted)} has {len(wanted)} characters, expected a hub id or "
            f"folder of at most {MAX_MODEL_NAME} printable ones."
        )
    if os.environ.get("SPACE_ID") and Path(wanted).exists():
        raise ValueError("folders cannot be opened here, expected a hub id such as owner/name.")
    return wanted
