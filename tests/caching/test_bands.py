"""Two bands: numbers by hand, numpy's own spectra and fits, and the plain loop on diffusers'."""

import numpy as np
import pytest
import torch

from caching import Schedule, cost_of, sample
from caching.actions.bands import Bands, forecast_weights, low_band
from caching.errors import ScheduleError
from caching.marks import LOWERED
from tests.caching import plain, tiny
from tests.caching.spy import own, relative
from tests.caching.test_action_cost import counted_less
from tests.caching.test_actions import noise_of, outputs_of, painted

ROW = "CXCXCXXCXCX"  # one residual known, then two, then three, unevenly spaced


def low(x, share):
    """The low band of square grids (N, T, D) from the whole complex spectrum, in float64."""
    n, t, d = x.shape
    side = round(t**0.5)
    grid = x.double().numpy().reshape(n, side, side, d)
    near = np.abs(np.fft.fftfreq(side) * side) <= share * (side // 2)
    spectrum = np.fft.fft2(grid, axes=(1, 2)) * (near[:, None] & near)[..., None]
    return torch.from_numpy(np.fft.ifft2(spectrum, axes=(1, 2)).real.reshape(n, t, d))


def two_bands(share, order):
    """The same action in the plain loop: a polynomial fit of the kept residuals."""

    def run(step):
        kept = step.kept[::-1][: order + 1]
        deltas = [k.hidden[-1] - k.hidden[0] for k in kept]
        at = np.array([k.s for k in kept], float)
        values = torch.stack(deltas).double().numpy().reshape(len(kept), -1)
        fit = np.polyfit(at, values, len(kept) - 1)
        read = sum(c * step.s**p for c, p in zip(fit[::-1], range(len(fit)), strict=True))
        forecast = torch.from_numpy(read).reshape(deltas[0].shape)
        mixed = low(deltas[0], share) + forecast - low(forecast, share)
        return step.head(step.embed() + mixed.float())

    return run


@pytest.mark.parametrize(
    ("steps", "step", "expected"),
    [
        ((4,), 9, (1,)),
        ((4, 2), 5, (1.5, -0.5)),
        ((2, 1, 0), 3, (3, -3, 1)),
        ((6, 3, 1), 7, (1.6, -1, 0.4)),
    ],
)
def test_a_forecast_reads_the_polynomial_through_what_is_known(steps, step, expected):
    weights = forecast_weights(steps, step)
    # Read off for 1, s and s², which such a polynomial keeps.
    for power in range(len(steps)):
        read = sum(w * s**power for w, s in zip(weights, steps, strict=True))
        assert read == pytest.approx(step**power)
    assert weights == pytest.approx(expected)


def test_bands_of_an_impulse_and_of_waves():
    x = torch.zeros(1, 16, 1)
    x[0, 5] = 16.0
    assert torch.allclose(low_band(x, 1.0, 0.0), torch.ones(1, 16, 1))  # the mean alone
    assert torch.allclose(low_band(x, 1.0, 1.0), x, atol=1e-5)  # everything
    at = torch.arange(8)
    for frequency, kept in ((1, True), (2, True), (3, False)):
        wave = torch.cos(2 * torch.pi * frequency * at / 8)
        for grid in (wave[:, None] + 0 * wave, wave + 0 * wave[:, None]):
            tokens = grid.reshape(1, 64, 1)
            expected = tokens if kept else torch.zeros_like(tokens)
            assert torch.allclose(low_band(tokens, 1.0, 0.5), expected, atol=1e-5)


@pytest.mark.parametrize("side", [3, 4, 5, 8])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_a_band_is_numpys(side, share):
    x = torch.randn(2, side * side, 3, generator=torch.Generator().manual_seed(side))
    assert torch.allclose(low_band(x, 1.0, share).double(), low(x, share), atol=1e-5)


def test_a_band_of_a_wide_grid_keeps_its_rows_and_columns():
    rows = torch.arange(2.0)[:, None].expand(2, 8)
    x = rows.reshape(1, 16, 1)  # 2 rows of 8: changes along the rows' axis only
    assert torch.allclose(low_band(x, 0.25, 0.9), torch.full((1, 16, 1), 0.5))
    assert torch.allclose(low_band(x, 0.25, 1.0), x, atol=1e-6)


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("shape", ["3 blocks, patch 2", "2 blocks, learned sigma"])
def test_it_is_the_plain_loop_at_every_step(order, shape):
    module = tiny.dit(**tiny.SHAPES[shape])
    model = own(module, tiny.V if "learned" not in shape else tiny.EPSILON)
    action = Bands(0.5, order)
    schedule = painted(action, model.blocks, ROW)
    outputs, run = outputs_of(model, schedule, label=[1, 4], seed=5)
    step = two_bands(0.5, order)
    expected = plain.loop(
        module,
        [plain.compute if c == "C" else step for c in ROW],
        noise_of(model, (1, 4)),
        (1, 4),
        guidance=4.0,
        null=model.family.classes,
        kind=model.noise["prediction_type"],
    )
    errors = [relative(a, b) for a, b in zip(outputs, expected.outputs, strict=True)]
    assert len(errors) == len(ROW) and max(errors) < 1e-4
    short = [bool(n & LOWERED) for n in run.executed_actions]
    assert short == [c == "X" and ROW[:s].count("C") <= order for s, c in enumerate(ROW)]


def test_it_costs_what_a_stack_residual_costs_and_three_of_them_in_memory():
    model = own(tiny.dit(blocks=3).double(), tiny.EPSILON)
    schedule = Schedule.full(6, 3).paint_steps([2, 3, 5], Bands())
    less, cost = counted_less(model, schedule)
    assert less == cost.macs_full - cost.macs > 0
    held = 2 * 3 * model.family.tokens * model.family.width * 8
    assert cost_of(model, schedule).cache_mib * 2**20 == held


def test_numbers_out_of_range_are_refused():
    for wrong in ({"low": -0.1}, {"low": 1.1}, {"order": 3}, {"order": 1.0}):
        with pytest.raises(ScheduleError, match="bands"):
            Bands(**wrong)


def test_half_precision_stays_half_precision():
    model = own(tiny.dit(blocks=2).to(torch.bfloat16), tiny.V)
    run = sample(model, painted(Bands(), 2, "CCXCX"), label=1, cfg_scale=3.0)
    assert torch.isfinite(run.latents).all()
