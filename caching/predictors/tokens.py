"""Tokens: the tokens that matter most are computed, the others keep their stored output (ToCa)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from caching.fields import choice_field, number_field, whole_field
from caching.predictors.base import Cell, Kind, Output, Predictor
from caching.predictors.draws import uniform

if TYPE_CHECKING:
    from torch import Tensor

    from caching.models.family import Family

SCORES = ("attention", "norm", "random", "age")
AGE_WEIGHT = 0.25
BONUS = 0.6
DRAW = 1


@dataclass(frozen=True)
class Tokens(Predictor):
    """The `fraction` of tokens with the highest score are computed and put into the stored output.

    ToCa (arXiv 2410.05317), whose step ProCache and DuCa (2412.18911) use too; TokenCache
    (2409.18523) learns its scores and has published nothing to run. The mixed output takes the
    place of the stored one. The score of a token is s1 + 0.25 age / `interval`, after which the
    highest in each 2 x 2 patch of tokens gains 0.6 of itself (0.8 in DuCa). s1 is

    - attention: what it receives, mean over heads and summed over queries, as the last computed
      attention of the block had it, brought to a 2-norm of 1 over the tokens; an attention cell
      goes by the same. Noting it costs a second product of queries and keys.
    - norm: the 2-norm of its hidden state, normed likewise.
    - random: drawn anew for every cell, alike in both passes of a picture.

    and with "age" the oldest are computed, one round after another, without a bonus. A token's age
    is the number of times it was left out in this cell since it was computed, not the number of
    steps; it is zero when the cell was computed in between. `interval` is ToCa's N, the steps from
    one full step to the next.

    ToCa's code takes int(fraction T) tokens; here it is at least one. Its `fraction` is 0.07 times
    factors for step, layer and module, 2.5 for the feed-forward and none for attention, so that one
    of these is painted for each value.
    """

    fraction: float = 0.07
    score: str = "attention"
    interval: int = 3

    name: ClassVar[str] = "tokens"
    letter: ClassVar[str] = "P"
    label: ClassVar[str] = "tokens"
    kind: ClassVar[Kind] = "partial"
    refreshes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        number_field(self, "fraction", 0.001, 1.0)
        choice_field(self, "score", SCORES)
        whole_field(self, "interval", 1, 1000)

    @property
    def watches(self) -> bool:
        return self.score == "attention"

    def hands_on(self, branch: str, held: int) -> bool:
        # The estimate that is stored and the output that was refreshed are one tensor.
        return True

    def count(self, tokens: int) -> int:
        """How many of T tokens are computed."""
        return max(1, int(self.fraction * tokens))

    def estimate(self, past: Sequence[tuple[int, Output]], step: int) -> Output:
        """What the tokens are put into."""
        return past[0][1]

    def stand_in(self, cell: Cell) -> Tensor:
        (newest, *_) = cell.past
        stored: Tensor = newest.output
        ages = self._ages(cell, newest.step)
        order = self._scores(cell, ages).argsort(dim=1, descending=True, stable=True)
        rows = order[:, : self.count(stored.shape[1])]  # (N, k)
        fresh = cell.family.branch_rows(cell.x, cell.given, cell.s, cell.block, cell.r, rows)
        aged = (ages + 1).scatter_(1, rows, 0)
        cell.shared[cell.block, cell.r] = (newest.step, aged)
        return stored.scatter(1, rows[..., None].expand(fresh.shape), fresh)

    def _ages(self, cell: Cell, since: int) -> Tensor:
        """Int16 (N, T), zero where the cell was computed after the note was made."""
        n, tokens = cell.x.shape[:2]
        step, ages = cell.shared.get((cell.block, cell.r), (None, None))
        if step != since:
            import torch

            return torch.zeros((n, tokens), dtype=torch.int16, device=cell.x.device)
        noted: Tensor = ages[:n]
        return noted

    def _scores(self, cell: Cell, ages: Tensor) -> Tensor:
        """Float32 (N, T)."""
        import torch.nn.functional as F

        if self.score == "age":
            return ages.float()
        n, tokens = cell.x.shape[:2]
        if self.score == "attention":
            score = cell.shared["received", cell.block][:n]
        elif self.score == "norm":
            score = F.normalize(cell.x.float().norm(dim=-1), dim=1)
        else:
            place = (DRAW, cell.s, cell.block, cell.r)
            score = uniform(cell.seeds, place, tokens, cell.x)
        return with_bonus(score + AGE_WEIGHT * ages / self.interval, grid(cell.family))

    def watch(self, cell: Cell, out: Any) -> None:
        import torch.nn.functional as F

        if cell.family.branches[cell.r] == "attn":
            received = cell.family.received(cell.x, cell.given, cell.s, cell.block)
            cell.shared["received", cell.block] = F.normalize(received, dim=1)

    # -- cost ------------------------------------------------------------------------------

    def macs(self, family: Family, block: int, r: int) -> int:
        return family.row_macs(block, r, self.count(family.tokens))

    def watch_macs(self, family: Family, block: int, r: int) -> int:
        if family.branches[r] != "attn":
            return 0
        tokens, width = family.tokens, family.width
        return 2 * tokens * width**2 + tokens**2 * width

    def note_bytes(self, family: Family, cells: Any, computed: Any, watched: Any) -> Any:
        """Float32 received attention of a watched cell, int16 ages of one it has stood in for."""
        attention = [name == "attn" for name in family.branches]
        seen = np.maximum.accumulate(watched & attention, axis=0)
        return family.tokens * (4 * seen + 2 * np.maximum.accumulate(cells, axis=0))


def grid(family: Family) -> tuple[int, int]:
    """Rows and columns the tokens stand in."""
    _, height, width = family.latent_shape
    rows = round((family.tokens * height / width) ** 0.5)
    return rows, family.tokens // rows


def with_bonus(score: Tensor, shape: tuple[int, int]) -> Tensor:
    """Scores (N, T) with 0.6 of itself added to the highest in each 2 x 2 patch of the grid."""
    import torch.nn.functional as F

    best, where = F.max_pool2d(
        score.view(len(score), 1, *shape), 2, ceil_mode=True, return_indices=True
    )
    return score.scatter_add(1, where.flatten(1), BONUS * best.flatten(1))
