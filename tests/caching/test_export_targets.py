"""Exports: what each target's text says, what it loses, and that reading it back gives the same."""

import ast
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caching.actions.hidden import FinalHidden
from caching.actions.residual import Residual
from caching.actions.scale import ScaleEps
from caching.context import Context
from caching.errors import ScheduleError
from caching.formats.exporters import EXPORTERS, export_schedule
from caching.formats.importers import import_schedule
from caching.formats.importers.settings import runs
from caching.predictors.reuse import Reuse
from caching.predictors.skip import Skip
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule
from tests.caching.strategies import schedules

# Step 2 is reused whole, step 4 but for block 0; steps 1 and 3 in part. 8 steps, 3 blocks.
ROWS = ["CRRCCCCC", "CCRCCCCC", "CCRCRCCC", "CCRRRCCC", "CCRCRCCC", "CCRCRCCC"]
MIXED = Schedule.from_rows(ROWS)
STEPWISE = ("cache-dit-yaml", "cache-dit-python", "diffusers-magcache", "sglang", "sd.cpp")
CELLWISE = ("smoothcache", "diffusers")


def mask_of(schedule):
    return "".join("0" if action else "1" for action in schedule.step_actions)


# -- projections ---------------------------------------------------------------------------


@pytest.mark.parametrize("target", EXPORTERS)
def test_a_projection_is_a_schedule_of_the_same_shape(target):
    made = export_schedule(MIXED, target)
    assert made.projected.actions.shape == MIXED.actions.shape
    assert re.fullmatch(r"schedule[\w.-]*\.\w+", made.filename) and made.text.endswith("\n")
    assert all(line[-1] in ".)" for line in (*made.losses, *made.notes))


@pytest.mark.parametrize("target", ["cachebrush", "summary", *CELLWISE])
def test_cells_are_handed_over_without_loss(target):
    made = export_schedule(MIXED, target)
    assert made.losses == () and made.projected == MIXED


@pytest.mark.parametrize("target", [t for t in STEPWISE if t != "diffusers-magcache"])
def test_targets_of_steps_keep_the_steps_in_which_only_block_0_may_run(target):
    made = export_schedule(MIXED, target)
    assert mask_of(made.projected) == "11010111"
    assert made.projected.step_legend == (Residual(1, 0),) and not made.projected.actions.any()
    # Not computed by the schedule and computed there: one cell in each of steps 1 and 3, and both
    # of block 0 in step 2; step 4 computes block 0 itself.
    assert made.losses == (
        "4 cells that you do not compute will be computed there, at 3 steps.",
        "At 2 reused steps the target adds what the blocks added at the last full step, after the "
        "gates; your schedule does something else there, so pictures differ.",
    )


def test_magcache_runs_no_block_at_a_reused_step():
    made = export_schedule(MIXED, "diffusers-magcache")
    assert mask_of(made.projected) == "11011111"
    assert made.projected.step_legend == (Residual(0, 0),)
    assert made.losses[0] == "6 cells that you do not compute will be computed there, at 3 steps."


@given(schedules(), st.sampled_from(STEPWISE))
def test_a_target_of_steps_never_reuses_what_is_computed(schedule, target):
    try:
        made = export_schedule(schedule, target)
    except ScheduleError as error:
        assert "nothing would be reused" in str(error) or "has none" in str(error)
        return
    assert not (schedule.computed & ~made.projected.computed).any()
    more = int((made.projected.computed & ~schedule.computed).sum())
    said = re.match(r"(\d+) cells? that you do not compute", made.losses[0])
    assert more == (int(said[1]) if said else 0)


@given(schedules(), st.sampled_from(CELLWISE))
def test_a_target_of_cells_computes_just_the_same_cells(schedule, target):
    made = export_schedule(schedule, target)
    assert np.array_equal(made.projected.computed, schedule.computed)
    assert made.projected.legend == (Reuse(),) and not made.projected.step_legend
    nudged = int((schedule.actions == 2).sum())
    assert bool(made.losses) == bool(nudged)
    assert not nudged or made.losses[0].startswith(f"{nudged} cell")


@pytest.mark.parametrize("target", STEPWISE)
@pytest.mark.parametrize(
    "schedule", [Schedule.full(4, 2), Schedule.from_rows(["CCRC", "CRCC"] * 2)]
)
def test_a_target_that_could_do_nothing_is_refused(target, schedule):
    with pytest.raises(ScheduleError, match="reuses whole steps and this schedule has none"):
        export_schedule(schedule, target)


@pytest.mark.parametrize("target", ["cache-dit-yaml", "cache-dit-python", "sglang", "sd.cpp"])
def test_one_block_is_too_few_for_a_target_that_always_runs_the_first(target):
    with pytest.raises(ScheduleError, match=r"runs the first 1 blocks .* nothing would be reused"):
        export_schedule(Schedule.every(4, 1, 2), target)


def test_residual_steps_of_the_schedule_are_what_cache_dit_does():
    schedule = Schedule.full(5, 6).paint_steps([1, 3], Residual(2, 1))
    made = export_schedule(schedule, "cache-dit-yaml")
    assert made.losses == () and made.projected == schedule
    assert "Fn_compute_blocks: 2\n  Bn_compute_blocks: 1\n" in made.text
    whole = Schedule.full(5, 6).paint_steps([1, 3], Residual(0, 0))
    assert export_schedule(whole, "diffusers-magcache").losses == ()
    assert export_schedule(whole, "cache-dit-yaml").losses == (
        "4 cells that you do not compute will be computed there, at 2 steps.",
        "At 2 reused steps the target adds what the blocks added at the last full step, after the "
        "gates; your schedule does something else there, so pictures differ.",
    )


def test_magcache_refuses_steps_in_which_blocks_at_the_ends_run():
    schedule = Schedule.full(5, 6).paint_steps([1, 3], Residual(2, 1))
    with pytest.raises(ScheduleError, match="this schedule has none: its 12 cells"):
        export_schedule(schedule, "diffusers-magcache")


def test_other_brushes_and_actions_are_declared():
    schedule = MIXED.paint([(6, 1, 1), (6, 2, 1)], Taylor(2)).paint_steps([5], FinalHidden())
    schedule = schedule.paint_steps([7], ScaleEps(0.9))
    for target in CELLWISE:
        made = export_schedule(schedule, target)
        assert made.losses == (
            "2 cells that you give to Taylor (2) will be reused unchanged there.",
            "At 1 step you use final hidden state; there each branch of 3 blocks reuses its last "
            "output, before the gate.",
            "At 1 step the target leaves out scaled eps (0.9).",
        )
        assert not made.projected.computed[5].any()
    assert "At 1 step the target leaves out scaled eps (0.9)." in (
        export_schedule(schedule, "cache-dit-yaml").losses
    )


# -- the texts, read back ------------------------------------------------------------------


@given(schedules(legend=(Reuse(),)), st.sampled_from(["diffusers", "dit"]))
def test_smoothcache_json_round_trip(schedule, modules):
    made = export_schedule(schedule, "smoothcache", modules=modules)
    lists = json.loads(made.text)
    names = {"diffusers": {"attn1", "ff"}, "dit": {"attn", "mlp"}}[modules]
    assert {key.split("-")[0] for key in lists} <= names
    found = import_schedule(made.text.encode(), blocks=schedule.blocks, branches=schedule.branches)
    assert found.schedule.actions.tolist() == schedule.actions.tolist()


def test_smoothcache_json_is_short_when_all_blocks_are_alike():
    made = export_schedule(Schedule.every(4, 28, 2), "smoothcache")
    assert made.text == '{\n "attn1": [1, 1, 0, 1],\n "ff": [1, 1, 0, 1]\n}\n'


def stepwise(mask, blocks=4):
    """A schedule that reuses whole steps where a mask has a 0."""
    return Schedule.from_steps(np.array(mask, bool), blocks)


masks = st.lists(st.integers(0, 1), min_size=2, max_size=40).map(lambda m: [1, 0, *m])


@given(masks, st.sampled_from(["cache-dit-yaml", "cache-dit-python", "sglang", "sd.cpp"]))
def test_step_masks_round_trip(mask, target):
    made = export_schedule(stepwise(mask), target)
    found = import_schedule(made.text.encode(), blocks=4)
    assert found.report.format == "step-mask" and found.report.lost == ()
    assert found.schedule.step_legend == (Residual(1, 0),)
    assert found.schedule.step_actions.tolist() == [1 - flag for flag in mask]


@given(masks)
def test_native_json_round_trip(mask):
    schedule = stepwise(mask)
    assert (
        import_schedule(export_schedule(schedule, "cachebrush").text.encode()).schedule == schedule
    )


def test_cache_dit_yaml_is_what_was_verified_with_cache_dit():
    made = export_schedule(stepwise([1, 1, 0, 0, 1]), "cache-dit-yaml", stem="mine")
    assert made.filename == "mine-cache-dit.yaml"
    assert made.text == (
        '# cache_dit.enable_cache(pipe, **cache_dit.load_configs("mine-cache-dit.yaml"))\n'
        "cache_config:\n"
        "  Fn_compute_blocks: 1\n"
        "  Bn_compute_blocks: 0\n"
        "  max_warmup_steps: 1\n"
        "  num_inference_steps: 5\n"
        "  steps_computation_mask: [1, 1, 0, 0, 1]\n"
        "  steps_computation_policy: static\n"
        "  enable_separate_cfg: false\n"
    )


def test_cache_dit_python_is_a_call_with_the_same_settings():
    text = export_schedule(stepwise([1, 1, 0, 0, 1]), "cache-dit-python").text
    call = ast.parse(text).body[-1].value
    config = {k.arg: ast.literal_eval(k.value) for k in call.keywords[0].value.keywords}
    assert ast.unparse(call.func) == "cache_dit.enable_cache"
    assert config == {
        "Fn_compute_blocks": 1,
        "Bn_compute_blocks": 0,
        "max_warmup_steps": 1,
        "num_inference_steps": 5,
        "steps_computation_mask": [1, 1, 0, 0, 1],
        "steps_computation_policy": "static",
        "enable_separate_cfg": False,
    }


@given(masks)
def test_sglang_bins_are_the_runs_of_the_mask(mask):
    text = export_schedule(stepwise(mask), "sglang").text
    compute, reuse = (
        [int(n) for n in re.search(rf'{name}_BINS="([\d,]+)"', text)[1].split(",")]
        for name in ("COMPUTE", "CACHE")
    )
    assert list(runs(compute, reuse)) == mask
    assert sum(compute) == sum(mask) and sum(compute) + sum(reuse) == len(mask)


def test_sd_cpp_options():
    assert export_schedule(stepwise([1, 0, 1]), "sd.cpp").text == (
        '--steps 3 --cache-mode cache-dit --cache-option "Fn=1,Bn=0,warmup=1" '
        "--scm-mask 1,0,1 --scm-policy static\n"
    )


def test_summary_groups_the_steps_that_are_alike():
    schedule = MIXED.paint_steps([6, 7], Residual(1, 0))
    text = export_schedule(schedule, "summary").text
    assert text.startswith(
        "8 steps, 3 blocks, branches attn, mlp: 28 of 48 cells computed (58.3%)."
    )
    assert "  attn: 14 of 24\n  mlp: 14 of 24\n" in text
    assert "Steps: C by the grid, S block residual (1, 0)." in text
    assert "6 kinds of step, so 6 graphs:" in text
    assert "Kind 1: 6 of 6 cells computed\n  steps 0, 5\n" in text
    assert "Kind 2: 5 of 6 cells computed\n  steps 1\n  attn  RCC\n  mlp   CCC\n" in text
    assert "computed, block residual (1, 0)\n  steps 6-7\n  attn  C..\n  mlp   C..\n" in text


def test_summary_counts_what_is_kept():
    """Block 0 attn after step 0, all six after 1, one after 2, four after 3: see ROWS."""
    text = export_schedule(MIXED, "summary").text
    assert "Outputs kept for later steps: 6 at most (after step 1)" in text
    assert "  after each step: 1 6 1 4 0 0 0 0\n" in text
    assert "Outputs kept for later steps: 0 at most" in (
        export_schedule(Schedule.full(3, 2), "summary").text
    )
    # A whole-step action at step 2 uses no output, and the step after it still needs them.
    between = Schedule.from_rows(["CRRRC", "CCCCC"]).paint_steps([2], Residual(0, 0))
    assert "  after each step: 1 1 1 0 0\n" in export_schedule(between, "summary").text
    skipped = Schedule.from_rows(["CZZZ", "CCCR"], legend=(Skip(), Reuse()))
    assert "  after each step: 0 0 1 0\n" in export_schedule(skipped, "summary").text


# -- refusals ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("tensorrt", {}, "target 'tensorrt' is not known: expected one of .*smoothcache"),
        ("smoothcache", {"modules": "flux"}, "modules is 'flux'"),
        ("smoothcache", {"alpha": 1}, "option 'alpha' is not known .*: expected modules"),
        ("summary", {"stem": "../x"}, "cannot begin a file name"),
        ("summary", {"stem": ""}, "cannot begin a file name"),
    ],
)
def test_refusals(target, options, message):
    with pytest.raises(ScheduleError, match=message):
        export_schedule(MIXED, target, **options)


def test_diffusers_knows_only_the_branches_of_a_dit():
    with pytest.raises(ScheduleError, match="branch 'cross' is no module"):
        export_schedule(Schedule.full(2, 2, branches=("attn", "cross")), "diffusers")


def test_a_schedule_of_the_respaced_ddim_is_handed_over_with_a_warning():
    context = Context(8, sampler="ddim")
    schedule = Schedule.from_rows(ROWS, context=context)
    assert "respaced DDIM" in export_schedule(schedule, "diffusers").notes[-1]
    other = Schedule.from_rows(ROWS, context=Context(8, sampler="ddim-diffusers"))
    assert "respaced DDIM" not in " ".join(export_schedule(other, "diffusers").notes)
