"""Improve: moves keep the budget and what is locked; the search never loses, resumes and stops."""

import json

import numpy as np
import pytest

from caching.engine.run import sample
from caching.engine.states import States
from caching.errors import RequestError, ScheduleError
from caching.formats.native import load_schedule_file, to_json
from caching.improve import Task, improve, search
from caching.improve.moves import KINDS, SIZES, filled, ground_of, moved
from caching.improve.score import Conditions, Judge
from caching.measure.cost import cost_of
from caching.models.loading import load_model
from caching.policies.interval import every
from caching.predict.fit import Estimate
from caching.predict.response import response_of_changes
from caching.predictors import Reuse
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule
from tests.caching import tiny
from tests.caching.shell import cli, done

STEPS, TRIALS = 6, 9
# Pictures of a random model hardly differ, its latents do.
OF = Conditions(STEPS, 2.0, "ddim", objective="latent", pictures=4, groups=2)


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Few proposals: what is tested is the search, not how well it does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "PROPOSALS", 8)
        patch.setattr(search, "LATER", 2)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    tiny.save_pipeline(path)
    return path


@pytest.fixture(scope="module")
def model(folder):
    return load_model(folder)


@pytest.fixture(scope="module")
def start():
    return every(STEPS, 2, 2)


def trail(steps):
    """What a search did, as values that two searches can be compared by."""
    return [(s.number, s.db, s.best_db, s.better, s.pruned, s.best) for s in steps]


# -- moves ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_moves_keep_cost_locks_and_step_0(kind, size):
    two = Schedule.from_rows(["CRTRCT", "CCTTRR", "CRRCRC", "CTCRRR"], legend=(Reuse(), Taylor(1)))
    costs = np.array([[3.0, 5.0], [3.0, 5.0]])
    locked = np.zeros((6, 2, 2), bool)
    locked[3], locked[:, 1, 0] = True, True
    ground = ground_of(two, costs, locked=locked)
    random, changed = np.random.default_rng(0), 0
    for _ in range(60):
        one = moved(two, ground, kind, size, random)
        changed += one != two
        assert (one.actions[locked] == two.actions[locked]).all() and one.computed[0].all()
        before, after = ((s.computed * costs).sum() for s in (two, one))
        # Only `branches` may leave some of the budget over; none may exceed it.
        assert after <= before if kind == "branches" else after == before
        if kind not in ("branches", "brush"):
            assert sorted(one.actions.ravel()) == sorted(two.actions.ravel())
    assert changed > 5, "a move that never changes anything tests nothing"


def test_what_is_left_over_is_spent():
    start = every(4, 2, 4)
    ground = ground_of(start, np.array([[3.0, 5.0], [3.0, 5.0]]))
    one = filled(start, ground, 11.0, np.random.default_rng(1))
    spent = ((one.computed & ~start.computed) * ground.costs).sum()
    assert 8 < spent <= 11, "no cell of 3 fits into what is left"
    assert filled(start, ground, 2.9, np.random.default_rng(1)) is start


@pytest.mark.parametrize(
    "schedule", [Schedule.full(4, 2), Schedule.from_rows(["CRRR"] * 4)], ids=["full", "no computed"]
)
def test_a_grid_without_a_choice_is_refused(schedule):
    with pytest.raises(ScheduleError, match="nothing can be moved"):
        ground_of(schedule, np.ones((2, 2)))


# -- the search ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(model, start):
    return list(improve(model, Task(start, OF, seed=3), trials=TRIALS))


def test_the_best_is_measured_no_worse_and_within_the_budget(model, start, whole):
    first, last = whole[0], whole[-1]
    assert (first.number, first.best, first.better) == (0, start, True)
    assert [s.number for s in whole] == list(range(TRIALS))
    assert last.best_db >= first.db == last.start_db
    assert [s.best_db for s in whole] == sorted(s.best_db for s in whole)
    assert any(s.better for s in whole[1:]), "on this model something better is known to be found"
    limit = cost_of(model, start).work
    assert all(cost_of(model, s.best).work <= limit + 1e-9 for s in whole)
    # The engine itself, on all pictures at once, and the definition of the decibel.
    noise = Judge(model, OF).noise
    kw = {"label": [0, 1, 2, 3], "latents": noise, "cfg_scale": 2.0, "steps": STEPS}
    mine, full = (sample(model, s, **kw).latents.flatten(1).double() for s in (last.best, None))
    gap = (mine - full).norm(dim=1) / full.norm(dim=1)
    assert last.best_db == pytest.approx(float((-20 * gap.log10()).mean()), abs=1e-2)


def test_a_seed_decides_it_all_and_a_stopped_search_goes_on_as_it_would_have(
    model, start, whole, tmp_path
):
    task, path = Task(start, OF, seed=3), tmp_path / "deep" / "search.journal"
    one = list(improve(model, task, storage=path, trials=4))
    assert trail(one) == trail(whole[:4])
    other = Task(start, OF, seed=4)
    assert next(improve(model, other, storage=path, trials=1)).resumed == 0, "another search"
    two = list(improve(model, task, storage=path, trials=TRIALS))
    assert two[0].resumed == 4 and trail(two) == trail(whole[4:])
    lines = path.read_text().splitlines()
    assert lines and all(isinstance(json.loads(line), dict) for line in lines)


def test_luck_is_not_taken_for_a_gain():
    even = np.array([1.0, -1.0, 1.0, -0.6])  # mean 0.1, standard error 0.53
    assert search._unsure(even) == pytest.approx(np.sqrt(3.32 / 3) / 2, rel=1e-2)
    assert search._unsure(np.array([0.2])) == 0


def test_locked_cells_and_brushes_are_obeyed(model, start):
    locked = np.zeros(start.actions.shape, bool)
    locked[:, 0] = True
    task = Task(start, OF, locked=locked, brushes=(Reuse(), Taylor(1)), seed=1)
    *_, last = improve(model, task, trials=6)
    computed = last.best.computed
    assert (computed[:, 0] == start.computed[:, 0]).all()
    assert set(last.best.legend) <= {Reuse(), Taylor(1)}


def test_it_stops_between_branches_and_keeps_what_it_has(model, start, tmp_path):
    asked, path = [], tmp_path / "s.journal"
    for limit in (3, 60):
        asked.clear()

        def stopped(limit=limit):
            asked.append(1)
            return len(asked) > limit

        found = list(improve(model, Task(start, OF, seed=3), storage=path, stopped=stopped))
        assert len(asked) <= limit + 3, "it did not end when it was told to"
    assert not found or found[-1].best_db >= found[0].start_db


@pytest.mark.parametrize("text", ["not a journal\n", '{"op_code": 99}\n', "\x80\x04K\x01.\n"])
def test_a_file_that_is_no_record_is_refused(model, start, tmp_path, text):
    path = tmp_path / "x"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(RequestError, match="cannot be used as the record"):
        list(improve(model, Task(start, OF), storage=path, trials=1))


@pytest.mark.parametrize(
    "values", [{"objective": "beauty"}, {"pictures": 0}, {"pictures": 5}, {"groups": 3}]
)
def test_conditions_are_checked(values):
    with pytest.raises(RequestError):
        Conditions(STEPS, 2.0, "ddim", **values)


def test_a_copy_of_the_snapshots_leaves_them_alone(model, start):
    states = States(budget_mib=64)
    kw = {"label": 0, "seed": 1, "steps": STEPS, "cfg_scale": 2.0}
    sample(model, start, states=states, **kw)
    held, kept = states.held_mib, list(states.snapshots)
    other = start.paint([(4, 0, 0)], 1 if start.computed[4, 0, 0] else 0)
    branch = states.copy()
    run = sample(model, other, states=branch, **kw)
    assert run.resumed_from == 4 and (states.held_mib, list(states.snapshots)) == (held, kept)
    assert sample(model, start, states=states, **kw).resumed_from >= 4
    assert (run.latents == sample(model, other, **kw).latents).all()


def test_what_is_calibrated_meanwhile_ranks_the_next_proposals(model, start):
    class Prediction:
        source, asked = "an invented calibration", 0
        response = response_of_changes(np.ones((STEPS, 2, 2, 5)), pictures=1, source="invented")

        def predict(self, schedule):
            self.asked += 1
            return Estimate(float(schedule.computed.sum()), 0.0, 0.0)

    kept = Prediction()
    known = [None]
    found = improve(model, Task(start, OF, seed=3), known=lambda: known[0], trials=4)
    first = [next(found), next(found)]
    assert all("a proxy" in step.ranked_by for step in first)
    known[0] = kept
    *_, last = found
    assert last.ranked_by == "predicted PSNR, learned from an invented calibration" and kept.asked


# -- the shell -----------------------------------------------------------------------------


def test_the_command_searches_writes_and_resumes(folder, start, tmp_path):
    file, out, storage = (tmp_path / n for n in ("in.json", "out.json", "s.journal"))
    file.write_text(json.dumps({"request": {}, "schedule": to_json(start)}))  # a record of `run`
    argv = ("improve", file, "--model", folder, "--pictures", 2, "--groups", 1,
            "--storage", storage, "--guidance", 2, "--out", out, "--json", "-q")  # fmt: skip
    one = json.loads(done(*argv, "--trials", 2))
    two = json.loads(done(*argv, "--trials", 4))
    assert (one["trials"], one["resumed"], two["trials"], two["resumed"]) == (2, 0, 4, 2)
    assert two["best_db"] >= one["best_db"] >= one["start_db"] == two["start_db"]
    assert load_schedule_file(out).actions.shape == start.actions.shape


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--minutes", 0), "minutes"),
        (("--trials", 0), "trials"),
        (("--pictures", 7), "groups"),
        (("--objective", "x"), "objective"),
        (("--seed", "-1"), "seed -1 was given, expected a whole number from 0"),
    ],
)
def test_bad_wishes_are_one_line(folder, start, tmp_path, more, words):
    start.save(tmp_path / "in.json")
    code, _, err = cli("improve", tmp_path / "in.json", "--model", folder, *more)
    assert code == 2 and words in err and err.count("\n") == 1
