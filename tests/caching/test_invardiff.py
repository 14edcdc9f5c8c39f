"""InvarDiff's calibration: distances against diffusers' own modules, rates and books by hand."""

import numpy as np
import pytest
import torch

from caching.actions.hidden import FinalHidden
from caching.engine.executor import Stopped
from caching.engine.fits import calibration_noise
from caching.errors import ScheduleError
from caching.measure import distances as measured
from caching.methods import Unready, method_of
from caching.policies.invardiff import books, rates
from tests.caching import reference, tiny
from tests.caching.settings import Invented
from tests.caching.spy import own

F = [0, 4, 6, 7, 7.5, 9]


def apart(*sequences, lags=None):
    """(1, S, K, C): distances of features that are single numbers, one sequence (S,) each."""
    values = np.array(sequences, float).T
    steps = len(values)
    found = np.zeros((1, steps, lags or steps - 1, values.shape[1]))
    for s in range(steps):
        for k in range(1, min(s, found.shape[2]) + 1):
            found[0, s, k - 1] = np.abs(values[s] - values[s - k])
    return found


def made(first_change, *inner):
    """A rising sequence whose changes grow by these factors."""
    changes = np.cumprod([first_change, *inner])
    return [0.0, *np.cumsum(changes)]


# -- rates ---------------------------------------------------------------------------------


def test_rates_are_changes_over_the_changes_before():
    found = rates(apart(F), np.zeros((6, 1), bool))
    assert found[:, 0] == pytest.approx([1, 2 / 4, 1 / 2, 0.5 / 1, 1.5 / 0.5, 1])


def test_in_rows_of_cached_steps_the_older_features_stay():
    cached = np.array([0, 1, 1, 0, 0, 0], bool)[:, None]
    # s = 3: ||7.5 - 6|| / ||6 - 4||, s = 4: ||9 - 7.5|| / ||7.5 - 6||.
    found = rates(apart(F), cached)
    assert found[:, 0] == pytest.approx([1, 0.5, 0.5, 0.75, 1, 1])


def test_a_row_of_cached_steps_ends_where_one_is_computed():
    cached = np.array([0, 1, 0, 1, 0, 0], bool)[:, None]
    found = rates(apart(F), cached)
    assert found[:, 0] == pytest.approx([1, 0.5, 0.5, 0.5, 3, 1])


def test_distances_that_are_not_known_count_as_the_longest_known():
    cached = np.array([0, 1, 1, 0, 0, 0], bool)[:, None]
    found = rates(apart(F, lags=1), cached)
    assert found[:, 0] == pytest.approx([1, 0.5, 0.5, 0.5 / 2, 1.5 / 0.5, 1])


def test_rates_are_means_over_pictures():
    two = np.concatenate([apart(F), apart([0, 1, 2, 3, 4, 5])])
    found = rates(two, np.zeros((6, 1), bool))
    assert found[:, 0] == pytest.approx([1, 0.75, 0.75, 0.75, 2, 1])


# -- books ---------------------------------------------------------------------------------

ATTN, MLP, HIDDEN = made(1, 0.1, 1, 0.9, 0.8), made(1, 1, 2, 0.1, 0.2), made(1, 2, 0.5, 1, 0.25)


def test_what_is_below_its_quantile_is_reused_and_computed_after_a_reused_step():
    # Hidden: median of 2, 0.5, 1, 0.25 is 0.75, steps 2 and 4. attn: 0.73, step 1. mlp: 0.19,
    # step 3, which follows step 2.
    found = books(apart(ATTN, MLP, HIDDEN), 2, 0.5, (0.3, 0.3), correct=False)
    assert np.flatnonzero(found.steps).tolist() == [2, 4]
    assert np.flatnonzero(found.cells[:, 0]).tolist() == [1, 2, 4]
    assert np.flatnonzero(found.cells[:, 1]).tolist() == [2, 4]


def test_a_second_pass_measures_with_the_first_ones_books():
    # Changes 1, 0.5, 0.25, 0.125, 0.1, 0.3. Rates 0.5, 0.5, 0.5, 0.8, 3, below 0.62: 1 to 3.
    # With these 0.5, 0.5, 0.375 / 0.5, 0.475 / 0.5, 0.3 / 0.475, below 0.68: 1, 2 and 5.
    features = made(1, 0.5, 0.5, 0.5, 0.8, 3)
    first = books(apart(features, features), 1, 0.6, (0,), correct=False)
    second = books(apart(features, features), 1, 0.6, (0,))
    assert np.flatnonzero(first.steps).tolist() == [1, 2, 3]
    assert np.flatnonzero(second.steps).tolist() == [1, 2, 5]


def test_nothing_is_reused_at_the_ends_or_in_two_steps():
    for steps in (1, 2, 3):
        found = books(np.ones((1, steps, max(1, steps - 1), 3)), 2, 1.0, (1.0, 1.0))
        assert not found.cells.any() and not found.steps.any()
    flat = np.arange(8.0) ** 2
    found = books(apart(flat, flat, flat), 2, 1.0, (1.0, 1.0), correct=False)
    assert not found.steps[[0, -1]].any() and found.steps[1:-1].sum() == 5


def test_a_quantile_for_each_branch_is_asked_for():
    with pytest.raises(ScheduleError, match="1 quantiles and 3 features were given for 2"):
        books(apart(F, F, F), 2, 0.5, (0.5,))


# -- the method ----------------------------------------------------------------------------


class Measured(Invented):
    """A setting that has distances at hand, of 1 block."""

    def table(self, kind, make):
        return apart(ATTN, MLP, HIDDEN)


def test_the_schedule_takes_the_final_hidden_state_or_all_branches():
    values = {"step": 0.5, "attn": 0.3, "mlp": 0.3, "passes": "first"}
    schedule = method_of("invardiff", **values).plan(Measured(6, 1)).schedule
    assert schedule.step_legend == (FinalHidden(),)
    assert np.flatnonzero(schedule.step_actions).tolist() == [2, 4]
    assert schedule.rows() == {"block 0 attn": "CRRCRC", "block 0 mlp": "CCRCRC"}
    plain = method_of("invardiff", **values, rows="branches").plan(Measured(6, 1)).schedule
    assert not plain.step_actions.any() and (plain.actions == schedule.actions).all()


def test_it_says_what_it_needs():
    with pytest.raises(Unready, match="invardiff distances"):
        method_of("invardiff").plan(Invented())


# -- distances -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def module():
    return tiny.dit(blocks=2)


RUN = {"steps": 5, "cfg_scale": 1.0, "sampler": "ddim", "pictures": 2}


def test_distances_are_those_of_plain_runs(module):
    model = own(module, tiny.EPSILON)
    found = measured.distances(model, **RUN)
    assert found.shape == (2, 5, 4, 5)
    hidden = []
    hook = module.norm_out.register_forward_pre_hook(lambda _, inputs: hidden.append(inputs[0]))
    for picture in range(2):
        noise = calibration_noise(model, 2)[picture : picture + 1]
        plain = reference.run(
            module, np.zeros((5, 2, 2), bool), noise, [picture * 5], guidance=1, null=10
        )
        for s, k in ((1, 1), (3, 1), (4, 2), (4, 4)):
            for block in range(2):
                for r in range(2):
                    expected = plain.cells[s, block, r] - plain.cells[s - k, block, r]
                    got = found[picture, s, k - 1, 2 * block + r]
                    assert got == pytest.approx(float(expected.abs().sum()), rel=1e-3)
            expected = hidden[5 * picture + s] - hidden[5 * picture + s - k]
            assert found[picture, s, k - 1, 4] == pytest.approx(
                float(expected.abs().sum()), rel=1e-3
            )
    hook.remove()
    for picture in range(2):
        assert not np.triu(found[picture, :, :, 0]).any()  # before step 0


def test_memory_bounds_the_lags(module, monkeypatch):
    model = own(module, tiny.EPSILON)
    # 5 features of 16 tokens, width 16, 4 bytes are 5,120 bytes a step.
    monkeypatch.setattr(measured, "MEMORY_MIB", 11_000 / 2**20)
    found = measured.distances(model, **RUN)
    assert found.shape == (2, 5, 2, 5)
    monkeypatch.undo()
    with torch.no_grad():
        assert np.allclose(found, measured.distances(model, **RUN)[:, :, :2], rtol=1e-5)


def test_a_calibration_tells_and_can_be_stopped(module):
    model, told = own(module, tiny.EPSILON), []
    measured.distances(model, **RUN, tell=lambda *said: told.append(said))
    assert told == [("full runs", 1, 2), ("full runs", 2, 2)]
    with pytest.raises(Stopped):
        measured.distances(model, **RUN, stopped=lambda: True)
