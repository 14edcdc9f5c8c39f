"""Imports of step masks: lists, and the settings of cache-dit, SGLang and stable-diffusion.cpp."""

import pytest

from caching.actions.residual import Residual
from caching.errors import ScheduleError
from caching.formats.importers import import_schedule
from tests.caching import foreign


def rows(schedule):
    return list(schedule.rows().values())


@pytest.mark.parametrize(
    ("data", "action"),
    [
        (foreign.YAML, Residual(1, 0)),
        (b"cache_config:\n  Fn_compute_blocks: 2\n  steps_computation_mask:\n  - 1\n  - 0\n  - 0\n"
         b"  - 1\n  - 0\n", Residual(2, 0)),
        (b"DBCacheConfig(Fn_compute_blocks=1, Bn_compute_blocks=3,\n"
         b"  steps_computation_mask=[1,0,0,1,0], steps_computation_policy='static')",
         Residual(1, 3)),
        (b'{"cache_config": {"Fn_compute_blocks": 1, "steps_computation_mask": [1, 0, 0, 1, 0]}}',
         Residual(1, 0)),
        (b"sd --cache-option \"Fn=4,Bn=1,warmup=1\" --scm-mask 1,0,0,1,0 --scm-policy static",
         Residual(4, 1)),
        (b'SGLANG_CACHE_DIT_FN=1 SGLANG_CACHE_DIT_SCM_COMPUTE_BINS="1,1" '
         b'SGLANG_CACHE_DIT_SCM_CACHE_BINS="2,1" SGLANG_CACHE_DIT_SCM_POLICY=static',
         Residual(1, 0)),
    ],
)  # fmt: skip
def test_settings_of_other_programs_become_residual_steps(data, action):
    found = import_schedule(data, blocks=12)
    assert found.schedule.step_legend == (action,)
    assert found.schedule.step_row() == "CSSCS" and not found.schedule.actions.any()
    middle = 12 - action.first - action.last
    assert found.report.cells - found.report.computed == 3 * middle * 2


def test_a_mask_without_its_blocks_means_cache_dits_default_of_8():
    found = import_schedule(b"steps_computation_mask: [1, 0]", blocks=12)
    assert found.schedule.step_legend == (Residual(8, 0),)
    assert found.report.understood[0].startswith("Fn is not set: cache-dit's default, 8")
    assert "dynamic" in found.report.lost[0]
    with pytest.raises(
        ScheduleError, match=r"first 8 and last 0 blocks .* nothing would be reused"
    ):
        import_schedule(b"steps_computation_mask: [1, 0]", blocks=8)


@pytest.mark.parametrize(
    ("name", "mask"),
    [  # the masks that cache-dit 1.5.3 gives for its native 28 steps
        ("slow", "1111111101110011100110010001"),
        ("medium", "1111110110001100011000110001"),
        ("fast", "1111110100010000100000100001"),
        ("ultra", "1111001000001000000100000001"),
    ],
)
def test_policy_names_at_28_steps(name, mask):
    data = f"Fn_compute_blocks: 1\nnum_inference_steps: 28\nsteps_computation_mask: {name}\n"
    found = import_schedule(data.encode(), blocks=4)
    assert found.schedule.step_row().replace("C", "1").replace("S", "0") == mask
    with pytest.raises(ScheduleError, match="for 20 steps: expected 28"):
        import_schedule(data.replace("28", "20").encode(), blocks=4)


def test_a_bare_list_reuses_branch_outputs_unless_told_otherwise():
    for data in (b"[1, 0, 0, 1]", b"mask = [1,0,0,1,]", b"[True, False, False, True]",
                 foreign.npy([1, 0, 0, 1], bool)):  # fmt: skip
        assert rows(import_schedule(data, blocks=1).schedule) == ["CRRC", "CRRC"]
    residual = import_schedule(b"[1, 0, 0, 1]", blocks=2, rows="residual").schedule
    assert residual.step_legend == (Residual(0, 0),) and residual.step_row() == "CSSC"
    cells = import_schedule(foreign.YAML, blocks=2, rows="cells")
    assert rows(cells.schedule) == ["CRRCR"] * 4 and "after the gates" in cells.report.lost[-1]


def test_a_mask_that_reuses_step_0_is_corrected_and_says_so():
    found = import_schedule(b"Fn_compute_blocks: 1\nsteps_computation_mask: [0, 0]", blocks=3)
    assert found.schedule.step_row() == "CS" and found.report.forced == 4
    assert import_schedule(b"[0, 1]", blocks=3).report.forced == 6


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[1, 5]", "the mask, step 1 is 5"),
        (b"[]", "the mask has 0 entries"),
        (b"steps_computation_mask: [1, x]", "the mask has 'x'"),
        (b"steps_computation_mask: []", "the mask has '0 entries'"),
        (b"steps_computation_mask: quick", "the mask has 'quick'"),
        (b"steps_computation_mask: [1]\nsteps_computation_mask: [1]", "is set twice"),
        (b"steps_computation_mask: [1, 0]\nFn_compute_blocks: many", "is 'many': expected a whole"),
        (b"steps_computation_mask: [1, 0]\nFn_compute_blocks: -1", "is '-1'"),
        (b"SGLANG_CACHE_DIT_SCM_COMPUTE_BINS=1,1", "belong together: give both"),
        (b"SGLANG_CACHE_DIT_SCM_COMPUTE_BINS=1 SGLANG_CACHE_DIT_SCM_CACHE_BINS=1,1", "by turns"),
        (b"SGLANG_CACHE_DIT_SCM_COMPUTE_BINS=9999 SGLANG_CACHE_DIT_SCM_CACHE_BINS=1", "1000 steps"),
    ],
)
def test_step_mask_refusals(data, message):
    with pytest.raises(ScheduleError, match=message):
        import_schedule(data, blocks=12)


def test_a_number_of_steps_that_contradicts_the_mask_is_said():
    found = import_schedule(foreign.YAML.replace(b"steps: 5", b"steps: 9"), blocks=4)
    assert found.report.lost == ("it is set to 9 steps and its mask has 5: the mask rules",)
