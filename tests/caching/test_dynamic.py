"""Policies that decide while running: every decision by hand, on views that are scripted."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from caching.actions.output import OutputReuse
from caching.actions.probe import ProbeResidual
from caching.actions.residual import Residual
from caching.dynamic import POLICIES, Choice, Facts
from caching.dynamic.dbcache import DBCache
from caching.dynamic.dicache import DiCache
from caching.dynamic.easycache import EasyCache
from caching.dynamic.fbcache import FBCache
from caching.dynamic.lazydit import LazyDiT
from caching.dynamic.magcache import MagCache, nearest
from caching.dynamic.sencache import SenCache
from caching.dynamic.speca import SpeCa
from caching.dynamic.teacache import TeaCache
from caching.errors import ScheduleError
from caching.predictors.taylor import Taylor


def full(value, *shape):
    return torch.full(shape or (2, 2, 2), float(value))


@dataclasses.dataclass
class Scripted:
    """A view that shows what the test says, and fails on anything else."""

    s: int
    inputs: float | None = None
    hidden: dict = dataclasses.field(default_factory=dict)
    latents: torch.Tensor | None = None
    truth: float = math.nan

    def modulated(self):
        return full(self.inputs)

    def tokens(self, block):
        return full(self.hidden[block])

    def computed(self, x, block):
        return full(self.truth)


def facts(steps, *, blocks=4, passes=2, times=None):
    times = times or tuple(float(steps - s) for s in range(steps))
    return Facts(steps, times, blocks, ("attn", "mlp"), passes, 2)


def decided(policy, views, known, outputs=None):
    """The choices of a run, and after each the policy is told the step's output."""
    decider = policy.begin(known)
    choices = []
    for i, view in enumerate(views):
        choice = decider.decide(view)
        choice = decider.after(view, choice, None if outputs is None else outputs[i]) or choice
        choices.append(choice)
    return choices


def row(choices):
    return "".join("C" if c.runs_all else "-" for c in choices)


def scores(choices):
    return [None if c.score is None else round(c.score, 4) for c in choices]


# -- TeaCache ------------------------------------------------------------------------------


def test_teacache_sums_changes_until_the_threshold_and_computes_both_ends():
    inputs = [1.0, 1.1, 1.21, 1.21, 1.331, 2.0, 2.0, 2.0]
    views = [Scripted(s, inputs=x) for s, x in enumerate(inputs)]
    choices = decided(TeaCache(threshold=0.25), views, facts(8))
    # 0.1, 0.2, 0.2, 0.3: computed; then 0.669 / 1.331, computed again; nothing; the last step.
    assert row(choices) == "C---CC-C"
    assert scores(choices) == [None, 0.1, 0.2, 0.2, 0.3, 0.5026, 0.0, None]
    assert {c.limit for c in choices[1:7]} == {0.25}
    assert {c.action for c in choices if not c.runs_all} == {Residual()}


def test_teacache_compares_with_the_step_before_not_with_the_computed_one():
    views = [Scripted(s, inputs=x) for s, x in enumerate([1.0, 2.0, 1.0, 2.0, 0.0])]
    assert scores(decided(TeaCache(9.0), views, facts(5))) == [None, 1.0, 1.5, 2.5, None]


def test_teacache_puts_the_change_through_its_polynomial():
    views = [Scripted(s, inputs=x) for s, x in enumerate([1.0, 1.1, 1.32, 9.0])]
    # 3 d^2 + 2 d - 0.01 at 0.1 and 0.2
    choices = decided(TeaCache(0.5, (3.0, 2.0, -0.01)), views, facts(4))
    assert scores(choices) == [None, 0.22, 0.73, None]
    assert row(choices) == "C-CC"


def test_a_sum_equal_to_the_threshold_computes():
    views = [Scripted(s, inputs=x) for s, x in enumerate([1.0, 1.5, 1.5])]
    assert row(decided(TeaCache(0.5), views, facts(3))) == "CCC"


def test_a_run_of_one_step_computes():
    assert row(decided(TeaCache(9.0), [Scripted(0, inputs=1.0)], facts(1))) == "C"


# -- FBCache, DBCache ----------------------------------------------------------------------


def probes(values, block):
    """Views of a probe that adds these to a hidden state of 10."""
    return [Scripted(s, hidden={0: 10.0, block: 10.0 + v}) for s, v in enumerate(values)]


def test_fbcache_compares_with_the_last_computed_step():
    choices = decided(FBCache(0.5), probes([1.0, 1.25, 1.5, 2.0, 2.0, 3.5], 1), facts(6))
    # 0.25, 0.5 (not more than 0.5), 1: computed, now against 2: 0, 0.75
    assert scores(choices) == [None, 0.25, 0.5, 1.0, 0.0, 0.75]
    assert row(choices) == "C--C-C"
    assert choices[1].action == Residual(1, 0) and choices[1].limit == 0.5


def test_a_probe_that_does_nothing_computes():
    assert row(decided(FBCache(0.3), probes([0.0, 0.0], 1), facts(2))) == "CC"


def test_dbcache_warms_up_and_then_must_differ_by_less():
    policy = DBCache(first=3, last=1, threshold=0.5, warmup=2)
    choices = decided(policy, probes([1.0, 2.0, 2.0, 3.0, 4.0, 4.0], 3), facts(6))
    # against 2 of step 1: 0, 0.5 (not less than 0.5: computed), then 1/3, 1/3 against 3
    assert row(choices) == "CC-C--"
    assert scores(choices) == [None, None, 0.0, 0.5, 0.3333, 0.3333]
    assert choices[2].action == Residual(3, 1)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "CC-----------"),
        ({"most": 3}, "CC---CCCCCCCC"),
        ({"in_a_row": 2}, "CC--C--C--C--"),
        ({"in_a_row": 1}, "CC-C-C-C-C-C-"),
        ({"in_a_row": 0}, "CCCCCCCCCCCCC"),
        ({"threshold": 0.0}, "CCCCCCCCCCCCC"),
        ({"warmup": 0}, "C------------"),
    ],
    ids=str,
)
def test_dbcache_bounds_the_reused_steps(change, expected):
    policy = dataclasses.replace(DBCache(1, 0, threshold=0.5, warmup=2), **change)
    assert row(decided(policy, probes([1.0] * 13, 1), facts(13))) == expected


def test_dbcache_count_in_a_row_ends_with_any_computed_step():
    values = [1.0, 1.0, 1.0, 9.0, 9.0, 9.0, 9.0, 9.0]
    policy = DBCache(1, 0, threshold=0.5, warmup=1, in_a_row=3)
    assert row(decided(policy, probes(values, 1), facts(8))) == "C--C---C"


def test_dbcache_with_a_threshold_of_one_does_not_look():
    choices = decided(DBCache(1, 0, threshold=1.0, warmup=1), probes([1, 9, 99], 1), facts(3))
    assert row(choices) == "C--" and scores(choices) == [None] * 3


# -- MagCache ------------------------------------------------------------------------------


def test_magcache_accumulates_the_distance_of_the_product_from_one():
    ratios = (1.0, 0.5, 0.9, 0.9, 1.1, 1.0, 1.0, 1.0, 0.98)
    policy = MagCache(threshold=0.3, most=3, retain=0.2, ratios=ratios)
    choices = decided(policy, [Scripted(s) for s in range(9)], facts(9))
    # int(0.2 * 9 + 0.5) = 2 retained; 0.9: 0.1; 0.81: 0.29; 0.891: 0.399, computed, starts anew;
    # 0, 0, 0: three in a row; the fourth is computed for that.
    assert scores(choices) == [None, None, 0.1, 0.29, 0.399, 0.0, 0.0, 0.0, 0.02]
    assert row(choices) == "CC--C---C"


def test_magcache_has_the_first_step_computed_without_retention():
    policy = MagCache(threshold=1.0, most=9, retain=0.0, ratios=(1.0, 1.0, 1.0))
    assert row(decided(policy, [Scripted(s) for s in range(3)], facts(3))) == "C--"


def test_magcache_skips_at_the_threshold_itself():
    policy = MagCache(threshold=0.5, most=9, retain=0.0, ratios=(1.0, 0.5, 1.0))
    # 0.5, and 0.5 more
    assert row(decided(policy, [Scripted(s) for s in range(3)], facts(3))) == "C-C"


def test_a_curve_is_read_at_the_nearest_point():
    assert nearest((1.0, 2.0, 3.0, 4.0, 5.0), 3) == (1.0, 3.0, 5.0)
    assert nearest((1.0, 2.0, 3.0), 5) == (1.0, 1.0, 2.0, 3.0, 3.0)  # 0.5 and 1.5: to even
    assert nearest((1.0, 2.0), 1) == (2.0,)


# -- DiCache -------------------------------------------------------------------------------


def both(pairs, block=2):
    return [Scripted(s, hidden={0: x, block: y}) for s, (x, y) in enumerate(pairs)]


def test_dicache_sums_the_change_behind_the_probe():
    policy = DiCache(threshold=0.5, retain=0.3, probe=2)
    views = both([(1, 1), (1, 2), (1, 2.2), (1, 2.64), (1, 3.3), (1, 3.3), (1, 9)])
    choices = decided(policy, views, facts(7))
    # int(0.3 * 7) = 2, so steps 0 to 2 are full; 0.2; 0.45; 0.45; the last is computed
    assert scores(choices) == [None, None, None, 0.2, 0.45, 0.45, None]
    assert row(choices) == "CCC---C"
    assert choices[3].action == ProbeResidual(2)


def test_dicache_may_take_off_the_change_before_the_probe():
    policy = DiCache(threshold=0.4, retain=0.0, error="delta_minus")
    views = both([(1, 1), (1.5, 1.2), (3, 1.8), (3, 1.8), (3, 1)], 1)
    choices = decided(policy, views, facts(5))
    # |0.2 - 0.5| = 0.3; |0.5 - 1| makes 0.8: computed; 0
    assert scores(choices) == [None, 0.3, 0.8, 0.0, None]
    assert row(choices) == "C-C-C"


# -- SenCache ------------------------------------------------------------------------------


def test_sencache_looks_back_to_the_computed_step_and_its_sensitivities():
    def at(s, first):
        latents = torch.zeros(2, 1, 2, 2)
        latents[0] = first  # the other sample has no say
        latents[1] = 1000.0 * s
        return Scripted(s, latents=latents)

    policy = SenCache(
        start=1.0, main=2.0, most=2, timesteps=(100.0, 60.0), j_x=(0.5, 2.0), j_t=(0.01, 0.1)
    )
    times = (100.0, 90.0, 70.0, 60.0, 50.0, 40.0)
    firsts = [0.0, 1.0, 2.0, 2.0, 2.0, 2.25]
    views = [at(s, x) for s, x in enumerate(firsts)]
    choices = decided(policy, views, facts(6, times=times))
    # Norm of 4 equal elements: twice one of them; limits twice the thresholds. Strict are steps s
    # with 2 s < round(0.4 * 6) = 2, which is step 0 alone.
    # 0.5 * 2 + 0.01 * 10 = 1.1; 0.5 * 4 + 0.01 * 30 = 2.3; then two in a row are over at
    # 0.5 * 4 + 0.01 * 40 = 2.4. From t = 60: 0.1 * 10 = 1; 2 * 0.5 + 0.1 * 20 = 3.
    assert scores(choices) == [None, 1.1, 2.3, 2.4, 1.0, 3.0]
    assert [c.limit for c in choices] == [None, 4.0, 4.0, 4.0, 4.0, 4.0]
    assert row(choices) == "C--C--"


def test_sencache_is_strict_at_first_and_keeps_both_ends():
    policy = SenCache(start=1.0, main=3.0, retain=1, timesteps=(0.0,), j_x=(1.0,), j_t=(1.0,))
    views = [Scripted(s, latents=torch.zeros(1, 1, 1, 1)) for s in range(10)]
    choices = decided(policy, views, facts(10))
    # 1 for every step back; 2 s < round(0.4 * 10) = 4 holds for steps 0 and 1.
    assert scores(choices) == [None, 1, 1, 2, 3, 1, 2, 3, 1, None]
    assert [c.limit for c in choices][1:9] == [1.0] + [3.0] * 7
    assert row(choices) == "CC--C--C-C"


# -- EasyCache -----------------------------------------------------------------------------


def test_easycache_predicts_with_the_gain_between_computed_steps():
    x = [0.0, 1.0, 1.5, 2.0, 3.0, 3.2, 9.0]
    v = [10.0, 14.0, 99.0, 99.0, 20.0, 99.0, 99.0]
    views = [
        Scripted(s, latents=torch.cat([full(a, 1, 2, 2, 2), full(1e6 * s, 1, 2, 2, 2)]))
        for s, a in enumerate(x)
    ]
    # Two channels of the prediction, two of variances; only the conditional half counts.
    outputs = [
        torch.cat([full(a, 2, 2, 2, 2), full(777.0 + s, 2, 2, 2, 2)], 1)
        * torch.tensor([1.0, 1e3]).view(2, 1, 1, 1)
        for s, a in enumerate(v)
    ]
    choices = decided(EasyCache(threshold=0.35, warmup=2), views, facts(7), outputs)
    # gain 4 / 1; 4 * 0.5 / 14 = 0.1429; 0.2857; + 4 * 1 / 14: computed. gain |20 - 14| / |3 - 1|;
    # 3 * 0.2 / 20 = 0.03; the last is computed.
    assert scores(choices) == [None, None, 0.1429, 0.2857, 0.5714, 0.03, None]
    assert row(choices) == "CC--C-C"
    assert choices[2].action == OutputReuse()


def test_easycache_computes_until_it_has_a_gain():
    views = [Scripted(s, latents=full(s, 2, 1, 2, 2)) for s in range(5)]
    outputs = [full(100 + s, 2, 1, 2, 2) for s in range(5)]
    choices = decided(EasyCache(threshold=0.5, warmup=0), views, facts(5), outputs)
    assert row(choices) == "CC--C"
    zeros = [full(0.0, 2, 1, 2, 2)] * 5
    assert row(decided(EasyCache(0.5, 0), views, facts(5), zeros)) == "CCCCC"


# -- SpeCa ---------------------------------------------------------------------------------


def drafts(errors):
    """Views whose forecast of the last block is 1 and whose truth is off by the given share."""
    return [Scripted(s, hidden={3: 5.0, 4: 1.0}, truth=1 / (1 + e)) for s, e in enumerate(errors)]


def test_speca_follows_full_steps_by_forecasts_and_judges_one_step_late():
    # Full at 0 and 2 of the first three; forecasts 3, 4, 5; the first looked at is 5's.
    errors = [math.nan] * 5 + [0.5] + [math.nan] * 3 + [0.001, 0.002, 9.0, 9.0, math.nan, math.nan]
    policy = SpeCa(threshold=0.1, decay=0.01, most=5)
    choices = decided(policy, drafts(errors), facts(15))
    # 5's 0.5 makes 6 full; 7, 8, 9; 0.001 and 0.002 are good, and 12 is full as 7 to 11 are five.
    assert row(choices) == "C-C---C-----C--"
    assert scores(choices) == [None] * 6 + [0.5, None, None, None, 0.001, 0.002, 9.0, None, None]
    limits = {6: 0.1 * 0.01 ** (7 / 15), 10: 0.01, 11: 0.01, 12: 0.01}
    assert {s: c.limit for s, c in enumerate(choices) if c.limit} == pytest.approx(limits)
    assert {c.cells for c in choices if not c.runs_all} == {Taylor(4)}


def test_speca_error_is_a_mean_of_ratios():
    class Uneven(Scripted):
        def computed(self, x, block):
            assert x[0, 0, 0] == 5.0 and block == 3
            return torch.cat([full(2.0, 1, 2, 2), full(-0.5, 1, 2, 2)])

    views = [Uneven(s, hidden={3: 5.0, 4: 1.0}) for s in range(7)]
    # |1 - 2| / 2 and |1 + 0.5| / 0.5, where the ratio of means would be 1.
    policy = SpeCa(first=1, threshold=9.0, decay=1.0)
    assert scores(decided(policy, views, facts(7)))[4:] == [1.75, 1.75, 1.75]


def test_speca_bounds():
    errors = [0.0] * 12
    assert row(decided(SpeCa(most=2, first=1), drafts(errors), facts(12))) == "C--C--C--C--"
    assert row(decided(SpeCa(most=4, first=5), drafts(errors), facts(12))) == "C-C-C----C--"
    assert row(decided(SpeCa(least=1, first=1), drafts([9.0] * 8), facts(8))) == "C--C--C-"


# -- all -----------------------------------------------------------------------------------


def test_what_a_policy_looks_at_is_all_it_is_given():
    # The scripted views above raise on anything else; this is what they would raise.
    with pytest.raises(KeyError):
        decided(FBCache(), [Scripted(0, hidden={0: 1.0})], facts(2))
    with pytest.raises(TypeError):
        decided(TeaCache(), [Scripted(0)], facts(2))


def test_every_policy_is_registered_under_its_own_name():
    mine = {TeaCache, FBCache, DBCache, MagCache, DiCache, SenCache, EasyCache, SpeCa, LazyDiT}
    assert mine <= set(POLICIES.values())
    assert all(POLICIES[kind.name] is kind and kind() for kind in mine)
    assert Choice().runs_all


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TeaCache(-1), "teacache: threshold is -1: expected a number from 0"),
        (
            lambda: TeaCache(coefficients=()),
            r"coefficients is \(\): expected finite numbers, at least 1",
        ),
        (lambda: TeaCache(coefficients=(math.nan,)), "expected finite numbers"),
        (lambda: TeaCache(coefficients="12"), "coefficients is '12'"),
        (lambda: DBCache(first=0), "first is 0: expected a whole number from 1"),
        (lambda: DBCache(8).check(8), "the first 8 and last 0 blocks are computed"),
        (lambda: DiCache(error="delta"), "error is 'delta': expected one of delta_y, delta_minus"),
        (lambda: DiCache(probe=4).check(4), "expected at least one block behind them"),
        (lambda: MagCache(retain=2), "retain is 2: expected a number from 0 to 1"),
        (lambda: MagCache().check(4), r"MagCache\.calibrated\(model"),
        (lambda: SenCache().check(4), r"SenCache\.calibrated\(model"),
        (lambda: SenCache(timesteps=(1.0,)), "1 timesteps, 0 j_x and 0 j_t were given"),
        (lambda: SpeCa(order=9), "order is 9: expected a whole number from 0 to 6"),
        (lambda: LazyDiT().check(4), "no gate weights were given, and none are published"),
        (lambda: LazyDiT(np.zeros((2, 3, 2))), r"weights are float64 \(2, 3, 2\)"),
        (lambda: LazyDiT(np.zeros((2, 3, 2, 4), int)), "weights are int64"),
        (lambda: LazyDiT(np.full((2, 3, 2, 4), np.inf)), "expected finite floats"),
        (lambda: LazyDiT(np.zeros((2, 3, 2, 4))).check(4), "weights are for 3 blocks"),
        (
            lambda: LazyDiT(np.zeros((2, 4, 2, 2))).begin(facts(3)),
            r"\(2, 4, 2\) and the run has \(3",
        ),
        (lambda: LazyDiT(np.zeros((3, 4, 2, 9))).begin(facts(3)), "weights are for width 9"),
    ],
)
def test_wrong_parameters_are_refused(make, message):
    with pytest.raises(ScheduleError, match=message):
        make()
