"""Sampled and Quantised: products by hand, unbiased, within bounds; what counts as computed."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from caching import Schedule, sample
from caching.engine.fits import Fits
from caching.errors import ScheduleError
from caching.measure.result import tables_of
from caching.measure.timing import BranchTimes
from caching.predict.features import stands_in
from caching.predict.proxy import predict
from caching.predict.shares import with_shares
from caching.predictors import Reuse
from caching.predictors import quantised as quantised_module
from caching.predictors.affine import Affine
from caching.predictors.base import Cell
from caching.predictors.clusters import Clusters
from caching.predictors.draws import uniform
from caching.predictors.quantised import Quantised, applied, in_integers, pack, rounded
from caching.predictors.sampled import Sampled, chosen, probabilities, product
from caching.predictors.taylor import Taylor
from caching.predictors.tokens import Tokens
from tests.caching import tiny
from tests.caching.calibration import asked
from tests.caching.predictor_cases import EVERY, STEPS, Half, double_pair, gap, painted
from tests.caching.spy import own, relative, spied
from tests.caching.test_cost import held_bytes


@pytest.fixture(scope="module")
def pair():
    return double_pair()


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# -- Sampled: which pairs ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "draws", "pairs", "counts"),
    [
        # One sure pair leaves 0.4 to one draw, none leaves 1 to two of them: 0.4 < 0.5.
        ([0.3, 0.1, 0.6], [0.9, 0.5], [2, 0], [1, 0.4 / 0.3]),  # 0.6 + 0.2 is in 0.6 … 0.9
        ([0.3, 0.1, 0.6], [0.9, 0.8], [2, 1], [1, 4]),  # 0.6 + 0.32 is above 0.9
        # Two sure ones leave 0.2 to one draw, one leaves 0.5 / 2, none 1 / 3.
        ([0.05, 0.5, 0.3, 0.15], [0.0, 0.0, 0.7], [1, 2, 3], [1, 1, 0.2 / 0.15]),
        ([0.05, 0.5, 0.3, 0.15], [0.0, 0.0, 0.8], [1, 2, 0], [1, 1, 4]),
        # None sure: 1 / 2 < 0.6 / 1. Both may be one pair.
        ([0.3, 0.4, 0.3], [0.1, 0.5], [1, 0], [1.25, 1 / 0.6]),
        ([0.3, 0.4, 0.3], [0.1, 0.2], [1, 1], [1.25, 1.25]),
        ([0.2, 0.8], [0.7], [1], [1.25]),
    ],
)
def test_pairs_worked_out_by_hand(p, draws, pairs, counts):
    found, often = chosen(torch.tensor([p]).double(), torch.tensor([draws]).double())
    assert found.tolist() == [pairs]
    assert often[0].tolist() == pytest.approx(counts)


def test_probabilities_by_hand():
    # Columns of norm 5 and 1 meet inputs of weight norm 2 and 10.
    x = torch.tensor([[[3.0, 0.0], [4.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    weight = torch.tensor([[0.0, 6.0], [2.0, 8.0]])
    assert probabilities(x, weight).tolist() == [[0.5, 0.5], [0.0, 0.0]]


@pytest.mark.parametrize("k", [1, 2, 5, 7])
@pytest.mark.parametrize("spread", [0.1, 2.0])
def test_the_mean_over_all_draws_is_the_product(k, spread):
    """Draws go through 0..1 evenly, all of them alike, which is enough for a mean."""
    x, weight = numbers(1, 3, 8) * torch.exp(spread * numbers(8, seed=1)), numbers(4, 8, seed=2)
    even = (torch.arange(1500).double() + 0.5) / 1500
    total = sum(product(x, weight, u.expand(1, k)) for u in even)
    assert relative(total / len(even), x @ weight.T) < 5e-3


def test_the_mean_over_seeds_is_the_product():
    x, weight = numbers(1, 3, 12), numbers(4, 12, seed=2)
    outs = torch.stack(
        [product(x, weight, uniform((seed,), (4, 1, 0, 0, 0), 8, x))[0] for seed in range(1500)]
    )
    error = outs.mean(0) - (x @ weight.T)[0]
    assert (error.abs() < 5 * outs.std(0) / 1500**0.5 + 1e-12).all()
    assert outs.std(0).mean() > 0.1


def test_columns_of_zeros_are_no_division_by_zero():
    x = numbers(2, 3, 6)
    x[:, :, 2:] = 0
    x[1] = 0
    for k in (1, 3, 5):
        for u in (0.0, 0.5, 0.999999):
            out = product(x, numbers(4, 6), torch.full((2, k), u))
            assert out.isfinite().all() and not out[1].any()
    # Where more are taken than there are columns other than zero, nothing is left to chance.
    assert relative(out[0], x[0] @ numbers(4, 6).T) < 1e-12


# -- Sampled: in a branch ------------------------------------------------------------------


def test_all_pairs_are_the_branch(pair):
    model, _ = pair
    full = sample(model, label=1, steps=STEPS)
    for seed in range(2):
        run = sample(model, painted(seed, (Sampled(1.0),)), label=1)
        assert run.executed.any()
        assert relative(run.latents, full.latents) < 1e-9


def test_draws_are_of_the_picture_the_place_and_the_linear_alone():
    model = own(tiny.dit(), tiny.V)
    family, seen = model.family, {}
    given = family.condition(torch.tensor([999.0, 500.0]), torch.tensor([1, 1, 1]))
    x = numbers(1, 16, 16).float().expand(3, -1, -1)

    class Watching:
        def __getattr__(self, name):
            return getattr(family, name)

        def branch_with(self, x, given, s, block, r, linear):
            def noted(name, x, weight, bias):
                # The same numbers go in everywhere, so that only draws can tell outputs apart.
                seen[s, block, r, name] = linear(name, x[:, :, :16] * 0 + 1, weights[0], None)
                return linear(name, x, weight, bias)

            return family.branch_with(x, given, s, block, r, noted)

    weights = family.linears(0, 0)["q"]
    for s in (0, 1):
        for block in (0, 1):
            Sampled(0.5).stand_in(Cell(Watching(), given, x, s, block, 0, seeds=(7, 8, 7)))
    assert all(torch.equal(y[0], y[2]) and not torch.equal(y[0], y[1]) for y in seen.values())
    outs = {tuple(y[0].flatten().tolist()) for y in seen.values()}
    assert len(outs) == len(seen) == 2 * 2 * 4


def test_products_of_sampled_cells_by_hand():
    family = own(tiny.dit(), tiny.V).family
    # 16 tokens of width 16, 64 inside: a quarter of the inner dimension is 4, of 64 it is 16.
    assert Sampled(0.25).macs(family, 0, 0) == 16 * 4 * 16 * 4 + 2 * 16 * 16 * 16
    assert Sampled(0.25).macs(family, 0, 1) == 16 * (64 * 4 + 16 * 16)
    assert Sampled(0.001).macs(family, 0, 1) == 16 * (64 + 16)
    assert all(Sampled(1.0).macs(family, 0, r) == family.branch_macs(0, r) for r in (0, 1))


# -- Quantised: numbers --------------------------------------------------------------------


def test_rounding_by_hand():
    whole, scale = rounded(torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0]]), 8)
    assert whole.tolist() == [[64, -127, 32], [0, 0, 0]]  # 63.5 goes to the even one
    assert scale[0].item() == pytest.approx(2 / 127)
    whole, scale = rounded(torch.tensor([[1.0, -2.0, 0.6]]), 3)
    assert whole.tolist() == [[2, -3, 1]] and scale.item() == pytest.approx(2 / 3)  # 1.5, 0.9


def test_a_product_by_hand():
    # In three bits: x is 2/3 (2, -3, 1), the weights are 1 (3, 1, -2) and 2 (1, 3, 0).
    packed = pack(torch.tensor([[3.0, 1.0, -2.0], [2.0, 6.0, 0.0]]), 3)
    y = applied(torch.tensor([[[1.0, -2.0, 0.6]]]), packed, torch.tensor([10.0, 20.0]), 3)
    assert y.flatten().tolist() == pytest.approx([10 + 2 / 3 * (6 - 3 - 2), 20 + 4 / 3 * (2 - 9)])


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([2, 3, 4, 8]), st.sampled_from([1, 5, 17]))
def test_the_error_is_within_what_rounding_allows(seed, bits, rows):
    """Of the float product: half a level of each number, times the other side's sum."""
    x, weight = numbers(2, rows, 24, seed=seed), numbers(9, 24, seed=seed + 1)
    bias = numbers(9, seed=seed + 2)
    got = applied(x, pack(weight, bits), bias, bits)
    most = 2 ** (bits - 1) - 1
    half_x = x.abs().amax(-1, keepdim=True) / most / 2  # (2, rows, 1)
    half_w = weight.abs().amax(-1) / most / 2  # (9,)
    bound = half_x * weight.abs().sum(-1) + x.abs().sum(-1, keepdim=True) * half_w
    error = (got - (x @ weight.T + bias)).abs()
    assert (error <= bound + 24 * half_x * half_w + 1e-12).all()
    assert error.max() > bound.max() / 1e4


def test_products_run_on_integers_here_and_as_floats_elsewhere(monkeypatch):
    assert in_integers("cpu") and not in_integers("meta")
    x, weight = numbers(2, 5, 24).float(), numbers(10, 24, seed=1).float()
    packed = pack(weight, 8)
    assert packed[0].dtype == torch.int8 and packed[0].shape == (24, 10)
    real = applied(x, packed, None, 8)
    monkeypatch.setattr(quantised_module, "in_integers", lambda device: False)
    fake = pack(weight, 8)
    assert fake[0].dtype == torch.float32
    torch.testing.assert_close(applied(x, fake, None, 8), real, rtol=1e-6, atol=1e-6)


def test_a_token_of_zeros_has_no_scale():
    x = torch.zeros(1, 2, 4)
    x[0, 1] = 1
    y = applied(x, pack(numbers(3, 4).float(), 8), torch.ones(3), 8)
    assert y[0, 0].tolist() == [1, 1, 1] and y.isfinite().all()


def test_eight_bits_are_nearer_than_four():
    model = own(tiny.dit(blocks=3), tiny.V)
    full = sample(model, label=1, steps=STEPS)
    cells = np.ones((STEPS, 3, 2), np.uint8)
    cells[0] = 0
    eight, four = (
        relative(sample(model, Schedule(cells, (Quantised(b),)), label=1).latents, full.latents)
        for b in (8, 4)
    )
    assert 0 < 4 * eight < four < 0.5


# -- Quantised: counts as computed -----------------------------------------------------------


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), halves=st.sampled_from([0.0, 0.3]))
def test_any_mixture_with_it_is_the_plain_reference(pair, seed, halves):
    schedule = painted(seed, (*EVERY, Quantised(), Quantised(4)), steps=10, halves=halves)
    assert gap(pair, schedule) < 1e-8


@pytest.mark.parametrize("seed", range(12))
def test_memory_of_any_mixture_with_it_is_what_is_held(seed, monkeypatch):
    model = own(tiny.dit(blocks=2), tiny.V)
    some = (Tokens(0.3, "norm", 2), Clusters(4, 0.1, 2), Taylor(2), Reuse())
    schedule = painted(seed, (*(some[:2] if seed % 2 else some), Quantised()), steps=10)
    peak, run = held_bytes(model, schedule, monkeypatch, cfg_scale=2.0)
    assert run.cost.cache_mib == peak / 2**20 > 0


def test_clusters_note_what_they_made_of_it(monkeypatch):
    """At step 3 there are two outputs to forecast from, that of step 2 and what was left of 0."""
    model = own(tiny.dit(blocks=1), tiny.V)
    legend = (Clusters(4, 0.1, 1), Quantised())
    schedule = Schedule.from_rows(["CCCCCC", "CKQKKC"], legend=legend)
    peak, run = held_bytes(model, schedule, monkeypatch, cfg_scale=1.0)
    assert run.cost.cache_mib == peak / 2**20
    # Two outputs, their two D_0, a label for each token and the centroids.
    assert peak == 16 * 16 * 4 * 4 + 16 * 2 + 4 * 16 * 4


def test_later_steps_look_at_it():
    model, spy = spied(own(tiny.dit(), tiny.V))
    schedule = Schedule.from_rows(["CQRQTC"] * 4, legend=(Quantised(), Reuse(), Taylor(1)))
    run = sample(model, schedule, label=1)
    assert np.array_equal(run.executed, schedule.actions)  # and none at a lower order
    cells = spy.cells
    for at in ((0, 0), (0, 1), (1, 0), (1, 1)):
        assert torch.equal(cells[(2, *at)], cells[(1, *at)])
        line = 1.5 * cells[(3, *at)] - 0.5 * cells[(1, *at)]  # from steps 3 and 1
        torch.testing.assert_close(cells[(4, *at)], line, rtol=1e-4, atol=1e-5)


def test_of_half_a_batch_nothing_is_kept():
    model, spy = spied(own(tiny.dit(), tiny.V))
    steps = np.array([0, 1, 0], np.uint8)
    cells = np.stack([np.full((2, 2), n, np.uint8) for n in (0, 1, 2)])
    legend = (Quantised(), Reuse())
    schedule = Schedule(cells, legend, step_actions=steps, step_legend=(Half(),))
    sample(model, schedule, label=1)
    assert all(torch.equal(spy.cells[2, b, r], spy.cells[0, b, r]) for b in (0, 1) for r in (0, 1))


def test_a_fit_takes_its_step_for_a_computed_one():
    model = own(tiny.dit(blocks=1), tiny.V)
    schedule = Schedule.from_rows(["CQAAQ", "CAQCA"], legend=(Quantised(), Affine()))
    found = Fits(pictures=1).of(model, schedule, asked(model, schedule))
    expected = {(2, 1, 0, 0), (3, 1, 0, 0), (1, 0, 0, 1), (4, 3, 0, 1)}
    assert set(found[Affine()]) == expected
    assert set(found[Quantised()]) == {(0, 0), (0, 1)}


def test_a_prediction_takes_it_for_computed():
    """Of the drift; its products are counted all the same."""
    model = own(tiny.dit(blocks=1), tiny.V)
    shape = (6, 1, 2, 3)
    times = BranchTimes(1.0, np.ones(shape[1:3]), np.full(shape[1:3], 0.1), "invented")
    tables = tables_of(model, times, np.random.default_rng(0).random(shape))
    legend = (Quantised(), Reuse())
    mixed = Schedule.from_rows(["CQRRQC", "CRQRRR"], legend=legend)
    assert mixed.age()[:, 0].T.tolist() == [[0, 0, 1, 2, 0, 0], [0, 1, 0, 1, 2, 3]]
    computed = Schedule.from_rows(["CCRRCC", "CRCRRR"])
    found, expected = (predict(s, with_shares(tables, s.legend)) for s in (mixed, computed))
    assert found.drift == expected.drift > 0 and found.work == expected.work
    for one, other in zip(
        *(dataclasses.astuple(stands_in(s)) for s in (mixed, computed)), strict=True
    ):
        assert np.array_equal(one, other)
    forecast = Schedule.from_rows(["CQTRQC", "CRQTRR"], legend=(*legend, Taylor(1)))
    stand = stands_in(forecast)
    first = stand.row == 0
    # Step 2 on steps 1 and 0, one step apart; step 3 reuses step 1.
    assert stand.step[first].tolist() == [2, 2, 3] and stand.age[first].tolist() == [1, 2, 2]
    assert stand.weight[first].tolist() == [2, -1, 1]


@pytest.mark.parametrize("bits", [1, 9, 8.0, True])
def test_what_it_refuses(bits):
    with pytest.raises(ScheduleError, match=r"quantised: bits is .*expected a whole number"):
        Quantised(bits)
