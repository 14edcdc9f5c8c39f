"""What the page says of methods and takes from their controls; nothing runs here."""

from __future__ import annotations

import re
from dataclasses import fields
from html.parser import HTMLParser
from typing import Any

import pytest

from caching.errors import RequestError
from caching.methods import METHODS, Plan
from caching.methods.base import controls
from caching.schedule import Schedule
from tests.viz.visits import JUNK, given
from viz.methods import (
    MARKS,
    SLOTS,
    about_html,
    choices,
    kind_of,
    method_from,
    shown_controls,
    slots_of,
    threshold_of,
)


def test_every_method_is_in_the_list_once_ours_first_and_the_inapplicable_last() -> None:
    names = [name for _, name in choices()]
    assert sorted(names) == sorted(METHODS) and len(set(names)) == len(names)
    assert names[:3] == ["full", "ends", "budget"]
    ours = [METHODS[name].source is None for name in names]
    assert ours == sorted(ours, reverse=True)
    assert {"fora", "smoothcache", "l2c"} <= set(names[sum(ours) :])
    never = [METHODS[name].faithfulness == "does not apply" for name in names]
    assert never == sorted(never) and any(never)
    published = [METHODS[n].title.lower() for n in names[sum(ours) : -sum(never)]]
    assert published == sorted(published)


def test_a_label_is_a_mark_of_faithfulness_and_the_title() -> None:
    for label, name in choices():
        mark, title = label.split(" ", 1)
        assert title == METHODS[name].title
        assert mark == MARKS[METHODS[name].faithfulness]
    assert len(set(MARKS.values())) == 5
    assert len({label for label, _ in choices()}) == len(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_every_methods_controls_fill_the_places_and_come_back_as_they_were(name: str) -> None:
    method = METHODS[name]()
    slots = slots_of(method)
    assert len(slots) == SLOTS
    shown = [slot for slot in slots if slot.control]
    assert [slot.control.name for slot in shown if slot.control] == [
        control.name for control in controls(type(method))
    ][:SLOTS]
    for slot in shown:
        assert slot.control and slot.value == getattr(method, slot.control.name)
        assert slot.is_list == bool(slot.control.choices)
    _, *values = given(name)
    assert method_from(name, values[:SLOTS], values[SLOTS:]) == method


@pytest.mark.parametrize("name", METHODS)
def test_moving_one_control_moves_that_field_alone(name: str) -> None:
    plain = METHODS[name]()
    for control in shown_controls(METHODS[name]):
        value = control.values[0] if control.default != control.values[0] else control.values[-1]
        # The page sends whole numbers as floats now and then.
        sent = float(value) if control.whole else value
        _, *values = given(name, **{control.name: sent})
        moved = method_from(name, values[:SLOTS], values[SLOTS:])
        found = {f.name: getattr(moved, f.name) for f in fields(moved)}
        assert found == {**{f.name: getattr(plain, f.name) for f in fields(plain)},
                         control.name: value}  # fmt: skip
        assert type(found[control.name]) is type(getattr(plain, control.name))


CONTROLS = [("fora", "interval"), ("fora", "align"), ("smoothcache", "alpha")]
HOSTILE = [
    (name, control, value)
    for name, control in CONTROLS
    for value in JUNK
    if (control, value) != ("alpha", 1.5)  # which it may well be
]


@pytest.mark.parametrize(("name", "control", "value"), HOSTILE, ids=lambda v: repr(v)[:12])
def test_hostile_values_are_refused_in_words(name: str, control: str, value: Any) -> None:
    _, *values = given(name, **{control: value})
    with pytest.raises(RequestError, match="expected") as caught:
        method_from(name, values[:SLOTS], values[SLOTS:])
    assert METHODS[name].title in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize("value", [1, 11, 2.5, 1.9999])
def test_values_beyond_the_ends_and_between_whole_numbers_are_refused(value: Any) -> None:
    _, *values = given("fora", interval=value)
    with pytest.raises(RequestError, match=r"N is .*expected.*2 to 10"):
        method_from("fora", values[:SLOTS], values[SLOTS:])


@pytest.mark.parametrize("name", ["", None, "FORA", 3, "x" * 10_000, [], {}])
def test_unknown_methods_are_refused(name: Any) -> None:
    with pytest.raises(RequestError, match="is not known"):
        kind_of(name)


def test_thresholds_on_changes_are_drawn_into_the_curves_and_others_are_not() -> None:
    assert threshold_of(METHODS["smoothcache"](alpha=0.3)) == 0.3  # type: ignore[call-arg]
    assert threshold_of(METHODS["fora"]()) is None and threshold_of(METHODS["teacache"]()) is None


class Tags(HTMLParser):
    """Every tag with its attributes, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", METHODS)
def test_the_words_say_what_where_from_and_how_faithful_and_load_nothing(name: str) -> None:
    kind = METHODS[name]
    page = Tags(about_html(kind))
    assert kind.about in page.text and kind.because in page.text
    # Nothing in it makes a browser fetch anything by itself.
    assert {tag for tag, _ in page.found} <= {"div", "p", "b", "cite", "a"}
    for tag, attributes in page.found:
        assert "style" not in attributes
        if tag == "a":
            assert re.match(r"https://(arxiv\.org|github\.com)/", str(attributes["href"]))
            assert (attributes["target"], attributes["rel"]) == ("_blank", "noopener noreferrer")
    assert kind.faithfulness in page.text.lower()
    if kind.source is None:
        return
    assert kind.source.paper in page.text and str(kind.source.year) in page.text
    assert kind.source.arxiv is None or f"arXiv {kind.source.arxiv}" in page.text


def test_what_is_missing_and_what_was_found_stand_there_escaped() -> None:
    plan = Plan(Schedule.full(2, 1), notes=("<b>all</b> reused",))
    words = about_html(METHODS["fora"], plan=plan, missing="this needs <i>that</i>")
    page = Tags(words)
    assert "This needs <i>that</i>." in page.text and "<b>all</b> reused." in page.text
    assert "cb-needs" in words and "cb-needs" not in about_html(METHODS["fora"], plan=plan)
