"""Methods of papers as grids: the published patterns to the letter, at the authors' sizes."""

import numpy as np
import pytest

from caching.actions.cond_only import CondOnly
from caching.actions.scale import ScaleEps
from caching.methods import METHODS, method_of
from caching.policies.toca import thresholds
from caching.predictors.clusters import Clusters
from caching.predictors.extrapolate import Extrapolate
from caching.predictors.foca import FoCa
from caching.predictors.hermite import Hermite
from caching.predictors.lowrank import LowRank
from caching.predictors.taylor import Taylor
from caching.predictors.tokens import Tokens
from caching.predictors.trend import Trend
from tests.caching.settings import Invented

# Methods dossier 4.1, 7.1 and 7.2, execution order; F full, p tokens, "." nothing.
EB_CACHE = "11111111111111111111110101010101010101010001001001"
PRO_CACHE = "10201020102010201020102010210210210210101010101010"
TOCA_FIRST = "FpppFFpppFpppFpppFpFppFppFppFppFpFpFpFpFpFpFpFpFpF"
TOCA_OTHERS = "FppppFpppFpppFpppppFppFppFppFppFpFpFpFpFpFpFpFpFpF"
DUCA_OTHERS = "Fp.ppFp.pFp.pFp.p.pF.pF.pF.pF.pFpFpFpFpFpFpFpFpFpF"


def grid(name, steps=50, blocks=28, **values):
    plan = method_of(name, **values).plan(Invented(steps, blocks))
    assert plan.policy is None and plan.schedule.branches == ("attn", "mlp")
    return plan.schedule


def row(cells, marks="F."):
    """bool (S,) as one letter for each step."""
    return "".join(marks[0] if x else marks[1] for x in cells)


def whole(schedule):
    """The steps that are computed whole; all others are reused whole."""
    computed = schedule.computed.reshape(schedule.steps, -1)
    assert (computed.all(1) == computed.any(1)).all()
    return np.flatnonzero(computed.all(1)).tolist()


# -- one step in N -------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "full"), [(3, 18), (4, 14), (5, 11), (6, 10)])
@pytest.mark.parametrize("name", ["taylorseer", "clusca"])
def test_taylorseer_has_its_full_steps(name, n, full):
    steps = whole(grid(name, interval=n))
    assert len(steps) == full
    assert steps[:2] == [0, 1] and set(np.diff(steps[1:])) == {n}


@pytest.mark.parametrize(("n", "full"), [(2, 26), (3, 18), (4, 14), (5, 11)])
def test_fora_has_its_full_steps(n, full):
    steps = whole(grid("fora", interval=n))
    assert len(steps) == full and steps[-1] == 49


def test_hicache_starts_after_three_full_steps():
    # Settings for FLUX: every 7th.
    assert whole(grid("hicache", interval=7)) == [0, 1, 2, 9, 16, 23, 30, 37, 44]


@pytest.mark.parametrize(
    ("name", "values", "brush"),
    [
        ("taylorseer", {}, Taylor(4)),
        ("taylorseer", {"order": 2}, Taylor(2)),
        ("hicache", {}, Hermite(2, 0.5)),
        ("foca", {}, FoCa()),
        # 16 of 256 tokens are 4 of 64.
        ("clusca", {}, Clusters(4, 0.005, 4)),
        ("clusca", {"k": 16, "gamma": 0, "order": 1}, Clusters(16, 0, 1)),
        ("goc", {}, Trend(1.2)),
        # 128 of 1152 at a width of 256.
        ("icc", {}, LowRank(28, "ca-svd")),
        ("icc", {"rank": 128, "weights": "svd"}, LowRank(128, "svd")),
    ],
)
def test_one_brush_stands_in_everywhere(name, values, brush):
    schedule = grid(name, 20, 3, **values)
    assert schedule.legend == (brush,)
    assert (schedule.actions == 1).any() and not schedule.step_actions.any()


def test_icc_is_full_where_the_step_is_a_multiple_of_the_period():
    assert whole(grid("icc", 100)) == list(range(0, 100, 2))
    assert whole(grid("icc", 10, period=4)) == [0, 4, 8]


# -- tables --------------------------------------------------------------------------------


def test_goc_caches_odd_steps_of_the_first_half():
    reused = [s for s in range(20) if s not in whole(grid("goc", 20))]
    assert reused == [1, 3, 5, 7, 9]
    assert whole(grid("goc", 20, until=1)) == list(range(0, 20, 2))
    assert len(whole(grid("goc", 50))) == 50 - 12


def test_ebcache_has_its_table_and_scales_the_noise():
    schedule = grid("ebcache", scaled="always")
    assert row(schedule.computed.all((1, 2)), "10") == EB_CACHE
    assert len(whole(schedule)) == 34
    assert schedule.step_legend == (ScaleEps(0.965),) and (schedule.step_actions == 1).all()
    setting = Invented(50, 28)
    plain = method_of("ebcache").plan(setting)
    assert not plain.schedule.step_actions.any() and "under ddim" in plain.notes[0]
    assert (plain.schedule.actions == schedule.actions).all()
    setting.sampler = "ddpm"
    assert method_of("ebcache").plan(setting).schedule == schedule
    assert method_of("ebcache", scaled="never").plan(setting).schedule == plain.schedule


@pytest.mark.parametrize("steps", [5, 7, 20, 100])
def test_ebcache_at_other_steps_computes_the_start_and_the_end(steps):
    full = whole(grid("ebcache", steps, 1))
    start = round(0.44 * steps)
    assert full[:start] == list(range(start)) and full[-1] == steps - 1
    gaps = np.diff(full[start - 1 :])
    assert set(gaps) <= {1, 2, 3, 4} and len(full) < steps
    assert whole(grid("ebcache", steps, 1, start=1)) == list(range(steps))


def test_procache_has_its_pattern():
    schedule = grid("procache")
    computed = schedule.computed
    assert row(computed.all((1, 2)), "10") == PRO_CACHE.replace("2", "0")
    assert len(whole(schedule)) == 17
    tokens = schedule.actions > 1
    # No tokens in the first quarter of the run, by ToCa's scheduler.
    mixed = np.array([c == "2" for c in PRO_CACHE]) & (np.arange(50) >= 13)
    assert mixed.sum() == 7
    assert (tokens[:, 21:, 1] == mixed[:, None]).all()
    assert not tokens[:, :21].any() and not tokens[..., 0].any()


@pytest.mark.parametrize("share", [0.1, 0.34, 0.5, 0.8, 1])
@pytest.mark.parametrize("steps", [5, 7, 20, 100])
def test_procache_keeps_the_budget_and_intervals_that_never_grow(steps, share):
    full = whole_or_tokens(grid("procache", steps, 3, full=share))
    assert len(full) == min(steps, max(1, round(share * steps)))
    intervals = np.diff([*full, steps])
    assert full[0] == 0 and (np.diff(intervals) <= 0).all()


def whole_or_tokens(schedule):
    """The steps that are computed whole."""
    return np.flatnonzero(schedule.computed.all((1, 2))).tolist()


# -- tokens --------------------------------------------------------------------------------


def test_toca_is_full_as_its_released_code_is():
    schedule = grid("toca")
    assert row(schedule.computed[:, 0].all(1), "Fp") == TOCA_FIRST
    assert TOCA_FIRST.count("F") == 20 and TOCA_OTHERS.count("F") == 18
    for block in range(1, 28):
        assert row(schedule.computed[:, block].all(1), "Fp") == TOCA_OTHERS
    assert (schedule.computed.all(2) == schedule.computed.any(2)).all()
    paper = grid("toca", decides="paper")
    for block in range(28):
        assert row(paper.computed[:, block].all(1), "Fp") == TOCA_FIRST


def test_toca_widens_its_interval_and_forces_two_late_in_the_run():
    # By i, steps counted down: N / (1.4 - 0.8 i / 50), and 2 for i = 10 to 19.
    found = dict(enumerate(thresholds(50, 6)[::-1].tolist()))
    assert [found[i] for i in (0, 9, 10, 19, 20, 49)] == [4, 5, 2, 2, 6, 10]


def shares(schedule):
    """(S, L) share of tokens a feed-forward computes where it is not computed whole."""
    values = [0.0, *(p.fraction if isinstance(p, Tokens) else 0.0 for p in schedule.legend)]
    return np.array(values)[schedule.actions[..., 1]]


def test_toca_computes_more_tokens_late_and_deep():
    schedule = grid("toca")
    found = shares(schedule)
    assert (schedule.actions[..., 0] <= 1).all()  # attention is reused
    assert not found[:13].any()
    # s = 48, i = 1: 0.07 · 2.5 · (3 - 4 / 50) · 1.2 = 0.6132, and 0.8 + 0.4 / 27 in block 1.
    assert found[48, 27] == pytest.approx(0.6132, abs=1e-6)
    assert found[48, 1] == pytest.approx(0.07 * 2.5 * 2.92 * (0.8 + 0.4 / 27), abs=0.6132 / 60)
    # s = 31, 29 and 30 before it: mean of i = 20 and 19, 3 - 4 · 19.5 / 50 = 1.44.
    assert TOCA_OTHERS[28:32] == "FppF"
    assert found[29, 27] == found[30, 27] == pytest.approx(0.175 * 1.2 * 1.44, abs=0.6132 / 60)
    assert found[31].max() == 0
    assert {p.interval for p in schedule.legend[1:]} == {3}
    assert shares(grid("toca", ratio=0)).max() == 0
    assert {p.score for p in grid("toca", score="random").legend[1:]} == {"random"}


def test_duca_takes_turns():
    schedule = grid("duca")
    found, computed = shares(schedule), schedule.computed
    for block in (1, 13, 27):
        assert row(computed[:, block].all(1), "Fp") == TOCA_OTHERS
        for s in range(13, 50):
            assert (found[s, block] > 0) == (DUCA_OTHERS[s] == "p"), s
    # r = 0.05: block 27, s = 48.
    assert found[48, 27] == pytest.approx(0.05 * 2.5 * 2.92 * 1.2, abs=1e-6)


# -- attention and guidance ----------------------------------------------------------------


def test_pab_reuses_attention_at_odd_steps_between_two_timesteps():
    schedule = grid("pab", 20, 3)
    # 999 (1 - s / 19) lies in 100..800 for s = 4..17.
    odd = [5, 7, 9, 11, 13, 15, 17]
    attn = schedule.actions[..., 0]
    assert np.flatnonzero(attn.any(1)).tolist() == odd and (attn[odd] == 1).all()
    assert not schedule.actions[..., 1].any()
    every = grid("pab", 20, 3, interval=3, low=-1, high=1000).actions[..., 0].any(1)
    assert np.flatnonzero(~every).tolist() == [0, 3, 6, 9, 12, 15, 18]


def test_fastercache_runs_half_of_guidance_and_extrapolates_attention():
    schedule = grid("fastercache", 20, 3)
    # 999 (1 - s / 19) is below 641 from s = 7 on.
    half = [7, 8, 9, 11, 12, 13, 14, 16, 17, 18, 19]
    assert np.flatnonzero(schedule.step_actions).tolist() == half
    assert schedule.step_legend == (CondOnly(1.1, 1.1),)
    assert schedule.legend == (Extrapolate(0.5),)
    assert np.flatnonzero(schedule.actions[..., 0].all(1)).tolist() == [7, 9, 11, 13, 17, 19]
    assert not schedule.actions[..., 1].any()


def test_fastercache_without_guidance_has_attention_alone():
    setting = Invented(20, 3)
    setting.cfg_scale = 1.0
    plan = method_of("fastercache").plan(setting)
    assert not plan.schedule.step_actions.any() and "Without guidance" in plan.notes[0]
    reused = np.flatnonzero(plan.schedule.actions[..., 0].all(1)).tolist()
    assert reused == [7, 9, 11, 13, 15, 17, 19]


# -- baselines -----------------------------------------------------------------------------


def test_ends_and_full_are_what_they_say():
    assert whole(grid("ends", 20, 3, first=3, last=2)) == [0, 1, 2, 18, 19]
    assert grid("full", 7, 3).is_full


def test_random_cells_are_as_many_as_asked_for_and_nested():
    few, many = (grid("random", 20, 12, share=v).actions > 0 for v in (0.25, 0.5))
    assert (few.sum(), many.sum()) == (120, 240) and (many >= few).all()
    assert grid("random", 20, 12, share=0).is_full
    other = grid("random", 20, 12, share=0.25, seed=1).actions > 0
    assert other.sum() == 120 and (other != few).any()


def test_random_cells_of_odd_steps_are_one_step_old():
    schedule = grid("random", 20, 12, share=0.3, where="odd steps")
    assert (schedule.actions > 0).sum() == 144 and schedule.age().max() == 1
    assert not schedule.actions[::2].any()
    plan = method_of("random", share=0.9, where="odd steps").plan(Invented(20, 12))
    assert (plan.schedule.actions > 0).sum() == 240 and "Only 240 of 480" in plan.notes[0]


@pytest.mark.parametrize("name", ["ends", "full", "random"])
def test_baselines_cite_no_paper(name):
    assert METHODS[name].source is None
