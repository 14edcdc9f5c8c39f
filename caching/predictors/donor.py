"""Donor: what the same cell gave in a run of another picture, the most alike of some (LLMCache)."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from caching.errors import ScheduleError
from caching.predictors.base import Cell, Fitter, Kind, Output, Predictor

if TYPE_CHECKING:
    from torch import Tensor

    from caching.models.family import Conditioning, Family

LIMIT_MIB = 1024.0


@dataclass(frozen=True)
class Donor(Predictor):
    """F of the calibration run whose fingerprint in this cell is nearest by cosine similarity.

    LLMCache (arXiv 2512.16843) keeps the activations that each layer of a language model gave for
    earlier inputs and gives them for a new one whose fingerprint is near by cosine similarity. Here
    the earlier requests are the full runs that fits are made on, pictures of labels spread over the
    classes from noise that no seed gives, and a fingerprint is what the branch reads at this step,
    normed and modulated and so of the class too, mean over tokens. Each row of the batch, a
    picture's pass, takes the most similar row of any donor. There is no threshold: the schedule
    says where donors stand in, and nothing of this run need be stored.

    All donors' outputs of every cell it is painted on are kept, in half precision (float16, or
    bfloat16 as the model), and more than 1 GiB of them is refused.
    """

    name: ClassVar[str] = "donor"
    letter: ClassVar[str] = "D"
    label: ClassVar[str] = "donor's features"
    kind: ClassVar[Kind] = "calibrated"

    @property
    def keeps(self) -> int:
        return 0

    def stores_output(self) -> bool:
        return False

    def parts(self, cells: Any, number: int) -> Collection[Hashable]:
        """(s, block, branch) of every cell."""
        return [tuple(cell) for cell in np.argwhere(cells == number).tolist()]

    def fitter(self, family: Family, parts: Collection[Hashable]) -> Fitter:
        return _Fitter(family, parts)

    def estimate(self, past: Sequence[tuple[int, Output]], step: int) -> Output:
        raise NotImplementedError("a donor is chosen by the hidden state: use stand_in")

    def stand_in(self, cell: Cell) -> Tensor:
        where = cell.s, cell.block, cell.r
        prints, outputs = cell.fitted[where]
        mine = fingerprint(cell.family.modulated(cell.x, cell.given, *where))
        found: Tensor = outputs[nearest(mine, prints)].to(cell.x.dtype)
        return found


def fingerprint(x: Tensor) -> Tensor:
    """Unit vectors (N, D), float32 or more: the mean over tokens of what is read, x (N, T, D)."""
    import torch
    import torch.nn.functional as F

    exact: Any = torch.promote_types(x.dtype, torch.float32)
    return F.normalize(x.to(exact).mean(1), dim=-1)


def nearest(mine: Tensor, theirs: Tensor) -> Tensor:
    """Int64 (N,): the row of `theirs` (M, D) that is most similar to each of `mine` (N, D)."""
    # By sums, not by a product: these few numbers are compared in every cell and count as no work.
    return (mine[:, None] * theirs).sum(-1).argmax(dim=1)


class _Fitter(Fitter):
    """Fingerprints and outputs of every part, one row for each pass of each picture."""

    def __init__(self, family: Family, parts: Collection[Any]) -> None:
        import torch

        self.family = family
        self.seen: dict[Any, list[tuple[Tensor, Tensor]]] = {part: [] for part in parts}
        self.half = torch.bfloat16 if family.dtype == torch.bfloat16 else torch.float16
        self.most = torch.finfo(self.half).max
        self.held = 0

    def see(self, s: int, block: int, r: int, x: Tensor, out: Tensor, given: Conditioning) -> None:
        rows = self.seen.get((s, block, r))
        if rows is None:
            return
        kept = out.clamp(-self.most, self.most).to(self.half)
        self.held += kept.nbytes
        if self.held > LIMIT_MIB * 2**20:
            raise ScheduleError(
                f"donor: outputs of {len(self.seen)} cells take more than {LIMIT_MIB:g} MiB: "
                "expected fewer; paint it on fewer steps or blocks"
            )
        rows.append((fingerprint(self.family.modulated(x, given, s, block, r)), kept))

    def solve(self, part: Any) -> tuple[Tensor, Tensor]:
        import torch

        prints, outputs = zip(*self.seen[part], strict=True)
        return torch.cat(prints), torch.cat(outputs)
