"""The recorded study and the ledger behind it: exact there and back, strict with strangers."""

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from caching.errors import RequestError
from caching.study.bootstrap import Interval, interval
from caching.study.ledger import Chosen, Conditions, Ledger, Scores, Timed
from caching.study.published import PUBLISHED
from caching.study.store import Missing, Row, Study, load_study, save_study
from caching.study.summary import summarise

ROOT = Path(__file__).resolve().parents[2]
SEEDS = (0, 1, 2)


# -- intervals -----------------------------------------------------------------------------


def test_an_interval_by_hand():
    """Two values: a drawn set is (0,0), (0,1), (1,0) or (1,1), so its mean is 0, ½ or 1 with
    chances ¼, ½, ¼; the middle half of the means ends at their quartiles."""
    found = interval([0.0, 1.0], draws=20_000, share=0.4)
    assert found == (0.5, 0.5, 0.5)
    assert interval([0.0, 1.0], draws=20_000, share=0.95) == (0.5, 0.0, 1.0)


def test_an_interval_against_the_normal_one():
    values = np.random.default_rng(1).normal(30, 4, 400)
    found = interval(values)
    assert found.mean == pytest.approx(values.mean())
    assert found.half == pytest.approx(1.96 * values.std() / math.sqrt(400), rel=0.06)
    assert found == interval(values)
    assert interval([7.0]) == (7, 7, 7)
    with pytest.raises(ValueError, match="at least one"):
        interval([])


# -- the study -----------------------------------------------------------------------------


def row(**changes):
    values = {
        "method": "fora", "controls": {"interval": 3, "align": "end"}, "words": "FORA, N 3",
        "faithfulness": "as published", "target": 2.0, "speedup": 2.4, "least_speedup": 2.4,
        "most_speedup": 2.4, "matched": True, "decided": False, "steps": 20, "ms": 220.5,
        "ms_speedup": 2.1, "psnr_db": Interval(31.0, 30.0, 32.0), "ssim": Interval(0.9, 0.8, 0.95),
        "latent_rel_l2": Interval(0.1, 0.05, 0.2), "agrees": Interval(1.0, 1.0, 1.0),
        "same": None, "rival_steps": 8, "gain_db": Interval(-0.5, -1.0, 0.25), "notes": ("a",),
    }  # fmt: skip
    return Row(**(values | changes))


def study():
    return Study(
        model="scenes-dit", weights_hash="0" * 16, steps=20, cfg_scale=2.0, sampler="ddim",
        pictures=64, first_seed=0, targets=(1.5, 2.0), command="python -m caching study",
        setting="a machine", date="2026-11-21", full_ms=480.0,
        rows=(row(target=1.5), row(), row(method="plain-steps", faithfulness="rival")),
        plain=(row(target=None, gain_db=None),), missing=(Missing("bac", 3.0, None, "why"),),
    )  # fmt: skip


def test_a_study_comes_back_as_it_was(tmp_path):
    path = tmp_path / "deep" / "study.json"
    save_study(study(), path)
    assert load_study(path) == study()
    assert [r.method for r in load_study(path).group(2.0)] == ["fora", "plain-steps"]


def test_controls_keep_every_digit(tmp_path):
    path = tmp_path / "study.json"
    one = dataclasses.replace(study(), rows=(row(controls={"a": 0.1234567891}, speedup=1 / 3),))
    save_study(one, path)
    found = load_study(path).rows[0]
    assert found.controls == {"a": 0.1234567891}
    assert found.speedup == 0.333333


BAD = {
    "another kind": lambda t: t.pop("cachebrush_study"),
    "another version": lambda t: t.update(cachebrush_study=99),
    "no rows": lambda t: t.pop("rows"),
    "rows as a word": lambda t: t.update(rows="rows"),
    "too many rows": lambda t: t.update(rows=t["rows"] * 1000),
    "a row as a list": lambda t: t["rows"].append([1]),
    "steps as a word": lambda t: t.update(steps="20"),
    "half a step": lambda t: t.update(steps=2.5),
    "no steps": lambda t: t.update(steps=0),
    "a target below 0": lambda t: t.update(targets=[-1]),
    "a long text": lambda t: t.update(command="x" * 2000),
    "an interval of two": lambda t: t["rows"][0].update(ssim=[1, 2]),
    "an interval inside out": lambda t: t["rows"][0].update(ssim=[0.5, 0.9, 0.1]),
    "an interval of words": lambda t: t["rows"][0].update(ssim=["a", "b", "c"]),
    "true as a number": lambda t: t["rows"][0].update(speedup=True),
    "one as a flag": lambda t: t["rows"][0].update(matched=1),
    "a control that is a list": lambda t: t["rows"][0].update(controls={"a": [1]}),
    "controls as a list": lambda t: t["rows"][0].update(controls=["a"]),
    "a note that is a number": lambda t: t["rows"][0].update(notes=[1]),
    "a row without PSNR": lambda t: t["rows"][0].pop("psnr_db"),
}


@pytest.mark.parametrize("spoil", BAD.values(), ids=BAD)
def test_a_spoilt_study_is_refused(tmp_path, spoil):
    path = tmp_path / "study.json"
    save_study(study(), path)
    text = json.loads(path.read_text(encoding="utf-8"))
    spoil(text)
    path.write_text(json.dumps(text), encoding="utf-8")
    with pytest.raises(RequestError, match="cannot be read as a study"):
        load_study(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"\xff\xfe", b"{" * 50, b'{"cachebrush_study": 1, "steps": NaN}',
     b'{"steps": 1, "steps": 2}'],
)  # fmt: skip
def test_no_study_at_all_is_refused(tmp_path, content):
    path = tmp_path / "study.json"
    path.write_bytes(content)
    with pytest.raises(RequestError, match="cannot be read as a study"):
        load_study(path)
    with pytest.raises(RequestError, match="cannot be read as a study"):
        load_study(tmp_path / "none.json")


# -- the ledger ----------------------------------------------------------------------------


def conditions(**changes):
    values = {"model": "m", "weights_hash": "w", "steps": 8, "cfg_scale": 2.0, "sampler": "ddim",
              "seeds": SEEDS, "tuning_seeds": (9,)}  # fmt: skip
    return Conditions(**(values | changes))


SCORES = Scores(8, True, (0.5, 0.25, 0.5), (30.0, 31.0, 32.0), (0.9,) * 3, (0.1,) * 3)
TIMED = Timed("a machine", (5.0, 6.0), (10.0, 11.0))
CHOSEN = Chosen({"interval": 2}, "FORA, N 2", 1.8, "", ("a note",))
KEY = ("fora", "[('interval', 2)]")


def filled(folder):
    ledger = Ledger(folder, conditions())
    ledger.judge(KEY, SCORES)
    ledger.time(KEY, TIMED)
    ledger.choose("fora", 2.0, CHOSEN)
    return ledger


def test_a_ledger_is_read_again(tmp_path):
    filled(tmp_path / "work")
    found = Ledger(tmp_path / "work", conditions())
    assert (found.judged, found.timed) == ({KEY: SCORES}, {KEY: TIMED})
    assert found.chosen == {("fora", 2.0): CHOSEN}
    assert found.unread == 0


@pytest.mark.parametrize(
    "other",
    [{"weights_hash": "v"}, {"steps": 9}, {"cfg_scale": 3.0}, {"sampler": "euler"},
     {"seeds": (0, 1)}, {"dtype": "float16"}, {"tuning_seeds": (8,)}],
)  # fmt: skip
def test_other_conditions_have_another_ledger(tmp_path, other):
    filled(tmp_path)
    assert Ledger(tmp_path, conditions(**other)).judged == {}


def test_seeds_are_not_judged_and_tuned_on():
    with pytest.raises(RequestError, match="seed 2 is to be judged and tuned on"):
        conditions(tuning_seeds=(2,))


def test_a_line_cut_off_costs_that_line_only(tmp_path):
    ledger = filled(tmp_path)
    ledger.path.write_bytes(ledger.path.read_bytes()[:-20])
    found = Ledger(tmp_path, conditions())
    assert (found.chosen, found.judged) == ({}, {KEY: SCORES})
    found.choose("fora", 2.0, CHOSEN)
    assert found.unread == 1
    last = Ledger(tmp_path, conditions())
    assert (last.judged, last.chosen) == ({KEY: SCORES}, {("fora", 2.0): CHOSEN})


@pytest.mark.parametrize(
    "line",
    [
        '["judged", ["a", "b"], {}]',
        '["judged", ["a", "b"], {"steps": 8, "decided": true, "work": [1, 1], "psnr_db": [1, 1], '
        '"ssim": [1, 1], "latent_rel_l2": [1, 1], "agrees": [], "same": []}]',  # two of three
        '["judged", ["a", "b"], {"steps": 8, "decided": true, "work": [1, 1, 0], "psnr_db": '
        '[1, 1, 1], "ssim": [1, 1, 1], "latent_rel_l2": [1, 1, 1], "agrees": [], "same": []}]',
        '["judged", ["a"], {}]',
        '["timed", ["a", "b"], {"setting": "x", "ms": [], "full_ms": []}]',
        '["timed", ["a", "b"], {"setting": "x", "ms": [NaN], "full_ms": [1]}]',
        '["chosen", ["a", "b"], {"controls": null, "words": "", "speedup": 1, "why": "", '
        '"notes": []}]',
        '["chosen", ["a", 2], {"controls": [1], "words": "", "speedup": 1, "why": "", '
        '"notes": []}]',
        '["surprise", ["a"], {}]',
        '{"a": 1}',
        "7",
        "[" * 100_000,
    ],
)
def test_lines_of_strangers_are_left_out(tmp_path, line):
    ledger = filled(tmp_path)
    with ledger.path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    found = Ledger(tmp_path, conditions())
    assert (found.unread, found.judged, len(found.chosen)) == (1, {KEY: SCORES}, 1)


def test_processes_share_a_ledger(tmp_path):
    one, other = Ledger(tmp_path, conditions()), Ledger(tmp_path, conditions())
    one.judge(KEY, SCORES)
    other.choose("fora", 2.0, CHOSEN)
    assert (one.chosen, other.judged) == ({}, {KEY: SCORES})
    one.catch_up()
    assert one.chosen == {("fora", 2.0): CHOSEN}


def test_again_forgets_one_method(tmp_path):
    ledger = filled(tmp_path)
    ledger.judge(("bac", "[]"), SCORES)
    ledger.again("fora")
    for one in (ledger, Ledger(tmp_path, conditions())):
        assert (list(one.judged), one.timed, one.chosen) == ([("bac", "[]")], {}, {})


def test_a_row_by_hand(tmp_path):
    """Three pictures of work ½, ¼ and ½, whose mean pays for 3 of 8 plain steps."""
    ledger = filled(tmp_path)
    plain = Scores(3, False, (3 / 8,) * 3, (29.0, 31.5, 30.5), (0.8,) * 3, (0.2,) * 3)
    ledger.judge(("plain-steps", "[('steps', 3)]"), plain)
    found = summarise(ledger, methods=["fora", "bac"], rivals={2.0: ()}, setting="a machine",
                      command="c", date="d")  # fmt: skip
    (one,) = found.rows
    assert one.speedup == pytest.approx(3 / 1.25)
    assert (one.least_speedup, one.most_speedup, one.rival_steps) == (2, 4, 3)
    assert one.psnr_db.mean == 31 and one.gain_db.mean == pytest.approx(2 / 3)
    assert -0.5 <= one.gain_db.low < 2 / 3 < one.gain_db.high <= 1.5  # of 1, -½ and 1½
    assert (one.ms, one.ms_speedup) == (5.5, pytest.approx((10 / 5 + 11 / 6) / 2))
    assert (one.decided, one.matched, one.agrees, one.notes) == (True, True, None, ("a note",))
    assert Missing("bac", 2.0, None, "not judged yet") in found.missing
    assert [row.steps for row in found.plain] == [3] and found.full_ms == 10.5
    other = summarise(ledger, methods=["fora"], rivals={2.0: ()}, setting="another machine",
                      command="c", date="d")  # fmt: skip
    assert other.rows[0].ms is None and other.setting == ""


# -- quoted tables -------------------------------------------------------------------------


def test_published_rows_fill_their_columns():
    assert len(PUBLISHED) >= 8
    for one in PUBLISHED:
        assert one.title and one.setting and one.columns[0] == ""
        for line in one.rows:
            assert len(line) == len(one.columns)
            assert isinstance(line[0], str)
            assert all(isinstance(v, float | int) or v is None for v in line[1:])


def test_published_numbers_are_those_of_the_sources():
    """Some figures as the papers print them, to the digit."""
    rows = {(one.title.split(" (")[0], line[0]): line for one in PUBLISHED for line in one.rows}
    assert rows["Learning-to-Cache", "L2C, 20 steps"][1:3] == (3.455, 4.644)
    assert rows["SmoothCache", "SmoothCache, α 0.22"] == (
        "SmoothCache, α 0.22", 3.14, 5.19, 231.7, 131.81, 4.11)  # fmt: skip
    assert rows["TaylorSeer", "TaylorSeer, N 3, order 3"][1:] == (2.77, 2.34, 4.69, 238.42)


def test_the_page_can_read_a_study_without_torch():
    code = (
        "import sys, caching.study.store, caching.study.published; "
        "print(sorted({'torch', 'diffusers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
