"""Imports: each format by a small file worked out by hand, its options, and what it refuses."""

import json

import numpy as np
import pytest

from caching.actions.hidden import FinalHidden
from caching.actions.scale import ScaleEps
from caching.errors import ScheduleError
from caching.formats.importers import IMPORTERS, import_schedule
from caching.formats.importers.source import read_source
from caching.predictors.reuse import Reuse
from caching.predictors.tokens import Tokens
from caching.predictors.trend import Trend
from tests.caching import foreign


def rows(schedule):
    return list(schedule.rows().values())


# -- which format --------------------------------------------------------------------------


def test_there_is_a_sample_of_every_format():
    assert set(foreign.SAMPLES) == set(IMPORTERS)


@pytest.mark.parametrize("name", foreign.SAMPLES)
def test_content_alone_tells_the_format_and_no_other_claims_it(name, tmp_path):
    path = tmp_path / "misleading.txt"
    path.write_bytes(foreign.SAMPLES[name])
    source = read_source(path)
    assert [kind for kind, importer in IMPORTERS.items() if importer.sniff(source)] == [name]
    assert import_schedule(path, blocks=2).report.format == name
    assert import_schedule(foreign.SAMPLES[name], blocks=2).report.format == name


SILENT = {"ebcache", "procache", "step-mask"}


@pytest.mark.parametrize("name", sorted(set(foreign.SAMPLES) - SILENT))
@pytest.mark.parametrize("blocks", [3, 1])
def test_another_number_of_blocks_is_refused_where_the_file_says_one(name, blocks):
    if (name, blocks) == ("smoothcache", 3):  # it lists single blocks, the others are computed
        found = import_schedule(foreign.SAMPLES[name], blocks=3)
        assert found.schedule.rows()["block 2 mlp"] == "CCCC"
        return
    with pytest.raises(ScheduleError, match=f"is for 2 blocks and the model has {blocks}"):
        import_schedule(foreign.SAMPLES[name], blocks=blocks)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "of no known format: expected one of .*SmoothCache JSON"),
        (b"hello", "of no known format"),
        (b"{}", "of no known format"),
        (b'{"a": 1}', "of no known format"),
        (b"null", "of no known format"),
        (b'{"attn": [1, 0', "not valid JSON .*was the file cut off"),
        (b'{"attn": [1], "attn": [0]}', "stands twice"),
        (b"\x80\x04K\x01.", "is a Python pickle, which can run any program"),
        (b"\xff\xfe\x00", "of no known format"),
        (b"GIF89a", "of no known format"),
    ],
)
def test_what_is_no_schedule_is_refused(data, message):
    with pytest.raises(ScheduleError, match=message):
        import_schedule(data, blocks=2)


def test_an_unknown_format_or_option_is_refused_by_name():
    with pytest.raises(ScheduleError, match="format 'x' is not known: expected one of ebcache"):
        import_schedule(b"[1]", format="x")
    with pytest.raises(
        ScheduleError, match=r"option 'alpha' is not known .*router: expected theta"
    ):
        import_schedule(foreign.SAMPLES["l2c"], alpha=1)
    with pytest.raises(ScheduleError, match="ECAD schedule: expected none"):
        import_schedule(foreign.SAMPLES["ecad"], theta=1)


@pytest.mark.parametrize("name", IMPORTERS)
def test_a_format_asked_for_by_name_refuses_files_of_others(name):
    for other, data in foreign.SAMPLES.items():
        same = {name, other} <= {"l2c", "harmonica"} or {name, other} <= {"procache", "step-mask"}
        if other != name and not same:
            with pytest.raises(ScheduleError):
                import_schedule(data, format=name, blocks=2)


def test_sizes_are_bounded_before_reading(tmp_path, monkeypatch):
    path = tmp_path / "huge.pt"
    with path.open("wb") as file:
        file.truncate(100 * 2**20)
    monkeypatch.setattr("pathlib.Path.open", lambda *_, **__: pytest.fail("the file was opened"))
    with pytest.raises(ScheduleError, match=r"100\.0 MiB: expected at most 16 MiB"):
        import_schedule(path)
    with pytest.raises(ScheduleError, match="expected at most 16 MiB"):
        import_schedule(b"[" * (16 * 2**20 + 1))


def test_a_path_that_is_no_file_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "missing", "\0"):
        with pytest.raises(ScheduleError, match=r"is not a file|cannot be read"):
            import_schedule(path)


# -- SmoothCache ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ({"attn": [1, 0], "mlp": [1, 0]}, ["CR"] * 4),
        ({"attn1": [1, 0], "ff": [1, 1]}, ["CR", "CC"] * 2),
        ({"attn-1": [1, 0]}, ["CC", "CC", "CR", "CC"]),
        ({"attn": [1, 0], "attn-0": [1, 1]}, ["CC", "CC", "CR", "CC"]),  # the block's own first
        ({"attn1-0": [1, 0], "attn": [1, 1]}, ["CC", "CC", "CC", "CC"]),  # attn before attn1
        ({"mlp": [True, False]}, ["CC", "CR"] * 2),
        ({"steps": 2, "schedule": {"ff-1": [1, 0]}}, ["CC", "CC", "CC", "CR"]),
    ],
)
def test_smoothcache_keys(lists, expected):
    assert rows(import_schedule(foreign.text(lists), blocks=2).schedule) == expected


def test_smoothcache_names_of_no_branch_are_said():
    found = import_schedule(
        foreign.text({"attn": [1, 0], "attn2": [1, 0], "norm": [1, 1]}), blocks=1
    )
    assert found.report.lost == ("2 lists name no branch of this model, for instance ['attn2']",)


def test_smoothcache_step_0_is_computed_and_said():
    found = import_schedule(foreign.text({"attn": [0, 0], "mlp": [1, 0]}), blocks=3)
    assert rows(found.schedule) == ["CR"] * 6
    assert found.report.forced == 3
    assert "Forced: 3 cells that the file reuses at step 0" in " ".join(found.report.sentences)


def test_other_branches_go_by_their_own_names():
    data = foreign.text({"cross": [1, 0], "self-0": [1, 0]})
    found = import_schedule(data, blocks=1, branches=("self", "cross", "ff"))
    assert found.schedule.rows() == {
        "block 0 self": "CR",
        "block 0 cross": "CR",
        "block 0 ff": "CC",
    }


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"attn": [1, 2]}, "list 'attn', step 1 is 2: expected 0 or 1"),
        ({"attn": [1, 0.0]}, r"step 1 is 0\.0"),
        ({"attn": [1, None]}, "step 1 is None"),
        ({"attn": []}, "list 'attn' has 0 entries"),
        ({"attn": [1] * 1001}, "has 1001 entries: expected .* 1 to 1000"),
        ({"attn": [1, 0], "mlp": [1]}, "list 'mlp' has 1 steps and list 'attn' has 2"),
        ({"norm": [1, 0]}, "no list is for a branch of this model"),
        ({"attn-256": [1, 0]}, "block 256 given: expected at most 256"),
        ({"steps": 3, "schedule": {"attn": [1, 0]}}, "says 3 steps and its lists have 2"),
    ],
)
def test_smoothcache_refusals(lists, message):
    with pytest.raises(ScheduleError, match=message):
        import_schedule(foreign.text(lists), blocks=2)


# -- InvarDiff -----------------------------------------------------------------------------


def test_invardiff_true_is_reuse_and_the_step_book_rules():
    found = import_schedule(foreign.text(foreign.BOOKS))
    assert rows(found.schedule) == ["CCRC", "CRRC", "CRRC", "CCRC"]
    assert found.schedule.step_row() == "CCHC" and found.schedule.step_legend == (FinalHidden(),)
    books = {**foreign.BOOKS, "msa_cache_book": [[False] * 2] * 4}
    assert not import_schedule(foreign.text(books)).schedule.computed[2].any()


def test_invardiff_step_0_is_computed():
    books = {**foreign.BOOKS, "step_cache_book": [True, False, False, False]}
    found = import_schedule(foreign.text(books))
    assert found.report.forced == 4 and found.schedule.computed[0].all()
    assert not found.schedule.step_actions.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mlp_cache_book": ...}, "has no 'mlp_cache_book': expected the three"),
        ({"step_cache_book": [False] * 3}, "msa_cache_book has 4 steps: expected 3"),
        (
            {"msa_cache_book": [[True, False]] * 3 + [[True]]},
            "step 3 has 1 blocks and step 0 has 2",
        ),
        ({"msa_cache_book": [[True] * 3] * 4}, "the books have 3 and 2 blocks"),
        ({"msa_cache_book": [[1, 2]] * 4}, "step 0, block 1 is 2: expected 0 or 1"),
        ({"msa_cache_book": [[]] * 4}, "step 0 has 0 entries"),
        ({"msa_cache_book": [[True] * 257] * 4}, "step 0 has 257 entries"),
        ({"step_cache_book": "no"}, "step_cache_book has 'no'"),
    ],
)
def test_invardiff_refusals(changes, message):
    books = {k: v for k, v in {**foreign.BOOKS, **changes}.items() if v is not ...}
    with pytest.raises(ScheduleError, match=message):
        import_schedule(foreign.text(books))
    with pytest.raises(ScheduleError, match="expected one of hidden, reuse"):
        import_schedule(foreign.text(foreign.BOOKS), steps="skip")


# -- EB-Cache ------------------------------------------------------------------------------


def test_ebcache_table_is_turned_round():
    """0 computes both, 2 reuses both, anything else reuses attention; the last step first."""
    found = import_schedule(foreign.npy([0, 2, 7, 0]), blocks=1)
    assert rows(found.schedule) == ["CRRC", "CCRC"]  # attn, mlp
    assert "turned round" in found.report.order
    assert found.report.understood[0].startswith("2 steps compute both branches, 1 reuse both, 1")
    assert "0.965" in found.report.lost[0]


def test_ebcache_scale_goes_into_the_step_row_when_it_is_asked_for():
    found = import_schedule(foreign.npy([0, 2, 0]), blocks=1, delta=0.965)
    assert found.schedule.step_legend == (ScaleEps(0.965),)
    assert found.schedule.step_row() == "EEE" and found.report.lost == ()
    assert found.schedule.computed.sum() == 4, "a scaled step runs its blocks all the same"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (foreign.npy([0.0, 2.0], np.float64), "holds float64: expected whole numbers"),
        (foreign.npy([np.nan], np.float32), "holds float32"),
        (foreign.npy(["a"], "U1"), "holds <U1"),
        (foreign.npy([1 + 2j], np.complex128), "holds complex128"),
        (foreign.npy(np.zeros((2, 2, 2, 2))), "expected one to three dimensions"),
        (foreign.npy([]), "was the file cut off"),
        (foreign.npy(5), "expected|no known"),
        (foreign.npy([0, 2, 0])[:-1], "was the file cut off"),
        (foreign.npy([0, 2, 0]) + b"x", "just as many bytes"),
        (foreign.npy([0, 2, 0])[:40], "header cannot be read"),
        (b"\x93NUMPY\x09\x00" + bytes(100), "version|header cannot be read"),
    ],
)
def test_npy_refusals(data, message):
    with pytest.raises(ScheduleError, match=message):
        import_schedule(data, blocks=1)


def test_npy_objects_are_never_opened():
    file = foreign.io.BytesIO()
    np.save(file, np.array([foreign.argparse.Namespace()], object), allow_pickle=True)
    with pytest.raises(ScheduleError, match="never Python objects"):
        import_schedule(file.getvalue(), blocks=1)


def test_an_npy_header_that_promises_too_much_allocates_nothing():
    file = foreign.io.BytesIO()
    header = {"descr": "<i8", "fortran_order": False, "shape": (10**10,)}
    np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(ScheduleError, match=r"80000000000 bytes, and 24 follow: .* cut off"):
        import_schedule(file.getvalue() + bytes(24), blocks=1)


# -- ProCache, matrices, ECAD --------------------------------------------------------------


PATTERN = (
    b"s = [1, 0, 2, 0, 1, 0, 2, 0, 1, 0, 2, 0, 1, 0, 2, 0, 1, 0, 2, 0, 1, 0, 2, 0, 1, 0, 2, 1, 0, "
    b"2, 1, 0, 2, 1, 0, 2, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0]"
)


def test_procache_pattern_of_the_repository():
    found = import_schedule(PATTERN, blocks=28)
    assert found.report.understood[0].startswith(
        "17 full steps, 23 reused, 10 mixed: there blocks 21"
    )
    schedule = found.schedule
    assert schedule.legend == (Reuse(), Tokens(0.175))
    partial = schedule.actions == 2
    assert partial.sum() == 10 * 7 and partial[2, 21:, 1].all()
    assert not partial[:, :21].any() and not partial[:, :, 0].any()
    assert schedule.computed.sum() == 17 * 56


@pytest.mark.parametrize("name", sorted(SILENT))
def test_files_that_do_not_say_their_blocks_ask_for_them(name):
    with pytest.raises(ScheduleError, match="does not say how many blocks its model has"):
        import_schedule(foreign.SAMPLES[name])


@pytest.mark.parametrize(("mixed", "computed"), [("compute", 1), ("reuse", 0)])
def test_procache_mixed_steps_otherwise(mixed, computed):
    """Of four blocks the last is deep; its feed-forward is computed, or not."""
    found = import_schedule(b"[1, 2]", blocks=4, mixed=mixed)
    assert found.schedule.legend == (Reuse(),)
    assert found.schedule.computed[1].sum() == computed == found.schedule.computed[1, 3, 1]
    assert len(found.report.lost) == 1
    with pytest.raises(ScheduleError, match="mixed is 'all'"):
        import_schedule(b"[1, 2]", blocks=4, mixed="all")


def test_matrix_of_steps_and_blocks():
    data = b"skip_matrix = [\n  [1, 1],  # full\n  [0, 1],\n  [0, 0],\n]\n"
    found = import_schedule(data)
    assert rows(found.schedule) == ["CRR", "CRR", "CCR", "CCR"]
    assert import_schedule(foreign.npy([[1, 1], [0, 1], [0, 0]])).schedule == found.schedule
    deep = [[[1, 1], [1, 1]], [[0, 0], [1, 1]], [[0, 0], [0, 0]]]
    assert import_schedule(foreign.text(deep)).schedule == found.schedule
    assert import_schedule(foreign.npy(deep, bool)).schedule == found.schedule


def test_matrix_with_gocs_trend():
    found = import_schedule(foreign.text([[1], [0], [1], [0]]), eta=1.2)
    assert found.schedule.legend == (Trend(1.2),)
    assert found.schedule.computed.sum() == 4 and len(found.report.lost) == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[1, 1], [1]], "step 1 is"),
        ([[1, 2]], "step 0, block 1 is 2"),
        ([[]], "step 0 has 0 entries"),
        ([[1], 1], "step 1 has 1"),
        ([[[1, 1, 1]]], "has 3 branches and the model 2"),
        ([[[1, 1], [1]]], "unequal length"),
        ([[1]] * 1001, "1 to 1000 steps"),
        ([[1] * 257], "257 entries"),
    ],
)
def test_matrix_refusals(value, message):
    with pytest.raises(ScheduleError, match=message):
        import_schedule(foreign.text(value))


def test_a_matrix_of_other_numbers_is_refused():
    with pytest.raises(ScheduleError, match="more than 0 and 1"):
        import_schedule(foreign.npy([[1, 2]]))


def test_ecad_true_is_compute_cross_attention_is_dropped_and_step_0_forced():
    found = import_schedule(foreign.text(foreign.ECAD))
    assert rows(found.schedule) == ["CR", "CC", "CC", "CR"]
    assert found.report.forced == 1
    assert found.report.lost == (
        "attn2: the model has no such branch; the file computes 2 of its cells",
    )


def test_ecad_with_all_three_branches():
    found = import_schedule(foreign.text(foreign.ECAD), branches=("attn", "attn2", "mlp"))
    assert found.schedule.rows()["block 1 attn2"] == "CR"
    assert found.report.forced == 2 and found.report.lost == ()


def ecad(change):
    value = json.loads(json.dumps(foreign.ECAD))
    change(value["cache_schedule"]["schedule"])
    return foreign.text(value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.clear(), "has no schedule"),
        (lambda s: s.update({"002": s.pop("001")}), "step '002' stands where 001"),
        (lambda s: s.update({"001": []}), "step 001 has no blocks"),
        (lambda s: s["001"].pop("1"), "step 001 has 1 blocks"),
        (lambda s: s["001"].update({"1": 5}), "step 001, block 1: expected an object"),
        (lambda s: s["001"]["1"].update(ff=1), "step 001, block 1: expected an object"),
        (lambda s: s["001"]["1"].pop("ff"), "step 001, block 1 has the branches attn1, attn2"),
        (lambda s: [b.pop("ff") for t in s.values() for b in t.values()], "none is for mlp"),
    ],
)
def test_ecad_refusals(change, message):
    with pytest.raises(ScheduleError, match=message):
        import_schedule(ecad(change))
