"""Scored: tokens that a trained score puts first are computed, the others reused (TokenCache)."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from caching.fields import number_field
from caching.predictors.base import Cell, Fitter, Kind, Output, Predictor

if TYPE_CHECKING:
    from torch import Tensor

    from caching.models.family import Conditioning, Family

RIDGE = 0.01


@dataclass(frozen=True)
class Scored(Predictor):
    """The `fraction` of tokens with the highest w z are computed and put into the stored output.

    TokenCache (arXiv 2409.18523) computes the tokens that its Cache Predictor finds important and
    reuses the others; it has published no code. Its predictor is a small network g(l, t) of block
    and step, one weight for each position, trained through a soft mix of fresh and cached outputs
    for the mean squared error of the last block's output. Here the score is linear in what the
    branch reads, z, the normed and modulated token, so that it follows the picture; w (D,) of every
    branch of every block is ridge-fitted on full runs to log |F_s - F_(s-1)|, the change of the
    token's output since the step before, with the penalty 0.01 times the mean variance of z's
    channels. Both sides are centred over the tokens of each row, as only their order counts.

    As with ToCa, int(fraction T) tokens are computed, at least one, and the mixed output takes the
    place of the stored one. A token's age has no part in its score; the schedule's full steps see
    to that.
    """

    fraction: float = 0.3

    name: ClassVar[str] = "scored"
    letter: ClassVar[str] = "L"
    label: ClassVar[str] = "tokens by trained score"
    kind: ClassVar[Kind] = "partial"
    refreshes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        number_field(self, "fraction", 0.001, 1.0)

    def hands_on(self, branch: str, held: int) -> bool:
        # The estimate that is stored and the output that was refreshed are one tensor.
        return True

    def count(self, tokens: int) -> int:
        """How many of T tokens are computed."""
        return max(1, int(self.fraction * tokens))

    # -- fitting ---------------------------------------------------------------------------

    def parts(self, cells: Any, number: int) -> Collection[Hashable]:
        """(block, branch) wherever it is used."""
        return [tuple(cell) for cell in np.argwhere((cells == number).any(axis=0)).tolist()]

    def fitter(self, family: Family, parts: Collection[Hashable]) -> ScoreFitter:
        return ScoreFitter(family, parts)

    def ready(self, model: Any, request: Any) -> Mapping[Hashable, Any]:
        """Scores that were trained on more runs than a fit on the spot has, for such runs."""
        from caching.learn.scores import trained_scores

        return trained_scores(model, request)

    # -- running ---------------------------------------------------------------------------

    def estimate(self, past: Sequence[tuple[int, Output]], step: int) -> Output:
        """What the tokens are put into."""
        return past[0][1]

    def stand_in(self, cell: Cell) -> Tensor:
        import torch.nn.functional as F

        stored: Tensor = cell.past[0].output
        where = cell.s, cell.block, cell.r
        z = cell.family.modulated(cell.x, cell.given, *where)
        score = F.linear(z, cell.fitted[cell.block, cell.r])[..., 0]  # (N, T)
        order = score.argsort(dim=1, descending=True, stable=True)
        rows = order[:, : self.count(stored.shape[1])]  # (N, k)
        fresh = cell.family.branch_rows(cell.x, cell.given, *where, rows)
        return stored.scatter(1, rows[..., None].expand(fresh.shape), fresh)

    def macs(self, family: Family, block: int, r: int) -> int:
        """Of the chosen tokens, and of the scores of all."""
        tokens = family.tokens
        return family.row_macs(block, r, self.count(tokens)) + tokens * family.width


class ScoreFitter(Fitter):
    """Float64 sums of products of every part, and its newest output: what the next one is from."""

    def __init__(self, family: Family, parts: Collection[Any]) -> None:
        self.family = family
        # (D, D) of z z, (D,) of z times the log change y, of y y, all centred, and how many tokens
        self.sums: dict[Any, tuple[Any, Any, Any, int]] = {
            part: (0.0, 0.0, 0.0, 0) for part in parts
        }
        self.before: dict[Any, Tensor] = {}

    def see(self, s: int, block: int, r: int, x: Tensor, out: Tensor, given: Conditioning) -> None:
        part = block, r
        if part not in self.sums:
            return
        before = self.before.get(part)
        self.before[part] = out
        if before is None:
            return
        z = self.family.modulated(x, given, s, block, r).double()
        change = (out.double() - before.double()).norm(dim=-1)
        y = change.clamp(min=1e-12).log()  # (N, T)
        z, y = (z - z.mean(1, keepdim=True)).flatten(0, 1), (y - y.mean(1, keepdim=True)).flatten()
        self._add(part, (z.T @ z, z.T @ y, y @ y, len(y)))

    def next_run(self) -> None:
        self.before.clear()

    def take(self, other: ScoreFitter) -> None:
        """What another one has seen, too."""
        for part, sums in other.sums.items():
            self._add(part, sums)

    def missed(self, part: Any, w: Tensor) -> float:
        """The share of y y that w z leaves unexplained in what was seen: 1 for a w of zeros."""
        squares, products, power, _ = self.sums[part]
        w = w.flatten().double()
        return float((power - 2 * w @ products + w @ squares @ w) / power)

    def _add(self, part: Any, new: tuple[Any, Any, Any, int]) -> None:
        had = self.sums[part]
        self.sums[part] = tuple(a + b for a, b in zip(had, new, strict=True))

    def solve(self, part: Any) -> Tensor:
        """w as (1, D); zeros where a run of one step shows no change."""
        import torch

        squares, products, _, count = self.sums[part]
        if not count:
            return torch.zeros(1, self.family.width, dtype=self.family.dtype).to(self.family.device)
        penalty = (RIDGE * squares.diagonal().mean()).clamp(min=torch.finfo(squares.dtype).tiny)
        penalised = squares + penalty * torch.eye(len(squares)).to(squares)
        found: Tensor = torch.linalg.solve(penalised, products)[None]
        return found.to(self.family.dtype)
