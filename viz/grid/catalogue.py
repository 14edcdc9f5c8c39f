"""The brushes there are: every predictor and whole-step action as a form the page can show.

What a field takes is asked of the brush itself: made with a wrong value it says what it expected,
in the words of `caching.fields`. A field that says nothing of the kind is offered without limits;
the server checks what comes back in any case.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Mapping
from typing import Any

from caching.actions import ACTIONS
from caching.predictors import PREDICTORS

GROUPS: Mapping[str, str] = {
    "reuse": "Reuse",
    "forecast": "Forecast from several outputs",
    "calibrated": "Corrected, fitted on full runs",
    "partial": "Compute a part",
    "skip": "Leave out",
    "delta": "Add what blocks added before",
    "hidden": "Reuse the last hidden state",
    "output": "Do not call the transformer",
    "guidance": "Half of guidance",
    "scale": "Change the output",
}
_RANGE = re.compile(r"expected a (whole )?number from (\S+) to (\S+)$")
_CHOICES = re.compile(r"expected one of (.+)$")


def catalogue() -> dict[str, list[dict[str, Any]]]:
    """Every known brush as plain JSON: under "cells" the predictors, under "steps" the actions.

    Each has `name`, `label`, `kind`, the `group` it is listed in, one sentence `about` it, and
    `fields` with `name`, `type` ("whole", "number", "flag", "choice" or "text"), `default`, and
    `least`, `most` or `choices` where it has any.
    """
    return {
        "cells": [_form(one) for one in PREDICTORS.values()],
        "steps": [_form(one) for one in ACTIONS.values()],
    }


def _form(brush: Any) -> dict[str, Any]:
    return {
        "name": brush.name,
        "label": brush.label[:1].upper() + brush.label[1:],
        "kind": brush.kind,
        "group": GROUPS.get(brush.kind, brush.kind),
        "about": _about(brush),
        "fields": [_field(brush, field) for field in dataclasses.fields(brush) if field.init],
    }


def _about(brush: Any) -> str:
    """The first line of its file, which says what it is, without the name that stands before."""
    text = sys.modules[brush.__module__].__doc__ or brush.__doc__ or ""
    line = text.strip().split("\n")[0]
    _, colon, rest = line.partition(": ")
    return rest[:1].upper() + rest[1:] if colon else line


def _field(brush: Any, field: dataclasses.Field[Any]) -> dict[str, Any]:
    default = field.default
    found: dict[str, Any] = {"name": field.name, "type": _type(default), "default": default}
    expected = _expected(brush, field.name)
    if limits := _RANGE.search(expected):
        found |= {"least": float(limits[2]), "most": float(limits[3])}
    elif choices := _CHOICES.search(expected):
        found |= {"type": "choice", "choices": choices[1].split(", ")}
    return found


def _type(default: object) -> str:
    if isinstance(default, bool):  # before int, which it is, too
        return "flag"
    return {int: "whole", float: "number"}.get(type(default), "text")


def _expected(brush: Any, name: str) -> str:
    """What the brush says when it is made with a value that no field takes."""
    try:
        brush(**{name: None})
    except (ValueError, TypeError) as error:
        return str(error)
    return ""
