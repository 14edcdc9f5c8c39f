"""Runs under history- and token-based predictors: against a plain reference, and invariants."""

import dataclasses
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from caching import Schedule, iter_sample, sample
from caching.actions.base import Kind, StepAction
from caching.dynamic.base import Choice, Decider, Policy
from caching.engine.executor import COVERED, LOWERED, Executor
from caching.engine.states import States
from caching.predictors.base import Predictor
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
from tests.caching import tiny
from tests.caching.spy import finished, own, relative, spied

BLOCKS, STEPS = 2, 7

# All at once, in one legend; several of a kind, because notes belong to the predictor.
EVERY = (
    Reuse(),
    Taylor(2),
    Hermite(2, 0.5),
    Trend(1.2),
    Extrapolate(0.5),
    FoCa(),
    Skip(),
    Tokens(0.3, "attention", 3),
    Tokens(0.3, "norm", 2),
    Tokens(0.5, "random", 3),
    Tokens(0.4, "age", 3),
    Clusters(4, 0.1, 2),
    Clusters(3, 0.0, 0),
)


@dataclass(frozen=True)
class Half(StepAction):
    """A step of the test: the conditional half alone, its output for both."""

    name: ClassVar[str] = "half"
    letter: ClassVar[str] = "H"
    label: ClassVar[str] = "half"
    kind: ClassVar[Kind] = "guidance"
    half: ClassVar[bool] = True

    def run(self, step):
        part = step.halved()
        out = part.head(part.through(part.embed(), 0, part.blocks))
        return torch.cat([out, out])


@pytest.fixture(scope="module")
def pair():
    """A model in float64, so that a tie between scores is a tie in both, and diffusers' own."""
    module = tiny.dit(blocks=BLOCKS).double()
    return own(module, tiny.V), module


def painted(seed, legend, *, steps=STEPS, halves=0.0, share=0.4):
    """A random schedule in which some whole steps are computed."""
    rng = np.random.default_rng(seed)
    shape = (steps, BLOCKS, 2)
    cells = np.where(rng.random(shape) < share, 0, rng.integers(1, len(legend) + 1, shape))
    cells[rng.random(steps) < 0.25] = 0
    cells[0] = 0
    own_steps = (rng.random(steps) < halves).astype(np.uint8)
    own_steps[0] = 0
    return Schedule(cells.astype(np.uint8), legend, step_actions=own_steps, step_legend=(Half(),))


def gap(pair, schedule, *, labels=(1, 4), seed=5, guidance=3.0):
    """The worst relative error of any cell, and the executed grid as the reference expects it."""
    model, module = pair
    watched, spy = spied(model)
    run = finished(
        iter_sample(watched, schedule, label=list(labels), seed=seed, cfg_scale=guidance)
    )
    seeds = tuple(seed + i for i in range(len(labels)))
    rows, null = torch.tensor(labels), torch.full((len(labels),), model.family.classes)
    other = plain.Plain(
        module,
        schedule.actions,
        [(p.name, asdict(p)) for p in schedule.legend],
        seeds=seeds * run.request.passes,
        half=np.flatnonzero(schedule.step_actions).tolist(),
    )
    rows = torch.cat([rows, null]) if run.request.passes == 2 else rows
    other.run(spy.inputs, run.timesteps, rows)
    assert set(other.seen) == set(spy.cells)
    expected = schedule.actions.copy()
    for at in other.lowered:
        expected[at] |= LOWERED
    assert np.array_equal(run.executed, expected)
    return max(
        float((spy.cells[at] - out).abs().max() / out.abs().max().clamp(min=1))
        for at, out in other.seen.items()
    )


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


# -- going on from snapshots, and policies -----------------------------------------------------


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), edits=st.integers(1, 3), halves=st.sampled_from([0.0, 0.2]))
def test_an_edited_run_that_goes_on_is_the_run_from_the_start(pair, seed, edits, halves):
    model, _ = pair
    rng = np.random.default_rng(seed)
    states = States(budget_mib=64)
    schedule = painted(seed, EVERY, halves=halves)
    sample(model, schedule, label=1, states=states)
    for _ in range(edits):
        cells = schedule.actions.copy()
        start = int(rng.integers(1, STEPS))
        where = rng.random(cells.shape) < 0.3
        where[:start] = False
        cells[where] = rng.integers(0, len(EVERY) + 1, int(where.sum()))
        schedule = dataclasses.replace(schedule, actions=cells).compact()
        schedule = dataclasses.replace(
            schedule, legend=(*schedule.legend, *(p for p in EVERY if p not in schedule.legend))
        )
        run = sample(model, schedule, label=1, states=states)
        fresh = sample(model, schedule, label=1)
        assert torch.equal(run.latents, fresh.latents)
        assert np.array_equal(run.executed, fresh.executed)


def test_estimates_of_an_earlier_run_are_not_taken_for_computed_outputs(pair):
    """A run that stored estimates is gone on from by one that would not have."""
    model, _ = pair
    states = States(budget_mib=64)
    legend = (Taylor(1), Trend())
    before = Schedule.from_rows(["CCTTTG"] * 4, legend=legend)
    after = Schedule.from_rows(["CCTTTT"] * 4, legend=legend[:1])
    sample(model, before, label=1, states=states)
    run = sample(model, after, label=1, states=states)
    assert run.resumed_from == 5
    assert torch.equal(run.latents, sample(model, after, label=1).latents)


@dataclass(frozen=True)
class Alternating(Policy):
    """A policy of the test: every other step is what it was given."""

    cells: Predictor = EVERY[0]

    name: ClassVar[str] = "alternating"
    label: ClassVar[str] = "alternating"

    @property
    def legend(self):
        return (self.cells,)

    def begin(self, facts):
        chosen = self.cells

        class Every2nd(Decider):
            def decide(self, view):
                return Choice(cells=chosen) if view.s in (2, 3, 5, 6) else Choice()

        return Every2nd()


@pytest.mark.parametrize("predictor", EVERY, ids=lambda p: p.title)
def test_a_policy_may_choose_any_and_the_baked_run_is_the_same(pair, predictor):
    model, _ = pair
    run = sample(model, label=1, steps=STEPS, policy=Alternating(predictor))
    assert (run.executed[[2, 3, 5, 6]] & ~np.uint8(LOWERED) == 1).all()
    assert not run.executed[[0, 1, 4]].any()
    baked = sample(model, run.baked, label=1)
    assert torch.equal(run.latents, baked.latents)
    assert np.array_equal(run.executed, baked.executed)
    assert not (run.executed == COVERED).any()
