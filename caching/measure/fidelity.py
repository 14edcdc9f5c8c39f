"""How close a cached run came to the full run of the same seed. Closeness, not beauty."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from caching.engine.request import Request
from caching.engine.run import Run
from caching.errors import RequestError
from caching.readonly import read_only


@dataclass(frozen=True, eq=False)
class Fidelity:
    """Against the uncached run of the same request: PSNR, SSIM (torchmetrics), latent error."""

    psnr_db: float  # infinite when the pictures are equal
    ssim: float
    latent_rel_l2: float
    drift: np.ndarray  # float64 (S,), relative L2 of the predicted clean latents after each step

    def __post_init__(self) -> None:
        read_only(self)


def picture_fidelity(picture: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """PSNR in dB and SSIM of two pictures uint8 (H, W, 3)."""
    if picture.shape != reference.shape:
        raise RequestError(
            f"pictures of shape {picture.shape} and {reference.shape} were given; compare pictures "
            "of one size."
        )
    if np.array_equal(picture, reference):
        return math.inf, 1.0
    # Copies: torch warns of a view of what cannot be written to.
    a, b = (
        torch.from_numpy(x.astype(np.float32)).permute(2, 0, 1)[None] for x in (picture, reference)
    )
    psnr = float(peak_signal_noise_ratio(a, b, data_range=255.0))
    ssim = structural_similarity_index_measure(a, b, data_range=255.0)
    assert isinstance(ssim, torch.Tensor)  # a tuple only when intermediate maps are asked for
    return psnr, float(ssim)


def fidelity(run: Run, reference: Run) -> Fidelity:
    """Compare `run` with `reference`, the full run of the same request.

    Of a batch, PSNR, SSIM and drift are of the first picture and the latent error is of all. Runs
    of other step counts may be compared, and have no drift (NaN). Nothing checks that `reference`
    is full, so that two cached runs may be, too.

    Raises:
        RequestError: one of them is no Run; or model, label, seed or given latents, sampler,
            guidance, dtype or `Speed` differ, so that the comparison would show something other
            than the schedule.
    """
    for name, given in (("run", run), ("reference", reference)):
        if not isinstance(given, Run):
            raise RequestError(
                f"{name} is a {type(given).__name__}, expected a Run, as `sample` returns it."
            )
    mine, other = run.request, reference.request
    pairs = {
        f.name: (getattr(mine, f.name), getattr(other, f.name))
        for f in dataclasses.fields(Request)
        if f.name != "steps"
    }
    differ = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if differ:
        values = "; ".join(f"{name} {a!r:.60} against {b!r:.60}" for name, (a, b) in differ.items())
        raise RequestError(
            f"the two runs differ in {', '.join(differ)}; fidelity compares schedules, expected "
            f"everything else to be equal: run both with the same request ({values})."
        )
    psnr_db, ssim = picture_fidelity(run.image, reference.image)
    gap = (run.latents - reference.latents).norm() / reference.latents.norm()
    if mine.steps == other.steps:
        flat, base = run.clean.flatten(1).double(), reference.clean.flatten(1).double()
        drift = ((flat - base).norm(dim=1) / base.norm(dim=1)).numpy()
    else:
        drift = np.full(mine.steps, np.nan)
    return Fidelity(psnr_db, ssim, float(gap), drift)
