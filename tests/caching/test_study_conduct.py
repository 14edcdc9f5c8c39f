"""A whole study of invented methods on a tiny model: judged once, resumed, summed up, refused."""

import io
import json

import numpy as np
import pytest
import torch

from caching import sample
from caching.cli import main
from caching.errors import RequestError
from caching.measure.cost import cost_of
from caching.measure.fidelity import fidelity
from caching.methods import METHODS
from caching.models.model import Model
from caching.schedule import Schedule
from caching.study.conduct import chosen_methods, conduct, rivals_at
from caching.study.judge import EQUAL_DB, Judge
from caching.study.ledger import Conditions, Ledger
from caching.study.rivals import of_method, plain
from caching.study.store import save_study
from caching.study.summary import summarise
from tests.caching import tiny
from tests.caching.ladders import STEPS, Decided, Late, OddLast, made, rows

TARGETS = (1.5, 2.0)
NAMES = ("late", "decided", "broken", "crashing")


class ByMean(torch.nn.Module):
    """Sees one of four classes in a picture, by its mean brightness."""

    def forward(self, images):
        return torch.nn.functional.one_hot(images.float().mean((1, 2, 3)).long() % 4, 4).float()


@pytest.fixture(scope="module")
def model():
    return Model.from_modules(tiny.dit(side=16, classes=4), name="tiny")


def conditions(model, seeds=(0, 1, 2, 3, 4)):
    return Conditions(
        model.name, model.weights_hash, STEPS, 2.0, "ddim", seeds, tuning_seeds=(100, 101)
    )


class Counted(Judge):
    """Notes what it was asked to run."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.asked, self.timings = [], []

    def scores(self, contender):
        self.asked.append(contender.key)
        return super().scores(contender)

    def time(self, contender, repeats):
        self.timings.append(contender.key)
        return super().time(contender, repeats)


def judge_of(model, **kwargs):
    return Counted(model, conditions(model), classifier=ByMean(), batch=2, **kwargs)


def run(judge, folder, **kwargs):
    ledger = Ledger(folder, judge.conditions)
    done = list(conduct(judge, ledger, None, methods=NAMES, targets=TARGETS, made=made, **kwargs))
    return ledger, done


@pytest.fixture(scope="module")
def finished(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    judge = judge_of(model)
    return (folder, judge, *run(judge, folder))


# -- the judge -----------------------------------------------------------------------------


def test_scores_are_those_of_single_comparisons(model):
    """Batches of two against one picture at a time, by the engine's own comparison."""
    scores = judge_of(model).scores(of_method(Late(7), Late(7).plan(None)))
    schedule = rows(7)
    assert scores.work == (cost_of(model, schedule).work,) * 5
    for i in range(5):
        asked = {"label": i % 4, "seed": i, "cfg_scale": 2.0}
        one = fidelity(sample(model, schedule, **asked), sample(model, None, steps=STEPS, **asked))
        assert scores.psnr_db[i] == pytest.approx(one.psnr_db, abs=0.02)
        assert scores.ssim[i] == pytest.approx(one.ssim, abs=1e-3)
        assert scores.latent_rel_l2[i] == pytest.approx(one.latent_rel_l2, rel=1e-3)


def test_classes_are_counted(model):
    judge = judge_of(model)
    scores = judge.scores(plain(judge.full_plan, 2))
    runs = [sample(model, None, steps=n, label=[0, 1, 2, 3, 0], seed=0, cfg_scale=2.0)
            for n in (2, STEPS)]  # fmt: skip
    mine, full = (r.images.reshape(5, -1).mean(1).astype(int) % 4 for r in runs)
    assert scores.agrees == tuple((mine == [0, 1, 2, 3, 0]).astype(float))
    assert scores.same == tuple((mine == full).astype(float))
    assert scores.steps == 2
    assert scores.work == (pytest.approx(2 / STEPS),) * 5


def test_the_full_run_is_equal_to_itself(model):
    judge = judge_of(model)
    scores = judge.scores(plain(judge.full_plan, STEPS))
    assert (scores.psnr_db, scores.ssim) == ((EQUAL_DB,) * 5, (1.0,) * 5)
    assert scores.latent_rel_l2 == (0.0,) * 5
    assert scores.same == (1.0,) * 5


def test_full_runs_are_kept(model, tmp_path, monkeypatch):
    path = tmp_path / "deep" / "full.npz"
    first, second = (judge_of(model, kept=path) for _ in range(2))
    images, latents, classes = first._full
    monkeypatch.setattr(second, "_run", None)
    assert np.array_equal(second._full[0], images) and torch.equal(second._full[1], latents)
    assert second._full[2] == classes and [p.name for p in path.parent.iterdir()] == ["full.npz"]


def test_a_policy_decides_for_one_picture_at_a_time(model):
    judge = judge_of(model)
    sizes = []
    inner = judge._run
    judge._run = lambda plan, labels, seeds: sizes.append(len(labels)) or inner(plan, labels, seeds)
    scores = judge.scores(of_method(Decided(), Decided().plan(None)))
    assert sizes == [2, 2, 1] + [1] * 5  # the full runs, then these
    alone = sample(model, None, policy=OddLast(), steps=STEPS, label=3, seed=3, cfg_scale=2.0)
    assert scores.decided
    assert scores.work[3] == alone.cost.work < 0.7
    assert judge.speedup(Decided().plan(None)) == pytest.approx(1 / alone.cost.work)
    assert len(sizes) == 8 + 2  # both tuning pictures
    judge.speedup(Decided().plan(None), 1)
    assert len(sizes) == 10 + 1


def test_a_run_that_ends_in_nothing_is_refused(model, monkeypatch):
    judge = judge_of(model)
    assert judge._full
    monkeypatch.setattr(Model, "decode", lambda *_: torch.zeros(2, 16, 16, 3, dtype=torch.uint8))
    monkeypatch.setattr("caching.engine.run.guided", lambda out, *_: out[:2] * float("nan"))
    with pytest.raises(RequestError, match="NaN or infinity"):
        judge.scores(plain(judge.full_plan, 2))


# -- the study -----------------------------------------------------------------------------


def test_a_study_judges_what_is_at_the_target_and_says_why_not(finished, model):
    _, _, ledger, done = finished
    assert [d.done for d in done] == list(range(1, 15)) and {d.total for d in done} == {14}
    assert done[-1].left_s == 0
    # Embedding and head run at every step, so four of eight steps cost more than half.
    assert 1 / cost_of(model, rows(4)).work < 2 < 1 / cost_of(model, rows(5)).work
    assert ledger.chosen["late", 2.0].controls == {"reused": 5}
    assert not ledger.chosen["late", 2.0].why
    assert ledger.chosen["broken", 2.0].why == "there is no plan."
    assert ledger.chosen["crashing", 2.0].why.startswith("IndexError: ")
    # It always does the same: too fast for the one, too slow for the other, or near.
    slow = ledger.chosen["decided", 2.0]
    assert slow.speedup < 1.9 and "outside 0.95 to 1.25 times the target" in slow.why


def test_nothing_is_judged_twice(finished, model):
    folder, first, ledger, _ = finished
    assert len(first.asked) == len(set(first.asked)) == len(ledger.judged)
    second = judge_of(model)
    again, done = run(second, folder)
    assert second.asked == [] and len(done) == 14
    assert again.judged == ledger.judged
    again.again("late")
    third = judge_of(model)
    run(third, folder)
    assert {name for name, _ in third.asked} == {"late"}


def test_a_study_that_was_cut_short_goes_on(model, tmp_path):
    judge = judge_of(model)
    events = conduct(judge, Ledger(tmp_path, judge.conditions), None, methods=("late",),
                     targets=TARGETS, made=made)  # fmt: skip
    for _ in range(4):
        next(events)
    events.close()
    rest = judge_of(model)
    ledger, _ = run(rest, tmp_path)
    assert not set(rest.asked) & set(judge.asked)
    assert set(rest.asked) | set(judge.asked) == set(ledger.judged)


def test_times_are_added_to_what_was_judged(finished, model):
    folder, *_ = finished
    judge = judge_of(model)
    ledger, _ = run(judge, folder, repeats=2)
    assert judge.asked == []
    assert len(judge.timings) == len(set(judge.timings)) == len(ledger.timed)
    found = ledger.timed[of_method(Late(5), None).key]
    assert len(found.ms) == len(found.full_ms) == 2 and min(found.ms) > 0
    later = judge_of(model)
    run(later, folder, repeats=2)
    assert later.timings == []


def test_the_summary(finished, model):
    folder, judge, *_ = finished
    ledger = Ledger(folder, judge.conditions)
    at = {target: rivals_at(judge, target) for target in TARGETS}
    study = summarise(ledger, methods=NAMES, rivals=at, setting="none", command="c", date="d")
    group = study.group(2.0)
    assert {row.method for row in group} == {"plain-steps", "even-steps", "random-cells", "late"}
    assert [r.psnr_db.mean for r in group] == sorted((r.psnr_db.mean for r in group), reverse=True)
    late = next(row for row in group if row.method == "late")
    scores = ledger.judged[of_method(Late(5), None).key]
    assert late.psnr_db.mean == pytest.approx(np.mean(scores.psnr_db))
    assert late.speedup == pytest.approx(1 / cost_of(model, rows(5)).work)
    # As much as its plain steps: of 8, as many as its work pays for.
    rival = ledger.judged[plain(Schedule.full(STEPS, 2), late.rival_steps).key]
    assert late.rival_steps / STEPS <= 1.01 / late.speedup < (late.rival_steps + 1) / STEPS
    assert late.gain_db.mean == pytest.approx(np.mean(scores.psnr_db) - np.mean(rival.psnr_db))
    assert [row.steps for row in study.plain] == sorted({row.steps for row in study.plain})
    assert study.plain[-1].steps == STEPS
    why = {(m.method, m.target): m.why for m in study.missing}
    assert why["broken", 1.5] == "there is no plan."
    assert all((name, None) in why for name, kind in METHODS.items()
               if kind.faithfulness == "does not apply")  # fmt: skip
    assert study.full_ms is None and study.setting == ""


def test_which_methods_take_part():
    names = chosen_methods(None)
    assert "fora" in names and "full" not in names
    assert chosen_methods(["fora", "fora"]) == ("fora",)
    with pytest.raises(RequestError, match="is not known"):
        chosen_methods(["nonsense"])
    for name, kind in METHODS.items():
        if kind.faithfulness == "does not apply":
            assert name not in names
            with pytest.raises(RequestError, match="does not apply"):
                chosen_methods([name])


# -- the shell -----------------------------------------------------------------------------


def cli(*argv):
    out, err = io.StringIO(), io.StringIO()
    code = main([str(a) for a in argv], out=out, err=err)
    return code, out.getvalue(), err.getvalue()


def test_the_command_writes_a_study(tmp_path):
    tiny.save_pipeline(tmp_path / "model")
    asked = ("study", "--model", tmp_path / "model", "--methods", "fora,smoothcache", "--speedups",
             "1.5", "--seeds", 2, "--steps", 6, "--work", tmp_path / "work")  # fmt: skip
    code, out, err = cli(*asked, "-o", tmp_path / "study.json")
    assert code == 0, err
    assert "1.5× fewer MACs" in out and "plain steps" in out
    assert "5 of 5, 0 min left: smoothcache at 1.5×" in err
    code, shown, err = cli("study", "--show", tmp_path / "study.json")
    assert (code, shown) == (0, out)
    code, text, err = cli(*asked, "--json")
    value = json.loads(text)
    assert code == 0 and value["pictures"] == 2 and value["targets"] == [1.5]
    assert value["rows"][0]["agrees"] is None  # there is no classifier beside this model
    assert value["command"].startswith("python -m caching study --methods fora,smoothcache ")


def test_published_tables_stand_alone():
    code, out, _ = cli("study", "--published")
    assert code == 0 and "never compare rows of two tables" in out and "HarmoniCa" in out
    assert len(json.loads(cli("study", "--published", "--json")[1])["published"]) >= 8


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (("--speedups", "fast"), "numbers above 1"),
        (("--speedups", "1"), "numbers above 1"),
        (("--seeds", 0), "0 seeds were asked for"),
        (("--methods", "nonsense"), "is not known"),
        (("--steps", 1), "1 steps were asked for"),
        (("--methods", ""), "method '' is not known"),
        (("--again", "fro"), "method 'fro' is not known"),
        (("--again", "even-steps,"), "method '' is not known"),
        (("--show", ""), "cannot be read"),
        (("--show", "none.json"), "cannot be read as a study"),
    ],
)
def test_bad_input_is_refused_in_one_line(tmp_path, given, match):
    code, _, err = cli("study", "--work", tmp_path, *given)
    assert code == 2 and match in err and err.count("\n") == 1


def test_saved_studies_are_small(finished, tmp_path):
    folder, judge, *_ = finished
    at = {target: rivals_at(judge, target) for target in TARGETS}
    ledger = Ledger(folder, judge.conditions)
    one = summarise(ledger, methods=NAMES, rivals=at, setting="", command="c", date="d")
    save_study(one, tmp_path / "study.json")
    assert (tmp_path / "study.json").stat().st_size < 1500 * (len(one.rows) + len(one.plain))
