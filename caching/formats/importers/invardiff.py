"""InvarDiff's cache books: booleans for steps, attention and feed-forward; True reuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from caching.actions.hidden import FinalHidden
from caching.errors import ScheduleError
from caching.fields import choice_field
from caching.formats.importers.base import EXECUTION, Importer, Reading, Shape, flags, grid_of
from caching.formats.importers.source import Source

BOOKS = ("msa_cache_book", "mlp_cache_book")
STEPS = "step_cache_book"


@dataclass(frozen=True)
class InvarDiff(Importer):
    """`step_cache_book` [S], `msa_cache_book` and `mlp_cache_book` [S][L], execution order.

    InvarDiff (arXiv 2512.05134, zihaowu25/InvarDiff, `DiT/cache_books/`). True means reuse, the
    opposite of SmoothCache and ECAD. A step in the step book takes the hidden state after the last
    block of the last step that ran its blocks through the final layer again. With `steps` of
    "reuse" such a step reuses every branch output instead, which is another approximation: the
    step's own latents and gates then go in.
    """

    steps: str = "hidden"

    name: ClassVar[str] = "invardiff"
    label: ClassVar[str] = "InvarDiff cache books"
    source: ClassVar[str] = "InvarDiff, arXiv 2512.05134, Apache-2.0"

    def __post_init__(self) -> None:
        choice_field(self, "steps", ("hidden", "reuse"))

    @classmethod
    def sniff(cls, source: Source) -> bool:
        return isinstance(source.value, dict) and any(
            key in source.value for key in (STEPS, *BOOKS)
        )

    def read(self, source: Source, shape: Shape) -> Reading:
        value = source.value if isinstance(source.value, dict) else {}
        missing = [key for key in (STEPS, *BOOKS) if key not in value]
        if missing:
            raise ScheduleError(
                f"the file has no {missing[0]!r}: expected the three cache books of a DiT; books "
                "for FLUX have blocks of two kinds and cannot be read"
            )
        whole = flags(value[STEPS], STEPS)
        books = [_book(value[key], key, len(whole)) for key in BOOKS]
        if books[0].shape != books[1].shape:
            raise ScheduleError(
                f"the books have {books[0].shape[1]} and {books[1].shape[1]} blocks: expected the "
                "same number in both"
            )
        blocks = shape.settle(books[0].shape[1], "the file")
        attn, mlp = shape.pair("the file")
        computed = np.ones((len(whole), blocks, 2), bool)
        computed[:, :, attn], computed[:, :, mlp] = ~books[0], ~books[1]
        # The step book rules: of its steps no cell is computed, whatever the other books say.
        computed[whole] = False
        schedule, forced = grid_of(computed, shape.branches, note="from InvarDiff cache books")
        whole[0] = False
        count = int(whole.sum())
        said = f"{count} of {len(whole)} steps reuse the final hidden state."
        if self.steps == "reuse":
            lost = (
                f"{count} steps reuse the final hidden state there and every branch output here, "
                "which lets this step's latents and gates in: another approximation",
            )
            return Reading(schedule, EXECUTION, (said,), forced, lost if count else ())
        if count:
            schedule = schedule.paint_steps(whole, FinalHidden())
        return Reading(schedule, EXECUTION, (said,), forced)


def _book(value: Any, key: str, steps: int) -> NDArray[np.bool_]:
    """One book as bool (S, L), True = reuse."""
    if not isinstance(value, list) or len(value) != steps:
        given = f"{len(value)} steps" if isinstance(value, list) else repr(value)[:40]
        raise ScheduleError(f"{key} has {given}: expected {steps}, as many as {STEPS}")
    rows = []
    for step, row in enumerate(value):
        rows.append(flags(row, f"{key}, step {step}", per="block"))
        if len(rows[-1]) != len(rows[0]):
            raise ScheduleError(
                f"{key}, step {step} has {len(rows[-1])} blocks and step 0 has {len(rows[0])}: "
                "expected the same number in all steps"
            )
    return np.array(rows, bool)
