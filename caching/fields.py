"""Checks of the numbers a predictor, a step action or a policy is made with."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from caching.errors import ScheduleError


def _refuse(owner: Any, name: str, value: object, expected: str) -> ScheduleError:
    return ScheduleError(f"{owner.name}: {name} is {value!r:.40}: expected {expected}")


def whole_field(owner: Any, name: str, least: int, most: int) -> None:
    """Raises ScheduleError unless the field is an int in least..most."""
    value = getattr(owner, name)
    # bool is an int to Python, but True is not an order.
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _refuse(owner, name, value, f"a whole number from {least} to {most}")


def number_field(owner: Any, name: str, least: float, most: float) -> None:
    """Raises ScheduleError unless the field is a finite number in least..most; stores a float."""
    value = getattr(owner, name)
    fits = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or not least <= value <= most:
        raise _refuse(owner, name, value, f"a number from {least:g} to {most:g}")
    object.__setattr__(owner, name, float(value))


def choice_field(owner: Any, name: str, choices: tuple[str, ...]) -> None:
    """Raises ScheduleError unless the field is one of the words."""
    value = getattr(owner, name)
    if not isinstance(value, str) or value not in choices:
        raise _refuse(owner, name, value, f"one of {', '.join(choices)}")


def numbers_field(owner: Any, name: str, *, least: int = 0) -> None:
    """Raises ScheduleError unless the field is finite numbers, `least` of them; stores a tuple."""
    value = getattr(owner, name)
    try:
        numbers = tuple(float(v) for v in value)
    except (TypeError, ValueError):
        numbers = (math.nan,)
    if isinstance(value, str) or len(numbers) < least or not all(map(math.isfinite, numbers)):
        raise _refuse(owner, name, value, f"finite numbers, at least {least} of them")
    object.__setattr__(owner, name, numbers)
