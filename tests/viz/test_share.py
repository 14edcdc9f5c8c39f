"""Taking away and bringing back: pictures that restore the page, tables, drafts, refused wishes."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from caching.formats.picture import png_of
from caching.schedule import Schedule
from tests.viz.visits import JUNK, refused, stroke, turned
from viz.pages import saved, studio
from viz.pages.handlers import Handlers
from viz.pages.keep import KEEP_HEAD
from viz.pages.share import Share, settings_in
from viz.pages.visit import Visit, start_visit

REQUEST = {
    "model": "scenes-dit", "label": 3, "seed": 41, "steps": 20, "cfg_scale": 3.5,
    "sampler": "euler",
}  # fmt: skip


@pytest.fixture
def share(handlers: Handlers) -> Share:
    return Share(handlers)


def given(parts: dict[str, Any]) -> dict[str, Any]:
    """The file that the browser is handed."""
    found: dict[str, Any] = json.loads(parts["export_file"])
    return found


def written(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "some.png"
    path.write_bytes(data)
    return str(path)


def a_picture(request: dict[str, Any] | None = None, steps: int = 20) -> bytes:
    pixels = np.zeros((4, 4, 3), np.uint8)
    return png_of(pixels, Schedule.every(steps, 12, 3), REQUEST if request is None else request)


# -- the picture ---------------------------------------------------------------------------


def test_a_saved_picture_restores_the_page_it_was_saved_on(
    share: Share, visit: Visit, tmp_path: Path
) -> None:
    file = given(share.picture(visit))
    assert (file["name"], file["type"]) == ("cachebrush.png", "image/png")
    data = base64.b64decode(file["base64"])
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    assert np.array_equal(pixels, visit.result.pictures["cached"].final)

    other = start_visit()
    share.handlers.configure(0, 0, 5.0, "euler", other)
    share.handlers.resteps(9, other)
    parts = share.open_file(written(tmp_path, data), other)
    state, source = other.state, visit.state
    assert state.settings == source.settings
    assert studio.same_paint(state.schedule, source.schedule)
    assert parts["label"]["value"] == source.settings.label
    assert parts["seed"]["value"] == 7 and parts["cfg"]["value"] == 2.0
    assert parts["sampler"]["value"] == "ddim" and parts["steps"]["value"] == 20
    assert parts["grid"]["spec"]  # the timesteps of the sampler that came with it
    assert "mushroom, seed 7, guidance 2, DDIM" in parts["notice"]
    assert "Measured when it was saved: 64% of the work" in parts["notice"]
    # One step back in the history is the grid of before.
    assert state.past and state.past[-1].schedule.steps == 9


def test_settings_come_with_a_picture_of_the_shell(
    share: Share, visit: Visit, tmp_path: Path
) -> None:
    share.open_file(written(tmp_path, a_picture()), visit)
    s = visit.state.settings
    assert (s.label, s.seed, s.cfg_scale, s.sampler) == (3, 41, 3.5, "euler")
    assert studio.same_paint(visit.state.schedule, Schedule.every(20, 12, 3))


LEFT_OUT: dict[str, tuple[dict[str, Any], str]] = {
    "other model": ({"model": "facebook/DiT"}, "made with the model facebook/DiT"),
    "no model": ({"model": None}, "the model None"),
    "seed": ({"seed": "x"}, "Its settings were left out: seed"),
    "class": ({"label": 12}, "class 12 is not one of this model"),
    "a name for a class": ({"label": "mushroom"}, "Its settings were left out: class"),
    "guidance": ({"cfg_scale": 99}, "Its settings were left out: guidance"),
    "sampler": ({"sampler": "<b>"}, "Its settings were left out: sampler"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_settings_that_do_not_fit_are_left_out_and_the_schedule_is_taken(
    share: Share, visit: Visit, tmp_path: Path, name: str
) -> None:
    change, words = LEFT_OUT[name]
    before = visit.state.settings
    parts = share.open_file(written(tmp_path, a_picture({**REQUEST, **change})), visit)
    assert visit.state.settings == before and "label" not in parts
    assert studio.same_paint(visit.state.schedule, Schedule.every(20, 12, 3))
    assert words in parts["notice"] and "<b>" not in parts["notice"]


@pytest.mark.parametrize("name", ["label", "seed", "cfg_scale", "sampler", "weights_hash"])
def test_junk_in_a_recipe_breaks_nothing(visit: Visit, name: str) -> None:
    visit.weights_hash = "abc"
    for value in JUNK:
        settings, words = settings_in({**REQUEST, name: value}, visit)
        assert isinstance(words, str) and len(words) < 700
        # Some of the junk is a seed or a guidance; none of it is a sampler.
        assert settings is None or name != "sampler"


def test_other_weights_are_said(visit: Visit) -> None:
    visit.weights_hash = "abc"
    assert "other weights" in settings_in({**REQUEST, "weights_hash": "xyz"}, visit)[1]
    assert "other weights" not in settings_in({**REQUEST, "weights_hash": "abc"}, visit)[1]
    assert settings_in(None, visit) == (None, "")


def test_a_picture_for_another_shape_changes_nothing(
    share: Share, visit: Visit, tmp_path: Path
) -> None:
    data = png_of(np.zeros((4, 4, 3), np.uint8), Schedule.every(20, 28, 3), REQUEST)
    before = visit.state
    refused(share.open_file(written(tmp_path, data), visit), "28 blocks", "12")
    assert visit.state is before
    for bad in (b"", b"\x89PNG\r\n\x1a\n", a_picture()[:100]):
        refused(share.open_file(written(tmp_path, bad), visit), "not opened")
    assert visit.state is before


def test_weights_are_named_only_where_they_are_known(visit: Visit) -> None:
    visit.weights_hash = "abc"
    # The recorded run was made by whatever weights shipped then.
    assert saved.weights_of(visit, visit.result) == ""
    live = dataclasses.replace(visit.result, recorded=None)
    assert saved.weights_of(visit, live) == "abc"
    assert saved.weights_of(visit, dataclasses.replace(live, model="other")) == ""


# -- figures and tables --------------------------------------------------------------------


@pytest.mark.parametrize("what", saved.MAKERS)
def test_every_download_is_a_file_with_a_name(share: Share, visit: Visit, what: str) -> None:
    parts = share.download(what, visit)
    file = given(parts)
    assert file["name"].rsplit(".", 1)[1] in ("svg", "png", "csv", "html")
    assert file["name"] in parts["notice"]
    assert (file.get("text") or file.get("base64")) and len(parts["export_file"]) < 1_000_000
    if file["name"] in ("grid.png", "curves.png"):
        assert file["raster"] == 2 and file["text"].startswith("<svg")


def rows_of(share: Share, visit: Visit, what: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(given(share.download(what, visit))["text"])))


def test_the_numbers_table(share: Share, visit: Visit) -> None:
    rows = rows_of(share, visit, "numbers.csv")
    assert [row["run"] for row in rows] == ["full", "cached", "fewer"]
    f = visit.result.figures["cached"]
    assert float(rows[1]["psnr_db"]) == pytest.approx(f.psnr_db, 1e-4)
    assert float(rows[1]["median_ms"]) == pytest.approx(np.median(f.total_ms), 1e-4)
    assert rows[0]["psnr_db"] == "" and rows[0]["setting"] == visit.result.setting


def test_the_curves_table_holds_every_point(share: Share, visit: Visit) -> None:
    rows = rows_of(share, visit, "curves.csv")
    change = visit.result.tables.change
    lags = change.shape[-1]
    assert len(rows) == 12 * 2 * sum(min(s, lags) for s in range(20))
    for row in rows[::37]:
        s, block, lag = (int(row[name]) for name in ("step", "block", "lag"))
        r = ["attn", "mlp"].index(row["branch"])
        assert float(row["rel_l1"]) == pytest.approx(change[s, block, r, lag - 1], 1e-4)
        assert float(row["timestep"]) == pytest.approx(visit.result.timesteps[s])


def test_the_steps_table(share: Share, visit: Visit) -> None:
    rows = rows_of(share, visit, "steps.csv")
    result = visit.result
    assert len(rows) == 20
    for s in (0, 7, 19):
        assert int(rows[s]["computed"]) == (result.executed[s] == 0).sum()
        assert float(rows[s]["drift"]) == pytest.approx(result.drift[s], 1e-4, abs=1e-6)
        assert float(rows[s]["ms"]) == pytest.approx(result.step_ms[s], 1e-4)


def test_the_grid_shows_what_ran_only_while_it_is_what_ran(share: Share, visit: Visit) -> None:
    assert "Executed" in given(share.download("grid.svg", visit))["text"]
    share.handlers.strokes((stroke(1),), visit)
    assert "Executed" not in given(share.download("grid.svg", visit))["text"]
    # The numbers are still of before, and that is said.
    assert "press Run first" in share.download("numbers.csv", visit)["notice"]
    assert "press Run first" not in share.download("grid.svg", visit)["notice"]


def test_a_report_is_named_by_its_method_and_links_back(share: Share, visit: Visit) -> None:
    turned(share.handlers, visit, "fora", interval=2)
    result = visit.result = dataclasses.replace(visit.result, schedule=visit.state.schedule)
    text = given(share.report(visit))["text"]
    assert "--method fora" in text and "FORA" in text
    link = text.split('data-testid="fragment">#')[1].split("<")[0]
    other = start_visit()
    share.restore(link, other)
    assert studio.same_paint(other.state.schedule, result.schedule)
    assert other.state.settings == visit.state.settings


def test_an_unknown_download_is_refused_and_no_old_file_is_saved(
    share: Share, visit: Visit
) -> None:
    for what in (*JUNK, "grid.gif", "__class__"):
        parts = share.download(what, visit)
        refused(parts, "not known")
        assert parts["export_file"] == ""
        assert share.export(what, visit)["export_file"] == ""


def test_curves_before_any_run_are_refused(share: Share, visit: Visit) -> None:
    visit.tables = dataclasses.replace(visit.tables, change=np.zeros_like(visit.tables.change))
    parts = share.download("curves.csv", visit)
    refused(parts, "press Run first")
    assert parts["export_file"] == ""


# -- drafts --------------------------------------------------------------------------------


def test_a_page_nobody_has_touched_is_no_draft(share: Share, visit: Visit) -> None:
    assert share.draft(visit) == ""


def test_a_draft_brings_the_paint_back(share: Share, visit: Visit) -> None:
    share.handlers.strokes((stroke(1),), visit)
    share.handlers.configure(2, 5, 3.0, "ddim", visit)
    draft = json.loads(share.draft(visit))
    assert draft["model"] == "scenes-dit" and len(draft["link"]) < 600
    other = start_visit()
    parts = share.restore(draft["link"], other)
    assert studio.same_paint(other.state.schedule, visit.state.schedule)
    assert other.state.settings == visit.state.settings
    assert parts["seed"]["value"] == 5


def test_settings_alone_are_a_draft_too(share: Share, visit: Visit) -> None:
    share.handlers.configure(2, 5, 2.0, "ddim", visit)
    assert json.loads(share.draft(visit))["link"]


def test_a_draft_that_is_none_changes_nothing(share: Share, visit: Visit) -> None:
    before = visit.state
    for link in (*JUNK, "1zabc", "x" * 99_999):
        refused(share.restore(link, visit))
        assert visit.state.now is before.now and visit.state.settings == before.settings


def test_the_scripts_words_cannot_end_their_script() -> None:
    from viz.pages.keep import _constants

    assert "</script>" not in _constants(WORDS="</script><script>alert(1)</script>")
    assert KEEP_HEAD.count("<script>") == KEEP_HEAD.count("</script>") == 3
