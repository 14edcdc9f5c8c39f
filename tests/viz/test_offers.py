"""What the command palette offers of the page, and that choosing it is choosing it in its list."""

from __future__ import annotations

from typing import Any

import pytest

from tests.viz.visits import JUNK, refused
from viz import methods
from viz.pages.handlers import Handlers
from viz.pages.offers import BUTTONS, Offers, offers
from viz.pages.visit import Visit


def test_every_method_and_button_is_offered_by_name() -> None:
    found = offers()
    assert [tuple(pair) for pair in found["methods"]] == methods.choices()
    assert [one["label"] for one in found["buttons"]] == [label for label, _, _ in BUTTONS]


def test_a_method_is_painted_and_its_list_shows_it(handlers: Handlers, visit: Visit) -> None:
    parts = Offers(handlers).choose("method", "fora", visit)
    assert parts["method"]["value"] == "fora" and "grid" in parts
    assert visit.method is not None and visit.method.name == "fora"
    assert handlers.choose_once("fora", visit) == {}  # of the list, which was set to it
    assert visit.state.undo_label is not None and visit.state.undo_label.startswith("FORA")


def test_a_class_is_chosen_and_its_list_shows_it(handlers: Handlers, visit: Visit) -> None:
    other = (visit.state.settings.label + 1) % len(visit.state.model.class_names)
    parts = Offers(handlers).choose("class", other, visit)
    assert parts["label"]["value"] == other == visit.state.settings.label


@pytest.mark.parametrize("group", ["method", "class", "", None, []])
def test_junk_changes_nothing(handlers: Handlers, visit: Visit, group: Any) -> None:
    before = visit.state
    for value in JUNK:
        parts = Offers(handlers).choose(group, value, visit)
        if group == "class" or (group == "method" and isinstance(value, str)):
            refused(parts)
        else:
            assert parts == {}
        assert visit.state == before
