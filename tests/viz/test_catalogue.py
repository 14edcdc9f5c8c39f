"""The catalogue of brushes: complete, honest about limits, and such that every default is taken."""

from __future__ import annotations

import json
from typing import Any

import pytest

from caching.actions import ACTIONS
from caching.predictors import PREDICTORS
from caching.schedule import Schedule
from viz.brushes import Canvas, edit
from viz.grid.catalogue import GROUPS, catalogue
from viz.grid.ops import AddBrush
from viz.grid.parse import parse_ops

CATALOGUE = catalogue()
FORMS = [(where, form) for where in ("cells", "steps") for form in CATALOGUE[where]]
FIELDS = [(where, form, field) for where, form in FORMS for field in form["fields"]]


def message(where: str, form: dict[str, Any], **changes: Any) -> Any:
    """What the page sends for a form, read back as the server reads it."""
    word = "predictor" if where == "cells" else "action"
    values = {field["name"]: field["default"] for field in form["fields"]}
    op = {"rev": 1, "op": "add", "in": where, "brush": {word: form["name"], **values, **changes}}
    (found,) = parse_ops(json.loads(json.dumps({"ops": [op]})))
    assert isinstance(found, AddBrush)
    return found


def name(value: Any) -> str:
    return value["name"] if isinstance(value, dict) else str(value)


def test_it_holds_everything_that_is_known_and_is_plain_json() -> None:
    assert [form["name"] for form in CATALOGUE["cells"]] == list(PREDICTORS)
    assert [form["name"] for form in CATALOGUE["steps"]] == list(ACTIONS)
    assert json.loads(json.dumps(CATALOGUE, allow_nan=False)) == CATALOGUE


@pytest.mark.parametrize(("where", "form"), FORMS, ids=name)
def test_a_form_says_what_it_is_and_its_defaults_make_a_brush(
    where: str, form: dict[str, Any]
) -> None:
    assert form["label"][0].isupper() and form["group"] == GROUPS[form["kind"]]
    assert form["about"].endswith(".") and 20 < len(form["about"]) < 140
    # Reuse is there from the start.
    legend = {"cells": PREDICTORS["skip"] if form["name"] == "reuse" else PREDICTORS["reuse"]}
    canvas = Canvas(Schedule(Schedule.full(4, 6).actions, (legend["cells"](),)))
    schedule = edit(canvas, message(where, form)).canvas.schedule
    known = PREDICTORS if where == "cells" else ACTIONS
    added = (schedule.legend if where == "cells" else schedule.step_legend)[-1]
    assert added == known[form["name"]]()


@pytest.mark.parametrize(("where", "form", "field"), FIELDS, ids=name)
def test_limits_are_those_of_the_brush(
    where: str, form: dict[str, Any], field: dict[str, Any]
) -> None:
    canvas = Canvas(Schedule.full(4, 256))

    def taken(value: Any) -> bool:
        try:
            edit(canvas, message(where, form, **{field["name"]: value}))
        except ValueError as error:
            assert (
                field["name"] in str(error) or "already" in str(error) or "model has" in str(error)
            )
            return "already" in str(error) or "model has" in str(error)
        return True

    if field["type"] == "choice":
        assert field["default"] in field["choices"] and len(field["choices"]) > 1
        assert all(taken(choice) for choice in field["choices"])
        assert not taken("something else")
    else:
        assert field["type"] in ("whole", "number")
        least, most = field["least"], field["most"]
        if field["type"] == "whole":
            least, most = int(least), int(most)
            assert (least, most) == (field["least"], field["most"])
        assert taken(least) and taken(most)
        step = 1 if field["type"] == "whole" else (most - least) / 1000
        assert not taken(least - step) and not taken(most + step)
