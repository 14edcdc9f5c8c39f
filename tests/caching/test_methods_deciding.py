"""Methods that decide while running: the policy each one makes, by the numbers of its sources."""

import numpy as np
import pytest

from caching.engine.executor import Stopped
from caching.errors import ScheduleError
from caching.methods import Unready, method_of
from caching.methods.setting import ModelSetting
from tests.caching import tiny
from tests.caching.settings import Invented
from tests.caching.spy import own

RUN = {"steps": 6, "cfg_scale": 2.0, "sampler": "ddim"}


@pytest.fixture(scope="module")
def model():
    return own(tiny.dit(), tiny.EPSILON)


def policy_of(name, setting=None, **values):
    """The policy, all steps computed where it does not decide otherwise."""
    plan = method_of(name, **values).plan(setting or Invented())
    assert not plan.schedule.actions.any() and not plan.schedule.step_actions.any()
    return plan.policy


@pytest.mark.parametrize(
    ("steps", "blocks", "first", "warmup"),
    # A sixth of the blocks and a quarter of the steps, at least 1 and at most cache-dit's 8.
    [(20, 12, 2, 5), (28, 57, 8, 7), (50, 28, 4, 8), (5, 4, 1, 1), (3, 2, 1, 1)],
)
def test_dbcache_scales_its_first_blocks_and_its_warm_up(steps, blocks, first, warmup):
    policy = policy_of("dbcache", Invented(steps, blocks))
    assert (policy.first, policy.warmup, policy.last) == (first, warmup, 0)
    policy = policy_of("dbcache", Invented(50, 28), first=3, last=2, warmup=6, threshold=0.4)
    assert (policy.first, policy.last, policy.warmup) == (3, 2, 6)
    assert (policy.threshold, policy.most, policy.in_a_row) == (0.4, -1, -1)


@pytest.mark.parametrize(("steps", "warmup"), [(20, 4), (50, 10), (100, 10), (5, 1), (4, 1)])
def test_easycache_scales_its_warm_up(steps, warmup):
    assert policy_of("easycache", Invented(steps)).warmup == warmup
    assert policy_of("easycache", Invented(steps), warmup=7, threshold=0.5).warmup == 7


def test_the_others_hand_their_controls_over():
    assert policy_of("fbcache", threshold=0.3).threshold == 0.3
    policy = policy_of("dicache", threshold=0.08, error="delta_minus", retain=0, probe=2)
    assert (policy.threshold, policy.error, policy.retain, policy.probe) == (
        0.08, "delta_minus", 0, 2,
    )  # fmt: skip
    # sample.py of SpeCa: 0.1, base 0.01, 2 to 5 forecasts of order 4, 3 steps first.
    policy = policy_of("speca")
    assert (policy.threshold, policy.decay, policy.first) == (0.1, 0.01, 3)
    assert (policy.least, policy.most, policy.order) == (2, 5, 4)
    assert policy_of("speca", threshold=2, least=3, most=7, order=1).order == 1


@pytest.mark.parametrize(
    ("name", "values"), [("fbcache", {}), ("dbcache", {"first": 1}), ("dicache", {"probe": 1})]
)
def test_a_model_of_one_block_is_refused_before_it_runs(name, values):
    with pytest.raises(ScheduleError, match="the model has 1"):
        method_of(name, **values).plan(Invented(20, 1))


@pytest.mark.parametrize(
    ("name", "tables", "values"),
    [
        ("teacache", ("coefficients",), {"threshold": 0.7}),
        ("magcache", ("ratios",), {"threshold": 0.7, "most": 5, "retain": 0.5}),
        ("sencache", ("timesteps", "j_x", "j_t"), {"main": 0.7, "start": 0.3, "most": 5}),
    ],
)
def test_calibrated_ones_keep_their_tables_and_change_what_is_set(name, tables, values, model):
    with pytest.raises(Unready):
        method_of(name).plan(Invented(traced=True))
    told = []
    setting = ModelSetting(model, **RUN, tell=lambda *args: told.append(args))
    one, other = policy_of(name, setting), policy_of(name, setting, **values)
    assert all(getattr(one, t) == getattr(other, t) for t in tables)
    assert {v: getattr(other, v) for v in values} == values
    # Calibrated once, four pictures of six steps.
    assert told == [("full runs", n, 24) for n in range(1, 25)]
    stopped = ModelSetting(model, **RUN, stopped=lambda: True)
    with pytest.raises(Stopped):
        method_of(name).plan(stopped)


def test_ladders_go_on_where_the_threshold_stops_nothing(model):
    setting = ModelSetting(model, **RUN)
    last = {
        name: method_of(name).ladder(setting)[-1]
        for name in ("dbcache", "magcache", "dicache", "sencache", "easycache", "speca")
    }
    assert (last["dbcache"].threshold, last["dbcache"].first, last["dbcache"].warmup) == (1, 1, 1)
    assert (last["magcache"].threshold, last["magcache"].most, last["magcache"].retain) == (
        1,
        10,
        0,
    )
    assert (last["dicache"].threshold, last["dicache"].retain) == (3, 0)
    assert (last["sencache"].main, last["sencache"].start) == (2, 2)
    assert (last["speca"].threshold, last["speca"].most) == (300, 20)
    rungs = method_of("dbcache").ladder(Invented())
    assert [r.warmup for r in rungs[-5:]] == [5, 4, 3, 2, 1]
    assert np.all(np.diff([r.threshold for r in rungs]) >= 0)
    assert [r.warmup for r in method_of("easycache").ladder(Invented())[-2:]] == [3, 2]
