"""Whole-step actions: numbers worked out by hand, and the plain loop on diffusers' own blocks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from caching import Schedule, load_model, sample
from caching.actions import ACTIONS, from_json, to_json
from caching.actions.base import Hidden, Pair, Probed, Timeline
from caching.actions.cond_only import CondOnly, low_frequencies, weight
from caching.actions.hidden import FinalHidden
from caching.actions.output import OutputReuse
from caching.actions.probe import ProbeResidual
from caching.actions.residual import Residual
from caching.actions.scale import ScaleEps, divided
from caching.engine.states import States
from caching.errors import RequestError, ScheduleError
from caching.models.loading import SHIPPED_FOLDER
from caching.predictors.reuse import Reuse
from tests.caching import plain, tiny
from tests.caching.spy import own, relative, spied

BAR = 1e-4
ROW = "CXXCXXXC"  # one residual known, then two, then old ones

# Action, the same thing in the plain loop, and the fewest blocks it needs.
CASES = {
    "stack residual": (Residual(), plain.residual(0, 0), 1),
    "first block live": (Residual(1), plain.residual(1, 0), 2),
    "both ends live": (Residual(1, 1), plain.residual(1, 1), 3),
    "probe": (ProbeResidual(), plain.probe(1), 2),
    "longer probe": (ProbeResidual(2), plain.probe(2), 3),
    "final hidden": (FinalHidden(), plain.hidden, 1),
    "output": (OutputReuse(), plain.output, 1),
    "conditional half": (CondOnly(), plain.cond_only(1.1, 1.1), 1),
    "unequal bands": (CondOnly(0.7, 1.6), plain.cond_only(0.7, 1.6), 1),
    "scaled eps": (ScaleEps(), plain.scaled(0.965), 1),
}
FITTING = [(case, shape) for case in CASES for shape in tiny.SHAPES
           if tiny.SHAPES[shape]["blocks"] >= CASES[case][2]]  # fmt: skip


def painted(action, blocks, row=ROW):
    """`row` has X where the action is, and a letter of the grid elsewhere."""
    actions = np.zeros((len(row), blocks, 2), np.uint8)
    actions[[c == "R" for c in row]] = 1
    return Schedule(actions).paint_steps([s for s, c in enumerate(row) if c == "X"], action)


def noise_of(model, labels, seed=5):
    shape = model.family.latent_shape
    draws = [torch.Generator().manual_seed(seed + i) for i in range(len(labels))]
    return torch.stack([torch.randn(shape, generator=g) for g in draws])


def gap(model, module, schedule, plan, *, labels=(1,), guidance=3.0):
    """Largest relative difference of any step's output, and of the latents, to the plain loop."""
    run = sample(model, schedule, label=list(labels), seed=5, cfg_scale=guidance)
    kind = model.noise["prediction_type"]
    null = model.family.classes
    expected = plain.loop(
        module, plan, noise_of(model, labels), labels, guidance=guidance, null=null, kind=kind
    )
    return run, relative(run.latents, expected.latents)


def outputs_of(model, schedule, **asked):
    """Outputs of the transformer at every step, as the sampler got them."""
    from caching.engine.executor import Executor

    seen, finish = [], Executor.finish

    def looking(self, run, number):
        result = finish(self, run, number)
        seen.append(result.output)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Executor, "finish", looking)
        run = sample(model, schedule, **asked)
    return seen, run


@pytest.mark.parametrize(("case", "shape"), FITTING)
def test_every_action_is_the_plain_loop_at_every_step(case, shape):
    action, step, _ = CASES[case]
    module = tiny.dit(**tiny.SHAPES[shape])
    model = own(module, tiny.V if "learned" not in shape else tiny.EPSILON)
    outputs, run = outputs_of(model, painted(action, model.blocks), label=[1, 4], seed=5)
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
    assert len(errors) == len(ROW) and max(errors) < BAR
    assert relative(run.latents, expected.latents) < BAR
    assert [bool(n & 127) for n in run.executed_actions] == [c == "X" for c in ROW]


@pytest.mark.parametrize(
    "case", ["stack residual", "probe", "final hidden", "output", "scaled eps"]
)
def test_without_guidance_too(case):
    action, step, _ = CASES[case]
    module = tiny.dit(blocks=3)
    plan = [plain.compute if c == "C" else step for c in ROW]
    model = own(module, tiny.EPSILON)
    _, error = gap(model, module, painted(action, 3), plan, labels=(1, 2), guidance=1.0)
    assert error < BAR


@pytest.mark.parametrize("case", ["both ends live", "probe", "output", "conditional half"])
def test_the_shipped_model_too(case):
    from diffusers import DiTTransformer2DModel

    module = DiTTransformer2DModel.from_pretrained(
        SHIPPED_FOLDER / "transformer", torch_dtype=torch.float32, local_files_only=True
    ).eval()
    action, step, _ = CASES[case]
    plan = [plain.compute if c == "C" else step for c in ROW]
    model = load_model()
    run, error = gap(model, module, painted(action, model.blocks), plan)
    assert error < BAR
    assert torch.equal(
        sample(model, run.baked, label=1, seed=5, cfg_scale=3.0).latents, run.latents
    )


def test_actions_side_by_side_keep_what_each_needs():
    # Hidden state and output are remembered at once, under keys that must not be taken for equal.
    assert len({Hidden(), Pair(), Probed(1), Probed(2)}) == 4
    module, order = tiny.dit(blocks=3, learned_sigma=True, channels=4), "CHCOHRDDSC"
    model = own(module, tiny.EPSILON)
    parts = {
        "H": (FinalHidden(), plain.hidden),
        "O": (OutputReuse(), plain.output),
        "D": (ProbeResidual(), plain.probe(1)),
        "S": (Residual(1, 1), plain.residual(1, 1)),
    }
    schedule = Schedule.full(len(order), 3)
    for s, letter in enumerate(order):
        if letter in parts:
            schedule = schedule.paint_steps([s], parts[letter][0])
    plan = [parts[c][1] if c in parts else plain.compute for c in order]
    assert gap(model, module, schedule, plan)[1] < BAR


def test_a_reused_step_leaves_what_an_action_needs():
    # A step whose cells are all reused has run its blocks: it is what the next action goes on from.
    module = tiny.dit(blocks=2)
    model = own(module, tiny.EPSILON)
    seen, _ = outputs_of(model, painted(OutputReuse(), 2, "CRXC"), label=1, cfg_scale=1.0)
    _, spy = spied(model)
    again, run = outputs_of(model, painted(OutputReuse(), 2, "CXXC"), label=1, cfg_scale=1.0)
    assert torch.equal(seen[0], again[0])
    assert not torch.allclose(seen[2], again[2])
    assert run.executed_actions.tolist() == [0, 1, 1, 0] and not spy.calls


# -- by hand -------------------------------------------------------------------------------


class Scripted:
    """A step of two blocks, the first of which adds `adds`; the head returns the hidden state."""

    s, blocks, passes, fitted = 3, 2, 1, None

    def __init__(self, x, *, adds=0.0, past=(), timeline=None):
        self.latents, self.adds, self.past, self.timeline = x, adds, past, timeline
        self.low = False

    def embed(self):
        return self.latents

    def through(self, x, start, stop):
        return x + self.adds if start == 0 and stop else x

    def head(self, x):
        return x

    def recall(self, key):
        return self.past

    def lowered(self):
        self.low = True


def test_only_the_nearer_of_many_remembered_values_is_read():
    x = torch.full((1, 1, 1, 1), 5.0)
    past = [(2, (x - 3, torch.full((1, 1, 1, 1), 7.0))), (0, (x, x * 100))]
    assert OutputReuse().run(Scripted(x, past=past)).item() == 5 + (7 - 2)


def test_variance_channels_are_used_as_they_were():
    x = torch.full((1, 1, 1, 1), 5.0)
    before = torch.tensor([7.0, 0.25]).view(1, 2, 1, 1)
    got = OutputReuse().run(Scripted(x, past=[(0, (x - 3, before))]))
    assert got.flatten().tolist() == [10.0, 0.25]


@pytest.mark.parametrize(
    ("adds", "expected"),
    [
        (1.25, 1 + 10 + 1.25 * 10),  # gamma = |1.25 - 0| / |1 - 0|
        (-1.25, 1 + 10 + 1.25 * 10),
        (9.0, 1 + 10 + 1.5 * 10),  # clipped from above
        (0.5, 1 + 20),  # and from below, which is the last residual
    ],
)
def test_the_probe_says_how_far_to_go(adds, expected):
    past = [(2, (torch.ones(1), torch.tensor([20.0]))), (1, (torch.zeros(1), torch.tensor([10.0])))]
    step = Scripted(torch.ones(1), adds=adds, past=past)
    assert ProbeResidual().run(step).item() == pytest.approx(expected)
    assert not step.low


def test_one_residual_is_added_as_it_is_and_equal_probes_give_a_number():
    one = [(2, (torch.ones(1), torch.tensor([20.0])))]
    step = Scripted(torch.ones(1), adds=5.0, past=one)
    assert ProbeResidual().run(step).item() == 21 and step.low
    same = [*one, (1, (torch.ones(1), torch.tensor([10.0])))]
    assert ProbeResidual().run(Scripted(torch.ones(1), adds=1.0, past=same)).item() == 21


@pytest.mark.parametrize(
    ("predicts", "output", "expected"),
    [
        ("epsilon", 3.0, 6.0),
        # eps = 0.6 * 1 + 0.8 * 2 = 2.2 -> 4.4; clean = (1 - 0.6 * 4.4) / 0.8 = -2.05;
        # v = a eps - b clean
        ("v_prediction", 2.0, 0.8 * 4.4 + 0.6 * 2.05),
        # eps = (1 - 0.8 * 2) / 0.6 = -1 -> -2; clean = (1 + 0.6 * 2) / 0.8
        ("sample", 2.0, 2.75),
    ],
)
def test_eps_is_divided_whatever_the_model_predicts(predicts, output, expected):
    x = torch.ones(1)
    assert divided(predicts, x * output, x, 0.64, 0.5).item() == pytest.approx(expected)
    line = Timeline((9.0,) * 4, (0.0, 0.0, 0.0, 0.64), predicts)
    step = Scripted(torch.ones(1, 1, 1, 1), adds=output - 1, timeline=line)
    assert ScaleEps(0.5).run(step).item() == pytest.approx(expected)


def test_frequencies_are_split_at_a_fifth_of_the_shorter_side():
    n = torch.arange(10) * 2 * torch.pi / 10
    waves = {
        "constant": (torch.ones(10, 10), True),
        "1 along": (torch.cos(n).expand(10, 10), True),
        "2 along": (torch.cos(2 * n).expand(10, 10), True),  # 10 // 5
        "3 along": (torch.cos(3 * n).expand(10, 10), False),
        "1 and 1": (torch.cos(n[:, None] + n), True),
        "2 and 1": (torch.cos(2 * n[:, None] + n), False),  # outside the circle, not a square
    }
    for name, (wave, low) in waves.items():
        got = low_frequencies(wave[None, None])[0, 0]
        assert torch.allclose(got, wave if low else torch.zeros(10, 10), atol=1e-6), name


def test_weights_grow_with_every_step_inside_their_range():
    times = (950.0, 901.0, 900.0, 500.0, 300.0, 100.0, 99.0, 0.0)
    assert weight(1.1, (99.0, 901.0), times) == pytest.approx(1.1**4)
    assert weight(1.1, (-1.0, 301.0), times) == pytest.approx(1.1**4)
    assert weight(1.1, (-1.0, 301.0), ()) == 1


# -- legends, refusals ---------------------------------------------------------------------


def test_every_action_is_registered_has_a_letter_of_its_own_and_survives_json():
    mine = {a.name: a for a, _, _ in CASES.values()}
    assert set(mine) <= set(ACTIONS)
    assert len({kind.letter for kind in ACTIONS.values()}) == len(ACTIONS)
    for action in mine.values():
        assert from_json(to_json(action)) == action


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (Residual(2, 1), "the first 2 and last 1 blocks are computed, and the model has 3"),
        (ProbeResidual(3), "the first 3 blocks are the probe, and the model has 3"),
    ],
)
def test_a_model_too_short_is_refused(action, message):
    with pytest.raises(ScheduleError, match=message):
        Schedule.full(4, 3).paint_steps([2], action)


@pytest.mark.parametrize(
    "make",
    [lambda: ProbeResidual(0), lambda: CondOnly(-1), lambda: ScaleEps(0), lambda: ScaleEps("1")],
)
def test_parameters_out_of_range_are_refused(make):
    with pytest.raises(ScheduleError, match="expected"):
        make()


@pytest.mark.parametrize("guidance", [0.0, 1.0])
def test_one_half_of_guidance_needs_guidance(guidance):
    watched, spy = spied(own(tiny.dit(), tiny.V))
    schedule = painted(CondOnly(), 2)
    with pytest.raises(RequestError, match=r"conditional half .* expected guidance above 1"):
        sample(watched, schedule, label=1, cfg_scale=guidance)
    assert not spy.calls
    # A legend entry that no step uses asks for nothing.
    unused = schedule.paint_steps(np.ones(len(ROW), bool), 0)
    assert unused.step_legend
    sample(watched, unused, label=1, cfg_scale=guidance)


def test_only_what_stores_nothing_may_stand_at_the_first_step():
    with pytest.raises(ScheduleError, match="nothing is stored before step 0"):
        Schedule.full(4, 2).paint_steps([0], OutputReuse())
    module = tiny.dit()
    model = own(module, tiny.EPSILON)
    schedule = Schedule.full(4, 2).paint_steps([0, 2], ScaleEps(0.9))
    scaled = plain.scaled(0.9)
    plan = [scaled, plain.compute, scaled, plain.compute]
    assert gap(model, module, schedule, plan)[1] < BAR


# -- bake, resume --------------------------------------------------------------------------


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("case", CASES)
def test_what_ran_run_again_is_the_same(case, guidance):
    action, _, _ = CASES[case]
    if action.half and guidance == 1:
        return
    model = own(tiny.dit(blocks=3), tiny.V)
    run = sample(model, painted(action, 3), label=[1, 2], cfg_scale=guidance)
    again = sample(model, run.baked, label=[1, 2], cfg_scale=guidance)
    assert torch.equal(run.latents, again.latents)
    assert np.array_equal(run.executed, again.executed)
    assert np.array_equal(run.executed_actions, again.executed_actions)


ALL = tuple(dict.fromkeys(action for action, _, _ in CASES.values()))


@settings(max_examples=12)
@given(
    st.lists(st.lists(st.integers(0, len(ALL) + 1), min_size=6, max_size=6), min_size=2, max_size=3)
)
def test_edits_of_steps_resumed_equal_a_full_rerun(made):
    model, states = own(tiny.dit(blocks=3), tiny.V), States(budget_mib=100)
    for numbers in made:
        steps = np.array([0, *(min(n, len(ALL)) for n in numbers)], np.uint8)
        # The number behind the last action is a step of reused cells.
        cells = np.zeros((7, 3, 2), np.uint8)
        cells[1:][np.array(numbers) > len(ALL)] = 1
        steps[1:][np.array(numbers) > len(ALL)] = 0
        schedule = Schedule(cells, (Reuse(),), step_actions=steps, step_legend=ALL)
        resumed = sample(model, schedule, label=1, states=states)
        fresh = sample(model, schedule, label=1)
        assert torch.equal(resumed.latents, fresh.latents)
        assert np.array_equal(resumed.executed_actions, fresh.executed_actions)


def test_a_batch_equals_single_runs_where_no_mean_is_taken():
    model = own(tiny.dit(blocks=3), tiny.V)
    for name, (action, _, _) in CASES.items():
        if "probe" in name:
            continue
        many = sample(model, painted(action, 3), label=[2, 5], seed=40)
        for i, label in enumerate([2, 5]):
            one = sample(model, painted(action, 3), label=label, seed=40 + i)
            assert relative(many.latents[i], one.latents[0]) < BAR, name
