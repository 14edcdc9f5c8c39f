"""The shell's lists of methods and all else, and what `calibrate` shows of a model."""

import dataclasses
import json

import numpy as np
import pytest

from caching.actions import ACTIONS
from caching.formats.exporters import EXPORTERS
from caching.formats.importers import IMPORTERS
from caching.learn.store import Learned, save_learned
from caching.methods import METHODS
from caching.methods.listing import BEGIN, END, markdown
from caching.models.loading import load_model
from caching.predictors import PREDICTORS
from tests.caching import tiny
from tests.caching.shell import cli, done


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A DiT of two blocks as a diffusers folder."""
    path = tmp_path_factory.mktemp("model")
    tiny.save_pipeline(path)
    return path


def test_methods_lists_every_registry_with_a_sentence_each():
    value = json.loads(done("methods", "--json"))
    assert set(value) == {"methods", "brushes", "actions", "imports", "exports"}
    registries = {
        "methods": METHODS,
        "brushes": PREDICTORS,
        "actions": ACTIONS,
        "imports": IMPORTERS,
        "exports": EXPORTERS,
    }
    out = done("methods")
    for kind, registry in registries.items():
        assert sorted(item["name"] for item in value[kind]) == sorted(registry)
        for item in value[kind]:
            assert len(item["about"]) > 10 and f"  {item['name']} " in out
    taylor = next(item for item in value["brushes"] if item["name"] == "taylor")
    assert taylor["options"] == {"order": 1}
    assert "methods" not in done("methods", "brushes").split()


def test_one_method_is_shown_in_full():
    text = done("methods", "teacache")
    for part in ("arXiv 2411.19108, 2024", "ali-vilab/TeaCache (Apache-2.0)", "needs: calibration",
                 "recalibrated here: Published for video", "threshold=0.15 (0..2)"):  # fmt: skip
        assert part in text
    value = json.loads(done("methods", "fora", "--json"))
    assert value["source"]["arxiv"] == "2407.01425" and value["tunes"] == "interval"
    assert [(c["name"], c["default"], c["expected"]) for c in value["controls"]] == [
        ("interval", 2, "a whole number from 2 to 10"),
        ("align", "end", "end or start"),
    ]


def test_the_table_is_refreshed_between_its_marks_and_nowhere_else(tmp_path):
    path = tmp_path / "R.md"
    path.write_text(f"before\n{BEGIN}\n| old |\n{END}\nafter é\n", encoding="utf-8")
    assert done("methods", "--markdown", path) == f"wrote {path}\n"
    table = done("methods", "--markdown")
    assert table.rstrip("\n") == markdown(METHODS) and "| old |" not in table
    text = f"before\n{BEGIN}\n{table}{END}\nafter é\n"
    assert path.read_text(encoding="utf-8") == text
    for broken in ("no marks", f"{END} {BEGIN}", f"{BEGIN} {BEGIN} {END}", BEGIN):
        path.write_text(broken)
        code, out, err = cli("methods", "--markdown", path)
        assert (code, out) == (2, "") and "expected one <!-- methods:begin -->" in err
        assert path.read_text() == broken


def test_calibrate_shows_what_a_policy_found(folder):
    asked = ("calibrate", "magcache", "--model", folder, "--steps", 5, "--set", "most=2")
    code, out, err = cli(*asked)
    assert code == 0 and err == "full runs: 20\n"
    assert "MagCache, threshold 0.12, K 2, retention 0.2: " in out.splitlines()[0]
    value = json.loads(done(*asked, "--json", "-q"))
    assert value["needs"] == "calibration" and value["seconds"] >= 0 and len(value["notes"]) == 1
    ratios = value["found"]["magcache"]["ratios"]
    assert len(ratios) == 5 and ratios[0] == 1 and len(set(ratios)) == 5
    assert value["policy"]["ratios"] == ratios and value["policy"]["most"] == 2
    assert "  ratios: " + " ".join(f"{r:.4g}" for r in ratios) in out


def test_calibrate_shows_the_schedule_of_a_trace_and_nothing_where_nothing_is_needed(folder):
    asked = ("--model", folder, "--steps", 5, "--json", "-q")
    value = json.loads(done("calibrate", "smoothcache", *asked))
    assert np.shape(value["found"]["change"]) == (5, 2, 2, 4)
    assert 0 < value["work"] <= 1 and len(value["schedule"]["rows"]) == 4
    value = json.loads(done("calibrate", "fora", *asked))
    assert value["found"] == {} and value["needs"] == "nothing" and value["fits"] is None


def test_calibrate_fits_what_the_run_would_fit(folder):
    asked = ("--model", folder, "--steps", 5, "--set", "threshold=4", "--json", "-q")
    value = json.loads(done("calibrate", "fastcache", *asked))
    # Every input passes the test: each branch of both blocks is a map in all steps but the first.
    assert value["schedule"]["rows"]["block 1 mlp"].startswith("C")
    assert value["fits"]["parts"] == {"linear map": 4} and value["fits"]["mib"] > 0


def test_what_was_learned_elsewhere_is_read_from_its_file(folder, tmp_path):
    logits = np.full((1, 4, 2, 2), 5, np.float32)
    logits[0, 1, 0, 0] = logits[0, 3, 1, 1] = logits[0, 2] = -5  # step 2 is no cache step of L2C
    model = load_model(folder)
    learned = Learned("l2c", "toy", model.weights_hash, 4, 1.0, "ddim", "renders", "learn", 0, 9,
                      1.0, "cpu", values={"logits": logits})  # fmt: skip
    path = save_learned(learned, tmp_path)
    asked = ("--model", folder, "--steps", 4, "--learned", path, "--json", "-q")
    value = json.loads(done("run", "--method", "l2c", *asked, "-o", tmp_path / "x"))
    assert list(value["schedule"]["rows"].values()) == ["CRCC", "CCCC", "CCCC", "CCCR"]
    value = json.loads(done("calibrate", "l2c", *asked))
    assert value["learned"]["title"] in value["notes"][0]
    assert value["learned"]["arrays"] == {"logits": [1, 4, 2, 2]}
    save_learned(dataclasses.replace(learned, weights_hash="other"), tmp_path)
    code, out, err = cli("run", "--method", "l2c", *asked, "-o", tmp_path / "y")
    assert (code, out) == (2, "") and "was learned for toy (other), expected one for" in err
