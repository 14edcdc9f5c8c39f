"""Fits in use: stopped, short of memory, over odd schedules, half batches, dtypes and policies."""

import dataclasses

import numpy as np
import pytest
import torch

from caching import Schedule, sample
from caching.actions.base import StepAction
from caching.actions.corrected import Corrected
from caching.actions.residual import Residual
from caching.dynamic.base import Choice, Decider, Policy
from caching.engine import fits as fits_module
from caching.engine.executor import Stopped
from caching.engine.fits import Fits, calibrate
from caching.engine.run import iter_sample
from caching.errors import RequestError, ScheduleError
from caching.fitting import sources
from caching.predictors.affine import Affine
from caching.predictors.base import Predictor
from caching.predictors.linear import Linear
from caching.predictors.lowrank import LowRank
from tests.caching import tiny
from tests.caching.calibration import FITTED, STEPS, Half, asked, painted, same, tensors
from tests.caching.spy import own, spied


@pytest.fixture
def small():
    return own(tiny.dit(blocks=3), tiny.V)


@pytest.fixture
def calibrations(monkeypatch):
    """A list that grows by the number of fitters whenever full runs are made for them."""
    made = []

    def noted(model, request, fitters, **rest):
        made.append(len(fitters))
        calibrate(model, request, fitters, **rest)

    monkeypatch.setattr(fits_module, "calibrate", noted)
    return made


# -- stopping and memory -----------------------------------------------------------------


@pytest.mark.parametrize("polls", [0, 1, 17, 40, 71, 72, 74])
def test_stopping_leaves_nothing_half_fitted(small, polls):
    fits, count = Fits(pictures=2), [0]

    def stopped():
        count[0] += 1
        return count[0] > polls

    schedule = painted(Affine(), LowRank(3))
    request = asked(small, schedule)
    # 2 pictures x 6 steps x 6 branches are polled once each, and then every fit.
    assert len(Affine().parts(np.where(schedule.actions > 1, 9, schedule.actions), 1)) > 2
    with pytest.raises(Stopped):
        fits.of(small, schedule, request, stopped=stopped)
    assert count[0] == polls + 1
    assert fits.held_mib == 0
    left = fits.of(small, schedule, request)
    fresh = Fits(pictures=2).of(small, schedule, request)
    assert all(same(left[p], fresh[p]) for p in schedule.legend)


def test_a_run_stopped_while_it_is_fitted_ends_without_a_word(small):
    polls = iter([False] * 30 + [True] * 9)
    events = iter_sample(
        small, painted(Affine()), label=1, fits=Fits(), stopped=lambda: next(polls)
    )
    assert list(events) == []


def test_what_is_kept_stays_within_the_budget(small, calibrations):
    one = painted(Linear())
    request = asked(small, one)
    needed = Fits(pictures=1)
    needed.of(small, one, request)
    assert needed.held_mib == pytest.approx(6 * (16 * 16 + 16) * 4 / 2**20)
    fits = Fits(pictures=1, budget_mib=needed.held_mib * 1.5)
    for ridge in (0.1, 0.2, 0.3, 0.3):
        schedule = painted(Linear(ridge))
        found = fits.of(small, schedule, request)[Linear(ridge)]
        assert len(found) == 6
        assert 0 < fits.held_mib <= needed.held_mib * 1.5
    assert len(calibrations) == 1 + 3
    # The longest unused are gone, and are found again as they were.
    again = fits.of(small, one, request)[Linear()]
    assert len(calibrations) == 1 + 4
    assert same(again, needed.of(small, one, request)[Linear()])
    nothing = Fits(pictures=1, budget_mib=0)
    assert same(nothing.of(small, one, request)[Linear()], again)
    assert nothing.held_mib == 0


def test_the_longest_unused_parts_go_first(small, calibrations):
    ridges = [painted(Linear(ridge)) for ridge in (0.1, 0.2, 0.3)]
    request, size = asked(small, ridges[0]), 6 * (16 * 16 + 16) * 4 / 2**20
    fits = Fits(pictures=1, budget_mib=2.5 * size)
    # The first is used again before the third comes, so that the second has to go.
    for i, runs in ((0, 1), (1, 2), (0, 2), (2, 3), (0, 3), (1, 4)):
        fits.of(small, ridges[i], request)
        assert len(calibrations) == runs


def test_fitting_keeps_one_output_of_a_cell_at_most(small, monkeypatch):
    held, made = [], []
    schedule = painted(Affine(), steps=9)
    real = Affine.fitter

    def fitter(self, family, parts):
        made.append(real(self, family, parts))
        see = made[-1].see

        def noted(*args):
            see(*args)
            held.append(set(made[-1].reference))

        made[-1].see = noted
        return made[-1]

    monkeypatch.setattr(Affine, "fitter", fitter)
    Fits(pictures=2).of(small, schedule, asked(small, schedule))
    assert len(held) == 2 * 9 * 6 and max(map(len, held)) > 1
    for references in held:
        cells = [(block, r) for _, block, r in references]
        assert len(cells) == len(set(cells))
    assert not made[0].reference


# -- which steps feed which --------------------------------------------------------------


def test_sources_are_the_last_computed_steps():
    table = np.array([[0, 0], [1, 7], [2, 1], [0, 1], [1, 0], [1, 1]])
    expected = [[-1, -1], [0, -1], [-1, 0], [-1, 0], [3, -1], [3, 4]]
    assert sources(Affine(), table, 1).tolist() == expected
    assert sources(Affine(), table[:, 0], 2).tolist() == [-1, -1, 0, -1, -1, -1]


def test_covered_cells_and_half_steps_are_no_sources(small):
    p = Affine()
    rows = {f"block {b} {r}": "CCACACA" for b in range(3) for r in ("attn", "mlp")}
    rows["block 0 attn"] = "CCACCCA"
    schedule = Schedule.from_rows(
        rows, legend=(p,), step_row="CCCSChC", step_legend=(Residual(1, 0), Half())
    )
    fits = Fits(pictures=1)
    parts = set(fits.of(small, schedule, asked(small, schedule))[p])
    # Step 3 leaves out blocks 1 and 2; step 5 computes for half of the batch, which nobody stores.
    assert {part for part in parts if part[2:] == (0, 0)} == {(2, 1, 0, 0), (6, 4, 0, 0)}
    for cell in [(0, 1)]:
        assert {q for q in parts if q[2:] == cell} == {(2, 1, *cell), (4, 3, *cell), (6, 3, *cell)}
    for cell in [(1, 0), (1, 1), (2, 0), (2, 1)]:
        assert {q for q in parts if q[2:] == cell} == {(2, 1, *cell), (4, 1, *cell), (6, 1, *cell)}
    sample(small, schedule, label=1, cfg_scale=3.0, fits=fits)


def test_an_action_stands_on_steps_that_ran_its_range(small):
    action, rows = Corrected(1, 0), ["CRCCCCC"] * 6
    schedule = Schedule.from_rows(
        rows, step_row="CCASAhA", step_legend=(action, Residual(), Half())
    )
    fits = Fits(pictures=1)
    # Step 1 reuses its cells, but it runs; step 5 runs half of the batch.
    assert set(fits.of(small, schedule, asked(small, schedule))[action]) == {(2, 1), (4, 1), (6, 1)}
    run = sample(small, schedule, label=1, cfg_scale=3.0, fits=fits)
    assert run.executed_actions.tolist() == [0, 0, 1, 2, 1, 3, 1]


# -- half the batch, other numbers -------------------------------------------------------


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("labels", [[1], [1, 2]], ids=str)
def test_a_half_step_is_the_conditional_half_of_a_whole_one(name, labels, small):
    actions = np.zeros((4, 3, 2), np.uint8)
    actions[2:] = 1
    fits, outputs = Fits(pictures=1), []
    for row in ("CCCC", "CChC"):
        steps = np.array(["Ch".index(c) for c in row], np.uint8)
        schedule = Schedule(actions, (FITTED[name],), step_actions=steps, step_legend=(Half(),))
        model, spy = spied(small)
        fits.of(model, schedule, asked(model, schedule))
        spy.outputs.clear()
        sample(model, schedule, label=labels, seed=2, cfg_scale=3.0, fits=fits)
        assert len(spy.outputs) == 4
        outputs.append(spy.outputs)
    whole, half = outputs
    n = len(labels)
    assert [len(o) for o in half] == [2 * n, 2 * n, n, 2 * n]
    torch.testing.assert_close(half[2], whole[2][:n], rtol=1e-5, atol=1e-6)
    assert half[3].isfinite().all()


@pytest.mark.parametrize("name", FITTED)
def test_fits_have_the_dtype_of_the_model(name, small):
    p, schedule = FITTED[name], painted(FITTED[name])
    wide = Fits(pictures=2).of(small, schedule, asked(small, schedule))[p]
    model = own(tiny.dit(blocks=3).to(dtype=torch.bfloat16), tiny.V)
    fits = Fits(pictures=2)
    narrow = fits.of(model, schedule, asked(model, schedule))[p]
    # Packed weights are integers with scales, and fingerprints are compared in float32.
    finer = {"quantised": {torch.int8, torch.float32}, "donor": {torch.bfloat16, torch.float32}}
    assert {t.dtype for t in tensors(narrow)} == finer.get(name, {torch.bfloat16})
    run = sample(model, schedule, label=1, cfg_scale=3.0, fits=fits)
    assert run.latents.isfinite().all()
    if name in ("affine", "affine per cell"):
        for part, line in wide.items():
            torch.testing.assert_close(narrow[part].float(), line, rtol=0.1, atol=0.2)


def test_one_store_serves_two_dtypes_of_a_model(small):
    fits, schedule = Fits(pictures=1), painted(LowRank(2))
    request = asked(small, schedule)
    first = fits.of(small, schedule, request)[LowRank(2)]
    assert {t.dtype for t in tensors(first)} == {torch.float32}

    small.family.parts = own(tiny.dit(blocks=3).to(dtype=torch.bfloat16), tiny.V).family.parts
    second = fits.of(small, schedule, request)[LowRank(2)]
    assert {t.dtype for t in tensors(second)} == {torch.bfloat16}


# -- under a policy ----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Alternating(Policy):
    """Every second step stands in."""

    name = "alternating"
    label = "alternating"
    cells: Predictor = FITTED["linear"]
    action: StepAction | None = None

    @property
    def legend(self):
        return (self.cells,)

    @property
    def step_legend(self):
        return () if self.action is None else (self.action,)

    def begin(self, facts):
        class Turns(Decider):
            def decide(_, view):
                if view.s % 2 == 0:
                    return Choice()
                return Choice(cells=self.cells) if self.action is None else Choice(self.action)

        return Turns()


@pytest.mark.parametrize(
    "policy", [Alternating(Affine()), Alternating(LowRank(2)), Alternating(action=Corrected())]
)
def test_a_policy_cannot_have_what_must_know_the_steps(policy, small, calibrations):
    with pytest.raises(ScheduleError, match=r"(affine|lowrank|corrected): it has to know"):
        sample(small, label=1, steps=STEPS, policy=policy)
    assert not calibrations


def test_a_policy_may_have_what_fits_anywhere(small, calibrations):
    run = sample(small, label=1, steps=STEPS, policy=Alternating(), fits=Fits(pictures=1))
    assert calibrations == [1]
    assert run.executed[:, 0, 0].tolist() == [0, 1, 0, 1, 0, 1]
    again = sample(small, run.baked, label=1, fits=Fits(pictures=1))
    assert torch.equal(run.latents, again.latents)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"pictures": 0}, "pictures 0 was given, expected a whole number from 1 to 1000"),
        ({"pictures": 1.5}, "pictures 1.5 was given"),
        ({"budget_mib": -1}, "budget_mib -1 was given, expected a number from 0"),
        ({"budget_mib": float("nan")}, "budget_mib nan was given"),
    ],
    ids=str,
)
def test_fits_out_of_range_are_refused(given, said):
    with pytest.raises(RequestError, match=said):
        Fits(**given)
