"""CacheQuant, WTA-CRS, TokenCache and LLMCache: their schedules by hand and by brute force."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from caching import Schedule, cost_of, sample
from caching.engine.executor import Stopped
from caching.engine.fits import Fits, calibrate
from caching.errors import ScheduleError
from caching.methods import cachequant as cachequant_module
from caching.methods import method_of
from caching.methods.cachequant import stack_distance
from caching.methods.llmcache import alike, most_alike
from caching.methods.setting import ModelSetting, nobody
from caching.methods.tokencache import two_phases
from caching.policies.groups import group_starts
from caching.predictors.affine import Affine
from caching.predictors.donor import Donor
from caching.predictors.quantised import Quantised
from caching.predictors.sampled import Sampled
from caching.predictors.scored import Scored
from tests.caching import tiny
from tests.caching.calibration import Recorder, asked
from tests.caching.settings import Invented
from tests.caching.spy import own

STEPS = 7


@pytest.fixture(scope="module")
def model():
    return own(tiny.dit(blocks=3), tiny.V)


@pytest.fixture(scope="module")
def setting(model):
    return ModelSetting(model, steps=STEPS, cfg_scale=2.0, sampler="ddim")


def line(flags):
    return "".join("C" if flag else "." for flag in flags)


# -- groups --------------------------------------------------------------------------------


def test_groups_worked_out_by_hand():
    # Features on a line at 0 1 2 10 11 12 13: the jump is a boundary, and 10 … 13 may not be one
    # group of four where three are the most.
    places = np.array([0, 1, 2, 10, 11, 12, 13.0])
    distance = np.abs(places - places[:, None])
    assert group_starts(distance, 2, 1, 4) == (0, 3)
    assert group_starts(distance, 3, 2, 3) == (0, 3, 5)  # 3 + 1 + 1, not 3 + 3 … of 2 2 3
    assert group_starts(distance, 7, 1, 3) == (0, 1, 2, 3, 4, 5, 6)
    assert group_starts(distance, 1, 1, 7) == (0,)
    # All alike: of 1 3, 2 2 and 3 1 the one whose last group starts first.
    assert group_starts(np.zeros((4, 4)), 2, 1, 3) == (0, 1)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 4), st.integers(1, 3))
def test_no_other_groups_have_a_smaller_sum(seed, steps, groups, least):
    most = least + 2
    distance = np.random.default_rng(seed).random((steps, steps))
    lengths = [
        each
        for each in itertools.product(range(least, most + 1), repeat=groups)
        if sum(each) == steps
    ]

    def total(starts):
        ends = [*starts[1:], steps]
        return sum(distance[a, a + 1 : b].sum() for a, b in zip(starts, ends, strict=True))

    if not lengths:
        with pytest.raises(ScheduleError, match=f"into {groups} groups of {least} to {most}"):
            group_starts(distance, groups, least, most)
        return
    sums = [total([0, *np.cumsum(each[:-1]).tolist()]) for each in lengths]
    found = group_starts(distance, groups, least, most)
    assert found[0] == 0 and len(found) == groups
    assert total(list(found)) == pytest.approx(min(sums))


@pytest.mark.parametrize("table", [np.zeros((0, 0)), np.zeros((2, 3)), np.zeros(4)])
def test_a_table_that_is_none_is_refused(table):
    with pytest.raises(ScheduleError, match="expected \\(steps, steps\\)"):
        group_starts(table, 1, 1, 4)


# -- CacheQuant ----------------------------------------------------------------------------


def test_distances_are_those_of_what_all_blocks_add(model):
    recorded = Recorder(model.family)
    full = asked(model, Schedule.full(STEPS, 3), cfg_scale=2.0)
    calibrate(model, full, [recorded], pictures=2)
    told = []
    found = stack_distance(
        model,
        steps=STEPS,
        cfg_scale=2.0,
        sampler="ddim",
        pictures=2,
        tell=lambda *t: told.append(t),
    )
    for start, i in itertools.product(range(STEPS), repeat=2):
        expected = np.abs(recorded.steps[i] - recorded.steps[start]).mean() if i > start else 0
        assert found[start, i] == pytest.approx(expected, rel=1e-5)
    assert told[-1][1:] == (2 * STEPS, 2 * STEPS)
    with pytest.raises(Stopped):
        stack_distance(model, steps=STEPS, sampler="ddim", stopped=lambda: True)


class Known(Invented):
    """Knows a calibration beforehand."""

    def table(self, kind, make):
        assert kind == "cachequant"
        far = np.abs(np.subtract.outer(np.arange(self.steps), np.arange(self.steps)))
        return far.astype(float), self.steps % 2 == 0


def test_cachequant_plans_as_many_groups_as_one_step_in_n():
    for steps, interval in itertools.product((5, 6, 7, 11, 20, 50, 97, 100), range(2, 11)):
        plan = method_of("cachequant", interval=interval).plan(Known(steps, 3))
        computed = (plan.schedule.actions == 0).all(axis=(1, 2))
        assert ((plan.schedule.actions == 0).any(axis=(1, 2)) == computed).all()
        gaps = np.diff([*np.flatnonzero(computed), steps])
        assert computed[0] and gaps.min() >= -(-interval // 2) and gaps.max() <= 2 * interval
        if steps % interval == 0:
            assert computed.sum() == steps // interval
            # Where every step is as far from the next one, equal groups are best.
            assert set(gaps) == {interval}
        assert abs(computed.sum() - steps / interval) < 1


def test_cachequant_corrects_reuse_and_int8_is_where_it_computes():
    plain = method_of("cachequant", interval=4).plan(Known(12, 2))
    assert plain.schedule.legend == (Affine(),) and plain.notes == ()
    plan = method_of("cachequant", interval=4, int8="on").plan(Known(12, 2))
    schedule, rows = plan.schedule, plain.schedule.actions[:, 0, 0]
    assert schedule.legend == (Affine(), Quantised())
    expected = np.where(rows == 1, 1, 2)
    expected[0] = 0
    assert (schedule.actions == expected[:, None, None]).all()
    assert "in integers" in plan.notes[0]
    (note,) = method_of("cachequant", int8="on").plan(Known(13, 2)).notes
    assert "as floats" in note


def test_cachequant_says_what_the_device_does(model, monkeypatch):
    monkeypatch.setattr(cachequant_module, "in_integers", lambda device: device.type != "cpu")
    setting = ModelSetting(model, steps=5, cfg_scale=1.0, sampler="ddim")
    (note,) = method_of("cachequant", int8="on").plan(setting).notes
    assert "as floats" in note


def test_int8_changes_the_picture_a_little(setting):
    pictures = {}
    for int8 in ("off", "on"):
        plan = method_of("cachequant", interval=3, int8=int8).plan(setting)
        assert (plan.schedule.actions != 0).any()
        run = sample(setting.model, plan.schedule, label=1, cfg_scale=2.0, fits=Fits(pictures=1))
        pictures[int8] = run.latents
    gap = (pictures["on"] - pictures["off"]).norm() / pictures["off"].norm()
    assert 0 < gap < 0.1


# -- WTA-CRS and TokenCache ----------------------------------------------------------------


def test_every_other_step_is_estimated():
    plan = method_of("wtacrs").plan(Invented(8, 2))
    assert plan.schedule.legend == (Sampled(0.3),)
    assert line(plan.schedule.computed[:, 1, 0]) == "CC.C.C.C"
    plan = method_of("wtacrs", fraction=0.5, interval=3).plan(Invented(8, 2))
    assert plan.schedule.legend == (Sampled(0.5),)
    assert line(plan.schedule.computed[:, 1, 0]) == "CC..C..C"


@pytest.mark.parametrize(
    ("steps", "first", "second", "expected"),
    [
        (12, 3, 1, "C...C.C.C.C."),
        (12, 2, 2, "C..C..C..C.."),
        (11, 4, 1, "C....CC.C.C"),
        (5, 9, 9, "C..C."),
        (1, 3, 1, "C"),
    ],
)
def test_two_phases_by_hand(steps, first, second, expected):
    assert line(two_phases(steps, first, second)) == expected


def test_tokencache_scores_tokens_between_full_steps():
    plan = method_of("tokencache", fraction=0.4, first=3, second=1).plan(Invented(12, 2))
    assert plan.schedule.legend == (Scored(0.4),)
    assert line(plan.schedule.computed[:, 1, 1]) == "C...C.C.C.C."


@pytest.mark.parametrize("name", ["wtacrs", "tokencache"])
def test_ladders_go_down_all_the_way(name, model):
    setting = Invented(20, 3)
    rungs = method_of(name).ladder(setting)
    works = [cost_of(model, one.plan(setting).schedule).work for one in rungs]
    assert all(a >= b - 1e-9 for a, b in itertools.pairwise(works))
    assert works[0] > 0.99 and works[-1] < 0.4


# -- LLMCache ------------------------------------------------------------------------------


def test_the_most_alike_cells_by_hand():
    similarity = np.array([[[9.0, 9.0]], [[0.2, 0.9]], [[0.5, 0.9]]])
    assert not most_alike(similarity, 0).any()
    assert np.argwhere(most_alike(similarity, 0.25)).tolist() == [[1, 0, 1]]
    assert np.argwhere(most_alike(similarity, 0.5)).tolist() == [[1, 0, 1], [2, 0, 1]]
    assert most_alike(similarity, 0.75)[2].all() and not most_alike(similarity, 0.95)[0].any()


def test_similarity_is_to_the_nearest_of_the_other_pictures(model, setting):
    class Read(Recorder):
        def see(self, s, block, r, x, out, given):
            self._add(self.x, (s, block, r), model.family.modulated(x, given, s, block, r))

    recorded = Read(model.family)
    full = asked(model, Schedule.full(STEPS, 3), cfg_scale=2.0)
    calibrate(model, full, [recorded], pictures=3)
    told = []
    runs = {"steps": STEPS, "cfg_scale": setting.cfg_scale, "sampler": setting.sampler}
    found = alike(model, **runs, tell=lambda *t: told.append(t), pictures=3)
    assert found.shape == (STEPS, 3, 2) and told[-1] == ("full runs", 21, 21)
    for cell, x in recorded.x.items():
        mean = x.mean(1)
        mean /= np.linalg.norm(mean, axis=1, keepdims=True)
        best = [
            max(mean[row] @ mean[other] for other in range(6) if other // 2 != row // 2)
            for row in range(6)
        ]
        assert found[cell] == pytest.approx(np.mean(best), abs=1e-5)
    with pytest.raises(Stopped):
        alike(model, **runs, tell=nobody, stopped=lambda: True)


def test_llmcache_takes_the_share_of_cells(setting):
    for share in (0.0, 0.3, 0.95):
        plan = dataclasses.replace(method_of("llmcache"), share=share).plan(setting)
        painted = plan.schedule.actions != 0
        assert painted.sum() == round(share * (STEPS - 1) * 3 * 2) and not painted[0].any()
        assert (Donor() in plan.schedule.legend) == (share > 0)
    run = sample(setting.model, plan.schedule, label=1, cfg_scale=2.0, fits=Fits(pictures=2))
    assert torch.isfinite(run.latents).all()
