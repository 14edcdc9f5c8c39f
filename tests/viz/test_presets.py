"""The presets: patterns worked out by hand, and what each refuses."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from caching.actions.residual import Residual
from caching.errors import CachebrushError, RequestError
from caching.schedule import Schedule
from viz.presets import PRESETS, Controls, preset
from viz.state import Entry, ModelFacts, Settings, ViewState

S, L = 6, 2
STATE = ViewState(
    ModelFacts("tiny", L, ("attn", "mlp"), ("ball",)),
    Settings(0, 7, 2.0, "ddim"),
    Entry("start", Schedule.full(S, L)),
)
ROWS = ("block 0 attn", "block 0 mlp", "block 1 attn", "block 1 mlp")


def changes() -> np.ndarray:
    """(S, L, R, 3): attn of block 0 changes little, attn of block 1 more, mlp a lot."""
    change = np.ones((S, L, 2, 3), np.float32)
    change[:, 0, 0] = (0.1, 0.2, 0.3)
    change[:, 1, 0] = (0.3, 0.4, 0.5)  # so the mean over blocks is 0.2, 0.3, 0.4
    for s in range(S):
        change[s, ..., s:] = np.nan  # lags that reach before step 0
    return change


def same(row: str) -> tuple[str, ...]:
    return (row,) * 4


# FORA's code counts down from S - 1 = 5; SmoothCache's files count up and force the last step.
PATTERNS = [
    ("full", Controls(), same("CCCCCC"), "full"),
    ("fora", Controls(interval=2), same("CCRCRC"), "FORA, every 2"),
    ("fora", Controls(interval=3), same("CRCRRC"), "FORA, every 3"),
    ("fora", Controls(interval=10), same("CRRRRC"), "FORA, every 10"),
    ("fora-start", Controls(interval=2), same("CRCRCC"), "every 2 from step 0"),
    ("fora-start", Controls(interval=3), same("CRRCRC"), "every 3 from step 0"),
    ("fora-start", Controls(interval=10), same("CRRRRC"), "every 10 from step 0"),
    # All steps change alike and more with age: three of six steps are computed with all ages 1 in
    # one way only, and two with ages 1 and 2.
    ("budget", Controls(speedup=1.0), same("CCCCCC"), "budget 1×"),
    ("budget", Controls(speedup=2.0), same("CRCRCR"), "budget 2×"),
    ("budget", Controls(speedup=3.0), same("CRRCRR"), "budget 3×"),
    ("taylorseer", Controls(interval=3, order=1), same("CCTTCT"), "TaylorSeer N 3, order 1"),
    ("taylorseer", Controls(interval=1), same("CCCCCC"), "TaylorSeer N 1, order 2"),
    ("ends", Controls(first=2, last=1), same("CCRRRC"), "first 2, last 1"),
    ("ends", Controls(first=1, last=0), same("CRRRRR"), "first 1, last 0"),
    ("ends", Controls(first=4, last=5), same("CCCCCC"), "first 4, last 5"),
    # 0.35 lets the mean go two steps: 0 C, 1-2 R, 3 C, 4 R, and 5 is forced.
    ("smoothcache", Controls(alpha=0.35), ("CRRCRC", "CCCCCC") * 2, "SmoothCache α 0.35"),
    ("smoothcache", Controls(alpha=0.25), ("CRCRCC", "CCCCCC") * 2, "SmoothCache α 0.25"),
    ("smoothcache", Controls(alpha=0.0), same("CCCCCC"), "SmoothCache α 0"),
    ("smoothcache", Controls(alpha=5.0), same("CRRRCC"), "SmoothCache α 5"),
    # On its own, block 0 may go three steps and block 1 one.
    ("per-block", Controls(alpha=0.35), ("CRRRCC", "CCCCCC", "CRCRCC", "CCCCCC"),
     "per block α 0.35"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "controls", "rows", "words"), PATTERNS)
def test_patterns(name: str, controls: Controls, rows: tuple[str, ...], words: str) -> None:
    one = preset(name)
    schedule = one.plan(STATE, controls, changes())
    assert schedule.rows() == dict(zip(ROWS, rows, strict=True))
    assert one.words(controls) == words


@pytest.mark.parametrize("name", [p.name for p in PRESETS])
def test_a_preset_reads_the_controls_it_names_and_no_others(name: str) -> None:
    one = preset(name)
    deep = replace(STATE, model=replace(STATE.model, blocks=4 * L))
    change = np.tile(changes(), (1, 4, 1, 1))  # room for a range between the first and last blocks
    before = {"interval": 2, "alpha": 0.35, "first": 2, "last": 1, "order": 2, "speedup": 2.0}
    plain = one.plan(deep, Controls(**before), change)
    after = {"interval": 4, "alpha": 0.05, "first": 4, "last": 2, "order": 3, "speedup": 1.2}
    for control, value in after.items():
        moved = Controls(**{**before, control: value})
        assert (one.plan(deep, moved, change) != plain) == (control in one.uses), control


@pytest.mark.parametrize("name", ["smoothcache", "per-block"])
def test_thresholds_work_with_fewer_lags_than_they_would_use(name: str) -> None:
    rows = preset(name).plan(STATE, Controls(alpha=0.35), changes()[..., :1]).rows()
    assert rows["block 0 attn"] == "CRCRCC"


@pytest.mark.parametrize("name", ["smoothcache", "per-block", "budget"])
def test_thresholds_are_refused_before_anything_was_measured(name: str) -> None:
    with pytest.raises(RequestError, match="press Run"):
        preset(name).plan(STATE, Controls(), np.zeros((S, L, 2, 1), np.float32))


OUT_OF_RANGE = [
    ("fora", Controls(interval=0)),
    ("fora", Controls(interval=1001)),
    ("fora-start", Controls(interval=-1)),
    ("smoothcache", Controls(alpha=-0.1)),
    ("smoothcache", Controls(alpha=math.nan)),
    ("per-block", Controls(alpha=math.inf)),
    ("ends", Controls(first=0)),
    ("ends", Controls(last=-1)),
]


@pytest.mark.parametrize(("name", "controls"), OUT_OF_RANGE)
def test_controls_out_of_range_are_refused_in_words(name: str, controls: Controls) -> None:
    with pytest.raises(CachebrushError, match="expected"):
        preset(name).plan(STATE, controls, changes())


@pytest.mark.parametrize("name", ["", "None", "Full", "x" * 10_000])
def test_unknown_names_are_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(RequestError, match="expected one of: full, fora") as caught:
        preset(name)
    assert len(str(caught.value)) < 200


def test_names_are_different_and_every_preset_says_what_it_does() -> None:
    assert len({p.name for p in PRESETS}) == len({p.title for p in PRESETS}) == len(PRESETS)
    assert all(p.note.endswith(".") for p in PRESETS)


def test_the_block_range_is_one_action_of_whole_steps() -> None:
    controls = Controls(interval=2, first=0, last=1)
    schedule = preset("residual").plan(STATE, controls, changes())
    assert schedule.step_row() == "CCSCSC" and not schedule.actions.any()
    assert schedule.step_legend == (Residual(0, 1),)
    assert preset("residual").words(controls) == "range 0 to -1, every 2"
    with pytest.raises(CachebrushError, match="at least one block between"):
        preset("residual").plan(STATE, Controls(interval=2, first=1, last=1), changes())
