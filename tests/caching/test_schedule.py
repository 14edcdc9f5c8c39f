"""The schedule value: construction, refusals, value behaviour and fit."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest
from hypothesis import given

from caching.context import Context
from caching.errors import ScheduleError
from caching.predictors import PREDICTORS, Reuse, from_json, to_json
from caching.schedule import Schedule
from tests.caching.strategies import Nudge, schedules

# -- construction --------------------------------------------------------------------------


def test_full_computes_every_cell():
    schedule = Schedule.full(5, 3)
    assert schedule.actions.shape == (5, 3, 2)
    assert schedule.actions.dtype == np.uint8
    assert schedule.computed.all()


def test_from_rows_is_block_major_with_time_along_the_row():
    schedule = Schedule.from_rows(["CRRR", "CCRR", "CCCR", "CCCC"])
    assert schedule.actions.shape == (4, 2, 2)
    assert schedule.actions[:, 0, 0].tolist() == [0, 1, 1, 1]
    assert schedule.actions[:, 0, 1].tolist() == [0, 0, 1, 1]
    assert schedule.actions[:, 1, 0].tolist() == [0, 0, 0, 1]
    assert schedule.actions[:, 1, 1].tolist() == [0, 0, 0, 0]


def test_named_rows_may_come_in_any_order():
    rows = {"block 1 mlp": "CC", "block 0 mlp": "CR", "block 1 attn": "CC", "block 0 attn": "CC"}
    assert Schedule.from_rows(rows).actions[1].tolist() == [[0, 1], [0, 0]]


def test_letters_never_collide():
    schedule = Schedule(np.zeros((2, 1, 2), int), (Reuse(), Nudge(), Nudge(2)))
    assert schedule.letters == "CRAB"


@given(schedules())
def test_rows_round_trip(schedule):
    again = Schedule.from_rows(schedule.rows(), legend=schedule.legend, branches=schedule.branches)
    assert again == schedule


# -- refusals ------------------------------------------------------------------------------


def grid(*, step=1, action=1, shape=(4, 5, 2), dtype=int):
    actions = np.zeros(shape, dtype)
    actions[step, 3, 1] = action
    return actions


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (grid(step=0), r"block 3, mlp, step 0: reuse given.*expected compute"),
        (grid(action=2), r"block 3, mlp, step 1: action 2 is not in the legend: expected 0 to 1"),
        (grid(action=-1), r"block 3, mlp, step 1: action -1"),
        (grid(action=256), r"action 256 is not in the legend"),
        (grid(dtype=float), r"dtype float64: expected whole numbers"),
        (grid(dtype=bool), r"dtype bool: expected whole numbers"),
        (np.full((2, 1, 2), np.nan), r"dtype float64"),
        (np.array([[["C", "C"]]]), r"dtype <U1"),
        (np.zeros((4, 5), int), r"shape \(4, 5\): expected \(steps, blocks, 2\)"),
        (np.zeros((4, 5, 3), int), r"expected \(steps, blocks, 2\), the last for attn, mlp"),
        (np.zeros((0, 5, 2), int), r"steps is 0: expected a whole number from 1 to 1000"),
        (np.zeros((4, 0, 2), int), r"blocks is 0"),
        (np.zeros((1001, 1, 2), int), r"steps is 1001"),
        (np.zeros((1, 257, 2), int), r"blocks is 257: .* 1 to 256"),
    ],
)
def test_a_wrong_grid_is_refused_by_name(actions, message):
    with pytest.raises(ScheduleError, match=message):
        Schedule(actions)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"branches": ("attn", "attn")}, "different lower-case names"),
        ({"branches": ("Attn", "mlp")}, "different lower-case names"),
        ({"branches": "at"}, "different lower-case names"),
        ({"branches": ()}, "1 to 8"),
        ({"legend": (Reuse(), Reuse())}, "different predictors"),
        ({"legend": ("reuse",)}, "different predictors"),
        ({"context": {"steps": 4}}, "expected a Context"),
        ({"context": Context(5)}, "context says 5 steps and the grid has 4"),
    ],
)
def test_wrong_names_legend_or_context_are_refused(kwargs, message):
    with pytest.raises(ScheduleError, match=message):
        Schedule(np.zeros((4, 1, 2), int), **kwargs)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["CR", "CX"], r"block 0, mlp, step 1: 'X' is not in the legend \(C, R\)"),
        (["CR", "C→"], r"block 0, mlp, step 1: '→' is not in the legend"),
        (["CR", "Cr"], r"'r' is not in the legend"),
        (["CR", "CRR"], r"'block 0 mlp' has 3 steps, row 'block 0 attn' has 2"),
        (["CR", 7], r"'block 0 mlp' has '7'"),
        (["CR"], r"1 rows given: expected one row for each of attn, mlp"),
        ([], r"0 rows given"),
        ("CR", r"one text given"),
        (["", ""], r"0 steps: expected a text of 1 to 1000"),
        (["C" * 1001] * 2, r"1001 steps"),
        ([5, 5], r"'block 0 attn' is 5: expected a text"),
        (["C"] * 514, r"257 blocks given: expected at most 256"),
        (["RC", "CC"], r"block 0, attn, step 0: reuse given"),
        ({"block 0 attn": "C"}, r"row 'block 0 mlp' is missing"),
        ({"block 0 attn": "C", "block 0 mlp": "C", "block 2 attn": "C"}, r"'block 1 attn' is mis"),
        ({"block 0 ff": "C"}, r"row 'block 0 ff' is unknown"),
        ({"block 00 attn": "C"}, r"row 'block 00 attn' is unknown"),
        ({"block 999 attn": "C"}, r"block 999 given: expected at most 256"),
        ({3: "C"}, r"row '3' is unknown"),
        ({}, r"no rows given"),
    ],
)
def test_wrong_rows_are_refused_by_name(rows, message):
    with pytest.raises(ScheduleError, match=message):
        Schedule.from_rows(rows)


@pytest.mark.parametrize("steps", [0, -1, 1001, 10**12, True, 2.0, "5", None])
def test_a_wrong_step_count_is_refused_before_anything_is_allocated(steps):
    with pytest.raises(ScheduleError, match=r"steps is .*expected a whole number from 1 to 1000"):
        Schedule.full(steps, 3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"model_hash": "xyz"}, "expected 16 hex digits"),
        ({"model_hash": "ABCDEF0123456789"}, "expected 16 hex digits"),
        ({"sampler": ""}, "context.sampler is ''"),
        ({"sampler": 3}, "context.sampler is 3"),
        ({"note": "x" * 301}, "1 to 300 characters"),
        ({"guidance": None}, "context.guidance is None"),
        ({"timesteps": (5.0, 3.0)}, "2 values for 3 steps"),
        ({"timesteps": 7}, "has 7 values for 3 steps"),
        ({"timesteps": (1, 2, 3)}, "at step 1 is 2 after 1: expected falling"),
        ({"timesteps": (3.0, 3.0, 1.0)}, "expected falling"),
        ({"timesteps": (9, float("nan"), 1)}, "at step 1 is nan: expected a finite"),
        ({"timesteps": (float("inf"), 2, 1)}, "at step 0 is inf"),
        ({"timesteps": (9, "5", 1)}, "at step 1 is '5': expected a number"),
        ({"timesteps": (9, "5" * 999, 1)}, "at step 1 is '5{39}: expected a number"),
    ],
)
def test_a_wrong_context_is_refused(fields, message):
    with pytest.raises(ScheduleError, match=message):
        Context(**{"steps": 3, **fields})


# -- value behaviour -----------------------------------------------------------------------


def test_the_array_is_copied_and_cannot_be_written():
    given = np.zeros((3, 2, 2), np.uint8)
    schedule = Schedule(given)
    given[1, 0, 0] = 1
    assert schedule.computed.all()
    with pytest.raises(ValueError, match="read-only"):
        schedule.actions[1, 0, 0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        schedule.actions.setflags(write=True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.context = Context(3)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))]
)
def test_copies_are_equal_and_stay_read_only(copied):
    schedule = Schedule.every(6, 2, 2, context=Context(6))
    again = copied(schedule)
    assert again == schedule
    assert not again.actions.flags.writeable
    with pytest.raises(ValueError, match="WRITEABLE"):
        again.actions.setflags(write=True)


def test_equality_and_hash_go_by_content():
    one = Schedule.every(6, 2, 2)
    assert one == Schedule.every(6, 2, 2)
    assert hash(one) == hash(Schedule.every(6, 2, 2))
    assert one != Schedule.every(6, 2, 3)
    assert one != Schedule.every(6, 2, 2, context=Context(6))
    assert one != Schedule.every(6, 2, 2, branches=("self", "ff"))
    assert one != Schedule(one.actions, (Nudge(),))
    assert one != "CR"
    # Equal bytes in another shape are another schedule.
    assert Schedule.full(4, 1) != Schedule.full(2, 2)


def test_repr_says_the_shape_and_the_share_computed():
    text = repr(Schedule.from_rows(["CRC", "CRR"]))
    assert text == "<Schedule 3 steps × 1 blocks × (attn, mlp), 3 of 6 cells computed>"


# -- fit -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ({"steps": 20}, r"has 50 steps and the run 20.*resample\(20\)"),
        ({"blocks": 12}, r"has 28 blocks and the model 12"),
        ({"branches": ("attn", "cross", "mlp")}, r"attn, mlp and the model attn, cross, mlp"),
        ({"branches": ("mlp", "attn")}, r"in the same order"),
    ],
)
def test_a_run_of_another_shape_is_refused(run, message):
    with pytest.raises(ScheduleError, match=message):
        Schedule.full(50, 28).check_fits(**run)


def test_a_run_of_the_same_shape_fits():
    schedule = Schedule.full(50, 28)
    schedule.check_fits()
    schedule.check_fits(steps=50, blocks=28, branches=["attn", "mlp"])


def test_mismatches_are_told_in_words_and_only_where_both_sides_know():
    made = Context(
        2, sampler="ddim", model_hash="0" * 16, dtype="float32", timesteps=(999, 0), model_id="a"
    )
    schedule = Schedule.full(2, 1, context=made)
    assert schedule.mismatches(made) == ()
    assert schedule.mismatches(Context(2)) == ()
    assert Schedule.full(2, 1).mismatches(made) == ()
    run = Context(
        2, sampler="euler", model_hash="1" * 16, dtype="bfloat16", timesteps=(999, 20), model_id="b"
    )
    assert schedule.mismatches(run) == (
        "made for model 'a', this run has 'b'",
        "made for model config hash '0000000000000000', this run has '1111111111111111'",
        "made for sampler 'ddim', this run has 'euler'",
        "made for dtype 'float32', this run has 'bfloat16'",
        "made for other timesteps than this run visits",
    )


# -- predictors ----------------------------------------------------------------------------


def test_the_registry_knows_reuse_and_cannot_be_changed():
    assert PREDICTORS["reuse"] is Reuse
    assert "nudge" not in PREDICTORS
    with pytest.raises(TypeError):
        PREDICTORS["nudge"] = Nudge


def test_every_registered_predictor_survives_json():
    for cls in PREDICTORS.values():
        assert from_json(to_json(cls())) == cls()


def test_reuse_hands_back_the_newest_stored_output_itself():
    newest, older = np.ones(3), np.zeros(3)
    assert Reuse().estimate([(4, newest), (1, older)], step=7) is newest


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("reuse", "'reuse' is not a predictor"),
        ({}, "is not a predictor"),
        ({"predictor": 3}, "is not a predictor"),
        ({"predictor": "guess"}, "'guess' is unknown: expected one of .*reuse"),
        ({"predictor": "reuse", "order": 2}, "given the parameters 'order', expected none"),
    ],
)
def test_unknown_predictors_are_refused(value, message):
    with pytest.raises(ScheduleError, match=message):
        from_json(value)
