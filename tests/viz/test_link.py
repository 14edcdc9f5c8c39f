"""A link says the same after a round trip, stays short, and damaged or hostile ones are refused."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import numpy as np
import pytest

from caching.actions.residual import Residual
from caching.errors import CachebrushError
from caching.methods import METHODS, method_of
from caching.predictors import PREDICTORS, Reuse
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule
from viz.link import MAX_BYTES, Link, from_link, to_link
from viz.locks import runs_of
from viz.state import Settings

HOME = "scenes-dit"
PLAIN = Settings(0, 0, 2.0, "ddim")
OTHER = Settings(7, 123_456, 4.5, "euler")


def link(made: Any, steps: int = 20, settings: Settings = PLAIN, model: str = HOME) -> Link:
    return Link(model, settings, steps, made)


def random_grid(steps: int, blocks: int, brushes: int) -> Schedule:
    legend = tuple(kind() for kind in PREDICTORS.values())[:brushes]
    cells = np.random.default_rng(0).integers(0, brushes + 1, (steps, blocks, 2), np.uint8)
    cells[0] = 0
    return Schedule(cells, legend)


GRIDS = {
    "full": Schedule.full(20, 12),
    "one brush": Schedule.every(20, 12, 3),
    "random": random_grid(20, 12, 1),
    "seven brushes": random_grid(50, 28, 7),
    "one step": Schedule.full(1, 1),
    "whole steps": Schedule.every(9, 3, 2).paint_steps(np.array([3, 4]), Residual(1, 1)),
    "other branches": Schedule.full(4, 2, branches=("attn", "cross", "mlp")),
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("settings", [PLAIN, OTHER])
def test_a_grid_comes_back(name: str, settings: Settings) -> None:
    grid = GRIDS[name]
    text = to_link(link(grid, grid.steps, settings, "facebook/DiT-XL-2-256"), model=HOME)
    found = from_link(text, model=HOME)
    assert found == link(grid.compact(), grid.steps, settings, "facebook/DiT-XL-2-256")


@pytest.mark.parametrize("name", GRIDS)
def test_locks_come_back_and_links_without_them_are_as_before(name: str) -> None:
    grid = GRIDS[name]
    plain = to_link(link(grid, grid.steps), model=HOME)
    mask = np.random.default_rng(1).random(grid.actions.shape) < 0.3
    locks = runs_of(mask)
    text = to_link(Link(HOME, PLAIN, grid.steps, grid, locks), model=HOME)
    assert from_link(text, model=HOME).locks == locks
    assert (text == plain) == (not locks) and from_link(plain, model=HOME).locks == ()


def test_a_link_from_before_there_were_locks_opens() -> None:
    text = "1zq1bKU7IyMtBRSlKyMjTSUUpWsoquViooSk3JTC7JL1KyUipKLS1OVaqNrWUwu52cu41MAgA"
    found = from_link(text, model=HOME)
    assert found.made == Schedule.every(20, 12, 3) and found.locks == ()


@pytest.mark.parametrize("name", METHODS)
def test_a_method_comes_back_in_under_150_characters(name: str) -> None:
    text = to_link(link(method_of(name), settings=OTHER), model=HOME)
    assert from_link(text, model=HOME) == link(method_of(name), settings=OTHER)
    assert len(text) < 150


def test_controls_that_were_moved_come_back() -> None:
    fora = method_of("fora", interval=7, align="start")
    assert from_link(to_link(link(fora), model=HOME), model=HOME).made == fora


@pytest.mark.parametrize("brushes", [1, 3, 7])
def test_any_grid_of_56_rows_and_50_steps_is_under_2000_characters(brushes: int) -> None:
    grid = random_grid(50, 28, brushes)
    assert len(to_link(link(grid, 50, OTHER), model=HOME)) < 2000
    locks = runs_of(np.random.default_rng(1).random(grid.actions.shape) < 0.5)
    locked = to_link(Link(HOME, OTHER, 50, grid, locks), model=HOME)
    # Seven brushes and locks in any cell at all are noise of four bits a cell, 1,400 bytes.
    assert len(locked) < 2000 or brushes == 7


def made_of(words: dict[str, Any], packed: bytes = b"") -> str:
    raw = json.dumps(words).encode() + (b"\0" + packed if packed else b"")
    return "1p" + base64.urlsafe_b64encode(raw).decode()


BOMB = "1z" + base64.urlsafe_b64encode(zlib.compress(b" " * (8 * MAX_BYTES), 9, wbits=-15)).decode()
REUSE = {"predictor": "reuse"}


@pytest.mark.parametrize(
    "text",
    [
        None, 7, "", "1", "1z", "x" * 100, "2p" + "A" * 40, "1z!!!!", "1pnull", BOMB,
        "1p" + "A" * 20_000,
        to_link(link(GRIDS["random"]), model=HOME)[:-20],
        made_of({}), made_of({"n": 0, "q": "fora"}), made_of({"n": True, "q": "fora"}),
        made_of({"n": 20, "q": "nothing"}), made_of({"n": 20, "q": ["fora"]}),
        made_of({"n": 20, "q": "fora", "a": {"interval": 99}}),
        made_of({"n": 20, "q": "fora", "a": {"__class__": 1}}),
        made_of({"n": 20, "q": "fora", "a": []}), made_of({"n": 20, "q": "fora", "m": "a\nb"}),
        made_of({"n": 20, "q": "fora", "x": 1}), made_of({"n": 20, "q": "fora", "s": -1}),
        made_of({"n": 20, "q": "fora", "g": float("nan")}),
        made_of({"n": 4, "b": 10**9, "c": [REUSE]}), made_of({"n": 4, "b": 2, "c": [REUSE]}, b"\0"),
        made_of({"n": 4, "b": 2, "c": [{"predictor": "os.system"}]}, b"\0\0"),
        made_of({"n": 4, "b": 2, "c": [REUSE]}, b"\xff\xff"),  # step 0 not computed
        made_of({"n": 4, "b": 2, "c": [REUSE] * 99}, b"\0\0"),
    ],
)  # fmt: skip
def test_damaged_and_hostile_links_are_refused(text: object) -> None:
    with pytest.raises(CachebrushError):
        from_link(text, model=HOME)


def test_a_grid_is_checked_against_its_brushes() -> None:
    good = made_of({"n": 4, "b": 2, "c": [REUSE]}, b"\x04\x00")  # row 1, step 1
    grid = from_link(good, model=HOME).made
    assert isinstance(grid, Schedule) and grid.legend == (Reuse(),)
    assert np.argwhere(grid.actions).tolist() == [[1, 0, 1]]
    two = [{"predictor": "taylor", "order": 1}, REUSE]
    grid = from_link(made_of({"n": 2, "b": 1, "c": two}, b"\x20"), model=HOME).made
    assert isinstance(grid, Schedule) and grid.legend[0] == Taylor(1)
