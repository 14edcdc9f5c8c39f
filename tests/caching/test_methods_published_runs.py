"""Methods of papers on tiny models: every size runs as painted, and ladders lose work only."""

import numpy as np
import pytest

from caching import sample
from caching.marks import LOWERED
from caching.measure.cost import cost_of
from caching.methods import METHODS, invardiff, method_of
from caching.methods.setting import ModelSetting, Shelf
from caching.policies.rungs import lead_ins, nominal_work
from caching.policies.toca import token_schedule
from tests.caching import tiny
from tests.caching.settings import Invented
from tests.caching.spy import own
from tests.caching.test_methods_published import TOCA_FIRST, TOCA_OTHERS, row

NAMES = (
    "taylorseer", "hicache", "foca", "goc", "ebcache", "procache", "toca", "duca", "clusca", "icc",
    "pab", "fastercache", "ends", "full", "random", "invardiff",
)  # fmt: skip
REACHES = {
    "taylorseer": 5, "hicache": 5, "foca": 5, "clusca": 3, "procache": 5, "ends": 5, "random": 5,
    "goc": 1.5, "ebcache": 1.5, "icc": 2, "pab": 1.3, "fastercache": 2, "toca": 2, "duca": 2,
    "full": 1, "invardiff": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return own(tiny.dit(blocks=3), tiny.EPSILON)


@pytest.fixture(scope="module")
def shelf():
    return Shelf()


@pytest.fixture(autouse=True)
def few_pictures(monkeypatch):
    monkeypatch.setattr(invardiff, "PICTURES", 2)


def on(model, shelf, steps):
    return ModelSetting(model, steps=steps, cfg_scale=2.0, sampler="ddim", shelf=shelf)


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_as_painted_at_any_number_of_steps(model, shelf, name):
    for steps in (5, 7, 20):
        schedule = method_of(name).plan(on(model, shelf, steps)).schedule
        run = sample(model, schedule, label=1, seed=3, cfg_scale=2.0)
        assert run.latents.isfinite().all()
        there = ~schedule.covered
        assert ((run.executed & (LOWERED - 1))[there] == schedule.actions[there]).all()


@pytest.mark.parametrize("name", [n for n in NAMES if n != "invardiff"])
@pytest.mark.parametrize(("steps", "blocks"), [(1, 2), (5, 1), (7, 3), (20, 13), (100, 5)])
def test_a_grid_of_any_size_can_be_planned(name, steps, blocks):
    schedule = method_of(name).plan(Invented(steps, blocks)).schedule
    assert schedule.actions.shape == (steps, blocks, 2)
    assert schedule.computed[0].all()
    ladder = method_of(name).ladder(Invented(min(steps, 20), blocks))
    assert ladder and {type(rung) for rung in ladder} == {METHODS[name]}


@pytest.mark.parametrize("name", NAMES)
def test_ladders_go_from_most_work_to_least(model, shelf, name):
    setting = on(model, shelf, 20)
    # A rank that is small for a width of 16.
    ladder = method_of(name, **({"rank": 2} if name == "icc" else {})).ladder(setting)
    work = [cost_of(model, rung.plan(setting).schedule).work for rung in ladder]
    assert (np.diff(work) <= 1e-12).all()
    assert work[0] <= 1 and work[-1] < 1 / REACHES[name] + 0.17
    if name != "full":
        assert len(set(work)) > 4


@pytest.mark.parametrize("name", ["taylorseer", "hicache", "foca", "clusca"])
def test_half_of_the_steps_are_every_other_one(model, shelf, name):
    rungs = [(r.first, r.interval) for r in method_of(name).ladder(on(model, shelf, 20))]
    # By hand: steps 0, 2 … 18; 5 steps and then one in 3 are as many.
    assert rungs.count((1, 2)) == 1 and (5, 3) not in rungs
    counts = [sum(s < f or (s - f + 1) % n == 0 for s in range(20)) for f, n in rungs]
    assert counts == sorted(set(counts), reverse=True)


def test_of_an_odd_number_of_steps_the_start_reaches_them():
    assert (1, 2) not in lead_ins(21, 2, range(2, 11))
    assert (2, 2) in lead_ins(21, 2, range(2, 11))
    assert (1, 2) not in lead_ins(20, 2, range(3, 11))


def test_no_rung_of_pab_reuses_longer_than_a_wider_range_needs(model, shelf):
    setting = on(model, shelf, 20)
    rungs = method_of("pab").ladder(setting)
    intervals = [rung.interval for rung in rungs]
    assert intervals == sorted(intervals) and intervals[0] == 2
    # One step in 3 from t 100 to 800 reuses 10 steps, no more than one in 2 of all.
    assert [(r.low, r.high) for r in rungs if r.interval == 3] == [(50, 900), (-1, 1000)]
    assert {(r.low, r.high) for r in rungs if r.interval == 2} == {
        (100, 800),
        (50, 900),
        (-1, 1000),
    }


def test_invardiff_needs_the_model_once(model):
    shelf = Shelf()
    setting = on(model, shelf, 7)
    plain = method_of("invardiff").plan(setting).schedule
    assert len(shelf.tables) == 1
    asleep = ModelSetting(model, steps=7, cfg_scale=2.0, sampler="ddim", shelf=shelf, may_run=False)
    assert method_of("invardiff").plan(asleep).schedule == plain
    for rung in method_of("invardiff").ladder(asleep):
        rung.plan(asleep)


def test_toca_runs_its_published_pattern(model):
    schedule = method_of("toca").plan(Invented(50, 3)).schedule
    executed = sample(model, schedule, label=1, cfg_scale=1.0).executed
    assert row((executed[:, 0] == 0).all(1), "Fp") == TOCA_FIRST
    assert row((executed[:, 2] == 0).all(1), "Fp") == TOCA_OTHERS


# -- nominal work --------------------------------------------------------------------------


def test_nominal_work_counts_branches_halves_and_tokens():
    # 0.357 of attention reused at 7 of 20 steps.
    pab = method_of("pab").plan(Invented(20, 3)).schedule
    assert nominal_work(pab) == pytest.approx(1 - 0.357 * 7 / 20)
    # 11 steps run half, 6 of them without attention.
    faster = method_of("fastercache").plan(Invented(20, 3)).schedule
    assert nominal_work(faster) == pytest.approx((9 + 5 / 2 + 6 * 0.643 / 2) / 20)
    # Steps 0 and 3 of 4 full, with attention scored once; 1 and 2 have 0.3 of the tokens.
    full = np.array([[True], [False], [False], [True]])
    made = token_schedule(full, ~full, ratio=0.1, interval=3)
    assert nominal_work(made) == pytest.approx((2 + 0.5 * 0.357 + 2 * 0.3 * 0.643) / 4)
