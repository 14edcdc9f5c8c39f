"""An evaluation: the same noises for all, gone on from where it stopped, hostile files refused."""

import json
import threading

import numpy as np
import pytest

from caching import sample
from caching.errors import RequestError
from caching.measure.fidelity import fidelity
from caching.quality import store
from caching.quality.evaluate import EQUAL_DB, FIRST_SEED, Kept, iter_evaluate
from caching.quality.judged import FULL, Arm
from caching.schedule import Schedule
from tests.caching import judging
from tests.caching.judging import STEPS, Colours, arm, conditions, evaluated


@pytest.fixture(scope="module")
def model():
    return judging.model()


def same(a, b):
    """Whether two evaluations hold the same numbers."""
    assert set(a.judged) == set(b.judged)
    for key, judged in a.judged.items():
        assert set(judged.arrays) == set(b.judged[key].arrays)
        for name, values in judged.arrays.items():
            np.testing.assert_allclose(values, b.judged[key][name], rtol=1e-5, atol=1e-6)
    return True


def test_every_arm_is_judged_on_the_noises_of_the_full_model(model):
    mine = arm(model)
    *_, last = evaluated(model, [mine], samples=6)
    assert (last.done, last.total, last.left_s) == (6, 6, 0)
    at = {"label": [i % 3 for i in range(6)], "seed": [FIRST_SEED + i for i in range(6)]}
    full = sample(model, steps=STEPS, cfg_scale=1.0, **at)
    cached = sample(model, mine.schedule, cfg_scale=1.0, **at)
    judged = last.saved.judged
    for run, key in ((full, FULL), (cached, mine.key)):
        seen = Colours().see(run.images)
        np.testing.assert_allclose(judged[key]["features"], seen.features, atol=0.01)
        np.testing.assert_allclose(judged[key]["work"], run.cost.work)
    one = {"label": 2, "seed": FIRST_SEED + 5, "cfg_scale": 1.0}
    close = fidelity(sample(model, mine.schedule, **one), sample(model, steps=STEPS, **one))
    assert judged[mine.key]["latent_rel_l2"][5] == pytest.approx(close.latent_rel_l2, rel=1e-4)
    assert judged[mine.key]["psnr_db"][5] == pytest.approx(close.psnr_db, abs=0.5)
    assert "psnr_db" not in judged[FULL]


def test_the_same_schedule_is_equal_and_fewer_steps_have_their_share_of_work(model):
    same_, fewer = Schedule.full(STEPS, 2), Schedule.full(2, 2)
    *_, last = evaluated(model, [Arm("same", same_), Arm("half", fewer)], samples=4)
    judged = list(last.saved.judged.values())
    assert judged[1]["psnr_db"].tolist() == [EQUAL_DB] * 4
    assert judged[1]["latent_rel_l2"].tolist() == [0] * 4
    assert judged[2]["work"] == pytest.approx([0.5] * 4)


def test_a_stopped_evaluation_goes_on_and_ends_as_if_never_stopped(model, tmp_path):
    path = tmp_path / "out" / "e.npz"
    arms = [arm(model)]
    whole = evaluated(model, arms, samples=10)[-1].saved
    seen = []
    events = iter_evaluate(
        model, arms, Colours(), conditions(model), samples=10, path=path, batch=4,
        stopped=lambda: len(seen) == 1,
    )  # fmt: skip
    for item in events:
        seen.append(item.done)
    assert seen == [4]
    assert len(store.load(path)) == 4
    closed = iter_evaluate(
        model, arms, Colours(), conditions(model), samples=10, path=path, batch=4
    )
    assert next(closed).done == 8
    closed.close()  # as Ctrl-C or a page that leaves does
    assert len(store.load(path)) == 8
    again = evaluated(model, arms, samples=10, path=path)
    assert [item.done for item in again] == [10]
    assert same(again[-1].saved, whole) and same(store.load(path), whole)
    ready = evaluated(model, arms, samples=9, path=path)
    assert [item.done for item in ready] == [9] and len(ready[0].saved) == 9
    assert len(store.load(path)) == 10  # nothing is thrown away


def test_an_error_keeps_the_batches_before_it(model, tmp_path):
    class Faulty(Colours):
        def see(self, images):
            if (calls := len(seen)) == 4:
                raise RequestError("the net fell over")
            seen.append(calls)
            return super().see(images)

    seen, path = [], tmp_path / "e.npz"
    with pytest.raises(RequestError, match="fell over"):
        list(
            iter_evaluate(
                model, [arm(model)], Faulty(), conditions(model), samples=12, path=path, batch=4
            )
        )
    assert len(store.load(path)) == 8


def test_full_runs_are_kept_for_the_next_schedule(model):
    kept = Kept()
    first = evaluated(model, [arm(model)], samples=8, kept=kept)[-1].saved
    ran = []

    class Watched(Colours):
        def see(self, images):
            ran.append(len(images))
            return super().see(images)

    other = arm(model, 3)
    *_, last = iter_evaluate(
        model, [other], Watched(), conditions(model), samples=8, batch=4, kept=kept
    )
    assert ran == [4, 4]  # of the schedule alone
    np.testing.assert_array_equal(
        last.saved.judged[FULL]["features"], first.judged[FULL]["features"]
    )
    small = Kept(budget_mib=0)
    evaluated(model, [arm(model)], samples=4, kept=small)
    assert small.get(conditions(model).key, 0, 4) is None


def test_the_turn_is_held_for_a_batch_and_let_go_between(model):
    lock, held = threading.Lock(), []

    class Watched(Colours):
        def see(self, images):
            held.append(lock.locked())
            return super().see(images)

    for _ in iter_evaluate(
        model, [arm(model)], Watched(), conditions(model), samples=8, batch=4, turn=lock
    ):
        assert not lock.locked()
    assert held == [True] * 4


def test_a_file_of_other_runs_is_refused(model, tmp_path):
    path = tmp_path / "e.npz"
    evaluated(model, [arm(model)], samples=4, path=path)
    with pytest.raises(RequestError, match=r"other runs \(cfg_scale 1.0, not 2.0\).*another --out"):
        evaluated(
            model, [arm(model)], samples=8, path=path, conditions=conditions(model, cfg_scale=2.0)
        )
    with pytest.raises(RequestError, match="an evaluation of every 2, expected one of every 3"):
        evaluated(model, [arm(model, 3)], samples=8, path=path)
    with pytest.raises(RequestError, match="expected one of the full model alone"):
        evaluated(model, [], samples=8, path=path)


@pytest.mark.parametrize("samples", [0, 1, 10**6])
def test_too_few_or_too_many_pictures_are_refused(model, samples):
    with pytest.raises(RequestError, match=f"{samples} pictures were asked for, expected 2 to"):
        evaluated(model, [], samples=samples)


def rewritten(path, **changes):
    """The file with some arrays changed (None: left out) and others added."""
    with np.load(path) as file:
        arrays = {**{name: file[name] for name in file.files}, **changes}
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})


def about(path, **changes):
    with np.load(path) as file:
        text = json.loads(file["about"].tobytes())
    for key, value in changes.items():
        (text if key in text else text["conditions"])[key] = value
    return np.frombuffer(json.dumps(text).encode(), np.uint8)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda p: p.write_bytes(b"not a zip"), "zip"),
        (lambda p: p.write_bytes(p.read_bytes()[:-60]), "zip"),
        (lambda p: rewritten(p, about=np.zeros(4)), "no text"),
        (lambda p: rewritten(p, about=np.frombuffer(b"[]", np.uint8)), "no file of kind"),
        (lambda p: rewritten(p, about=None), "about"),
        (lambda p: rewritten(p, about=about(p, steps="4")), "steps is '4', expected a int"),
        (lambda p: rewritten(p, about=about(p, steps=True)), "steps is True"),
        (lambda p: rewritten(p, about=about(p, model="x" * 400)), "model is too long"),
        (lambda p: rewritten(p, about=about(p, arms={"full": "x"})), "not named by their keys"),
        (lambda p: rewritten(p, about=about(p, arms={"../x": "x"})), "an arm has no words"),
        (lambda p: rewritten(p, about=about(p, arms={})), "belongs to no arm"),
        (lambda p: rewritten(p, **{"full.features": np.zeros((4, 4))}), "no float32 array"),
        (lambda p: rewritten(p, **{"full.features": np.zeros(4, "f4")}), "of 2 dimensions"),
        (lambda p: rewritten(p, **{"full.features": np.full((4, 4), np.nan, "f4")}), "not finite"),
        (lambda p: rewritten(p, **{"full.features": None}), "no features"),
        (lambda p: rewritten(p, **{"full.work": np.ones(3)}), "different lengths"),
        (lambda p: rewritten(p, **{"full.work": np.zeros(4)}), "not above 0"),
        (lambda p: rewritten(p, strange=np.ones(3)), "'strange' belongs to no arm"),
        (
            lambda p: rewritten(
                p, **{"full.features": np.zeros((3, 4), "f4"), "full.work": np.ones(3),
                      "full.classes": np.zeros(3, "i4")}
            ),
            "different numbers of pictures",
        ),
        (
            lambda p: rewritten(p, **{"full.work": np.array([{}] * 4, object)}),
            "allow_pickle|Object arrays",
        ),
    ],
)  # fmt: skip
def test_hostile_files_are_refused(model, tmp_path, harm, words):
    path = tmp_path / "e.npz"
    evaluated(model, [arm(model)], samples=4, path=path)
    harm(path)
    with pytest.raises(RequestError, match=f"cannot be read as an evaluation.*({words})"):
        store.load(path)


def test_a_file_that_unpacks_to_too_much_is_refused(model, tmp_path, monkeypatch):
    path = tmp_path / "e.npz"
    evaluated(model, [arm(model)], samples=4, path=path)
    monkeypatch.setattr(store, "MAX_BYTES", 1000)
    with pytest.raises(RequestError, match=r"unpacks to .* bytes, more than 1000"):
        store.load(path)
