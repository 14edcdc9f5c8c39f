"""Along which directions a response follows the final picture: those that schedules move it along.

Of what the picture shows, not of its latent: equal errors of a latent can look ten decibels apart.
A direction of the picture is one of the latent through the decoder's gradient. The leading ones are
those in which a few random schedules move it; a few at random stand for all others, so that nothing
is left out on average. Where the decoder is too large to be differentiated, the latent takes the
picture's place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from caching.models.model import Model

LARGE = 20_000_000
"""Weights of a decoder that is not differentiated: hub models' have 50 million."""

Look = Callable[[Tensor], Tensor]


def look_of(model: Model) -> Look | None:
    """Latents (1, C, h, w) -> the picture, white 1 and black -1, with gradients; None: the latent.

    What leaves that range is cut off, as it is in the picture that is shown.
    """
    vae: Any = model.vae
    if vae is None:
        return lambda x: (x[:, :3].float() / 3).clamp(-1, 1)
    if sum(p.numel() for p in vae.decoder.parameters()) > LARGE:
        return None
    scale = getattr(vae.config, "scaling_factor", 1.0)
    shift = getattr(vae.config, "shift_factor", None) or 0.0

    def look(x: Tensor) -> Tensor:
        latents = x.to(vae.dtype) / scale + shift
        shown: Tensor = vae.decode(latents).sample.float().clamp(-1, 1)
        return shown

    return look


def directions(
    final: Tensor,
    moved: Sequence[Tensor],
    look: Look | None,
    *,
    leading: int,
    chance: int,
    seed: int,
) -> Tensor:
    """(P, C h w): covectors of the latent whose squares sum to the error of what is seen.

    Args:
        final: (1, C, h, w) of the full run.
        moved: final latents of probes.
        look: None sees the latent itself.
        leading: how many directions of the probes.
        chance: how many at random, orthogonal to those, which stand for all others.
        seed: of the random ones.

    Returns:
        rows v with sum (v · d)² about the mean square of what the change d of the latent does to
        the picture, over the square of black to white; of latents, over the latent's own square.
    """
    with torch.enable_grad():
        at = final.detach().clone().requires_grad_(True)
        seen = at if look is None else look(at)
    base = seen.detach()
    size = float(base.norm()) if look is None else 2.0 * base.numel() ** 0.5
    gaps = []
    with torch.no_grad():
        for latent in moved:
            there = latent.to(final) if look is None else look(latent.to(final))
            gap = (there - base).flatten().double().cpu()
            if (far := gap.norm()) > 0:
                gaps.append(gap / far)
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(leading + chance, base.numel(), generator=generator, dtype=torch.float64)
    # Where the probes moved it along too few directions, random ones fill up.
    gaps += [row / row.norm() * 1e-6 for row in normal[:leading]]
    first = torch.linalg.svd(torch.stack(gaps), full_matrices=False).Vh[:leading]
    rest = normal[leading:]
    rest = (rest - (rest @ first.T) @ first) / max(chance, 1) ** 0.5
    wanted = torch.cat([first, rest]).to(base) / size
    if look is None:
        return wanted
    rows = [
        torch.autograd.grad(seen, at, one.view_as(seen), retain_graph=True)[0].flatten()
        for one in wanted
    ]
    return torch.stack(rows)
