"""The native schedule file: round trip, readable text, and a refusal for every kind of bad file."""

import json
import os

import pytest
from hypothesis import given

from caching.context import Context
from caching.errors import ScheduleError
from caching.formats import native
from caching.formats.bounded import MAX_BYTES
from caching.formats.native import dumps, load_schedule_file
from caching.schedule import Schedule
from tests.caching.strategies import schedules


def document(**changes):
    """A valid two-block file as plain values, with top-level changes; ... deletes a key."""
    value = {
        "format": "cachebrush-schedule",
        "version": 1,
        "step_order": "execution, step 0 is the noisiest",
        "context": {"steps": 4, "sampler": "ddim", "timesteps": [999, 666, 333, 0]},
        "branches": ["attn", "mlp"],
        "legend": {"C": "compute", "R": {"predictor": "reuse"}},
        "rows": {
            "block 0 attn": "CRRC",
            "block 0 mlp": "CCRC",
            "block 1 attn": "CCCC",
            "block 1 mlp": "CRCR",
        },
        **changes,
    }
    return {key: item for key, item in value.items() if item is not ...}


def load(value):
    return load_schedule_file(json.dumps(value).encode())


# -- what a good file says -----------------------------------------------------------------


def test_a_file_becomes_the_schedule_it_says():
    context = Context(4, sampler="ddim", timesteps=(999, 666, 333, 0))
    expected = Schedule.from_rows(["CRRC", "CCRC", "CCCC", "CRCR"], context=context)
    assert load(document()) == expected


@given(schedules(legend=Schedule.full(1, 1).legend))
def test_text_round_trip(schedule):
    assert load_schedule_file(dumps(schedule).encode()) == schedule


@pytest.mark.parametrize(
    "context",
    [
        None,
        Context(4),
        Context(
            4,
            sampler="ddim",
            timesteps=(999.0, 666.5, 333.25, 0.0),
            model_id="facebook/DiT-XL-2-256",
            model_hash="0123456789abcdef",
            guidance="none",
            reuse="after gate",
            dtype="bfloat16",
            note="“quoted” – λ",
        ),
    ],
)
def test_a_saved_file_loads_as_the_same_schedule(tmp_path, context):
    schedule = Schedule.every(4, 2, 2, branches=("self", "cross", "ff"), context=context)
    path = tmp_path / "schedule.json"
    schedule.save(path)
    assert Schedule.load(path) == schedule
    assert [p.name for p in tmp_path.iterdir()] == ["schedule.json"], "no partial file stays"


def test_the_text_reads_well_one_row_per_line():
    schedule = Schedule.from_rows(
        ["CRRC", "CCRC"], context=Context(4, sampler="ddim", timesteps=(999, 666, 333, 0.5))
    )
    assert (
        dumps(schedule)
        == """{
  "format": "cachebrush-schedule",
  "version": 1,
  "step_order": "execution, step 0 is the noisiest",
  "context": {
    "steps": 4,
    "sampler": "ddim",
    "timesteps": [999, 666, 333, 0.5],
    "guidance": "doubled batch",
    "reuse": "before gate"
  },
  "branches": ["attn", "mlp"],
  "legend": {
    "C": "compute",
    "R": {"predictor": "reuse"}
  },
  "rows": {
    "block 0 attn": "CRRC",
    "block 0 mlp":  "CCRC"
  }
}
"""
    )


def test_one_changed_cell_changes_one_line():
    before = dumps(Schedule.full(9, 12)).splitlines()
    after = dumps(Schedule.full(9, 12).paint([(4, 7, 1)], 1)).splitlines()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert changed == [('    "block 7 mlp":   "CCCCCCCCC",', '    "block 7 mlp":   "CCCCRCCCC",')]


def test_timestep_ascending_files_are_turned_round():
    value = document(
        step_order="timestep ascending",
        context={"steps": 4, "sampler": "ddim", "timesteps": [0, 333, 666, 999]},
        rows={
            "block 0 attn": "CRRC",
            "block 0 mlp": "CRCC",
            "block 1 attn": "CCCC",
            "block 1 mlp": "RCRC",
        },
    )
    assert load(value) == load(document())


def test_errors_in_a_turned_file_name_the_execution_step():
    value = document(step_order="timestep ascending", context=None)
    value["rows"]["block 1 mlp"] = "CCCR"
    with pytest.raises(ScheduleError, match="block 1, mlp, step 0: reuse given"):
        load(value)


def test_any_letters_will_do_if_the_legend_explains_them():
    value = document(
        legend={"R": {"predictor": "reuse"}, "1": "compute"},
        rows={"block 0 attn": "1RR1", "block 0 mlp": "1111"},
    )
    assert load(value).rows() == {"block 0 attn": "CRRC", "block 0 mlp": "CCCC"}


def test_a_byte_order_mark_is_no_reason_to_refuse():
    assert load_schedule_file(b"\xef\xbb\xbf" + json.dumps(document()).encode()) == load(document())


def test_the_largest_schedule_fits_into_the_limit():
    text = dumps(Schedule.every(1000, 256, 3)).encode()
    assert len(text) < MAX_BYTES / 4
    assert load_schedule_file(text).actions.shape == (1000, 256, 2)


# -- what a bad file says ------------------------------------------------------------------

ROWS = document()["rows"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "smoothcache"}, "not a Cachebrush schedule: expected .*cachebrush-schedule"),
        ({"format": ...}, "not a Cachebrush schedule"),
        ({"version": 2}, "format version 2 is unknown: expected 1; a newer file"),
        ({"version": "1"}, "format version '1' is unknown"),
        ({"version": True}, "format version True is unknown"),
        ({"version": ...}, "format version None is unknown"),
        ({"rows": ...}, "the file has no 'rows': add it"),
        ({"context": ...}, "the file has no 'context'"),
        ({"extra": 1}, "the file has the unknown key 'extra': expected format, version"),
        ({"step_order": "descending"}, "step_order is 'descending': expected \"execution"),
        ({"step_order": []}, "step_order is"),
        ({"step_order": ...}, "the file has no 'step_order'"),
        ({"context": []}, "context must be an object"),
        ({"context": {}}, "context has no 'steps'"),
        ({"context": {"steps": 4, "model": 1}}, "context has the unknown key 'model'"),
        ({"context": {"steps": 5}}, "the rows have 4 steps and the context says 5"),
        ({"context": {"steps": 1001}}, "steps is 1001: expected a whole number from 1 to 1000"),
        ({"context": {"steps": 99999999999999}}, "steps is 99999999999999"),
        ({"context": {"steps": 4.5}}, "steps is 4.5"),
        ({"context": {"steps": True}}, "steps is True"),
        ({"context": {"steps": 4, "timesteps": [1, 2, 3, 4]}}, "expected falling values"),
        ({"context": {"steps": 4, "timesteps": [4, 3]}}, "2 values for 4 steps"),
        ({"context": {"steps": 4, "timesteps": "4321"}}, "must be a list"),
        ({"context": {"steps": 4, "timesteps": [0] * 1001}}, "must be a list"),
        ({"context": {"steps": 4, "sampler": ["ddim"]}}, "context.sampler is"),
        ({"branches": "attn"}, "branches are 'attn'"),
        ({"branches": []}, "branches are"),
        ({"branches": [["attn"], "mlp"]}, "branches are"),
        ({"branches": ["attn", "attn"]}, "different lower-case names"),
        ({"branches": [f"b{i}" for i in range(9)]}, "1 to 8"),
        ({"branches": ["attn", "ff"]}, "row 'block 0 mlp' is unknown"),
        ({"legend": []}, "legend must be an object"),
        ({"legend": {}}, "legend must be an object"),
        ({"legend": {"R": {"predictor": "reuse"}}}, "0 letters of the legend mean"),
        ({"legend": {"C": "compute", "D": "compute"}}, "2 letters of the legend mean"),
        ({"legend": {"C": "compute", "RR": {"predictor": "reuse"}}}, "letter 'RR' given"),
        ({"legend": {"C": "compute", "?": {"predictor": "reuse"}}}, "letter '\\?' given"),
        ({"legend": {"C": "compute", "R": "reuse"}}, "'reuse' is not a predictor"),
        ({"legend": {"C": "compute", "R": {"predictor": "x"}}}, "predictor 'x' is unknown"),
        ({"rows": ["CRRC"]}, "rows must be an object"),
        ({"rows": {}}, "no rows given"),
        ({"rows": {**ROWS, "block 1 mlp": "CRXR"}}, r"block 1, mlp, step 2: 'X' is not in the leg"),
        ({"rows": {**ROWS, "block 1 mlp": "CRR"}}, "'block 1 mlp' has 3 steps"),
        ({"rows": {**ROWS, "block 1 mlp": "RCCC"}}, "block 1, mlp, step 0: reuse given"),
        ({"rows": {**ROWS, "block 1 mlp": None}}, "'block 1 mlp' has 'None'"),
        ({"rows": {**ROWS, "block 0 attn": 5}}, "'block 0 attn' is 5: expected a text"),
        ({"rows": {**ROWS, "block 3 mlp": "CCCC"}}, "'block 2 attn' is missing"),
        ({"rows": {**ROWS, "block 256 mlp": "CCCC"}}, "block 256 given: expected at most 256"),
        ({"rows": {**ROWS, "block 99999 mlp": "C"}}, "'block 99999 mlp' is unknown"),
    ],
)
def test_a_bad_value_is_refused_by_name(changes, message):
    with pytest.raises(ScheduleError, match=message):
        load(document(**changes))


GOOD = json.dumps(document())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not valid JSON at line 1, column 1"),
        (GOOD[:-40].encode(), "not valid JSON .*was the file cut off"),
        (b"\x89PNG\r\n\x1a\n", "byte 0 is not UTF-8"),
        (GOOD.encode("utf-16"), "not UTF-8"),
        (b"[" * 100_000, "nested more than 8 deep"),
        (b'{"a":' * 100_000, "nested more than 8 deep"),
        (b"[1, 2]", "not a Cachebrush schedule"),
        (b'"schedule"', "not a Cachebrush schedule"),
        (b"null", "not a Cachebrush schedule"),
        (b'{"format": "cachebrush-schedule", "format": 1}', "key 'format' stands twice"),
        (GOOD.replace("999", "NaN").encode(), "NaN given: expected finite"),
        (GOOD.replace("999", "Infinity").encode(), "Infinity given"),
        (GOOD.replace("999", "-Infinity").encode(), "-Infinity given"),
        (GOOD.replace("999", "1e999").encode(), "1e999 is too large"),
        (GOOD.replace("999", "9" * 5000).encode(), "a number of 5000 digits given"),
        (b" " * (MAX_BYTES + 1), "has 4.0 MiB: expected at most 4 MiB"),
    ],
)
def test_bad_bytes_are_refused(data, message):
    with pytest.raises(ScheduleError, match=message):
        load_schedule_file(data)


@pytest.mark.parametrize("cut", range(0, len(GOOD), 37))
def test_a_file_cut_anywhere_is_refused(cut):
    with pytest.raises(ScheduleError):
        load_schedule_file(GOOD[:cut].encode())


def test_quotes_without_end_are_scanned_once():
    """A scan that starts over at every quote would take hours for this file."""
    with pytest.raises(ScheduleError, match="not valid JSON"):
        load_schedule_file(b'"' + b'\\"' * (MAX_BYTES // 2 - 1))


def test_brackets_inside_strings_do_not_count_as_depth():
    note = '[[[[[[[[[[{{{{{{{{{{ \\" ['
    value = document(context={"steps": 4, "note": note})
    assert load(value).context.note == note


def test_a_huge_file_is_refused_by_its_size_without_reading_it(tmp_path, monkeypatch):
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(100 * 2**20)
    monkeypatch.setattr("pathlib.Path.open", lambda *_, **__: pytest.fail("the file was opened"))
    with pytest.raises(ScheduleError, match=r"has 100\.0 MiB: expected at most 4 MiB"):
        load_schedule_file(path)


def test_a_path_that_is_no_file_is_refused(tmp_path):
    with pytest.raises(ScheduleError, match="is not a file"):
        load_schedule_file(tmp_path)
    with pytest.raises(ScheduleError, match=r"missing\.json' is not a file"):
        load_schedule_file(str(tmp_path / "missing.json"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ScheduleError, match="is not a file"):
        load_schedule_file(tmp_path / "pipe")


def test_saving_into_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(ScheduleError, match="cannot be written"):
        Schedule.full(2, 1).save(tmp_path / "nowhere" / "schedule.json")


def test_a_save_that_fails_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "schedule.json"
    Schedule.full(2, 1).save(path)

    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(native.os, "replace", broken)
    with pytest.raises(ScheduleError, match="No space left"):
        Schedule.full(3, 1).save(path)
    assert Schedule.load(path) == Schedule.full(2, 1)
    assert [p.name for p in tmp_path.iterdir()] == ["schedule.json"]
