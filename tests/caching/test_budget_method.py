"""The budget method with forecasts: as fast as asked, from files and without."""

import numpy as np
import pytest

from caching.methods.budget import Budget
from caching.methods.setting import ModelSetting
from caching.models.loading import load_model
from caching.predictors.taylor import Taylor


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
