"""Edits of chosen cells against rows worked out by hand; step 0 takes no part in any."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from caching import reshape
from caching.errors import ScheduleError
from caching.predictors import Reuse
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule

# Two blocks, attention alone, six steps; 1 is reuse, 2 a forecast.
ROWS = ["001120", "010101"]
ALL = np.ones((6, 2, 1), bool)
MIDDLE = np.zeros((6, 2, 1), bool)
MIDDLE[1:4, 0] = True  # block 0, steps 1 to 3


def schedule(rows: list[str] = ROWS) -> Schedule:
    cells = np.array([[int(c) for c in row] for row in rows], np.uint8).T[..., None]
    return Schedule(cells.copy(), (Reuse(), Taylor(1)), ("attn",))


def rows(of: Schedule) -> list[str]:
    return ["".join(map(str, of.actions[:, block, 0].tolist())) for block in range(of.blocks)]


Edit = Callable[[Schedule], Schedule]
EDITS: dict[str, tuple[Edit, list[str]]] = {
    "mirror all": (lambda s: reshape.mirror(s, ALL), ["002110", "010101"]),
    "mirror some": (lambda s: reshape.mirror(s, MIDDLE), ["011020", "010101"]),
    "mirror over blocks": (lambda s: reshape.mirror(s, ALL, "blocks"), ["010101", "001120"]),
    "rotate later": (lambda s: reshape.rotate(s, ALL, 1), ["000112", "011010"]),
    "rotate earlier": (lambda s: reshape.rotate(s, MIDDLE, -1), ["011020", "010101"]),
    "rotate by more than there is": (lambda s: reshape.rotate(s, MIDDLE, 7), ["010120", "010101"]),
    "every second": (lambda s: reshape.every(s, ALL, 2), ["001010", "001010"]),
    "every third, later": (lambda s: reshape.every(s, ALL, 3, offset=1), ["010110", "010110"]),
    "every second of some": (lambda s: reshape.every(s, MIDDLE, 2, action=2), ["002020", "010101"]),
    "invert": (lambda s: reshape.invert(s, ALL), ["010001", "001010"]),
    "keep ends": (lambda s: reshape.keep_ends(s, ALL, 2, 1), ["000120", "000100"]),
    "keep nothing": (lambda s: reshape.keep_ends(s, ALL, 0, 0), ROWS),
    "move": (lambda s: reshape.move(s, MIDDLE, rows=1, steps=2), ["000020", "010011"]),
    "nothing chosen": (lambda s: reshape.every(s, np.zeros((0, 3), int), 2), ROWS),
    "only step 0": (lambda s: reshape.mirror(s, [[0, 0, 0]]), ROWS),
    "all of a share": (lambda s: reshape.randomise(s, ALL, 1, 0), ["011111", "011111"]),
    "none of a share": (lambda s: reshape.randomise(s, ALL, 0, 0), ["000000", "000000"]),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_makes_of_the_rows_what_a_hand_makes_of_them(name: str) -> None:
    edit, expected = EDITS[name]
    before = schedule()
    assert rows(edit(before)) == expected
    assert rows(before) == ROWS


@pytest.mark.parametrize("share", [0.25, 0.5, 0.7])
def test_a_share_is_exact_and_a_seed_means_the_same_cells(share: float) -> None:
    grid = Schedule.full(20, 12)
    cells = np.ones(grid.actions.shape, bool)
    made = [reshape.randomise(grid, cells, share, seed) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
    assert int((made[0].actions != 0).sum()) == round(share * 19 * 24)


def test_numbers_from_a_seed_are_those_of_mulberry32() -> None:
    # From the published C code, seed 1: 2693262067, 11749833, 2265367787 of 2^32.
    draws = reshape._draws(1)
    assert [int(next(draws) * 2**32) for _ in range(3)] == [2693262067, 11749833, 2265367787]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda s: reshape.move(s, MIDDLE, steps=-1), "come to step 0"),
        (lambda s: reshape.move(s, MIDDLE, rows=-1), "leave the grid"),
        (lambda s: reshape.move(s, MIDDLE, steps=3), "leave the grid"),
        (lambda s: reshape.randomise(s, ALL, 1.5, 0), "expected 0 to 1"),
        (lambda s: reshape.mirror(s, ALL, "depth"), "expected 'time' or 'blocks'"),
        (lambda s: reshape.every(s, ALL, 0), "n"),
        (lambda s: reshape.invert(s, ALL, action=3), "action"),
    ],
)
def test_what_cannot_be_is_refused_in_words(edit: Edit, words: str) -> None:
    with pytest.raises(ScheduleError, match=words):
        edit(schedule())
