"""The door for scripts: files of every known format, for the model and the steps at hand."""

import json
import types
import warnings

import numpy as np
import pytest

from caching import Context, RequestError, Schedule, ScheduleError, load_schedule
from caching.actions.hidden import FinalHidden

HASH = "0" * 16
PUBLISHED = [
    ("smoothcache-30-N-2-fora", 30, 16 * 56),
    ("smoothcache-50-N-2-l2c", 50, 2136),
    ("smoothcache-diffuser_schedule", 50, 24 * 28 + 50 * 28),
    ("invardiff-cache_books_stp50_n0.0_sth0.61_msa0.2_mlp0.2", 50, 1066),
]


def model(blocks=2, config_hash=HASH, dtype="torch.float32"):
    return types.SimpleNamespace(
        blocks=blocks, branches=("attn", "mlp"), config_hash=config_hash, dtype=dtype
    )


@pytest.fixture
def made(tmp_path):
    """A schedule of ours with all that a run is told apart by, and its file."""
    schedule = Schedule.full(4, 2, context=Context(4, model_hash=HASH, dtype="float32"))
    schedule.save(tmp_path / "schedule.json")
    return schedule, tmp_path / "schedule.json"


def test_our_own_file_is_what_was_saved(made):
    schedule, path = made
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_schedule(path, model(), 4) == schedule
        assert load_schedule(str(path), model()) == schedule


@pytest.mark.parametrize(("name", "steps", "computed"), PUBLISHED)
def test_published_files_take_the_blocks_of_the_model(published, name, steps, computed):
    found = load_schedule(published / f"{name}.json", model(blocks=28), steps)
    assert (found.steps, found.blocks, int(found.computed.sum())) == (steps, 28, computed)
    assert any(isinstance(a, FinalHidden) for a in found.step_legend) == name.startswith("invar")
    with pytest.raises(ScheduleError, match=f"has {steps} steps and the run 20"):
        load_schedule(published / f"{name}.json", model(blocks=28), 20)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"config_hash": "f" * 16}, "made for model config hash '0000000000000000'"),
        ({"dtype": "torch.bfloat16"}, "made for dtype 'float32', this run has 'bfloat16'"),
    ],
)
def test_a_file_of_another_model_is_read_with_a_warning(made, changes, said):
    schedule, path = made
    with pytest.warns(UserWarning, match=said):
        assert load_schedule(path, model(**changes), 4) == schedule


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"attn": [0, 1, 0], "mlp": [1, 1, 0]}, "2 cells of step 0 reused there"),
        (np.array([2, 0, 0]), "divides the predicted noise"),  # an EB-Cache table
    ],
)
def test_what_a_file_says_and_a_schedule_does_not_is_a_warning(tmp_path, content, said):
    path = tmp_path / "file"
    if isinstance(content, dict):
        path.write_text(json.dumps(content))
    else:
        with path.open("wb") as file:
            np.save(file, content)
    with pytest.warns(UserWarning, match=said):
        assert load_schedule(path, model(), 3).computed[0].all()


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"steps": 5}, ScheduleError, "has 4 steps and the run 5"),
        ({"model": model(blocks=3)}, ScheduleError, "is for 2 blocks and the model has 3"),
        ({"model": "scenes-dit"}, RequestError, "a str was given as the model, expected a Model"),
        ({"path": None}, ScheduleError, "a NoneType was given as path"),
        ({"path": "/nowhere/file.json"}, ScheduleError, "is not a file"),
        ({"text": '{"format": "cachebrush-sch'}, ScheduleError, "was the file cut off"),
        ({"text": "[NaN]"}, ScheduleError, "NaN given"),
        ({"text": '{"conv": 3}'}, ScheduleError, "of no known format"),
        ({"text": " " * (17 * 2**20)}, ScheduleError, "17.0 MiB: expected at most 16"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_what_does_not_fit_is_refused(made, given, error, said):
    _, path = made
    if "text" in given:
        path.write_text(given["text"])
    with pytest.raises(error, match=said):
        load_schedule(given.get("path", path), given.get("model", model()), given.get("steps"))
