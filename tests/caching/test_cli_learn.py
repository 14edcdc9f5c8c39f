"""`learn` on the shell: what it writes and says, options in words, and Ctrl-C."""

import json
import os
import signal

import numpy as np
import pytest

from caching.learn.store import load_learned
from caching.learn.trainers import TRAINERS
from caching.models.loading import load_model
from tests.caching import tiny
from tests.caching.shell import cli, done

QUICK = ("--set", "batch=2", "--set", "pool=2", "--iterations", 3, "--steps", 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    tiny.save_pipeline(path)
    return path


def test_learn_writes_what_the_method_reads(folder, tmp_path):
    code, out, err = cli("learn", "l2c", "--model", folder, "--lambda", "2e-3", "--theta", 0.3,
                         "--seed", 5, "--out", tmp_path, *QUICK)  # fmt: skip
    assert code == 0, err
    path = tmp_path / "l2c-4.json"
    learned = load_learned(path)
    assert f"wrote {path}" in out and "3 iterations" in out
    assert (learned.seed, learned.steps, learned.iterations) == (5, 4, 3)
    assert learned.options | {"weight": 0.002, "theta": 0.3, "batch": 2} == learned.options
    assert learned.weights_hash == load_model(folder).weights_hash
    assert learned.values["logits"].shape == (1, 4, 2, 2)
    assert "loss" in err and "reused" in err and "drawing pictures" in err
    run = ("--method", "l2c", "--learned", path, "--model", folder, "--steps", 4, "-q")
    value = json.loads(done("run", *run, "--json", "-o", tmp_path / "x"))
    rows = value["schedule"]["rows"].values()
    reused = 1 / (1 + np.exp(-learned.values["logits"][0])) <= 0.1
    expected = ["".join("CR"[int(s % 2 and reused[s, b, r])] for s in range(4)) for b in (0, 1)
                for r in (0, 1)]  # fmt: skip
    assert list(rows) == expected


def test_learn_as_json(folder, tmp_path):
    value = json.loads(done("learn", "harmonica", "--model", folder, "--steps", 3, "--iterations",
                            1, "--set", "batch=1", "-o", tmp_path, "--json", "-q"))  # fmt: skip
    assert value["file"] == str(tmp_path / "harmonica-3.json")
    assert (value["iterations"], value["options"]["batch"], value["cfg_scale"]) == (1, 1, 4.0)


def test_the_list_names_every_training_and_option():
    text = done("learn", "--list")
    value = json.loads(done("learn", "--list", "--json"))
    assert [one["name"] for one in value] == list(TRAINERS)
    for one in value:
        assert one["title"] in text
        assert all(f"{option['name']}=" in text for option in one["options"])


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ((), "no training was given, expected one of: "),
        (("l3c",), "'l3c' was given, expected one of: "),
        (("l2c", "--set", "wait=1"), "'wait' is not known for l2c: expected one of: weight"),
        (("l2c", "--iterations", "many"), "'many' was given, expected a whole number from 1 to"),
        (("l2c", "--lambda", "-1"), "weight is -1.0: expected a number from 0 to 1"),
        (("l2c", "--steps", 1), "1 step"),
        (("l2c", "--steps", 1001), "steps 1001 was given, expected a whole number from 2 to 1000"),
        (("l2c", "--seed", -1), "seed -1 was given, expected a whole number from 0"),
        (("l2c", "--seed", 10**30), "seed 1000000000000000000000000000000 was given"),
        (("harmonica", "--guidance", "nan"), "guidance nan was given, expected a number from 0"),
        (("l2c", "--sampler", "euler"), "sampler 'euler' was given, expected ddim"),
    ],
)
def test_what_cannot_be_learned_is_said(folder, asked, words):
    code, out, err = cli("learn", *asked, "--model", folder)
    assert (code, out) == (2, "") and words in err


@pytest.mark.parametrize("after", [0, 2])
def test_ctrl_c_keeps_what_there_is(folder, tmp_path, monkeypatch, after):
    from caching.learn.routers import Routers

    seen, update = [], Routers.update

    def counted(self, *args):
        update(self, *args)
        seen.append(1)
        if len(seen) == after:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Routers, "update", counted)
    if not after:
        monkeypatch.setattr("caching.learn.l2c.Pairs.loss", _interrupt)
    asked = (*QUICK, "--iterations", 500, "--model", folder, "-o", tmp_path)
    before = signal.getsignal(signal.SIGINT)
    code, out, _ = cli("learn", "l2c", *asked)
    assert signal.getsignal(signal.SIGINT) is before
    if after:
        assert code == 0 and "ended early" in out
        assert load_learned(tmp_path / "l2c-4.json").iterations == after
    else:
        assert code == 130 and not list(tmp_path.iterdir())


def _interrupt(self, *args, **named):
    """Ctrl-C in the midst of the first iteration."""
    from caching.engine.executor import Stopped

    os.kill(os.getpid(), signal.SIGINT)
    raise Stopped("as a branch does when it is asked to stop")
