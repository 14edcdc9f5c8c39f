"""Methods that calibrate on full runs: their rules by hand and by brute force."""

from itertools import combinations, pairwise

import numpy as np
import pytest

from caching import cost_of
from caching.engine.executor import Stopped
from caching.errors import ScheduleError
from caching.methods import method_of
from caching.methods.fastcache import chi_square
from caching.methods.setting import ModelSetting
from caching.policies.accumulated import accumulated
from caching.policies.evolve import crowding, evolve, losses, ranks
from caching.policies.updates import best_updates, bubbling_union
from caching.predictors.affine import Affine
from caching.predictors.linear import Linear
from caching.predictors.reuse import Reuse
from tests.caching import tiny
from tests.caching.settings import Invented, invented_change
from tests.caching.spy import own

MINE = ("blockcaching", "perblock", "bac", "fastcache", "ecad")
QUICK = {"ecad": {"generations": 20}}
STEPS, GUIDANCE = 7, 2.0


def little(blocks=3):
    return own(tiny.dit(blocks=blocks, learned_sigma=True, channels=4), tiny.EPSILON)


def setting_of(model, steps=STEPS, **more):
    return ModelSetting(model, steps=steps, cfg_scale=GUIDANCE, sampler="ddim", **more)


@pytest.fixture(scope="module")
def model():
    return little()


# -- accumulated change --------------------------------------------------------------------


def test_changes_add_up_since_the_last_computed_step():
    change = np.array([[np.nan] * 2, [0.1, 0.3], [0.1, 0.3], [0.1, 0.3], [0.3, 0.0], [0.2, 0.0]])
    # First row: .1, .2, .3 > .25 computes, .3 > .25 computes, .2. Second: every step, then 0, 0.
    expected = [[1, 1], [0, 1], [0, 1], [1, 1], [1, 0], [0, 0]]
    assert np.array_equal(accumulated(change, 0.25), np.array(expected, bool))


def test_a_threshold_is_passed_and_not_reached():
    assert accumulated(np.full((3, 1), 0.5), 1.0).ravel().tolist() == [True, False, False]
    assert accumulated(np.full((3, 1), 0.5), 0.0).all()
    assert accumulated(np.zeros((3, 1)), 0.0).ravel().tolist() == [True, False, False]
    with pytest.raises(ScheduleError, match="measure the changes again"):
        accumulated(np.array([[0.0], [np.nan]]), 1.0)


class Tabled(Invented):
    """With a table of its own."""

    def __init__(self, steps, blocks, found):
        super().__init__(steps, blocks, traced=True)
        self.found = found

    def table(self, kind, make):
        return self.found


class Traced(Invented):
    """With changes of its own."""

    def __init__(self, change):
        super().__init__(*change.shape[:2], traced=True)
        self.own = change

    def change(self):
        return self.own


def test_block_caching_decides_whole_blocks_by_the_mean_of_their_branches():
    change = np.zeros((4, 2, 2, 1))
    change[1:, 0] = [[0.1], [0.3]]  # the mean is 0.2: 0.2, 0.4 > 0.3, 0.2
    change[1:, 1] = [[0.3], [0.5]]  # 0.4 > 0.3 at every step
    schedule = method_of("blockcaching", threshold=0.3).plan(Traced(change)).schedule
    expected = np.array([[1, 1], [0, 1], [1, 1], [0, 1]], bool)
    assert np.array_equal(schedule.computed, np.repeat(expected[..., None], 2, 2))
    assert schedule.legend == (Affine(),)
    plain = method_of("blockcaching", threshold=0.3, correction="off").plan(Traced(change)).schedule
    assert plain.legend == (Reuse(),) and np.array_equal(plain.actions, schedule.actions)


def test_a_threshold_per_block_keeps_rows_apart():
    change = np.full((6, 2, 2, 3), 0.5)
    change[:, 1, 0] = [0.1, 0.15, 0.3]  # two steps in a row stay below 0.2
    schedule = method_of("perblock", alpha=0.2).plan(Traced(change)).schedule
    assert schedule.rows()["block 1 attn"] == "CRRCRC"
    assert {schedule.rows()[r] for r in ("block 0 attn", "block 0 mlp", "block 1 mlp")} == {
        "CCCCCC"
    }


# -- BAC -----------------------------------------------------------------------------------


def kept(similarity, chosen):
    """The sum over reused steps of the similarity to the last chosen one."""
    steps = len(similarity)
    return sum(
        similarity[s, max(u for u in chosen if u < s)] for s in range(steps) if s not in chosen
    )


@pytest.mark.parametrize("steps", [1, 2, 5, 8])
def test_updates_are_the_best_of_all_choices(steps):
    rng = np.random.default_rng(steps)
    similarity = rng.uniform(-1, 1, (steps, steps, 3))
    for count in range(1, steps + 1):
        found = best_updates(similarity)[count - 1]
        assert found.shape == (steps, 3) and (found.sum(axis=0) == count).all() and found[0].all()
        for row in range(3):
            best = max(
                kept(similarity[..., row], (0, *more))
                for more in combinations(range(1, steps), count - 1)
            )
            assert kept(similarity[..., row], set(np.flatnonzero(found[:, row]))) == pytest.approx(
                best
            )


def test_similarities_have_to_be_numbers():
    with pytest.raises(ScheduleError, match="finite"):
        best_updates(np.full((3, 3, 1), np.nan))


def cells(**rows):
    """Bool (6, 3, 2) from the steps at which each row is computed besides step 0."""
    found = np.zeros((6, 3, 2), bool)
    found[0] = True
    for name, steps in rows.items():
        found[list(steps), int(name[1]), {"a": 0, "f": 1}[name[0]]] = True
    return found


def test_the_union_takes_steps_of_feed_forwards_downstream():
    before = cells(a0=[1], f0=[2], a1=[3], f1=[4], a2=[3], f2=[5])
    error = np.array([[1, 9], [8, 2], [3, 7]], float)  # f0, a1, then f2
    one = cells(a0=[1], f0=[2, 4, 5], a1=[3], f1=[4], a2=[3], f2=[5])
    two = cells(a0=[1], f0=[2, 4, 5], a1=[3, 4, 5], f1=[4], a2=[3], f2=[5])
    assert np.array_equal(bubbling_union(before, error, 0), before)
    assert np.array_equal(bubbling_union(before, error, 1), one)
    assert np.array_equal(bubbling_union(before, error, 2), two)
    assert np.array_equal(bubbling_union(before, error, 3), two)  # the last has none downstream
    every = cells(a0=[1, 2, 4, 5], f0=[2, 4, 5], a1=[3, 4, 5], f1=[4, 5], a2=[3, 5], f2=[5])
    assert np.array_equal(bubbling_union(before, error, 99), every)
    assert np.array_equal(before, cells(a0=[1], f0=[2], a1=[3], f1=[4], a2=[3], f2=[5]))


def test_the_union_knows_which_branch_is_the_feed_forward():
    before = np.zeros((3, 2, 2), bool)
    before[0] = True
    before[1, 1, 0], before[2, 1, 1] = True, True
    error = np.array([[1.0, 0.0], [0.0, 0.0]])
    assert bubbling_union(before, error, 1, ff=0)[:, 0, 0].tolist() == [True, True, False]
    assert bubbling_union(before, error, 1, ff=1)[:, 0, 0].tolist() == [True, False, True]
    with pytest.raises(ScheduleError, match="expected"):
        bubbling_union(before, error[0], 1)


def test_bac_takes_the_union_and_says_what_it_adds():
    best = np.zeros((3, 3, 2, 2), bool)
    best[:, 0] = True
    best[1, 1], best[2, 1:] = True, True
    best[1, :, 1, 1] = [True, False, True]  # with two updates the last row takes step 2
    setting = Tabled(3, 2, (best, np.array([[0.0, 0.0], [1.0, 0.5]])))
    alone = method_of("bac", updates=2, union=0).plan(setting)
    assert list(alone.schedule.rows().values()) == ["CCR", "CCR", "CCR", "CRC"]
    assert alone.notes == ("The union computes 0 cells more than 2 updates would.",)
    united = method_of("bac", updates=2, union=1).plan(setting)
    assert list(united.schedule.rows().values()) == ["CCR", "CCR", "CCC", "CRC"]
    assert united.notes == ("The union computes 1 cells more than 2 updates would.",)
    assert method_of("bac", updates=9).plan(setting).schedule.is_full


# -- FastCache -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("freedom", "significance", "quantile"),
    [(10, 0.05, 18.307), (100, 0.05, 124.342), (100, 0.01, 135.807), (30, 0.5, 29.336)],
)
def test_chi_square_quantiles_are_those_of_tables(freedom, significance, quantile):
    assert chi_square(freedom, significance) == pytest.approx(quantile, rel=2e-3)


def test_fastcache_replaces_whole_blocks_where_the_test_passes():
    moved = np.array([[np.nan] * 2, [0.01, 0.04], [0.02, 0.01], [0.05, 0.0101]])
    # With so many numbers the quantile over their number is 1.0023: the bound is 0.01 * 1.0023.
    setting = Tabled(4, 2, (moved, 1_000_000))
    assert chi_square(1_000_000, 0.05) / 1_000_000 == pytest.approx(1.0023, abs=1e-4)
    schedule = method_of("fastcache", threshold=0.1).plan(setting).schedule
    expected = np.array([[0, 0], [1, 0], [0, 1], [0, 0]])
    assert np.array_equal(schedule.actions, np.repeat(expected[..., None], 2, 2))
    assert schedule.legend == (Linear(),)
    # Fewer numbers say less: the bound is wider.
    wide = method_of("fastcache", threshold=0.1).plan(Tabled(4, 2, (moved, 500))).schedule
    assert wide.actions[3, 1].all() and not wide.actions[0].any()


# -- evolution -----------------------------------------------------------------------------


def test_losses_are_the_changes_at_the_age_of_what_is_reused():
    change = np.zeros((6, 1, 1, 2))
    change[:, 0, 0] = [[0.1 * s, 0.01 * s] for s in range(6)]
    alive = np.array([[1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 1, 0]], bool).reshape(2, 6, 1, 1)
    # Ages 1, 2, 3, 1: 0.1 + 0.02 + 0.03 * 3 / 2 + 0.5.
    assert losses(alive, change).tolist() == pytest.approx([0.0, 0.1 + 0.02 + 0.045 + 0.5])


def test_ranks_and_crowding_by_hand():
    points = np.array([[1, 4], [2, 2], [4, 1], [3, 3], [4, 4], [2, 2]], float)
    assert ranks(points).tolist() == [0, 0, 0, 1, 2, 0]
    line = np.array([[0, 4], [1, 3], [4, 0]], float)
    assert crowding(line, np.zeros(3, int)).tolist() == [np.inf, 1 + 1, np.inf]


@pytest.fixture(scope="module")
def front():
    return evolve(invented_change(12, 3), np.array([[1.0, 2.0]] * 3), generations=60, seed=1)


def test_a_front_trades_work_for_loss(front):
    assert front.computed[:, 0].all() and len(front.work) > 10
    assert all(a > b for a, b in pairwise(front.work)) and all(
        a < b for a, b in pairwise(front.loss)
    )
    known = np.nan_to_num(invented_change(12, 3))
    assert np.allclose(front.loss, losses(front.computed, known))
    assert np.allclose(
        front.work, (front.computed * np.array([1, 2])).sum(axis=(1, 2, 3)) / (12 * 9)
    )


def test_a_search_beats_one_step_in_two_and_is_made_again_from_its_seed(front):
    known = np.nan_to_num(invented_change(12, 3))
    beat = np.zeros((1, 12, 3, 2), bool)
    beat[:, ::2] = True
    found = front.within(0.5)[None]
    assert losses(found, known) < losses(beat, known)
    again = evolve(invented_change(12, 3), np.array([[1.0, 2.0]] * 3), generations=60, seed=1)
    other = evolve(invented_change(12, 3), np.array([[1.0, 2.0]] * 3), generations=60, seed=2)
    assert np.array_equal(again.computed, front.computed)
    assert not np.array_equal(other.loss, front.loss)


def test_what_is_picked_is_the_best_that_is_fast_enough(front):
    for work in (0.9, 0.5, 0.3):
        found = front.within(work)
        of = (found * np.array([1, 2])).sum() / (12 * 9)
        fit = front.work <= work
        assert of <= work and of == pytest.approx(front.work[fit].max())
    assert np.array_equal(front.within(0.0), front.computed[-1])


def test_ecad_is_at_least_as_fast_as_asked(model):
    setting = setting_of(model, 12)
    for speedup in (1.3, 2.0):
        plan = method_of("ecad", speedup=speedup, generations=40).plan(setting)
        assert plan.notes == ()
        assert speedup - 1e-6 <= 1 / cost_of(model, plan.schedule).work < 1.1 * speedup
    beyond = method_of("ecad", speedup=6.0, generations=10).plan(setting_of(model, 5))
    reached = 1 / cost_of(model, beyond.schedule).work
    assert beyond.notes == (f"The search reached {reached:.2f}x.",) and reached < 6
    assert sum(k[0].startswith("ecad") for k in setting.shelf.tables) == 1  # one search
    slow = method_of("ecad", speedup=1.0, generations=40).plan(setting).schedule
    assert slow.is_full


def test_ecad_stops_between_generations(model):
    setting = setting_of(model, 5)
    setting.change()
    setting.stopped = lambda: True
    with pytest.raises(Stopped, match="between two generations"):
        method_of("ecad").plan(setting)


# -- all of them ---------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [5, 7, 20, 100])
def test_any_number_of_steps_and_of_blocks(steps):
    setting = setting_of(little(1 if steps == 100 else 3), steps)
    for name in MINE:
        schedule = method_of(name, **QUICK.get(name, {})).plan(setting).schedule
        assert schedule.actions.shape == (steps, setting.blocks, 2)
        assert not schedule.actions[0].any()


@pytest.mark.parametrize("name", MINE)
def test_ladders_lose_work_with_every_rung(name, model):
    setting = setting_of(model, 20)
    rungs = method_of(name, **QUICK.get(name, {})).ladder(setting)
    work = [cost_of(model, m.plan(setting).schedule).work for m in rungs]
    assert all(a >= b for a, b in pairwise(work))
    assert work[0] == 1 and work[-1] < 0.4
