"""Attention to foreground and background: threshold, mask, and the lift by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from caching.engine.executor import Stopped
from caching.engine.run import sample
from caching.errors import RequestError
from caching.measure.focus import Focus, foreground, measure_focus, otsu
from caching.models.model import Model
from tests.caching import tiny

ASKED = {"label": 1, "seed": 4, "steps": 3, "cfg_scale": 2.0}


def test_otsu_by_hand() -> None:
    # Between-class variance of {0, 1} and {8, 9, 10}: 2 * 3 * (0.5 - 9)²; no other cut has more.
    assert otsu(np.array([9.0, 0.0, 10.0, 1.0, 8.0])) == 4.5
    assert otsu(np.array([1.0, 1.0, 1.0, 5.0])) == 3.0


def test_a_square_on_a_ground_is_the_foreground() -> None:
    picture = np.full((16, 16, 3), (90, 100, 110), np.uint8)
    picture[4:12, 8:12] = (200, 30, 20)
    expected = np.zeros((4, 4), bool)
    expected[1:3, 2] = True
    assert (foreground(picture, 16) == expected.reshape(-1)).all()
    assert not foreground(np.zeros((16, 16, 3), np.uint8), 16).any()
    with pytest.raises(RequestError, match="squares"):
        foreground(picture, 15)


def test_lift_by_hand() -> None:
    mask = np.array([True, False, False, False])
    received = np.array([[[0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0.0, 0.0]]], np.float32)
    # A quarter of the tokens: as much as their share, and twice of it.
    assert Focus(received, mask, np.zeros((2, 2, 3))).lift.tolist() == [[1.0, 2.0]]
    assert np.isnan(Focus(received, ~mask & mask, np.zeros((2, 2, 3))).lift).all()


def test_it_is_the_conditional_attention_of_the_full_run() -> None:
    model = Model.from_modules(tiny.dit(blocks=2))
    told: list[tuple[str, int, int]] = []
    found = measure_focus(model, tell=lambda *item: told.append(item), **ASKED)
    assert found.received.shape == (3, 2, 16)
    assert np.allclose(found.received.sum(-1), 1, atol=1e-5)
    assert (found.picture == sample(model, None, **ASKED).image).all()
    assert [done for _, done, _ in told] == [1, 2, 3]
    # Against attention worked out here, of the first step's first block.
    inner, seen = model.family, []

    class Watching:
        def __getattr__(self, name: str) -> object:
            return getattr(inner, name)

        def branch(self, x, given, s, b, r):
            if (s, b, r) == (0, 0, 0):
                h = inner.modulated(x, given, s, b, r)[:1]
                block = inner.module.transformer_blocks[0].attn1
                q, k = (
                    f(h).unflatten(-1, (2, 8)).transpose(1, 2) for f in (block.to_q, block.to_k)
                )
                weights = torch.softmax(q @ k.transpose(-1, -2) / 8**0.5, -1)
                seen.append(weights.mean(1).sum(1)[0] / 16)
            return inner.branch(x, given, s, b, r)

    sample(dataclasses.replace(model, family=Watching()), None, **ASKED)
    assert np.allclose(found.received[0, 0], seen[0].detach().numpy(), atol=1e-5)


def test_it_can_be_stopped() -> None:
    model = Model.from_modules(tiny.dit(blocks=1))
    with pytest.raises(Stopped):
        measure_focus(model, stopped=lambda: True, **ASKED)
