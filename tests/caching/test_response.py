"""The response against finite differences of a plain loop, and what is kept and sent of it."""

import base64
import io

import numpy as np
import pytest
import torch

from caching.engine.executor import Stopped
from caching.engine.fits import calibration_noise
from caching.engine.request import prepare
from caching.engine.samplers import SAMPLERS, make_sampler
from caching.errors import RequestError, ScheduleError
from caching.models.model import Model
from caching.predict.adjoint import _Picture, build_response, coefficients
from caching.predict.response import Response, response_of_changes, scaled
from tests.caching import tiny

STEPS = 5
GUIDANCES = {"guided": 3.0, "one pass": 1.0}


def model(**changes):
    return Model.from_modules(tiny.dit(blocks=2, **changes), scheduler=tiny.V)


@pytest.fixture(scope="module")
def given():
    return model()


@pytest.fixture(scope="module")
def built(given):
    return build_response(given, steps=STEPS, cfg_scale=3.0, pictures=2, leading=2, chance=1)


# -- the sampler as a matrix -----------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::caching.errors.StochasticSamplerWarning")
@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_every_sampler_is_affine_in_the_outputs(given, sampler):
    """Two runs of other outputs differ by the coefficients times the difference of the outputs."""
    rng = torch.Generator().manual_seed(1)
    first, second = torch.randn(2, STEPS, 1, 3, 8, 8, generator=rng)

    def read(outputs):
        solver = make_sampler(sampler, tiny.V, STEPS, device=torch.device("cpu"), seed=5)
        x, seen = torch.ones(1, 3, 8, 8), []
        for s in range(STEPS):
            seen.append(solver.model_input(x, s))
            x, _ = solver.step(outputs[s], x, s)
        return torch.stack([*seen, x])

    expected = read(first) - read(second)
    found = torch.tensordot(coefficients(given, sampler, STEPS), first - second, 1)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


# -- effects, by finite differences ----------------------------------------------------------


class Plain:
    """The denoising loop, written out, with a hand on every branch output."""

    def __init__(self, model, request, start):
        self.model, self.request, self.start = model, request, start
        family = model.family
        self.cells = [(b, r) for b in range(family.blocks) for r in range(2)]

    @torch.no_grad()
    def run(self, change=None, bend=None):
        """Final latent, branch outputs {(s, cell): tensor} and guided outputs; `change` may replace
        any of the former, `bend` of the latter."""
        family, request = self.model.family, self.request
        solver = make_sampler(
            request.sampler, self.model.noise, request.steps, device=torch.device("cpu"), seed=0
        )
        labels = torch.tensor(request.labels)
        if request.passes == 2:
            labels = torch.cat([labels, torch.full_like(labels, family.classes)])
        given = family.condition(torch.tensor(solver.timesteps), labels)
        x, outputs, guided = self.start * solver.first_scale, {}, []
        for s in range(request.steps):
            h = family.embed(torch.cat([solver.model_input(x, s)] * request.passes))
            for c, (b, r) in enumerate(self.cells):
                out = family.branch(h, given, s, b, r)
                outputs[s, c] = out if change is None else change(s, c, out)
                h = family.add(h, outputs[s, c], given, s, b, r)
            u = family.head(h, given, s)
            if request.passes == 2:
                cond, null = u.chunk(2)
                u = null + request.cfg_scale * (cond - null)
            guided.append(u if bend is None else bend(s, u))
            x, _ = solver.step(guided[s], x, s)
        return x, outputs, guided


@pytest.fixture(scope="module", params=GUIDANCES)
def swept(request, given):
    """A picture's effects along two directions of our own, and the loop to hold them against."""
    noise = calibration_noise(given, 1)
    asked, _, start = prepare(
        given, None, label=3, latents=noise, steps=STEPS, cfg_scale=GUIDANCES[request.param]
    )
    picture = _Picture(given, asked, start, 1024.0, None)
    picture.forward(STEPS - 1)
    size = picture.final.numel()
    basis = torch.randn(2, size, generator=torch.Generator().manual_seed(2)) / size**0.5
    effects = picture.backward(basis, STEPS - 1, lambda part: None)
    plain = Plain(given, asked, start)
    final, outputs, _ = plain.run()
    torch.testing.assert_close(picture.final, final, rtol=1e-4, atol=1e-5)
    return effects, plain, final, outputs, basis


def moved(swept, change=None, bend=None, size=1e-1):
    """Movement along both directions for a small share of a change."""
    _, plain, _, _, basis = swept
    ends = [
        plain.run(
            change and (lambda s, c, out, e=e: change(s, c, out, e)),
            bend and (lambda s, u, e=e: bend(s, u, e)),
        )[0]
        for e in (size, -size)
    ]
    return ((ends[0] - ends[1]).flatten() @ basis.T / (2 * size)).numpy()


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0.03, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize(("s", "cell", "age"), [(1, 0, 1), (2, 3, 2), (3, 1, 3), (4, 2, 1)])
def test_open_is_what_one_cell_does_alone(swept, s, cell, age):
    (opened, _, _), _, _, outputs, _ = swept

    def change(at, c, out, share):
        gap = outputs[s - age, cell] - outputs[s, cell]
        return out + share * gap if (at, c) == (s, cell) else out

    close(opened.reshape(2, STEPS, 4, -1)[:, s, cell, age - 1], moved(swept, change))


@pytest.mark.parametrize(("s", "cell", "age"), [(1, 0, 1), (2, 1, 2), (4, 0, 3)])
def test_held_is_what_it_does_if_its_step_does_not_answer(swept, s, cell, age):
    (opened, held, _), _, _, outputs, _ = swept

    def change(at, c, out, share):
        if at != s or c < cell:
            return out
        gap = outputs[s - age, cell] - outputs[s, cell]
        return outputs[s, c] + (share * gap if c == cell else 0)

    found = held.reshape(2, STEPS, 4, -1)[:, s, cell, age - 1]
    close(found, moved(swept, change))
    assert not np.allclose(found, opened.reshape(2, STEPS, 4, -1)[:, s, cell, age - 1], rtol=0.01)


@pytest.mark.parametrize(("i", "j"), [(0, 2), (0, 4), (1, 5), (2, 4)])
def test_a_span_is_what_its_steps_do_together(swept, i, j):
    """Steps between i and j give what step i's outputs make there; from j on all answer."""
    (_, _, spans), plain, _, outputs, _ = swept
    full = plain.run()[2]
    reused = {}
    for t in range(i + 1, j):
        run = plain.run(lambda s, c, out, t=t: outputs[i, c] if s == t else out)
        reused[t] = run[2][t]

    def bend(s, u, share):
        return full[s] + share * (reused[s] - full[s]) if i < s < j else u

    close(spans[:, i, j], moved(swept, bend=bend))


def test_the_last_latent_of_one_step_is_moved_exactly(swept):
    """The last step reused whole is not first order in anything but the sampler: it is exact."""
    (_, _, spans), plain, final, outputs, basis = swept
    last = STEPS - 1
    end, _, _ = plain.run(lambda s, c, out: outputs[last - 1, c] if s == last else out)
    expected = ((end - final).flatten() @ basis.T).numpy()
    np.testing.assert_allclose(spans[:, last - 1, STEPS], expected, rtol=1e-3, atol=1e-6)


# -- building --------------------------------------------------------------------------------


def test_what_is_built(built):
    assert built.open.shape == built.held.shape == (6, STEPS, 2, 2, STEPS - 1)
    assert built.kind == "gradients" and built.pictures == 2 and "2 pictures" in built.source
    before = np.arange(STEPS)[:, None] < np.arange(1, STEPS)
    assert not built.error[np.broadcast_to(before[:, None, None], built.error.shape)].any()
    assert (built.error[1:, :, :, 0] > 0).all() and (built.change[1:, :, :, 0] > 0).all()
    # The last step's last cell has nobody to answer it.
    np.testing.assert_allclose(built.open[:, -1, -1, -1], built.held[:, -1, -1, -1], rtol=1e-2)


def test_dropped_outputs_are_run_again(swept, given):
    """With room for two ages only, the numbers of those two are the same."""
    (opened, held, spans), plain, _, _, basis = swept
    picture = _Picture(given, plain.request, plain.start, 1024.0, None)
    picture.forward(2)
    assert sorted(picture.kept) == [3, 4]
    few = picture.backward(basis, 2, lambda part: None)
    np.testing.assert_allclose(few[0], opened[..., :2], rtol=1e-3, atol=1e-8)
    np.testing.assert_allclose(few[1], held[..., :2], rtol=1e-3, atol=1e-8)
    known = np.isfinite(few[2])
    assert not known[:, 0, 4].any() and known[:, 0, 3].all()
    np.testing.assert_allclose(few[2][known], spans[known], rtol=1e-3, atol=1e-8)


def test_little_memory_shortens_the_ages(given):
    small = build_response(given, steps=STEPS, pictures=1, leading=1, chance=0, memory_mib=0.03)
    assert small.ages == 2 and np.isnan(small.spans[0, 0, -1])


def test_weights_are_left_as_they_were(given, built):
    assert all(p.grad is None for p in given.family.module.parameters())


def test_progress_rises_to_the_end_and_a_stop_is_obeyed(given):
    told = []
    build_response(
        given,
        steps=3,
        pictures=2,
        leading=1,
        progress=lambda part, words: told.append((part, words)),
    )
    parts = [part for part, _ in told]
    assert parts == sorted(parts) and parts[-1] == pytest.approx(1)
    assert told[0][1] == "response: picture 1 of 2"
    calls = iter(range(10**9))
    for after in (0, 20, 60):
        begun = next(calls)
        with pytest.raises(Stopped):
            build_response(
                given, steps=3, stopped=lambda a=after, b=begun: next(calls) - b > a, pictures=2
            )


@pytest.mark.parametrize(
    "changes",
    [{"steps": 1}, {"pictures": 0}, {"leading": 13}, {"chance": -1}, {"labels": []}, {"ages": 0}],
)
def test_what_cannot_be_built(given, changes):
    with pytest.raises(RequestError):
        build_response(given, **{"steps": 4, **changes})


# -- the value -------------------------------------------------------------------------------


def by_hand():
    """Two directions, two steps, one block, two branches, one age."""
    opened = np.zeros((2, 2, 1, 2, 1))
    opened[:, 1, 0, :, 0] = [[3.0, -1.0], [4.0, 2.0]]
    held = opened / 2
    spans = np.full((2, 2, 3), np.nan)
    spans[:, 0, 1] = spans[:, 1, 2] = 0
    spans[:, 0, 2] = [6, 8]
    change = np.zeros((2, 1, 2, 1))
    change[1, 0, :, 0] = [0.25, 0.5]
    return scaled(opened, held, spans, change, pictures=1, kind="gradients", source="by hand")


def test_errors_by_hand():
    got = by_hand()
    np.testing.assert_allclose(got.error[1, 0, :, 0], [3**2 + 4**2, 1 + 2**2], rtol=1e-3)
    # Both branches together: (3 - 1) / 2 and (4 + 2) / 2.
    np.testing.assert_allclose(got.step_error[1], [1 + 3**2], rtol=1e-3)
    assert got.span_error[0, 2] == 100 and np.isnan(got.span_error[1, 1])


def test_the_substitute_by_hand():
    change = np.full((3, 1, 2, 2), np.nan)
    change[1, 0, :, 0] = [0.25, 0.5]
    change[2, 0, :, 0] = [1, 1]
    change[2, 0, :, 1] = [0.5, 1.5]
    got = response_of_changes(change, pictures=3, source="a trace")
    assert got.kind == "changes" and got.source == "a trace"
    np.testing.assert_allclose(got.error[1, 0, :, 0], [(0.25 / 6) ** 2, (0.5 / 6) ** 2], rtol=1e-3)
    np.testing.assert_allclose(got.spans[0, 0], [np.nan, 0, 0.75 / 6, 2.75 / 6], rtol=1e-3)
    np.testing.assert_allclose(got.spans[0, 1, 3], 2 / 6, rtol=1e-3)


def same(a, b):
    for name in ("open", "held", "spans", "change"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert (a.unit, a.pictures, a.kind, a.source) == (b.unit, b.pictures, b.kind, b.source)


def test_it_survives_a_file(built):
    same(Response.from_bytes(built.to_bytes()), built)


def test_the_page_reads_the_same_numbers(built):
    plain = built.to_json()
    raw = np.frombuffer(base64.b64decode(plain["open"]), "<f2").reshape(plain["shape"])
    np.testing.assert_array_equal(raw, built.open)
    spans = np.frombuffer(base64.b64decode(plain["spans"]), "<f4").reshape(built.spans.shape)
    np.testing.assert_array_equal(spans, built.spans)
    assert plain["unit"] == built.unit and plain["kind"] == "gradients"


def test_it_cannot_be_changed(built):
    with pytest.raises(ValueError, match="read-only"):
        built.open[0] = 0


def test_tiny_effects_are_not_rounded_away():
    got = scaled(
        np.full((1, 2, 1, 1, 1), 1e-9),
        np.zeros((1, 2, 1, 1, 1)),
        np.zeros((1, 2, 3)),
        np.zeros((2, 1, 1, 1)),
        pictures=1,
        kind="gradients",
        source="x",
    )
    np.testing.assert_allclose(got.error, 1e-18, rtol=1e-3)


def _broken(name, array):
    good = by_hand()
    fields = ("open", "held", "spans", "change", "unit", "pictures", "kind", "source")
    return {**{field: getattr(good, field) for field in fields}, name: array}


@pytest.mark.parametrize(
    "given",
    [
        _broken("open", np.zeros((2, 2, 1, 2))),
        _broken("held", np.zeros((2, 2, 1, 1, 1))),
        _broken("spans", np.zeros((2, 2, 2))),
        _broken("spans", np.full((2, 2, 3), np.inf)),
        _broken("change", np.full((2, 1, 2, 1), -1.0)),
        _broken("open", np.full((2, 2, 1, 2, 1), np.nan)),
        _broken("unit", 0.0),
        _broken("kind", "guess"),
        _broken("source", ""),
    ],
)
def test_what_is_no_response(given):
    with pytest.raises(ScheduleError):
        Response(**given)


def test_what_is_no_file():
    with pytest.raises(ScheduleError, match="no stored response"):
        Response.from_bytes(b"nothing")
    file = io.BytesIO()
    np.savez(file, open=np.zeros(3))
    with pytest.raises(ScheduleError, match="no stored response"):
        Response.from_bytes(file.getvalue())
