"""A picture or a record as --schedule brings what it was asked for, unless the shell says it."""

from __future__ import annotations

import argparse
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest

from caching.cli import asked as shared
from caching.cli.saved import as_saved
from caching.cli.terminal import Terminal
from caching.formats import native, picture
from caching.formats.importers import import_schedule
from caching.schedule import Schedule

REQUEST = {"model": "tiny", "label": 3, "seed": 7, "cfg_scale": 2.5, "sampler": "euler"}
MODEL = SimpleNamespace(name="tiny")
SCHEDULE = Schedule.every(4, 2, 2)


def file_of(folder, kind, request):
    """A saved picture, the record of a run, or a bare schedule."""
    path = folder / f"saved.{'png' if kind == 'picture' else 'json'}"
    if kind == "picture":
        path.write_bytes(picture.png_of(np.zeros((4, 4, 3), np.uint8), SCHEDULE, request))
        return path
    value = native.to_json(SCHEDULE)
    path.write_text(
        json.dumps({"request": request, "schedule": value} if kind == "record" else value)
    )
    return path


def taken(path, **given):
    usual = {"label": None, "seed": None, "guidance": None, "sampler": None, "model": "tiny"}
    said = io.StringIO()
    names = argparse.Namespace(**{**usual, **given, "schedule": str(path)})
    found = as_saved(names, MODEL, Terminal(io.StringIO(), said))
    return (found.label, found.seed, found.guidance, found.sampler), said.getvalue()


@pytest.mark.parametrize("kind", ["picture", "record"])
def test_what_the_shell_does_not_say_is_the_files(tmp_path, kind):
    path = file_of(tmp_path, kind, REQUEST)
    assert taken(path)[0] == ("3", 7, 2.5, "euler")
    assert taken(path, seed=0, guidance=1.0)[0] == ("3", 0, 1.0, "euler")
    assert "As in the file: label 3, seed 7" in taken(path)[1]
    found = import_schedule(path, blocks=2)
    assert found.schedule == SCHEDULE and found.request == REQUEST


@pytest.mark.parametrize(
    ("kind", "request_", "said"),
    [
        ("schedule", {}, ""),
        ("record", {**REQUEST, "model": "another"}, "only the grid is taken"),
        ("record", {"model": "tiny", "label": True, "seed": "7", "cfg_scale": None}, ""),
    ],
)
def test_nothing_is_taken_that_is_not_there_or_of_another_model(tmp_path, kind, request_, said):
    values, words = taken(file_of(tmp_path, kind, request_))
    assert values == (None, None, None, None) and said in words


@pytest.mark.parametrize(
    ("given", "meant"), [((None, "scenes-dit"), 2.0), ((None, "other"), 4.0), ((0.0, "x"), 0.0)]
)
def test_guidance_goes_with_the_model_as_on_the_page(given, meant):
    assert shared.guidance_of(argparse.Namespace(guidance=given[0], model=given[1])) == meant
