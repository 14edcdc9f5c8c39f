"""Why is it bad here: what a browser may send, what is said and coloured, measured and painted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from caching.measure.causes import Causes
from tests.viz.visits import JUNK, refused
from viz.causes import Found, found_html, layer_of
from viz.compare.values import Region, region_of
from viz.pages.causes import Why
from viz.pages.handlers import Handlers
from viz.pages.visit import Visit, start_visit

BOX = {"box": [0.25, 0.5, 0.75, 1]}


@pytest.mark.parametrize(
    "asked",
    [*JUNK, {}, {"box": None}, {"box": [0, 0, 1]}, {"box": [0, 0, 1, True]}, {"box": "0011"},
     {"box": [0, 0, 1, "1"]}, {"box": [0.5, 0, 0.5, 1]}, {"box": [0, 0, 10**400, 1]},
     {"box": [float("nan"), 0, 1, 1]}, {"box": [0, -1e-9, 1, 1]}, {"box": [[0], 0, 1, 1]}],
)  # fmt: skip
def test_only_regions_are_taken(asked: Any, handlers: Handlers, visit: Visit) -> None:
    with pytest.raises(ValueError, match="region"):
        region_of(asked)
    before = visit.state
    (parts,) = Why(handlers).ask(asked, visit)
    refused(parts)
    assert visit.state is before and visit.why is None
    assert region_of(BOX) == Region((0.25, 0.5, 0.75, 1.0))
    assert region_of(BOX).words == "25–75 % across, 50–100 % down"


def found(visit: Visit) -> Found:
    """Invented parts: 30 % and 20 % of the error in block 2, −10 % in block 5."""
    schedule = visit.result.schedule
    cells = np.where(schedule.computed, np.nan, 0.0)
    steps = np.flatnonzero(~schedule.computed[:, 2, 0])
    cells[steps[1], 2, 0], cells[steps[2], 2, 0] = 1.2, 0.8
    cells[steps[1], 5, 0] = -0.4
    return Found(
        visit.result, region_of(BOX), Causes(cells, np.zeros(len(cells)), error=4.0, rest=0.75)
    )


def test_the_words_and_the_colours() -> None:
    visit = start_visit()
    one = found(visit)
    first, *_ = one.worst  # nothing else is above 0
    assert first[1:] == (2, 0) and one.mask.sum() == 2
    words = found_html(one)
    # 10 log10(255² / 4) = 42.1; both cells are of attention.
    assert "mean squared error 4.00 (PSNR 42.1 dB inside), 25% of the whole picture" in words
    assert "attention 100%, MLP 0%" in words and "−30.0%" in words and "−20.0%" in words
    assert f'data-cell="2,0,{first[0]}"' in words
    layer = layer_of(one, "run7")
    assert layer["signed"] and layer["of"] == "run7" and layer["min"] == -layer["max"]
    steps = visit.state.schedule.steps
    code = ord(layer["data"][(2 * 2) * steps + first[0]])  # row * S + s
    assert code == 126 and layer["data"][0] == " "  # step 0 is computed
    # Half of E' = 2 E goes by the shares: (1 - .5 / 2)² = .5625.
    told = found_html(replace(one, before=4.0, after=2.0))
    assert "goes from 4.00 to 2.00 (−50.0%); the estimate said −43.8%" in told
    full = replace(one, causes=Causes(one.causes.cells * np.nan, np.zeros(20), 0.0, 0.0))
    assert "Every cell was computed" in found_html(full)


def test_asked_measured_painted_and_gone(handlers: Handlers, small: Visit) -> None:
    why = Why(handlers)
    *_, last = handlers.run((), small)
    assert 'data-kind="ready"' in last["notice"], last["notice"]
    *_, shown = why.ask(BOX, small)
    assert 'data-done="true"' in shown["why"] and shown["why_paint"]["visible"]
    assert shown["grid"]["layer"]["of"] == last["grid"]["live"]["run"]
    assert small.why is not None
    *_, told = why.measure(small)
    assert "Measured: with the" in told["why"] and small.why.after is not None
    computed = int(small.state.schedule.computed.sum())
    worst = len(small.why.worst)
    assert why.look(small).keys() == {"why"}  # the same result: nothing changes
    why.paint(small)
    assert int(small.state.schedule.computed.sum()) == computed + worst
    *_, _ = handlers.run((), small)
    assert why.look(small)["why"] == "" and small.why is None
    refused(why.paint(small))
    (parts,) = why.measure(small)
    refused(parts)
