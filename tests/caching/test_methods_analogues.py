"""Analogues of methods for other models: their patterns by hand, their blocks, their notes."""

import cmath
import math
from itertools import pairwise

import numpy as np
import pytest

from caching import Schedule, cost_of
from caching.actions.bands import Bands
from caching.actions.corrected import Corrected
from caching.actions.residual import Residual
from caching.errors import RequestError
from caching.methods import method_of
from caching.methods.deepcache import quadratic
from caching.methods.ertacache import within
from caching.methods.profilingdit import most_even
from caching.methods.setting import ModelSetting
from caching.policies.spaced import geometric, widening
from caching.predictors.skip import Skip
from tests.caching import tiny
from tests.caching.settings import Invented
from tests.caching.spy import own

MINE = ("deepcache", "deltadit", "profilingdit", "ertacache", "layerpruning", "freqca")


class Tabled(Invented):
    """With a table of its own."""

    def __init__(self, steps, blocks, found):
        super().__init__(steps, blocks)
        self.found = found

    def table(self, kind, make):
        return self.found


def planned(name, steps=20, blocks=12, **controls):
    return method_of(name, **controls).plan(Invented(steps, blocks))


def drawn(schedule):
    """The step row with what stands for each letter."""
    return schedule.step_row(), dict(
        zip(schedule.step_letters[1:], schedule.step_legend, strict=True)
    )


# -- DeepCache -----------------------------------------------------------------------------


def test_deepcache_runs_the_deep_blocks_once_in_n_steps():
    schedule = planned("deepcache", 10, 5, interval=4, ends=2).schedule
    assert drawn(schedule) == ("CSSSCSSSCS", {"S": Residual(2, 2)})
    assert planned("deepcache", 10, 5, interval=1).schedule.is_full


def test_deepcache_takes_the_ends_there_is_room_for_and_says_so():
    plan = planned("deepcache", 6, 4, interval=2, ends=9)
    assert drawn(plan.schedule)[1] == {"S": Residual(1, 1)}
    assert plan.notes == ("4 blocks have room for 1 at either end.",)
    assert drawn(planned("deepcache", 6, 1).schedule)[1] == {"S": Residual(0, 0)}


def uneven(steps, count, centre, power):
    """The reference's rule in polar form: real parts of powers of a complex line, truncated."""
    angle = math.pi / power
    first = cmath.rect(centre ** (1 / power), angle)
    last = (steps - centre) ** (1 / power)
    found = set()
    for k in range(count + 1):
        x = first + (last - first) * k / count
        r, phi = cmath.polar(x)
        found.add(math.trunc(r**power * math.cos(power * phi)))
    return [0, *(x + centre for x in sorted(found)[1:-1])]


def test_quadratic_spacing_is_closest_around_the_centre():
    # 50 steps, 10 of them full, centre 15: the published setting.
    found = np.flatnonzero(quadratic(50, 10))
    assert len(found) == 10 and found[0] == 0
    power = next(p for p in np.arange(1.4, 1, -0.02) if len(uneven(50, 10, 15, p)) == 10)
    assert found.tolist() == uneven(50, 10, 15, power)
    gaps = np.diff(found)
    assert gaps.argmin() in range(1, 6) and gaps[-1] > gaps.min()
    near = planned("deepcache", 50, 12, interval=5, spacing="quadratic")
    assert np.flatnonzero(near.schedule.step_actions == 0).tolist() == found.tolist()
    assert near.notes == ()


@pytest.mark.parametrize("steps", [5, 7, 20, 100])
@pytest.mark.parametrize("interval", [2, 3, 5, 20])
def test_quadratic_spacing_has_as_many_full_steps_as_uniform(steps, interval):
    even = planned("deepcache", steps, 3, interval=interval).schedule.step_actions == 0
    plan = planned("deepcache", steps, 3, interval=interval, spacing="quadratic")
    full = plan.schedule.step_actions == 0
    assert full.sum() == even.sum() and full[0]
    assert bool(plan.notes) == (quadratic(steps, int(even.sum())) is None)


# -- Δ-DiT ---------------------------------------------------------------------------------


def test_deltadit_reuses_the_rear_early_and_the_front_late():
    schedule = planned("deltadit", 8, 4, interval=2, share=0.75, switch=0.5).schedule
    row, legend = drawn(schedule)
    rear, front = row[1], row[5]
    assert row == f"C{rear}C{rear}C{front}C{front}"
    assert legend == {rear: Residual(1, 0), front: Residual(0, 1)}
    # Residual(1, 0) runs the first block and adds what the others added.
    assert schedule.computed[1].tolist() == [[True] * 2, [False] * 2, [False] * 2, [False] * 2]
    assert schedule.computed[5].tolist() == [[False] * 2, [False] * 2, [False] * 2, [True] * 2]


def test_deltadit_of_all_blocks_or_none():
    assert drawn(planned("deltadit", 6, 3, share=1.0).schedule) == ("CSCSCS", {"S": Residual()})
    assert planned("deltadit", 6, 3, share=0.0).schedule.is_full
    only = drawn(planned("deltadit", 6, 4, share=0.5, switch=0.0).schedule)
    assert only == ("CSCSCS", {"S": Residual(0, 2)})


# -- ProfilingDiT --------------------------------------------------------------------------

GATHERED = np.array([0.5, 0.1, 0.4, 0.2, 0.2, 0.6])


def test_the_most_even_range_is_consecutive():
    assert [most_even(GATHERED, n) for n in (1, 2, 3, 4, 6)] == [1, 3, 1, 1, 0]


def test_profilingdit_reuses_a_range_or_the_most_even_blocks():
    setting = Tabled(10, 6, GATHERED)
    ranged = method_of("profilingdit", share=0.5, interval=3).plan(setting)
    # The first 12 % are two steps; then one step in three, counted from the last of them.
    assert drawn(ranged.schedule) == ("CCSSCSSCSS", {"S": Residual(1, 2)})
    assert ranged.notes == ("Reused as one: blocks 1 to 3.",)
    cells = method_of("profilingdit", share=0.5, interval=3, unit="cells").plan(setting)
    rows = cells.schedule.rows()
    assert {rows[f"block {b} attn"] for b in (1, 3, 4)} == {"CCRRCRRCRR"}
    assert {rows[f"block {b} mlp"] for b in (0, 2, 5)} == {"C" * 10}
    assert cells.notes == ("Reused: blocks 1, 3, 4.",)


def test_profilingdit_of_no_block_needs_no_profile():
    assert planned("profilingdit", share=0.0).schedule.is_full
    assert planned("profilingdit", interval=1).schedule.is_full


# -- after ERTACache -----------------------------------------------------------------------


def test_steps_are_reusable_while_the_residual_is_near_the_last_full_ones():
    change = np.full((6, 6), 9.0)
    change[1, 0], change[2, 0], change[3, 2], change[4, 2], change[5, 2] = 0.1, 0.3, 0.1, 0.2, 0.0
    assert within(change, 0.2).tolist() == [True, False, True, False, False, True]
    assert within(change, 0.0).all()
    schedule = method_of("ertacache", threshold=0.2).plan(Tabled(6, 3, change)).schedule
    row, legend = drawn(schedule)
    assert row == "CACAAC" and legend == {"A": Corrected()}


# -- layer pruning -------------------------------------------------------------------------


def test_layer_pruning_leaves_the_last_blocks_out():
    schedule = planned("layerpruning", 5, 3, pruned=2, start=2).schedule
    assert schedule.rows() == {
        **{f"block 0 {r}": "CCCCC" for r in ("attn", "mlp")},
        **{f"block {b} {r}": "CCZZZ" for b in (1, 2) for r in ("attn", "mlp")},
    }
    assert schedule.legend == (Skip(),)
    assert not planned("layerpruning", 5, 3, pruned=99).schedule.computed[1:].any()
    assert planned("layerpruning", 5, 3, pruned=0).schedule == Schedule.full(5, 3)


# -- after FreqCa --------------------------------------------------------------------------


def test_freqca_is_full_first_and_then_once_in_n_steps():
    schedule = planned("freqca", 12, 2, interval=3, first=3, low=0.25).schedule
    assert drawn(schedule) == ("CCCBBCBBCBBC", {"B": Bands(0.25)})


def test_freqca_has_a_rung_for_every_number_of_full_steps_it_can_have():
    rungs = method_of("freqca", first=2).ladder(Invented(10, 2))
    full = [int((m.plan(Invented(10, 2)).schedule.step_actions == 0).sum()) for m in rungs]
    # First 2, then one in 2 to 8 of the other 8: 6, 4, 4, 3, 3, 3, 3; none: 2; more first: 5 ...
    assert full == [10, 9, 8, 7, 6, 5, 4, 3, 2]


# -- precomputed temporal features ---------------------------------------------------------


def test_temporal_features_say_what_a_table_would_save():
    model = own(tiny.dit(blocks=3, learned_sigma=True, channels=4), tiny.EPSILON)
    plan = method_of("temporalfeatures").plan(
        ModelSetting(model, steps=1000, cfg_scale=2.0, sampler="ddim")
    )
    assert plan.schedule == Schedule.full(1000, 3)
    d, tokens = 16, 16
    # Per block: 256 sines to D, D to D, D to 6 D; the last layer D to 2 D.
    made = 3 * (256 * d + d * d + 6 * d * d) + 2 * d * d
    attention = 4 * tokens * d * d + 2 * tokens * tokens * d
    ends = tokens * d * 4 * 4 + tokens * d * 4 * 8
    share = made / (made + ends + 3 * (attention + 8 * tokens * d * d))
    assert plan.notes[0].startswith(f"Time embeddings and modulation are {share:.1%} of")
    assert (
        f"{4 * 1000 * (6 * 3 + 2) * d / 2**20:.1f} MiB for each class at 1000 steps"
        in plan.notes[1]
    )
    assert planned("temporalfeatures").notes == ()


# -- what does not apply -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cdt", "tfup"])
def test_what_does_not_apply_says_why(name):
    method = method_of(name)
    with pytest.raises(RequestError, match="does not apply here") as refusal:
        method.plan(Invented())
    assert method.because in str(refusal.value)
    assert method.tunes is None and method.words == method.title


# -- ladders, and all of them --------------------------------------------------------------


def test_thresholds_are_spaced_by_ratio():
    assert geometric(0.5, 8, 5) == (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)


def test_a_part_widens_then_the_interval_then_the_part_again():
    assert widening(range(4), range(2, 5), 2) == (
        (2, 0), (2, 1), (2, 2), (3, 2), (4, 2), (4, 3),
    )  # fmt: skip


@pytest.mark.parametrize(("steps", "blocks"), [(5, 3), (7, 1), (20, 5), (100, 2)])
def test_any_number_of_steps_and_of_blocks_and_ladders_lose_work(steps, blocks):
    model = own(tiny.dit(blocks=blocks), tiny.V)
    setting = ModelSetting(model, steps=steps, cfg_scale=2.0, sampler="ddim")
    for name in MINE:
        assert method_of(name).plan(setting).schedule.actions.shape == (steps, blocks, 2)
        rungs = method_of(name).ladder(setting)
        rungs = (*rungs[: -1 : max(1, steps // 10)], rungs[-1])
        work = [cost_of(model, m.plan(setting).schedule).work for m in rungs]
        assert all(a >= b - 1e-12 for a, b in pairwise(work)), name
        assert work[0] == 1, name
        assert work[-1] < 0.8, name
