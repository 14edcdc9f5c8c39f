"""Static policies: the published patterns to the letter, and hand-computed thresholds."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caching.context import Context
from caching.errors import ScheduleError
from caching.policies import ends, every, full, smoothcache
from caching.policies.interval import pattern
from caching.policies.taylorseer import taylorseer
from caching.policies.threshold import smoothcache_rows
from caching.predictors import Reuse
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule

# Execution order, 1 = the whole step computed; methods dossier 4.1 and design study C4.
FORA_CODE_30_2 = "110101010101010101010101010101"
FORA_CODE_50_3 = "11001001001001001001001001001001001001001001001001"
FORA_FILE_30_2 = "101010101010101010101010101011"
FORA_FILE_50_2 = "10101010101010101010101010101010101010101010101011"


def bits(schedule):
    """Whole steps as "1" (all computed) and "0" (all reused)."""
    share = schedule.computed.reshape(schedule.steps, -1).mean(axis=1)
    assert set(share) <= {0.0, 1.0}
    return "".join(str(int(x)) for x in share)


# -- full and interval ---------------------------------------------------------------------


def test_full_computes_everything():
    context = Context(3, sampler="ddim")
    assert full(3, 2, context=context) == Schedule(np.zeros((3, 2, 2), int), context=context)


@pytest.mark.parametrize(
    ("steps", "n", "align", "expected"),
    [
        (30, 2, "end", FORA_CODE_30_2),
        (50, 3, "end", FORA_CODE_50_3),
        (30, 2, "start", FORA_FILE_30_2),
        (50, 2, "start", FORA_FILE_50_2),
        (5, 1, "end", "11111"),
        (5, 1, "start", "11111"),
        (5, 9, "end", "10001"),
        (5, 9, "start", "10001"),
        (1, 2, "end", "1"),
        (1, 2, "start", "1"),
        (7, 3, "end", "1001001"),
        (8, 3, "end", "11001001"),
        (8, 3, "start", "10010011"),
    ],
)
def test_interval_patterns(steps, n, align, expected):
    assert bits(every(steps, 3, n, align=align)) == expected
    assert Schedule.every(steps, 3, n, align=align) == every(steps, 3, n, align=align)


@pytest.mark.parametrize(("n", "count"), [(2, 26), (3, 18), (4, 14), (5, 11)])
def test_fora_computes_as_many_of_50_steps_as_its_paper_counts(n, count):
    assert pattern(50, n).sum() == count


@pytest.mark.parametrize(("steps", "count"), [(30, 16), (50, 26), (70, 36)])
def test_aligned_to_the_start_equals_the_published_files(published, steps, count):
    file = json.loads((published / f"smoothcache-{steps}-N-2-fora.json").read_text())
    computed = every(steps, 28, 2, align="start").computed
    for branch, name in enumerate(("attn", "mlp")):
        for block in range(28):
            assert computed[:, block, branch].astype(int).tolist() == file[name]
    assert computed[:, 0, 0].sum() == count


def test_the_default_alignment_is_that_of_the_code_of_fora():
    assert every(30, 1, 2) == every(30, 1, 2, align="end") != every(30, 1, 2, align="start")


@given(st.integers(1, 60), st.integers(1, 20))
def test_no_age_exceeds_the_interval(steps, n):
    for align in ("end", "start"):
        assert every(steps, 1, n, align=align).age().max() < n


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"n": 0}, "the interval n is 0: expected a whole number from 1"),
        ({"n": 2.0}, "the interval n is 2.0"),
        ({"steps": 0}, "steps is 0"),
        ({"blocks": 257}, "blocks is 257"),
        ({"align": "middle"}, 'align is \'middle\': expected "end" or "start"'),
    ],
)
def test_wrong_intervals_are_refused(kwargs, message):
    with pytest.raises(ScheduleError, match=message):
        every(**{"steps": 10, "blocks": 2, "n": 2, **kwargs})


# -- ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last", "interval", "expected"),
    [
        (1, 0, None, "1000000000"),
        (3, 2, None, "1110000011"),
        (1, 1, None, "1000000001"),
        (3, 2, 2, "1110101011"),
        (2, 1, 3, "1100100101"),
        (6, 6, None, "1111111111"),
        (50, 0, None, "1111111111"),
    ],
)
def test_ends_patterns(first, last, interval, expected):
    assert bits(ends(10, 2, first, last, interval=interval)) == expected


@pytest.mark.parametrize(
    ("first", "last", "interval", "message"),
    [
        (0, 2, None, "first is 0: expected a whole number from 1"),
        (2, -1, None, "last is -1: expected a whole number from 0"),
        (2, 2, 0, "interval is 0"),
    ],
)
def test_wrong_ends_are_refused(first, last, interval, message):
    with pytest.raises(ScheduleError, match=message):
        ends(10, 2, first, last, interval=interval)


# -- smoothcache ---------------------------------------------------------------------------


def test_smoothcache_by_hand():
    """One block, one branch, seven steps; every decision is written out below."""
    change = np.full((7, 1, 1, 3), 9.0)
    change[1, 0, 0, 0] = 0.3  # E_1(0): too large, so is lag 2, but
    change[2, 0, 0, 1] = 0.3  # E_2(0)
    change[3, 0, 0, 2] = 0.1  # E_3(0) <= 0.2: the largest k wins, steps 1 to 3 are reused
    change[5, 0, 0, 0] = 0.2  # E_1(4) = 0.2 <= 0.2: step 5 is reused, the bound is included
    # Step 6 is the next one, and the last.
    assert smoothcache(change, 0.2, branches=["attn"]).rows() == {"block 0 attn": "CRRRCRC"}


def test_the_denominator_is_the_later_output():
    """From outputs 1, 2, 4, …: |o_s - o_{s+1}| / |o_{s+1}| = 1/2; divided by |o_s| it were 1."""
    outputs = 2.0 ** np.arange(5)
    change = np.full((5, 1, 1, 1), np.nan)
    change[1:, 0, 0, 0] = (outputs[1:] - outputs[:-1]) / outputs[1:]
    rows = smoothcache(change, 0.5, lookahead=1, branches=["attn"]).rows()
    assert rows == {"block 0 attn": "CRCRC"}
    rows = smoothcache(change, 0.49, lookahead=1, branches=["attn"]).rows()
    assert rows == {"block 0 attn": "CCCCC"}


def test_the_last_step_is_computed_even_if_it_could_be_reused():
    change = np.zeros((4, 1, 2, 3))
    assert bits(smoothcache(change, 0.0)) == "1001"


def test_lookahead_bounds_the_run_of_reused_steps():
    change = np.zeros((9, 2, 2, 4))
    assert bits(smoothcache(change, 0.1, lookahead=1)) == "101010101"
    assert bits(smoothcache(change, 0.1, lookahead=2)) == "100100101"
    assert bits(smoothcache(change, 0.1)) == "100010001"
    assert bits(smoothcache(change, 0.1, lookahead=4)) == "100001001"


def test_blocks_are_pooled_per_branch_type_or_decide_alone():
    change = np.zeros((3, 2, 2, 1))
    change[1, :, 0, 0] = [0.1, 0.4]  # attn: the mean is 0.25
    change[1, :, 1, 0] = [0.2, 0.2]  # mlp: the mean is 0.2
    pooled = smoothcache(change, 0.2, lookahead=1)
    assert list(pooled.rows().values()) == ["CCC", "CRC", "CCC", "CRC"]
    alone = smoothcache(change, 0.2, lookahead=1, per="block")
    assert list(alone.rows().values()) == ["CRC", "CRC", "CCC", "CRC"]


def test_numbers_before_the_first_lag_are_not_read():
    rng = np.random.default_rng(0)
    change = rng.uniform(0, 0.3, (12, 3, 2, 4)).astype(np.float32)
    expected = smoothcache(change, 0.15)
    for step in range(4):
        change[step, :, :, step:] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert smoothcache(change, 0.15) == expected


def test_the_context_of_the_trace_is_kept():
    context = Context(3, sampler="ddim")
    assert smoothcache(np.zeros((3, 1, 2, 3)), 0.1, context=context).context == context


@given(st.integers(0, 99), st.floats(0, 1), st.sampled_from(["branch", "block"]))
def test_ages_stay_within_the_lookahead_and_what_is_reused_is_under_alpha(seed, alpha, per):
    change = np.random.default_rng(seed).uniform(0, 1, (11, 2, 2, 3))
    schedule = smoothcache(change, alpha, per=per)
    age = schedule.age()
    assert age.max() <= 3
    assert schedule.computed[[0, -1]].all()
    # The last step of every reused run, unless that is cut by the last step of all.
    error = change if per == "block" else change.mean(axis=1, keepdims=True).repeat(2, axis=1)
    for step, block, branch in np.argwhere(age[:-2] > 0):
        if age[step + 1, block, branch] == 0:
            assert error[step, block, branch, age[step, block, branch] - 1] <= alpha


@given(st.integers(0, 99))
def test_a_threshold_above_every_change_reuses_all_it_may(seed):
    change = np.random.default_rng(seed).uniform(0, 1, (11, 2, 2, 3))
    assert bits(smoothcache(change, 1.0)) == "10001000101"
    assert bits(smoothcache(change + 0.1, 0.05)) == "1" * 11


@pytest.mark.parametrize(
    ("change", "kwargs", "message"),
    [
        (np.zeros((4, 2, 2)), {}, r"change is float64 \(4, 2, 2\): expected floats"),
        (np.zeros((4, 2, 3, 3)), {}, r"expected floats \(steps, blocks, 2, lags\)"),
        (np.zeros((4, 2, 2, 3), int), {}, "change is int64"),
        (np.zeros((0, 2, 2, 3)), {}, "steps is 0"),
        (np.zeros((4, 2, 2, 2)), {}, "lookahead is 3: expected a whole number from 1 to 2"),
        (np.zeros((4, 2, 2, 3)), {"lookahead": 0}, "lookahead is 0"),
        (np.zeros((4, 2, 2, 3)), {"alpha": -0.1}, "alpha is -0.1"),
        (np.zeros((4, 2, 2, 3)), {"alpha": float("nan")}, "alpha is nan"),
        (np.zeros((4, 2, 2, 3)), {"alpha": float("inf")}, "alpha is inf"),
        (np.zeros((4, 2, 2, 3)), {"alpha": "0.1"}, "alpha is '0.1'"),
        (np.zeros((4, 2, 2, 3)), {"per": "cell"}, "per is 'cell'"),
        (np.full((4, 2, 2, 3), np.nan), {}, "block 0, attn, step 1: the change at lag 1 is nan"),
        (np.full((4, 2, 2, 3), -1.0), {}, r"the change at lag 1 is -1\.0"),
    ],
)
def test_wrong_thresholds_and_traces_are_refused(change, kwargs, message):
    with pytest.raises(ScheduleError, match=message):
        smoothcache(change, **{"alpha": 0.1, **kwargs})


@pytest.mark.parametrize(
    ("interval", "row"),
    [
        (1, "CCCCCCCCCC"),
        (2, "CCTCTCTCTC"),
        (3, "CCTTCTTCTT"),
        (4, "CCTTTCTTTC"),
        (9, "CCTTTTTTTT"),
    ],
)
def test_taylorseer_rows(interval, row):
    schedule = taylorseer(10, 2, interval)
    assert set(schedule.rows().values()) == {row}
    assert schedule.legend == (Taylor(4),)


@pytest.mark.parametrize(("interval", "full"), [(3, 18), (4, 14), (5, 11), (6, 10)])
def test_taylorseer_computes_as_many_of_fifty_steps_as_published(interval, full):
    """The counts behind its table: 2.78x, 3.57x, 4.5x and 5x over 50 steps."""
    assert int(taylorseer(50, 1, interval).computed[:, 0, 0].sum()) == full


def test_taylorseer_takes_another_predictor_and_another_start():
    schedule = taylorseer(8, 1, 3, predictor=Reuse(), first=3)
    assert set(schedule.rows().values()) == {"CCCRRCRR"}


def test_smoothcache_rows_list_every_alpha_at_which_something_changes():
    # One block, four steps: E_1 = .1 .2 .1 at steps 1 2 3, E_2 = .3 .25 at steps 2 3.
    change = np.full((4, 1, 1, 2), np.nan)
    change[1:, 0, 0, 0] = [0.1, 0.2, 0.1]
    change[2:, 0, 0, 1] = [0.3, 0.25]
    found = smoothcache_rows(change, lookahead=2, branches=["attn"])
    # At .1 step 1 is reused, step 2 computed, and the last step always is; at .2 nothing is new,
    # because no choice begins at step 1; at .3 both of its two steps go.
    assert found == {"attn": ((0.0, "0000"), (0.1, "0100"), (0.3, "0110"))}


@pytest.mark.parametrize("lookahead", [1, 3])
def test_smoothcache_rows_are_what_smoothcache_makes(lookahead):
    change = np.random.default_rng(5).uniform(0, 1, (12, 4, 2, 3)).astype(np.float32)
    found = smoothcache_rows(change, lookahead=lookahead)
    for alpha in np.arange(0, 1.2, 0.05):
        rows = smoothcache(change, float(alpha), lookahead=lookahead).rows()
        for branch, pairs in found.items():
            row = [row for start, row in pairs if start <= alpha][-1]
            assert rows[f"block 3 {branch}"] == row.replace("0", "C").replace("1", "R")
