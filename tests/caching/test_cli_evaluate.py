"""`evaluate` in a shell: two tables of two questions, gone on from, and what is missing named."""

import json

import numpy as np
import pytest
from PIL import Image

from caching.cli import evaluate
from caching.measure.classifier import SceneClassifier
from caching.quality import store
from caching.quality.record import QUALITY, RECORDED, load_report
from caching.quality.reference import SHIPPED, load_reference
from tests.caching.shell import cli, done
from tests.caching.tiny import save_pipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model with a classifier of its own, and pictures to judge it against."""
    path = tmp_path_factory.mktemp("models") / "small"
    save_pipeline(path)
    SceneClassifier(1000).save(path / "classifier")
    data = path.parent / "data"
    data.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), np.uint8)
    for i, image in enumerate(images):
        Image.fromarray(image).save(data / f"{i}.png")
    return path


def asked(folder, *more):
    return ("evaluate", "--model", folder, "--steps", 4, "--batch", 4, *more)


def test_one_table_resumed_and_reported(folder, tmp_path):
    data, kept, out = folder.parent / "data", tmp_path / "data.npz", tmp_path / "e.npz"
    method = ("--method", "fora", "--set", "interval=2", "--out", out)
    seen = asked(folder, "--reference", data, "--keep", kept, "--samples", 8, *method)
    words = done(*seen)
    assert "closeness to the data\n" in words and "uncached picture of the same noise\n" in words
    for name in ("agreement", "frechet", "kernel", "precision", "recall"):
        assert QUALITY[name][0] in words
    assert words.index("recall") < words.index("PSNR dB")  # never in one table
    assert len(store.load(out)) == 8
    report = tmp_path / "report.json"
    more = asked(folder, "--reference", kept, "--samples", 12, "--report", report, *method)
    value = json.loads(done(*more, "--json"))
    assert value["samples"] == 12 and len(store.load(out)) == 12
    full, cached = value["rows"]
    assert set(cached["quality"]) == set(full["quality"]) == {
        "agreement", "frechet", "kernel", "precision", "recall",
    }  # fmt: skip
    for low_high in cached["quality"].values():
        assert low_high[1] <= low_high[0] <= low_high[2]
    assert set(cached["closeness"]) == {"psnr_db", "ssim", "latent_rel_l2"}
    assert not full["closeness"] and not full["change"]
    assert "--method fora" in value["command"] and "--set interval=2" in value["command"]
    shown = done("evaluate", "--show", report)
    assert "12 pictures of each" in shown and "change" in shown


def test_a_policy_and_the_full_model_alone_are_judged_too(folder):
    data = folder.parent / "data"
    alone = json.loads(done(*asked(folder, "--reference", data, "--samples", 8, "--json")))
    assert [row["words"] for row in alone["rows"]] == ["full"]
    assert alone["cfg_scale"] == 4.0  # as its help says of models that do not ship
    decided = json.loads(
        done(*asked(folder, "--reference", data, "--samples", 8, "--method", "fbcache", "--json"))
    )
    assert decided["rows"][1]["work"] <= 1.2 and "FBCache" in decided["rows"][1]["words"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--samples", 3), "3 samples in batches of 8 were asked for, expected 8 to 100000"),
        (("--batch", 0), "batches of 0"),
        (("--keep", "x.npz"), "--keep was given without a --reference"),
        (("--weights", "x"), "--weights was given without --features inception"),
        (("--reference", "nowhere.npz"), "nowhere.npz cannot be read as a reference"),
        (("--model", "nowhere", "--samples", 8), "has no classifier beside it"),
        (("--seed", -1), "seed"),
    ],
)
def test_bad_input_is_one_line(words, says):
    code, out, err = cli("evaluate", *words)
    assert (code, out) == (2, "") and says in err, err
    assert len(err.strip().splitlines()) == 1


def test_inception_and_lpips_say_what_is_missing(monkeypatch):
    from caching.quality import inception, perceptual

    for module in (inception, perceptual):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert "torch-fidelity is not installed" in cli("evaluate", "--features", "inception")[2]
    assert "torchvision is not installed" in cli("evaluate", "--lpips")[2]


def test_a_model_without_a_reference_is_refused(folder):
    code, _, err = cli(*asked(folder))
    assert code == 2 and "no reference ships for" in err and "--reference" in err


def test_help_teaches_the_two_questions(capsys):
    cli("evaluate", "--help")
    words = capsys.readouterr().out
    assert "how close is a picture to the uncached" in words and "Ctrl-C stops" in words
    assert "compare equal N only" in words and evaluate.NAME in words


def test_the_shipped_reference_is_small_and_of_the_shipped_classifier():
    from caching.models.loading import SHIPPED_FOLDER
    from caching.quality.features import ClassifierNet

    found = load_reference()
    found.check(ClassifierNet.load(SHIPPED_FOLDER / "classifier"))
    assert (found.count, found.features.shape) == (5000, (2000, 128))
    assert SHIPPED.stat().st_size <= 2**20
    # Mean and covariance are of more pictures than are kept; the two must still agree.
    kept = found.features.astype(np.float64)
    spread = np.sqrt(np.diag(found.cov) / 2000)
    assert (np.abs(kept.mean(0) - found.mean) < 5 * spread + 1e-3).all()


@pytest.mark.skipif(not RECORDED.is_file(), reason="no recorded case ships")
def test_the_recorded_case_shows_what_it_is_there_for():
    report = load_report()
    assert report.model == "scenes-dit" and report.setting and report.date and report.command
    assert report.samples >= 128
    moved = {}
    for row in report.rows[1:]:
        change = row.change["frechet"]
        moved[row.words] = change.low > 0 or change.high < 0
        assert row.closeness["psnr_db"].high < 50
    assert set(moved.values()) == {True, False}  # one that follows PSNR and one that does not


def test_compare_tells_the_latent_error_along_the_whole_trajectory(folder):
    words = ("compare", "--model", folder, "--steps", 6, "--method", "fora", "--set", "interval=3")
    runs = json.loads(done(*words, "--repeats", 0, "--json"))["runs"]
    drift = runs["cached"]["drift"]
    assert len(drift) == 6 and drift[0] == 0 and drift[-1] > 0
    assert runs["full"]["drift"] is None and runs["fewer"]["drift"][0] is None
