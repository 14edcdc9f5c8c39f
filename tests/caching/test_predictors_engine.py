"""Runs under history- and token-based predictors: against a plain reference, and invariants."""

import dataclasses
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from caching import Schedule, iter_sample, sample
from caching.engine.executor import Executor
from caching.marks import LOWERED
from caching.predictors.clusters import Clusters
from caching.predictors.extrapolate import Extrapolate
from caching.predictors.foca import FoCa
from caching.predictors.hermite import Hermite
from caching.predictors.reuse import Reuse
from caching.predictors.skip import Skip
from caching.predictors.taylor import Taylor
from caching.predictors.tokens import SCORES, Tokens
from caching.predictors.trend import Trend
from tests.caching import plain_predictors as plain
from tests.caching.predictor_cases import BLOCKS, EVERY, STEPS, double_pair, gap, painted
from tests.caching.spy import finished, relative, spied


@pytest.fixture(scope="module")
def pair():
    return double_pair()


# -- against the plain reference, cell for cell ----------------------------------------------


@pytest.mark.parametrize("predictor", EVERY, ids=lambda p: p.title)
@pytest.mark.parametrize("seed", [1, 2])
def test_one_predictor_is_the_plain_reference(pair, predictor, seed):
    assert gap(pair, painted(seed, (predictor,))) < 1e-9


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), halves=st.sampled_from([0.0, 0.3]))
def test_any_mixture_is_the_plain_reference(pair, seed, halves):
    assert gap(pair, painted(seed, EVERY, steps=10, halves=halves)) < 1e-9


def test_without_guidance_and_in_a_batch_of_one(pair):
    for seed in range(3):
        assert gap(pair, painted(seed, EVERY), labels=(3,), guidance=1.0) < 1e-9


def test_the_reference_notices(pair):
    """Each predictor taken for another one is found out."""
    for predictor, other in zip(EVERY, (*EVERY[1:], EVERY[0]), strict=True):
        model, module = pair
        schedule = painted(3, (predictor,), steps=9)
        watched, spy = spied(model)
        run = finished(iter_sample(watched, schedule, label=1, seed=5, cfg_scale=3.0))
        wrong = [(other.name, asdict(other))]
        reference = plain.Plain(module, schedule.actions, wrong, seeds=(5, 5))
        reference.run(spy.inputs, run.timesteps, torch.tensor([1, 10]))
        worst = max(relative(spy.cells[at], o) for at, o in reference.seen.items() if o.any())
        assert worst > 1e-3


# -- invariants ----------------------------------------------------------------------------


def test_all_cells_computed_is_the_full_run_whatever_the_legend_offers(pair):
    model, _ = pair
    full = sample(model, label=1, steps=STEPS)
    schedule = Schedule(np.zeros((STEPS, BLOCKS, 2), np.uint8), EVERY)
    run = sample(model, schedule, label=1)
    assert torch.equal(run.latents, full.latents)
    assert not run.executed.any()
    assert run.cost == full.cost


@pytest.mark.parametrize(
    "predictor", [Taylor(0), Hermite(0), Trend(0.0), Extrapolate(0.0)], ids=lambda p: p.title
)
def test_order_zero_is_reuse_to_the_last_bit(pair, predictor):
    model, _ = pair
    for seed in range(4):
        schedule = painted(seed, (Reuse(),))
        one = sample(model, schedule, label=1)
        other = sample(model, dataclasses.replace(schedule, legend=(predictor,)), label=1)
        assert torch.equal(one.latents, other.latents)
        assert np.array_equal(one.executed, other.executed)
        assert one.cost == other.cost


@pytest.mark.parametrize("score", SCORES)
def test_all_tokens_are_the_branch(pair, score):
    model, _ = pair
    full = sample(model, label=1, steps=STEPS)
    for seed in range(3):
        run = sample(model, painted(seed, (Tokens(1.0, score),)), label=1)
        assert run.executed.any()
        assert relative(run.latents, full.latents) < 1e-5


@pytest.mark.parametrize(("gamma", "order"), [(0.005, 4), (0.0, 1), (0.7, 0)])
@pytest.mark.parametrize("k", [16, 99])
def test_as_many_clusters_as_tokens_are_the_branch(pair, gamma, order, k):
    model, _ = pair
    assert model.family.tokens == 16
    full = sample(model, label=1, steps=STEPS)
    for seed in range(3):
        schedule = painted(seed, (Clusters(k, gamma, order),))
        cells = schedule.actions.copy()
        cells[:, :, 0] = 0  # an attention cell is a forecast
        run = sample(model, dataclasses.replace(schedule, actions=cells), label=1)
        assert run.executed.any()
        assert relative(run.latents, full.latents) < 1e-5


@pytest.mark.parametrize("predictor", [*EVERY, None], ids=lambda p: p.title if p else "mixed")
def test_two_pictures_are_two_single_runs(pair, predictor):
    model, _ = pair
    legend = EVERY if predictor is None else (predictor,)
    for seed in range(2):
        schedule = painted(seed, legend, halves=0.2)
        both = sample(model, schedule, label=[2, 5], seed=[40, 7], cfg_scale=3.0)
        for i, (label, start) in enumerate([(2, 40), (5, 7)]):
            one = sample(model, schedule, label=label, seed=start, cfg_scale=3.0)
            assert relative(both.latents[i], one.latents[0]) < 1e-5


@pytest.mark.parametrize("predictor", [*EVERY, None], ids=lambda p: p.title if p else "mixed")
def test_the_two_passes_of_guidance_do_not_mix(pair, predictor):
    """On the same latents a doubled batch gives what each pass gives alone, in either order."""
    model, _ = pair
    family = model.family
    schedule = painted(8, EVERY if predictor is None else (predictor,))
    x = torch.randn(STEPS, 2, *family.latent_shape, dtype=torch.float64)
    times = torch.linspace(999, 0, STEPS)

    def outputs(rows):
        labels = torch.tensor([[1, family.classes][r] for r in rows])
        with torch.no_grad():
            given = family.condition(times, labels)
            executor = Executor(family, schedule, given, passes=1, seeds=(3,) * len(rows))
            return [executor.step(x[s, rows], s).output for s in range(STEPS)]

    both, turned, one, other = (outputs(rows) for rows in ([0, 1], [1, 0], [0], [1]))
    for s in range(STEPS):
        assert relative(both[s], turned[s].flip(0)) < 1e-9
        assert relative(both[s], torch.cat([one[s], other[s]])) < 1e-9


def test_a_run_never_depends_on_what_ran_before(pair):
    model, _ = pair
    schedules = [painted(seed, EVERY) for seed in range(3)]
    first = [sample(model, s, label=1, seed=3).latents for s in schedules]
    abandoned = iter_sample(model, schedules[1], label=4, seed=9)
    for _ in range(4):
        next(abandoned)
    abandoned.close()
    again = [sample(model, s, label=1, seed=3).latents for s in reversed(schedules)]
    for one, other in zip(first, reversed(again), strict=True):
        assert torch.equal(one, other)


def test_branches_in_another_order_are_other_cells(pair):
    """What one branch notes is not found by the other, nor by another block."""
    model, _ = pair
    for predictor in EVERY:
        outcomes = []
        for block, r in ((0, 0), (0, 1), (1, 0), (1, 1)):
            cells = np.zeros((STEPS, BLOCKS, 2), np.uint8)
            cells[2:4, block, r] = 1
            watched, spy = spied(model)
            run = sample(watched, Schedule(cells, (predictor,)), label=1)
            full, seen = spied(model)
            sample(full, label=1, steps=STEPS)
            # Everything before the first such cell is as in a full run.
            for at, out in seen.cells.items():
                if at < (2, block, r):
                    assert torch.equal(spy.cells[at], out)
            outcomes.append(run.latents)
        assert all(relative(outcomes[0], o) > 1e-6 for o in outcomes[1:])


# -- history that is short -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("predictor", "row", "expected"),
    [
        (Reuse(), "CXXCX", "CxxCx"),
        (Taylor(0), "CXXCX", "CxxCx"),
        (Taylor(1), "CXXCX", "CLLCx"),
        (Taylor(2), "CXCXCXX", "CLCLCxx"),
        (Hermite(2, 0.5), "CCXCXX", "CCLCxx"),
        (Trend(1.2), "CXXCX", "CLxCx"),  # an estimate is history too
        (Trend(0.0), "CXX", "Cxx"),
        (Extrapolate(0.5), "CXXCX", "CLLCx"),
        (FoCa(), "CXXCX", "CLLCx"),
        (Skip(), "CXXCX", "CxxCx"),
        (Tokens(0.5, "age"), "CXXCX", "CxxCx"),
        (Clusters(4, 0.1, 2), "CXCXCX", "CLCLCx"),
        (Clusters(4, 0.1, 0), "CXX", "Cxx"),
    ],
    ids=lambda v: v if isinstance(v, str) else v.title,
)
def test_cells_without_history_run_at_the_order_they_can(pair, predictor, row, expected):
    model, _ = pair
    schedule = Schedule.from_rows([row.replace("X", predictor.letter)] * 4, legend=(predictor,))
    run = sample(model, schedule, label=1)
    marks = {"C": 0, "x": 1, "L": 1 | LOWERED}
    for block in range(BLOCKS):
        for r in (0, 1):
            assert run.executed[:, block, r].tolist() == [marks[c] for c in expected]


def test_a_lower_order_is_the_lower_order(pair):
    model, _ = pair
    # At step 1 reuse, at step 3 order 1: all that there is history for.
    schedule = Schedule.from_rows(["CTCT"] * 4, legend=(Taylor(5),))
    lowered = sample(model, schedule, label=1)
    cells = schedule.actions.copy()
    cells[3] = 2
    asked = Schedule(cells, (Reuse(), Taylor(1)))
    assert torch.equal(lowered.latents, sample(model, asked, label=1).latents)


class Keeps(Reuse):
    """Reuse that notes what the computed branch was given, and a copy of it."""

    name, letter, label, computes = "keeps", "k", "Keeps", True

    def compute(self, cell):
        out = cell.family.branch(cell.x, cell.given, cell.s, cell.block, cell.r)
        return out, (cell.x, cell.x.clone())

    def stand_in(self, cell):
        noted, copied = cell.memo
        assert torch.equal(noted, copied)
        return cell.past[0].output


def test_what_a_memo_keeps_of_its_input_stays_as_it_was(pair):
    model, _ = pair
    asked = {"label": 1, "seed": 5, "cfg_scale": 3.0}
    kept = sample(model, painted(4, (Keeps(),)), **asked)
    assert torch.equal(kept.latents, sample(model, painted(4, (Reuse(),)), **asked).latents)
