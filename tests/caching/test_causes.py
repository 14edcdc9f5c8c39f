"""Causes of a region's error: they add up, agree with Shapley's values, and find the culprit."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from caching.actions.residual import Residual
from caching.engine.executor import Stopped
from caching.engine.run import sample
from caching.errors import RequestError
from caching.measure.causes import causes, measured, region_mask
from caching.measure.known import Known
from caching.models.model import Model
from caching.predictors import Reuse
from caching.predictors.skip import Skip
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule
from tests.caching import tiny

ASKED = {"label": 3, "seed": 7, "cfg_scale": 2.0}
MASK = np.zeros((4, 4), bool)
MASK[:2] = True


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.from_modules(tiny.dit(blocks=2, side=4))


def painted(steps: int, *cells: tuple[int, int, int], by: object = None) -> Schedule:
    chosen = np.zeros((steps, 2, 2), bool)
    for cell in cells:
        chosen[cell] = True
    return Schedule.full(steps, 2).paint(chosen, by or Reuse())


def pixels(model: Model, schedule: Schedule | None, **more: object) -> torch.Tensor:
    run = sample(model, schedule, **{**ASKED, **more})
    return (run.latents[:, :3].float() / 3 / 2 + 0.5) * 255  # as pictures without a decoder are


def mse(model: Model, schedule: Schedule, sampler: str = "ddim") -> float:
    full = pixels(model, None, steps=schedule.steps, sampler=sampler)
    gap = (pixels(model, schedule, sampler=sampler) - full)[0].double()
    return float(gap.square().mean(0).numpy()[MASK].mean())


def nudged(
    model: Model, schedule: Schedule, cell: tuple[int, int, int], part: float, sampler: str
) -> float:
    """The error of a real run that computes `part` of one cell and leaves the rest to its stand-in.

    Cells after it that reuse the same output get what it then holds.
    """
    step, block, branch = cell
    inner, held = model.family, []

    class Nudging:
        def __getattr__(self, name: str) -> object:
            return getattr(inner, name)

        def add(self, x, out, given, s, b, r, *, own=False):
            if (s, b, r) == cell:
                held.append(inner.branch(x, given, s, b, r) - out)
            reuses = schedule.actions[step : s + 1, block, branch].all() if s >= step else False
            if (b, r) == (block, branch) and reuses:
                out = out + part * held[-1]
            return inner.add(x, out, given, s, b, r, own=own)

    nudging = dataclasses.replace(model, family=Nudging())
    full = pixels(model, None, steps=schedule.steps, sampler=sampler)
    gap = (pixels(nudging, schedule, sampler=sampler) - full)[0].double()
    return float(gap.square().mean(0).numpy()[MASK].mean())


def slope(
    model: Model,
    schedule: Schedule,
    cell: tuple[int, int, int],
    sampler: str = "ddim",
    *,
    part: float = 0.02,
) -> float:
    """By how much the error falls per part, by two real runs."""
    less, more = (nudged(model, schedule, cell, by, sampler) for by in (-part, part))
    return (less - more) / (2 * part)


@pytest.mark.parametrize("sampler", ["ddim", "dpmsolver++", "euler"])
def test_a_part_is_the_slope_of_the_error(model: Model, sampler: str) -> None:
    # Three cells in a row reuse one output, others stand between them and the picture.
    schedule = painted(6, (1, 0, 1), (2, 0, 1), (3, 0, 1), (2, 1, 0), (4, 1, 1))
    found = causes(model, schedule, MASK, **{**ASKED, "sampler": sampler})
    assert found.error == pytest.approx(mse(model, schedule, sampler), rel=1e-3)
    for cell in ((1, 0, 1), (2, 0, 1), (3, 0, 1), (2, 1, 0)):
        expected = slope(model, schedule, cell, sampler)
        assert found.cells[cell] == pytest.approx(expected, rel=0.03, abs=2e-3 * found.error)
    assert np.isnan(found.cells).sum() == found.cells.size - 5


def test_forecasts_hand_their_slope_on_to_what_they_are_made_from(model: Model) -> None:
    # Both branches of block 1 are forecast from their outputs of steps 3 and 2, and those of step 3
    # are made from a cell that reuses: without this way it would be 1 % off.
    later = [(s, 1, r) for s in range(4, 11) for r in (0, 1)]
    schedule = painted(12, *later, by=Taylor(1)).paint([(3, 0, 0)], Reuse())
    found = causes(model, schedule, MASK, **ASKED)
    # A large part, because float32 leaves 1 % of noise on what a small one changes.
    expected = slope(model, schedule, (3, 0, 0), part=0.1)
    assert found.cells[3, 0, 0] == pytest.approx(expected, rel=4e-3)
    # What is left out differs by all of itself.
    schedule = painted(5, (2, 1, 0), by=Skip())
    found = causes(model, schedule, MASK, **ASKED)
    assert found.cells[2, 1, 0] == pytest.approx(slope(model, schedule, (2, 1, 0)), rel=0.03)


def test_a_cell_alone_wins_twice_the_error_by_its_slope(model: Model) -> None:
    # E is quadratic in what a small error adds, E'(1) = 2 E(1); `together` knows.
    found = causes(model, painted(6, (2, 1, 1)), MASK, **ASKED)
    assert found.shares[2, 1, 1] == pytest.approx(2, rel=0.05)
    assert found.together(~np.isnan(found.cells)) == pytest.approx(0, abs=0.01)
    assert found.together(np.isnan(found.cells)) == 1
    gap = pixels(model, painted(6, (2, 1, 1))) - pixels(model, None, steps=6)
    squares = gap[0].square().mean(0).numpy()
    assert found.rest == pytest.approx(squares[~MASK].sum() / squares.sum(), rel=1e-2)


def test_whole_steps_have_their_part(model: Model) -> None:
    schedule = Schedule.full(6, 2).paint_steps([4], Residual())
    found = causes(model, schedule, MASK, **ASKED)
    assert found.steps[4] / found.error == pytest.approx(2, rel=0.1)
    assert found.steps[:4].sum() == 0 and np.isnan(found.cells[4]).all()


def test_a_known_full_run_is_not_run_again(model: Model) -> None:
    schedule, known, told = painted(4, (1, 0, 1)), Known(), []
    known.keep(sample(model, None, steps=4, **ASKED))
    asked = {"tell": lambda *item: told.append(item), **ASKED}
    again = causes(model, schedule, MASK, known=known, **asked)
    assert [done for _, done, _ in told] == list(range(1, 9)) and told[0][2] == 8
    fresh = causes(model, schedule, MASK, **ASKED)
    assert again.cells[1, 0, 1] == pytest.approx(fresh.cells[1, 0, 1], rel=1e-4)


def test_measured_is_of_two_real_runs(model: Model) -> None:
    schedule = painted(4, (1, 0, 0), (2, 1, 0))
    worst = np.zeros((4, 2, 2), bool)
    worst[2, 1, 0] = True
    before, after = measured(model, schedule, MASK, worst, **ASKED)
    full = pixels(model, None, steps=4)
    for error, one in ((before, schedule), (after, painted(4, (1, 0, 0)))):
        gap = (pixels(model, one) - full)[0].square().mean(0).numpy()
        assert error == pytest.approx(gap[MASK].mean(), rel=1e-5)


def test_a_region_is_checked_and_a_search_can_be_stopped(model: Model) -> None:
    assert region_mask(model, (0, 0, 1, 0.5)).sum() == 8
    assert region_mask(model, (0.99, 0.99, 1, 1)).sum() == 1
    for box in ((0.5, 0, 0.5, 1), (0, 0, 2, 1), (-0.1, 0, 1, 1), (0, math.nan, 1, 1)):
        with pytest.raises(RequestError, match="region"):
            region_mask(model, box)
    for mask in (np.zeros((4, 4), bool), np.ones((3, 4), bool), np.ones((4, 4))):
        with pytest.raises(RequestError, match="region"):
            causes(model, painted(4, (3, 1, 0)), mask, **ASKED)
    with pytest.raises(Stopped):
        causes(model, painted(4, (3, 1, 0)), MASK, stopped=lambda: True, **ASKED)


def test_pictures_of_a_decoder_have_its_size() -> None:
    model = Model.from_modules(tiny.dit(blocks=1, side=4, channels=4), vae=tiny.autoencoder())
    run = sample(model, None, steps=2, **ASKED)
    assert region_mask(model, (0, 0, 1, 1)).shape == run.image.shape[:2]
    schedule = Schedule.full(3, 1).paint([(1, 0, 0), (1, 0, 1)], Reuse())
    mask = region_mask(model, (0.5, 0.5, 1, 1))
    # Both cells of a block, nothing else: the slopes of a quadratic error add up to twice of it.
    found = causes(model, schedule, mask, **ASKED)
    assert np.nansum(found.shares) == pytest.approx(2, rel=0.1)
