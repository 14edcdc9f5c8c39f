"""Curves of another setting than the page's say so, and are not saved as if they were its own."""

from __future__ import annotations

import pytest

from viz.pages import saved
from viz.pages.visit import start_visit
from viz.state import Configure, Resteps, Settings


def test_curves_carried_over_to_other_steps_say_so_and_are_no_file() -> None:
    visit = start_visit()
    assert "carried over" not in visit.words()
    visit.session.dispatch(Resteps(9))
    assert "carried over from a run of 20 steps" in visit.words()
    for make in (saved.curves_table, saved.curves_drawn):
        with pytest.raises(ValueError, match="measured at 20 steps and the grid has 9"):
            make(visit)


def test_curves_of_another_guidance_name_their_own() -> None:
    visit = start_visit()
    s = visit.state.settings
    visit.session.dispatch(Configure(Settings(s.label, s.seed, 4.0, s.sampler)))
    assert "Measured with guidance 2 and DDIM" in visit.words()
