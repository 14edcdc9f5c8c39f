"""Pictures are decoded once: same pixels as the model gives, no second pass, a bound on memory."""

import numpy as np
import pytest
import torch

from caching.measure.decoded import Decoded


class Painter:
    """Decodes a latent (1, h, w) to its own numbers, and counts."""

    def __init__(self):
        self.asked = 0

    def decode(self, latents):
        self.asked += len(latents)
        return latents.to(torch.uint8).permute(0, 2, 3, 1).expand(-1, -1, -1, 3).contiguous()


@pytest.fixture
def model():
    return Painter()


def latent(value):
    return torch.full((1, 64, 64), float(value))


def test_the_same_latent_is_decoded_once_wherever_it_lies(model):
    decoded = Decoded(model)
    one, clean = latent(7), torch.stack([latent(5), latent(7)])
    first = decoded.picture(one)
    assert first.shape == (64, 64, 3) and (first == 7).all()
    assert decoded.picture(clean[1]) is first and model.asked == 1
    assert (decoded.picture(clean[0]) == 5).all() and model.asked == 2
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0


def test_the_pictures_used_longest_ago_go_first(model):
    mib = 64 * 64 * 3 / 2**20
    decoded = Decoded(model, max_mib=2.5 * mib)
    for value in (1, 2, 1, 3):  # 2 was used longest ago
        decoded.picture(latent(value))
    assert len(decoded) == 2 and model.asked == 3
    decoded.picture(latent(1))
    assert model.asked == 3
    decoded.picture(latent(2))
    assert model.asked == 4
    assert np.array_equal(Decoded(model, max_mib=0).picture(latent(9)), np.full((64, 64, 3), 9))
