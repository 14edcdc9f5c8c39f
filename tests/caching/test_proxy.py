"""The prediction: hand-computed sums, invariants, and the tables as the page reads them."""

import base64
import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given

from caching.actions.cond_only import CondOnly
from caching.actions.hidden import FinalHidden
from caching.actions.output import OutputReuse
from caching.actions.residual import Residual
from caching.errors import ScheduleError
from caching.predict.proxy import Tables, predict
from caching.predictors import Reuse
from caching.predictors.skip import Skip
from caching.predictors.taylor import Taylor
from caching.predictors.tokens import Tokens
from caching.schedule import Schedule
from tests.caching.strategies import schedules


def tables(**changes):
    """Four steps, one block, two branches, two lags."""
    change = np.zeros((4, 1, 2, 2))
    change[1, 0, :, 0] = [0.125, 0.25]
    change[2, 0, :, 0] = [0.25, 0.5]
    change[2, 0, :, 1] = [0.375, 0.75]
    change[3, 0, :, 0] = [0.0625, 0.5]
    change[3, 0, :, 1] = [0.5, 1.0]
    values = {
        "fixed_ms": 1.0,
        "compute_ms": [[3.0, 6.0]],
        "reuse_ms": [[0.5, 0.25]],
        "fixed_macs": 10,
        "compute_macs": [[30, 60]],
        "change": change,
        "source": "by hand",
        **changes,
    }
    return Tables(**values)


def test_by_hand():
    schedule = Schedule.from_rows(["CRRR", "CCRC"])
    got = predict(schedule, tables())
    # Ages: attn 0 1 2 3, mlp 0 0 1 0.
    assert got.work == (4 * 10 + 30 + 3 * 60) / (4 * 100)
    assert got.ms == 4 * 1.0 + (3 + 3 * 0.5) + (3 * 6 + 0.25)
    assert got.speedup == 4 * 10 / got.ms
    # attn: lag 1, lag 2, then age 3 at K = 2: the last lag times 3 / 2. mlp: lag 1 at step 2.
    assert got.drift == (0.125 + 0.375 + 0.5 * 1.5 + 0.5) / 8


def test_a_forecast_takes_its_own_time_and_no_products():
    reused, forecast = Schedule.from_rows(["CRRR", "CCRC"]), ["CTTT", "CCTC"]
    schedule = Schedule.from_rows(forecast, legend=(Reuse(), Taylor(1)))
    table = tables(forecast_ms=0.125)
    assert predict(reused, table) == predict(reused, tables())
    assert predict(schedule, table).ms == predict(reused, tables()).ms + 4 * 0.125
    assert predict(schedule, table).work == predict(reused, tables()).work


def test_a_run_has_a_start_and_a_step_that_computes_costs_more():
    schedule = Schedule.from_rows(["CRRR", "CCRC"])
    table = tables(busy_ms=0.5, start_ms=2.0)
    got, before = predict(schedule, table), predict(schedule, tables())
    assert got.ms == before.ms + 2 + 3 * 0.5  # at step 2 nothing is computed
    assert got.speedup == (4 * 10.5 + 2) / got.ms
    assert (got.work, got.drift) == (before.work, before.drift)
    assert table.full_step_ms == 10.5


def test_a_full_schedule_costs_everything_and_drifts_nowhere():
    got = predict(Schedule.full(4, 1), tables())
    assert dataclasses.astuple(got) == (1.0, 1.0, 0.0, 40.0)


HALF, KEPT, NOTHING = CondOnly(), FinalHidden(), OutputReuse()


def costly(**changes):
    """As `tables`, with 4 of the 10 fixed MACs in embedding and head, and tokens that cost 1/4."""
    shares = {Tokens(0.25): np.full((1, 2), 0.25)}
    return tables(embed_macs=1, head_macs=3, shares=shares, **changes)


# name: (rows, step row, work, ms, sum of changes), by hand.
BRUSHES = {
    "a forecast costs nothing and counts as if reused": (
        ["CTCC", "CCCC"], "CCCC", 400 - 30, 40 - 3 + 0.5, 0.125,
    ),
    "tokens cost a quarter of the branch": (
        ["CPCC", "CCCC"], "CCCC", 400 - 30 + 7.5, 40 - 3 + 0.5 + 2.5 / 4, 0.125,
    ),
    "a branch that is left out changes by all of itself": (
        ["CZCC", "CCZC"], "CCCC", 400 - 90, 40 - 9 + 0.75, 2.0,
    ),
    "covered cells cost nothing at all, whatever is painted": (
        ["CRCC", "CCCC"], "CSCC", 400 - 90, 40 - 9, 0.125 + 0.25,
    ),
    "a covered cell is not computed for those after it": (
        ["CCRC", "CCCC"], "CSCC", 400 - 90 - 30, 40 - 9 - 3 + 0.5, 0.125 + 0.25 + 0.375,
    ),
    "half of the batch halves all but the modulation": (
        ["CCCC", "CCCC"], "CCGC", 400 - 90 / 2 - 4 / 2, 40 - 5, 0.0,
    ),
    "the last hidden state needs a head and no embedding": (
        ["CCCC", "CCCC"], "CCHC", 400 - 90 - 1, 40 - 9, 0.25 + 0.5,
    ),
    "no transformer is called, its modulation is made": (
        ["CCCC", "CCCC"], "CCOC", 400 - 90 - 4, 40 - 10, 0.25 + 0.5,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BRUSHES)
def test_brushes_and_whole_steps_by_hand(name):
    rows, step_row, macs, ms, change = BRUSHES[name]
    schedule = Schedule.from_rows(
        rows,
        legend=(Reuse(), Taylor(1), Tokens(0.25), Skip()),
        step_row=step_row,
        step_legend=(Residual(), HALF, KEPT, NOTHING),
    )
    got = predict(schedule, costly())
    assert got.work == macs / 400
    assert (got.ms, got.speedup) == (ms, 40 / ms)
    assert got.drift == change / 8


@given(schedules(legend=Schedule.full(1, 1).legend))
def test_sums_equal_a_plain_loop_over_cells(schedule):
    """The loop says what the page's code says, with nothing vectorised."""
    steps, blocks, width = schedule.actions.shape
    rng = np.random.default_rng(1)
    table = Tables(
        fixed_ms=0.7,
        compute_ms=rng.uniform(1, 2, (blocks, width)),
        reuse_ms=rng.uniform(0, 0.1, (blocks, width)),
        fixed_macs=11,
        compute_macs=rng.integers(1, 99, (blocks, width)),
        change=rng.uniform(0, 1, (steps, blocks, width, 3)),
        source="random",
    )
    macs, ms, drift = steps * 11, steps * 0.7, 0.0
    for block in range(blocks):
        for branch in range(width):
            age = 0
            for step in range(steps):
                if schedule.actions[step, block, branch] == 0:
                    age = 0
                    macs += int(table.compute_macs[block, branch])
                    ms += table.compute_ms[block, branch]
                else:
                    age += 1
                    ms += table.reuse_ms[block, branch]
                    change = float(table.change[step, block, branch, min(age, 3) - 1])
                    drift += change * max(1, age / 3)
    full_ms = steps * (0.7 + table.compute_ms.sum())
    full_macs = steps * (11 + int(table.compute_macs.sum()))
    got = predict(schedule, table)
    assert got.work == pytest.approx(macs / full_macs, rel=1e-12)
    assert got.ms == pytest.approx(ms, rel=1e-12)
    assert got.speedup == pytest.approx(full_ms / ms, rel=1e-12)
    assert got.drift == pytest.approx(drift / schedule.actions.size, rel=1e-12, abs=1e-15)


def test_the_page_receives_exactly_the_numbers_that_are_summed_here():
    table = tables(change=np.random.default_rng(0).uniform(0, 2, (4, 1, 2, 2)))
    value = json.loads(json.dumps(table.to_json(), allow_nan=False))
    data = np.frombuffer(base64.b64decode(value["change"].pop("data")), "<f2")
    assert (data.reshape(4, 1, 2, 2) == table.change).all()
    assert value == {
        "fixed_ms": 1.0,
        "compute_ms": [3.0, 6.0],
        "reuse_ms": [0.5, 0.25],
        "forecast_ms": 0.0,
        "busy_ms": 0.0,
        "start_ms": 0.0,
        "fixed_macs": 10,
        "compute_macs": [30, 60],
        "change": {"k": 2},
        "source": "by hand",
        "embed_macs": 0,
        "head_macs": 0,
    }


def test_nan_before_the_first_lag_counts_as_zero():
    change = np.ones((4, 1, 2, 2), np.float32)
    change[0] = np.nan
    change[1, :, :, 1] = np.nan
    got = tables(change=change).change
    assert got.dtype == np.float16
    assert (got[0] == 0).all()
    assert got[1].tolist() == [[[1, 0], [1, 0]]]


def test_tables_are_copies_that_cannot_be_written():
    change = np.ones((4, 1, 2, 2))
    table = tables(change=change)
    change[:] = 5
    assert (table.change == 1).all()
    for name in ("change", "compute_ms", "reuse_ms", "compute_macs"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(table, name)[...] = 0


@pytest.mark.parametrize("steps", [2, 5, 17, 33])
def test_changes_that_grow_in_proportion_are_carried_over_exactly(steps):
    """If change is 1 / 128 per old step of lag, 9 old steps say what any new lag spans."""
    lag = np.arange(1, 4)
    change = np.where(np.arange(9)[:, None] >= lag, lag / 128, np.nan)
    table = tables(change=np.broadcast_to(change[:, None, None], (9, 1, 2, 3)))
    got = table.resample(steps)
    span = lag * 8 / (steps - 1) / 128
    expected = np.where(np.arange(steps)[:, None] >= lag, span, 0.0)
    assert got.change.shape == (steps, 1, 2, 3)
    assert np.allclose(got.change[:, 0, 1], expected, rtol=2e-3, atol=0)
    assert got.source == "by hand; carried over from 9 steps"
    assert got.full_step_ms == table.full_step_ms


def test_changes_are_read_at_the_same_place_of_the_run():
    change = np.zeros((5, 1, 2, 1))
    change[3:] = 0.5
    got = tables(change=change).resample(9).change[:, 0, 0, 0]
    assert got.tolist() == [0, 0, 0, 0, 0, 0.25, 0.25, 0.25, 0.25]


def test_tables_at_the_same_steps_are_the_same_tables():
    table = tables()
    assert table.resample(4) is table
    assert (table.resample(1).change == 0).all()
    one = tables(change=np.zeros((1, 1, 2, 2)))
    assert (one.resample(3).change == np.zeros((3, 1, 2, 2))).all()
    with pytest.raises(ScheduleError, match="steps is 0"):
        table.resample(0)


LATE_NAN = np.ones((4, 1, 2, 2))
LATE_NAN[2, 0, 1, 0] = np.nan


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"change": np.ones((4, 1, 2))}, r"change is float64 \(4, 1, 2\): expected floats"),
        ({"change": np.ones((4, 1, 2, 0))}, "expected floats"),
        ({"change": LATE_NAN}, "block 0, branch 1, step 2: the change at lag 1 is nan"),
        ({"change": np.full((4, 1, 2, 2), 1e6)}, "expected 0 to 65504"),
        ({"change": np.full((4, 1, 2, 2), np.inf)}, "is inf: expected 0 to 65504"),
        ({"change": np.full((4, 1, 2, 2), -1.0)}, r"is -1\.0"),
        ({"compute_ms": [3.0, 6.0]}, r"compute_ms is float64 \(2,\): expected numbers \(1, 2\)"),
        ({"compute_ms": [[3.0, np.nan]]}, "compute_ms holds a negative, infinite"),
        ({"reuse_ms": [[-1.0, 0.0]]}, "reuse_ms holds a negative"),
        ({"reuse_ms": [[np.inf, 0.0]]}, "reuse_ms holds a negative, infinite"),
        ({"fixed_ms": float("nan")}, "fixed_ms holds a negative, infinite"),
        ({"fixed_ms": "1"}, "fixed_ms is <U1"),
        ({"fixed_macs": 1.5}, "fixed_macs is float64"),
        ({"compute_macs": [[3.0, 6.0]]}, r"compute_macs is float64 \(1, 2\): expected whole"),
        ({"compute_macs": [[2**60, 1]]}, "too large"),
        ({"fixed_ms": 0.0, "compute_ms": [[0.0, 0.0]]}, r"costs 0\.0 ms"),
        ({"fixed_macs": 0, "compute_macs": [[0, 0]]}, "and 0 MACs"),
        ({"source": ""}, "source is empty"),
        ({"embed_macs": 8, "head_macs": 3}, r"take 8 \+ 3 MACs: expected no more than the 10"),
        ({"head_macs": -1}, "head_macs holds a negative"),
        ({"embed_macs": 0.5}, "embed_macs is float64"),
        ({"shares": {Reuse(): [[1.0]]}}, r"share of reuse is float64 \(1, 1\): expected numbers"),
        ({"shares": {Reuse(): [[-1.0, 0.0]]}}, "share of reuse holds a negative"),
    ],
)
def test_wrong_tables_are_refused(changes, message):
    with pytest.raises(ScheduleError, match=message):
        tables(**changes)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (Schedule.full(5, 1), "has 5 steps and the run 4"),
        (Schedule.full(4, 2), "has 2 blocks and the model 1"),
        (Schedule.full(4, 1, branches=("a", "b", "c")), "has 3 branches and the tables 2"),
    ],
)
def test_tables_of_another_run_are_refused(schedule, message):
    with pytest.raises(ScheduleError, match=message):
        predict(schedule, tables())
