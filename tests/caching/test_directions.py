"""What is seen of a latent, as squares along directions, beside the picture itself."""

import dataclasses

import pytest
import torch

from caching.models.model import Model
from caching.predict import directions as module
from caching.predict.directions import directions, look_of
from tests.caching import tiny


def rows(count, size, seed=0):
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


class Decoder(torch.nn.Module):
    """A bent decoder: 3 x 4 x 4 latents as they are, cubed a little."""

    def __init__(self):
        super().__init__()
        self.decoder = torch.nn.Linear(1, 1)
        self.config = type("Config", (), {"scaling_factor": 0.5, "shift_factor": 0.1})()
        self.dtype = torch.float32

    def decode(self, x):
        return type("Out", (), {"sample": x + 0.1 * x**3})()


def with_decoder():
    model = Model.from_modules(tiny.dit(blocks=1), scheduler=tiny.V)
    return dataclasses.replace(model, vae=Decoder())


def test_all_directions_of_the_probes_give_the_error_of_the_picture():
    """Small movements in the span of as many probes: the squares are the mean square error over
    the square of black to white, 2."""
    look = look_of(with_decoder())
    final = rows(1, 48).view(1, 3, 4, 4) / 20
    probes = [final + 1e-3 * one.view_as(final) for one in rows(3, 48, 1)]
    found = directions(final, probes, look, leading=3, chance=0, seed=1)
    change = (probes[0] - 2 * probes[1] + probes[2]) * 1e-3
    expected = (look(final + change) - look(final)).double().square().mean() / 4
    along = (found.double() @ change.flatten().double()).square().sum()
    assert along == pytest.approx(float(expected), rel=2e-2)


def test_random_ones_stand_for_what_the_probes_leave_out():
    final = rows(1, 48).view(1, 3, 4, 4)
    probes = [final + one.view_as(final) for one in rows(2, 48, 1)]
    found = directions(final, probes, None, leading=2, chance=4000, seed=1)
    change = rows(1, 48, 7)[0]
    along = (found @ change).square().sum()
    assert along == pytest.approx(float((change**2).sum() / (final**2).sum()), rel=0.1)


def test_probes_that_move_nothing_leave_it_to_chance():
    final = rows(1, 48).view(1, 3, 4, 4)
    found = directions(final, [final], None, leading=2, chance=1, seed=1)
    unit = found[:2] * final.norm()
    torch.testing.assert_close(unit @ unit.T, torch.eye(2), rtol=1e-4, atol=1e-4)
    assert found[2] @ found[0] == pytest.approx(0, abs=1e-5)


def test_what_is_cut_off_is_not_seen():
    look = look_of(Model.from_modules(tiny.dit(blocks=1), scheduler=tiny.V))
    final = torch.zeros(1, 4, 2, 2)
    final[0, 0, 0, 0] = 5.0
    found = directions(final, [final + 0.1], look, leading=1, chance=2, seed=1)
    assert not found[:, 0].any() and found[:, 1].all()
    assert not found[:, 12:].any()  # a fourth channel is no part of the picture


def test_a_large_decoder_is_not_differentiated(monkeypatch):
    assert look_of(with_decoder()) is not None
    monkeypatch.setattr(module, "LARGE", 1)
    assert look_of(with_decoder()) is None
