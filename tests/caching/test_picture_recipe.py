"""A saved picture: its recipe with numbers and versions inside, read back and bounded."""

import csv
import io
import json
import math
from importlib import metadata

import numpy as np
import pytest
from PIL import Image

from caching.errors import ScheduleError
from caching.formats.importers import import_schedule
from caching.formats.importers.picture import measured_words
from caching.formats.picture import png_of, recipe_of
from caching.schedule import Schedule
from caching.versions import versions
from tests.caching import tiny
from tests.caching.shell import done

PIXELS = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
SCHEDULE = Schedule.from_rows(["CRCR", "CCRC"])
REQUEST = {"model": "m", "label": 3, "seed": 7}


def test_numbers_and_versions_travel_inside_and_pixels_stay():
    measured = {"work": 0.5, "psnr_db": math.inf, "ssim": math.nan, "setting": "a CPU"}
    data = png_of(PIXELS, SCHEDULE, REQUEST, measured=measured, made_with={"python": "3"})
    found = recipe_of(data)
    assert found["request"] == REQUEST
    # JSON knows neither infinity nor NaN.
    assert found["measured"] == {"work": 0.5, "psnr_db": "infinite", "setting": "a CPU"}
    assert found["made_with"] == {"python": "3"}
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), PIXELS)
    text = Image.open(io.BytesIO(data)).text["cachebrush"]
    assert text.isascii() and json.loads(text)["measured"]["work"] == 0.5


def test_a_picture_without_numbers_is_read_as_before():
    found = recipe_of(png_of(PIXELS, SCHEDULE, REQUEST))
    assert (found["measured"], found["made_with"]) == ({}, {})
    imported = import_schedule(png_of(PIXELS, SCHEDULE, REQUEST), blocks=1)
    assert imported.schedule == SCHEDULE or imported.schedule.diff(SCHEDULE).changed == 0
    assert not any("Measured" in line for line in imported.report.understood)


def test_the_report_says_what_was_measured():
    measured = {"work": 0.636, "speedup": 1.528, "psnr_db": 42.57, "setting": "AMD EPYC, 2 threads"}
    data = png_of(PIXELS, SCHEDULE, REQUEST, measured=measured)
    assert (
        "Measured when it was saved: 64% of the work, 1.53× as fast, 42.6 dB, on AMD EPYC, "
        "2 threads." in import_schedule(data, blocks=1).report.understood
    )


@pytest.mark.parametrize(
    "measured",
    [
        {},
        {"work": "<b>"},
        {"work": True, "psnr_db": None},
        {"setting": "a CPU"},
        {"speedup": [1], "setting": {"x": 1}},
    ],
    ids=str,
)
def test_numbers_that_are_none_are_not_said(measured):
    assert measured_words(measured) == ""


def test_long_or_strange_words_of_a_stranger_are_cut():
    said = measured_words({"work": 1, "setting": "x" * 9000})
    assert len(said) < 160
    assert measured_words({"work": 1, "setting": "a\nb"}) == (
        "Measured when it was saved: 100% of the work."
    )


@pytest.mark.parametrize("value", [[], "x", 3, None])
def test_numbers_of_another_kind_count_as_none(value):
    data = png_of(PIXELS, SCHEDULE, REQUEST, measured={"marker": 1})
    said = json.dumps(value).encode()
    start = data.index(b'"measured": {"marker": 1}')
    old = b'"measured": {"marker": 1}'
    new = b'"measured": ' + said
    # The chunk keeps its length, so nothing else of the PNG changes.
    patched = data[:start] + new + b" " * (len(old) - len(new)) + data[start + len(old) :]
    assert recipe_of(patched)["measured"] == {}
    with pytest.raises(ScheduleError):
        recipe_of(patched.replace(b'"version": 1', b'"version": 9', 1))


def test_versions_are_those_installed():
    found = versions()
    assert list(found) == ["python", "torch", "diffusers", "numpy"]
    assert found["numpy"] == np.__version__ == metadata.version("numpy")


def test_the_shell_saves_numbers_and_a_table(tmp_path):
    folder = tmp_path / "model"
    tiny.save_pipeline(folder)
    table = tmp_path / "deep" / "numbers.csv"
    value = json.loads(
        done("compare", "--model", folder, "--steps", 4, "--method", "fora", "--repeats", 1,
             "-o", tmp_path / "c", "--csv", table, "--json", "-q")
    )  # fmt: skip
    rows = {row["run"]: row for row in csv.DictReader(io.StringIO(table.read_text()))}
    assert list(rows) == ["full", "cached", "fewer"]
    assert float(rows["cached"]["work"]) == pytest.approx(value["runs"]["cached"]["work"], 1e-5)
    assert rows["full"]["psnr_db"] == "" and rows["full"]["work"] == "1"
    recipe = recipe_of((tmp_path / "c-cached.png").read_bytes())
    assert recipe["measured"]["work"] == pytest.approx(value["runs"]["cached"]["work"])
    assert recipe["measured"]["setting"] == value["setting"]
    assert recipe["made_with"] == versions()
    assert len(recipe["request"]["weights_hash"]) > 8
