"""The dragged threshold: what it paints, which method it turns, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.viz.visits import JUNK, refused, turned
from viz.pages.handlers import Handlers
from viz.pages.threshold import Threshold
from viz.pages.visit import Visit


def test_without_a_method_it_is_smoothcache_that_paints(handlers: Handlers, visit: Visit) -> None:
    before = len(visit.state.past)
    parts = Threshold(handlers).drag(0.25, visit)
    assert parts["method"]["value"] == "smoothcache" and parts["number0"]["value"] == 0.25
    assert handlers.choose_once("smoothcache", visit) == {}  # of the list, which was set to it
    # What the page showed while the line moved is what Python paints.
    rows = visit.curves().layout.meta["alpha"]["rows"]
    for r, branch in enumerate(visit.state.model.branches):
        shown = [row for start, row in rows[branch] if start <= 0.25][-1]
        actions = visit.state.schedule.actions[:, :, r]
        assert (np.array([int(c) for c in shown]) == actions.T).all()
    Threshold(handlers).drag(0.3, visit)
    assert len(visit.state.past) == before + 1  # a second drag is the same step of undo
    assert visit.curves().layout.meta["alpha"]["value"] == 0.3


def test_a_method_with_a_threshold_of_its_own_is_turned(handlers: Handlers, visit: Visit) -> None:
    turned(handlers, visit, "perblock", alpha=0.2)
    told = visit.curves().layout.meta["alpha"]
    assert (told["value"], told["on"], told["rows"]) == (0.2, True, {})
    parts = Threshold(handlers).drag(0.4, visit)
    assert parts["method"]["value"] == "perblock"
    assert visit.method is not None and visit.method.alpha == 0.4  # type: ignore[attr-defined]
    assert visit.curves().layout.meta["alpha"]["most"] == 4


def test_another_method_makes_way(handlers: Handlers, visit: Visit) -> None:
    turned(handlers, visit, "fora", interval=2)
    assert not visit.curves().layout.meta["alpha"]["on"]
    Threshold(handlers).drag(0.2, visit)
    assert visit.method is not None and visit.method.name == "smoothcache"


@pytest.mark.parametrize("junk", [x for x in JUNK if x not in (1.5, True)])
def test_what_anybody_may_send_is_refused(handlers: Handlers, visit: Visit, junk: Any) -> None:
    before = visit.state
    refused(Threshold(handlers).drag(junk, visit))
    assert visit.state is before and visit.method is None
