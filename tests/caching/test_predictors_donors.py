"""Scored and Donor: what they learn from full runs, and what stands in."""

import numpy as np
import pytest
import torch

from caching import Schedule, load_model, sample
from caching.engine.fits import Fits, calibrate, calibration_noise
from caching.errors import ScheduleError
from caching.predictors import donor as donor_module
from caching.predictors.base import Cell, Entry, Fitter
from caching.predictors.donor import Donor, fingerprint, nearest
from caching.predictors.scored import Scored
from tests.caching import tiny
from tests.caching.calibration import STEPS, Recorder, asked, close, every, fitted
from tests.caching.spy import own, relative, spied


@pytest.fixture(scope="module")
def small():
    return own(tiny.dit(blocks=3), tiny.V)


# -- Scored --------------------------------------------------------------------------------


class Reading(Recorder):
    """Keeps what each branch reads besides."""

    def __init__(self, family):
        super().__init__(family)
        self.read = {}

    def see(self, s, block, r, x, out, given):
        super().see(s, block, r, x, out, given)
        self._add(self.read, (s, block, r), self.family.modulated(x, given, s, block, r))


def test_the_score_is_ridge_regression_on_the_log_of_the_change(small):
    recorded = Reading(small.family)
    calibrate(small, asked(small, Schedule.full(STEPS, 3)), [recorded], pictures=2)
    found = fitted(small, every(3, Scored(0.3)))
    assert set(found) == {(block, r) for block in range(3) for r in range(2)}
    for (block, r), w in found.items():
        z, y = [], []
        for s in range(1, STEPS):
            change = recorded.out[s, block, r] - recorded.out[s - 1, block, r]
            for tokens, norms in zip(
                recorded.read[s, block, r], np.linalg.norm(change, axis=-1), strict=True
            ):
                z.append(tokens - tokens.mean(0))
                y.append(np.log(norms) - np.log(norms).mean())
        z, y = np.concatenate(z), np.concatenate(y)
        # The penalty, 0.01 times the mean variance for each sample, as rows that aim at zero.
        root = np.sqrt(0.01 * (z**2).sum(0).mean())
        rows = np.concatenate([z, root * np.eye(16)])
        expected = np.linalg.lstsq(rows, np.concatenate([y, np.zeros(16)]), rcond=None)[0]
        close(w[0], expected, 1e-4)
        # It says something about the tokens it was fitted on.
        assert np.corrcoef(z @ expected, y)[0, 1] > 0.2


class Flat:
    """Four tokens of width 2; a branch reads twice its input and gives 100 more than that."""

    branches, tokens, width, dtype = ("attn", "mlp"), 4, 2, torch.float32

    def modulated(self, x, given, s, block, r):
        return 2 * x

    def branch_rows(self, x, given, s, block, r, rows):
        return 2 * x.gather(1, rows[..., None].expand(-1, -1, 2)) + 100


def test_scored_tokens_by_hand():
    x = torch.tensor([[[1.0, 0], [2, 0], [3, 9], [4, 1]], [[0, 0], [5, 5], [-9, 0], [0, 0]]])
    stored = torch.arange(16.0).reshape(2, 4, 2)
    cell = Cell(
        Flat(),
        None,
        x,
        s=3,
        block=1,
        r=0,
        past=(Entry(2, stored, True),),
        fitted={(1, 0): torch.tensor([[1.0, -1.0]])},
    )
    before = stored.clone()
    out = Scored(0.5).stand_in(cell)
    # Scores are 2 (1, 2, -6, 3) and 2 (0, 0, -9, 0): of equal ones the first are taken.
    expected = stored.clone()
    expected[0, 3], expected[0, 1] = 2 * x[0, 3] + 100, 2 * x[0, 1] + 100
    expected[1, 0], expected[1, 1] = 2 * x[1, 0] + 100, 2 * x[1, 1] + 100
    assert torch.equal(out, expected) and torch.equal(stored, before)
    assert Scored(0.74).count(4) == 2 and Scored(0.001).count(4) == 1


def test_all_tokens_are_the_branch(small):
    full = sample(small, label=1, steps=STEPS)
    run = sample(small, every(3, Scored(1.0)), label=1, fits=Fits(pictures=1))
    assert run.executed.any()
    assert relative(run.latents, full.latents) < 1e-4


def test_the_mixed_output_takes_the_place_of_the_stored_one(small):
    """Of 16 tokens 2 are computed at each of two steps: 12 or more are still those of step 0."""
    model, spy = spied(small)
    schedule = Schedule.from_rows(["CLLCCC"] * 6, legend=(Scored(0.13),))
    sample(model, schedule, label=1, fits=Fits(pictures=1))
    for block in range(3):
        first, second, third = (spy.cells[s, block, 1] for s in (0, 1, 2))
        anew = (second != first).any(-1)
        assert (anew.sum(1) == 2).all()
        later = (third != second).any(-1)
        assert (later.sum(1) <= 2).all()
        assert ((third != first).any(-1) | ~(anew & ~later)).all()


def test_a_run_of_one_step_has_no_changes(small):
    seen = Scored().fitter(small.family, [(0, 0)])
    calibrate(small, asked(small, Schedule.full(1, 3)), [seen], pictures=1)
    assert seen.solve((0, 0)).tolist() == [[0.0] * 16]


def test_products_of_scored_cells_by_hand(small):
    # 16 tokens of width 16, a quarter of them computed; one number of each for the score.
    scored = Scored(0.25)
    assert scored.macs(small.family, 0, 1) == 4 * 8 * 16 * 16 + 16 * 16
    assert scored.macs(small.family, 0, 0) == 2 * 4 * 16**2 + 2 * 16**3 + 2 * 4 * 16**2 + 16 * 16


def test_on_the_shipped_model_it_finds_tokens_that_change_most_on_unseen_seeds():
    model, steps = load_model(), 5
    schedule = every(2, Scored(0.3), blocks=12, steps=steps)
    found = Fits(pictures=2).of(model, schedule, asked(model, schedule))[Scored(0.3)]
    captured = []

    class Watching(Fitter):
        """Compares on a run that nothing was fitted on; how much 30% of the tokens hold."""

        def __init__(self):
            self.before = {}

        def see(self, s, block, r, x, out, given):
            if s:
                change = (out - self.before[block, r]).norm(dim=-1)
                score = model.family.modulated(x, given, s, block, r) @ found[block, r][0]
                rows = score.argsort(dim=1, descending=True)[:, : int(0.3 * 64)]
                captured.append(float(change.gather(1, rows).mean() / change.mean()))
            self.before[block, r] = out

        def solve(self, part):
            raise AssertionError

    full = asked(model, Schedule.full(steps, 12))
    noise = torch.randn(1, *model.family.latent_shape, generator=torch.Generator().manual_seed(99))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("caching.engine.fits.calibration_noise", lambda *_: noise)
        calibrate(model, full, [Watching()], pictures=1)
    assert len(captured) == (steps - 1) * 24
    assert np.mean(captured) > 1.15 and np.mean(np.array(captured) > 1) > 0.9


# -- Donor ---------------------------------------------------------------------------------


def test_the_nearest_by_hand():
    prints = fingerprint(torch.tensor([[[2.0, 0], [4, 0]], [[1, 0], [-1, 4]], [[-5, 0], [-5, 0]]]))
    assert prints.tolist() == [[1, 0], [0, 1], [-1, 0]]
    mine = fingerprint(torch.tensor([[[9.0, 1]], [[-0.1, 0.2]], [[-3, 1]], [[0.1, -0.09]]]))
    assert nearest(mine, prints).tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_a_donor_that_runs_again_gets_its_own_features(small, guidance):
    """From the donors' noise and labels every cell gives what the full run gave there."""
    pictures = 3
    noise = calibration_noise(small, pictures)
    labels = [0, 3, 6]
    model, spy = spied(small)
    sample(model, latents=noise, label=labels, steps=STEPS, cfg_scale=guidance)
    full = dict(spy.cells)
    schedule = every(6, Donor())
    fits = Fits(pictures=pictures)
    found = fits.of(small, schedule, asked(small, schedule, cfg_scale=guidance))[Donor()]
    assert set(found) == {(s, b, r) for s in range(1, 6) for b in range(3) for r in range(2)}
    sample(model, schedule, latents=noise, label=labels, cfg_scale=guidance, fits=fits)
    for at, (prints, outputs) in found.items():
        got = spy.cells[at]
        # Runs go by one picture at a time, both passes of it; here by passes.
        passes = len(got) // pictures
        rows = [p * passes + q for q in range(passes) for p in range(pictures)]
        assert torch.equal(got, outputs[rows].float())
        torch.testing.assert_close(got, full[at], rtol=1e-3, atol=1e-4)
        assert prints.shape == (len(got), 16) and outputs.dtype == torch.float16


def test_another_picture_gets_a_donors_features_to_the_last_bit(small):
    schedule, fits = every(2, Donor()), Fits(pictures=2)
    found = fits.of(small, schedule, asked(small, schedule))[Donor()]
    model, spy = spied(small)
    run = sample(model, schedule, label=5, seed=8, cfg_scale=3.0, fits=fits)
    assert np.array_equal(run.executed, schedule.actions) and run.cost.cache_mib == 0
    for at, (_, outputs) in found.items():
        for row in spy.cells[at]:
            assert any(torch.equal(row, donor.float()) for donor in outputs)


def test_too_many_cells_are_refused(small, monkeypatch):
    schedule = every(2, Donor())
    monkeypatch.setattr(donor_module, "LIMIT_MIB", 0.01)
    with pytest.raises(ScheduleError, match=r"donor: outputs of 18 cells take more than 0\.01 MiB"):
        Fits(pictures=1).of(small, schedule, asked(small, schedule))


def test_numbers_too_large_for_half_precision_stay_finite():
    fitter = Donor().fitter(Flat(), [(0, 0, 0)])
    fitter.see(0, 0, 0, torch.ones(1, 1, 2), torch.tensor([[[1e6, -1e6]]]), None)
    assert fitter.solve((0, 0, 0))[1].tolist() == [[[65504.0, -65504.0]]]
