"""What a page knows before its model is loaded, and what it notes as missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from caching.learn.store import shipped
from caching.methods import METHODS, Unready
from caching.methods.base import Setting
from viz.pages.visit import start_visit
from viz.reducer import update
from viz.setting import RecordedSetting, Watched
from viz.state import Resteps, ViewState

STATE: ViewState = start_visit().state
CHANGE = np.ones((20, 12, 2, 3), np.float32)
LEARNED = list(shipped())


class Empty(Setting):
    """A loaded model of which nothing is known."""

    steps, blocks, branches, cfg_scale, sampler = 20, 12, ("attn", "mlp"), 2.0, "ddim"

    @property
    def model(self) -> Any:
        return "the model"

    def change(self) -> np.ndarray:
        raise Unready("no change")

    def table(self, kind: str, make: Any) -> Any:
        raise Unready(f"no {kind}")

    def learned(self, method: str) -> Any:
        raise Unready(f"no {method}")


def test_the_recorded_changes_are_there_before_the_model_is() -> None:
    setting = RecordedSetting(STATE, CHANGE)
    assert setting.change() is CHANGE
    assert (setting.steps, setting.blocks, setting.branches) == (20, 12, ("attn", "mlp"))
    assert (setting.cfg_scale, setting.sampler) == (2.0, "ddim")
    assert METHODS["smoothcache"](alpha=2.0).plan(setting).schedule.actions.any()  # type: ignore[call-arg]


def test_everything_else_waits_for_the_model_and_says_so() -> None:
    setting = RecordedSetting(STATE, None)
    for ask in (
        setting.change,
        lambda: setting.model,
        lambda: setting.table("anything", lambda *_: 1),
        lambda: setting.learned("nothing of this name"),
    ):
        watched = Watched(setting)
        with pytest.raises(Unready, match="still loading"):
            ask()
        assert watched.missing == ""


@pytest.mark.parametrize("learned", LEARNED, ids=lambda x: f"{x.method}-{x.steps}")
def test_what_ships_is_found_by_the_models_name_and_steps(learned: Any) -> None:
    state = update(STATE, Resteps(learned.steps))
    assert RecordedSetting(state, None).learned(learned.method).command == learned.command
    other = update(STATE, Resteps(learned.steps + 1))
    with pytest.raises(Unready):
        RecordedSetting(other, None).learned(learned.method)


@pytest.mark.parametrize(
    ("ask", "missing"),
    [
        (lambda s: s.change(), "calibration"),
        (lambda s: s.table("x", lambda *_: 1), "calibration"),
        (lambda s: s.learned("l2c"), "training"),
    ],
)
def test_what_could_not_be_given_is_noted(ask: Any, missing: str) -> None:
    watched = Watched(Empty())
    assert watched.missing == "" and watched.model == "the model" and watched.blocks == 12
    with pytest.raises(Unready, match="no "):
        ask(watched)
    assert watched.missing == missing
    # Of a model and a number of steps that nothing ships for.
    early = Watched(RecordedSetting(update(STATE, Resteps(7)), None))
    with pytest.raises(Unready):
        ask(early)
    assert early.missing == "model"
