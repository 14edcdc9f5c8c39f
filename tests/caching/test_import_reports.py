"""Our own files read back: pictures with their recipe; and the report that every import gives."""

import json

import pytest

from caching.errors import ScheduleError
from caching.formats.importers import detect, import_schedule
from caching.formats.importers.source import Source
from caching.schedule import Schedule
from tests.caching import foreign


def test_a_picture_gives_schedule_and_request_back():
    found = import_schedule(foreign.SAMPLES["picture"])
    assert found.request == {"label": 3, "seed": 7}
    assert found.schedule == Schedule.from_rows(["CRRC", "CCRC", "CCCC", "CRCR"])


def test_a_picture_without_recipe_or_cut_off_is_refused():
    from PIL import Image

    file = foreign.io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "PNG")
    with pytest.raises(ScheduleError, match="has no recipe inside"):
        import_schedule(file.getvalue())
    data = foreign.SAMPLES["picture"]
    with pytest.raises(ScheduleError, match="was the file cut off"):
        import_schedule(data[:60])
    with pytest.raises(ScheduleError, match="recipe version 9"):
        import_schedule(data.replace(b'"version": 1, "req', b'"version": 9, "req'))


def test_a_report_reads_well_and_is_plain_json():
    report = import_schedule(foreign.text({"attn": [0, 1, 0]}), blocks=2).report
    assert report.sentences == (
        "SmoothCache JSON: 3 steps, 2 blocks.",
        "10 of 12 cells computed (attn 4 of 6, mlp 6 of 6).",
        "Steps: 11+ (1 all computed, 0 none, + some).",
        "Order: the file counts in execution order, as here.",
        "No list is for mlp: always computed.",
        "Forced: 2 cells that the file reuses at step 0, where nothing is stored yet, computed.",
    )
    assert json.loads(json.dumps(report.to_json()))["computed"] == 10


def test_detection_does_not_need_torch_for_text():
    assert detect(Source(b'{"attn": [1, 0]}')).name == "smoothcache"
