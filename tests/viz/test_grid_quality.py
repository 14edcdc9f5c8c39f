"""Which calibration the painter is given: the one of this model and setting, once, or none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from caching.predict.kept import SHIPPED, Kept
from caching.predict.packed import pack
from viz.grid import grid as component
from viz.grid.grid import ScheduleGrid
from viz.pages.handlers import Handlers
from viz.pages.visit import Visit


@pytest.fixture
def live(visit: Visit) -> Visit:
    """A visit on the model that a calibration ships for."""
    (path,) = SHIPPED.glob("*-20.npz")
    visit.weights_hash = Kept.from_bytes(path.read_bytes()).of.weights_hash
    return visit


def sent(parts: dict[str, Any]) -> Any:
    """What an answer says of the calibration; "nothing" where it leaves the page what it has."""
    return parts["grid"].get("quality", "nothing")


def test_it_goes_with_the_setting_and_with_nothing_else(handlers: Handlers, live: Visit) -> None:
    s = live.state.settings
    data = live.quality()
    assert data is not None and json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["shape"] == [20, 12, 2, 16]
    other = handlers.configure(s.label, s.seed + 1, s.cfg_scale, s.sampler, live)
    assert sent(other) == "nothing"
    assert sent(handlers.configure(s.label, s.seed, 3.0, s.sampler, live)) is None
    assert live.expected() is None
    assert sent(handlers.configure(s.label, s.seed, s.cfg_scale, s.sampler, live)) == data
    assert sent(handlers.resteps(15, live)) is None
    assert sent(handlers.resteps(20, live)) == data


def test_without_the_live_model_nobody_knows_which_one_it_is(visit: Visit) -> None:
    assert visit.quality() is None and visit.expected() is None


def test_python_says_what_the_page_can_say(live: Visit) -> None:
    (path,) = SHIPPED.glob("*-20.npz")
    kept = pack(Kept.from_bytes(path.read_bytes())).kept
    expected, exactly = live.expected(), kept.predict(live.state.schedule)
    assert expected is not None
    assert (expected.db, expected.low_db, expected.high_db) == (
        exactly.db, exactly.low_db, exactly.high_db,
    )  # fmt: skip


def test_the_first_screen_does_not_carry_it() -> None:
    config = ScheduleGrid().get_config()
    mine = json.loads(config["js_on_load"].split("const MINE = ")[1].split(";\n")[0])
    assert mine["props"]["quality"] is None
    look = json.loads(component.script().split("const CACHEBRUSH_LOOK = ")[1].split(";\n")[0])
    assert len(look["diverging"]) == 95 and look["diverging"][0][1] == "#FFFFFF"
