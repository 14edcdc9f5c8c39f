"""The budget method: as fast as asked, by what ships, what was calibrated, or a proxy it names."""

from dataclasses import replace

import numpy as np
import pytest

from caching.methods import Unready
from caching.methods.budget import Budget
from caching.methods.setting import ModelSetting
from caching.models.loading import load_model
from caching.policies.interval import every
from caching.predict.features import features
from caching.predict.fit import fit
from caching.predict.kept import For, Kept
from caching.predict.response import response_of_changes
from caching.predictors.taylor import Taylor
from tests.caching import tiny


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.mark.parametrize("steps", [20, 50])
@pytest.mark.parametrize(("speedup", "most"), [(1.0, 1.0), (1.5, 0.67), (3.0, 0.33), (5.0, 0.2)])
@pytest.mark.parametrize("brush", ["reuse", "taylor"])
def test_what_ships_needs_no_run_and_is_as_fast_as_asked(model, steps, speedup, most, brush):
    setting = ModelSetting(model, steps=steps, cfg_scale=2.0, sampler="ddim", may_run=False)
    schedule = Budget(speedup=speedup, brush=brush).plan(setting).schedule
    computed = schedule.computed
    assert computed.shape == (steps, 12, 2)
    assert computed[0].all()
    assert most - 0.12 < computed.mean() <= most
    if brush == "taylor" and speedup > 1:
        assert all(isinstance(p, Taylor) for p in schedule.legend)
        assert np.isin(computed.mean(axis=(1, 2)), (0, 1)).all()


# -- of settings that nothing ships for --------------------------------------------------------

STEPS, BLOCKS = 8, 2


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny"
    tiny.save_pipeline(path, blocks=BLOCKS)
    return load_model(path)


@pytest.fixture(scope="module")
def kept(tiny_model):
    """A prediction of a setting where attention hurts and the rest does not."""
    change = np.ones((STEPS, BLOCKS, 2, 5)) * np.arange(1, 6)
    change[..., 1] *= 0.01
    response = response_of_changes(change, pictures=1, source="invented")
    plans = [every(STEPS, BLOCKS, n, align=a) for n in range(1, 7) for a in ("end", "start")] * 3
    values = np.stack([features(plan, response) for plan in plans])
    measured = 40 - values[:, :1] + np.random.default_rng(0).normal(0, 0.1, (len(plans), 3))
    of = For(tiny_model.weights_hash, STEPS, 2.0, "ddim")
    return Kept(of, response, fit(values, measured), "an invented calibration")


def setting(model, **given):
    kw = {"steps": STEPS, "cfg_scale": 2.0, "sampler": "ddim", "may_run": False}
    return ModelSetting(model, **{**kw, **given})


def test_what_was_calibrated_is_used_and_named(tiny_model, kept):
    mine = setting(tiny_model, kept=kept)
    assert mine.prediction() is kept
    plan = Budget(speedup=1.5, share="free").plan(mine)
    computed = plan.schedule.computed
    # What hurts is computed, what does not is reused.
    assert computed[..., 0].sum() > computed[..., 1].sum()
    (note,) = plan.notes
    assert "an invented calibration" in note and not plan.improvable


@pytest.mark.parametrize("brush", ["reuse", "taylor"])
def test_until_then_a_proxy_stands_in_and_says_so(tiny_model, brush):
    unknown = setting(tiny_model)
    plan = Budget(speedup=2.0, brush=brush).plan(unknown)
    steps = plan.schedule.computed.all(axis=(1, 2))
    assert plan.improvable and "alibrate" in plan.notes[0]
    gaps = np.diff([*np.flatnonzero(steps), STEPS])
    assert steps[0] and gaps.max() - gaps.min() <= 1, "evenly, as nothing else is known"
    if brush == "taylor":
        return
    traced = np.ones((STEPS, BLOCKS, 2, 3))
    traced[7] = 99.0  # the last step changes most
    plan = Budget(speedup=2.0).plan(setting(tiny_model, change=traced))
    assert plan.improvable and "relative changes of a full run, a proxy" in plan.notes[0]
    assert plan.schedule.computed[7].all()


def test_changes_that_were_asked_for_are_no_stand_in(tiny_model):
    with pytest.raises(Unready, match="press Calibrate"):
        Budget(by="changes").plan(setting(tiny_model))
    traced = setting(tiny_model, change=np.ones((STEPS, BLOCKS, 2, 3)))
    assert not Budget(by="changes").plan(traced).improvable


def test_who_may_not_wait_gets_whole_steps_for_now(tiny_model, kept):
    other = replace(kept, source="another")  # of which nothing has been worked out
    hasty = setting(tiny_model, kept=other, patient=False)
    first = Budget(speedup=1.2).plan(hasty)
    assert first.provisional and "for now" in first.notes[0]
    assert np.isin(first.schedule.computed.mean(axis=(1, 2)), (0, 1)).all()
    best = Budget(speedup=1.2).plan(setting(tiny_model, kept=other))
    assert not best.provisional and best.schedule != first.schedule
    again = Budget(speedup=1.2).plan(hasty)  # somebody has waited for it by now
    assert again.schedule == best.schedule and not again.provisional
