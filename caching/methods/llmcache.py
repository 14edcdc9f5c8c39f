"""LLMCache: cells in which pictures are most alike take the features of another picture's run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caching.methods.base import Method, Plan, Setting, Source, Tell, number
from caching.predictors.base import Fitter
from caching.predictors.donor import Donor, fingerprint

if TYPE_CHECKING:
    from torch import Tensor

    from caching.models.family import Conditioning, Family
    from caching.models.model import Model


@dataclass(frozen=True)
class LlmCache(Method):
    """LLMCache (arXiv 2512.16843), made for language models that answer similar inputs.

    A layer's stored activations are given again where the fingerprint of the new input is nearer
    than a threshold to a stored one. Here the similarity of a cell is measured beforehand: over
    full runs of some pictures, the cosine between each one's fingerprint and the nearest of
    another picture's, in the mean. The `share` of cells that are most similar, step 0 apart, takes
    donors' features (`Donor`), which is the paper's threshold in another measure: it decides how
    many cells pass and nothing else. Its stores grow with use; here they are the calibration runs.
    """

    share: float = number(0.3, 0, 0.95, "share", "of cells that take a donor's features")

    name = "llmcache"
    title = "LLMCache"
    about = (
        "Where branches of different pictures read what is most alike, their output is taken "
        "from the run of another picture, the most similar of those kept."
    )
    source = Source(
        "LLMCache: Layer-Wise Caching Strategies for Accelerated Reuse in Transformer Inference",
        2025, "2512.16843",
    )  # fmt: skip
    faithfulness = "analogue"
    because = (
        "The paper reuses layers of language models across similar requests; a picture from other "
        "noise has no similar request, so a donor's features pull it towards another picture."
    )
    needs = "calibration"
    tunes = "share"

    def plan(self, setting: Setting) -> Plan:
        similarity = setting.measured("llmcache", alike)
        cells = most_alike(similarity, self.share)
        return Plan(setting.full().paint(cells, Donor()).compact())


def most_alike(similarity: NDArray[Any], share: float) -> NDArray[np.bool_]:
    """Bool (S, L, R): the `share` of cells after step 0 with the highest similarity (S, L, R)."""
    count = round(share * similarity[1:].size)
    order = np.argsort(-similarity[1:], axis=None, kind="stable")
    cells = np.zeros(similarity.shape, bool)
    cells[1:].reshape(-1)[order[:count]] = True
    return cells


def alike(
    model: Model,
    *,
    steps: int,
    tell: Tell,
    stopped: Callable[[], bool] | None = None,
    pictures: int = 4,
    **asked: Any,
) -> NDArray[np.float64]:
    """Cosine (S, L, R) between each picture's fingerprint and the nearest of the others', mean.

    Args:
        model: what runs.
        steps, asked: of the runs, with cfg_scale and sampler.
        tell: told of progress.
        stopped: asked between two branches.
        pictures: how many.
    """
    from caching.engine.fits import calibrate
    from caching.engine.request import prepare

    request, _, _ = prepare(model, None, label=0, steps=steps, **asked)
    seen = _Prints(model.family, steps, pictures, tell)
    calibrate(model, request, [seen], pictures=pictures, stopped=stopped)
    shape = (steps, model.blocks, len(model.branches))
    return np.array([seen.solve(cell) for cell in np.ndindex(shape)]).reshape(shape)


class _Prints(Fitter):
    """The fingerprints of every cell, in the order of the pictures."""

    def __init__(self, family: Family, steps: int, pictures: int, tell: Tell) -> None:
        self.family = family
        self.prints: dict[tuple[int, int, int], list[Tensor]] = {}
        self.steps, self.pictures, self.tell, self.done = steps, pictures, tell, 0

    def see(self, s: int, block: int, r: int, x: Tensor, out: Tensor, given: Conditioning) -> None:
        read = self.family.modulated(x, given, s, block, r)
        self.prints.setdefault((s, block, r), []).append(fingerprint(read))

    def see_step(self, s: int, before: Tensor, after: Tensor) -> None:
        self.done += 1
        self.tell("full runs", self.done, self.steps * self.pictures)

    def solve(self, part: Any) -> float:
        """The similarity of a cell (s, block, branch)."""
        import torch

        prints = torch.stack(self.prints[part])  # (P, passes, D)
        pictures, passes, _ = prints.shape
        flat = prints.flatten(0, 1)
        cosine = flat @ flat.T
        own = torch.arange(pictures, device=flat.device).repeat_interleave(passes)
        others = torch.where(own[:, None] == own, -1.0, cosine)
        return float(others.amax(1).mean())
