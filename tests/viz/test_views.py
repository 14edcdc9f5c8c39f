"""The three ways in: places in links, the switch, a teacher's link, the demo, the glossary."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.viz.visits import JUNK, refused, stroke
from viz.glossary import TERMS, glossary_html, terms_html
from viz.link import from_link
from viz.pages.arrival import Arrival
from viz.pages.handlers import Handlers
from viz.pages.lessons import Lessons
from viz.pages.views import Views, demo_html, place_html, preset_of, presets
from viz.pages.visit import Visit
from viz.place import HIDEABLE, VIEWS, Place, place_of, take_place, to_words
from viz.state import Show

PLACES = [
    Place(),
    Place("studio"),
    Place("lessons", "paint"),
    Place("demo", "", tuple(HIDEABLE), True),
    Place("studio", "", ("method", "files")),
]


@pytest.mark.parametrize("place", PLACES)
def test_a_place_comes_back_from_its_words(place: Place) -> None:
    words = to_words(place)
    assert take_place(words) == place and words == {}


def test_the_studio_needs_no_words_and_letters_are_not_shared() -> None:
    assert to_words(Place("studio")) == {}
    assert len({short for short, _ in HIDEABLE.values()}) == len(HIDEABLE)


@pytest.mark.parametrize("letter", ["v", "e", "h", "y"])
@pytest.mark.parametrize("junk", [None, 7, [], "?", "x" * 9999, {}, "mm"])
def test_a_hostile_place_is_refused(letter: str, junk: Any) -> None:
    if (letter, junk) in (("e", "?"), ("e", "mm")):
        return  # names of lessons that may exist
    with pytest.raises(ValueError, match=r"known|name|expected"):
        take_place({letter: junk})


def test_addresses_name_views_and_lessons() -> None:
    assert [place_of(view) for view in VIEWS] == [Place(view) for view in VIEWS]
    assert place_of("lesson-paint") == Place("lessons", "paint")
    assert [place_of(x) for x in ("1zabc", "", None, "x" * 999, "lesson-\n")] == [None] * 5


def test_a_view_changes_nothing_but_the_view(handlers: Handlers, visit: Visit) -> None:
    views, before = Views(handlers), visit.state
    for view in VIEWS:
        views.show(view, visit)
        assert visit.state == replace(before, place=Place(view))
    for junk in JUNK:
        refused(views.show(junk, visit))


def test_a_teachers_link_puts_away_locks_and_starts_again(handlers: Handlers, visit: Visit) -> None:
    views, lessons = Views(handlers), Lessons(handlers)
    lessons.choose("repair", visit)
    lessons.handlers.strokes((stroke(1, 1, 3, to=1),), visit)
    link = views.teach(["method", "views", "rubbish"], True, visit)["link"]
    assert from_link(link, model="scenes-dit").place == Place(
        "lessons", "repair", ("views", "method"), True
    )
    pupil = visit.__deepcopy__({})
    pupil.session.dispatch(Show(Place()))
    parts = next(Arrival(lessons).arrive(link, pupil))
    assert pupil.course.lesson is not None and pupil.course.lesson.name == "repair"
    assert parts["view"]["value"] == "lessons" and parts["seed"]["interactive"] is False
    assert parts["seed"]["value"] == 7 and parts["again"]["visible"] is True
    assert {"cb-hide-method", "cb-hide-views", "cb-taught"} <= set(
        parts["place"].split('"')[1].split()
    )
    painted = pupil.state.schedule
    assert painted == visit.state.schedule.compact() or painted == visit.state.schedule
    lessons.handlers.strokes((stroke(1, 22, 5, to=1),), pupil)
    lessons.again(pupil)
    assert pupil.state.schedule == painted and pupil.state.place.keeps


def test_an_unknown_lesson_of_a_link_is_said_and_the_state_opens(
    handlers: Handlers, visit: Visit
) -> None:
    link = handlers.copy_link(visit, Place("lessons", "nothing"))["link"]
    parts = next(Arrival(Lessons(handlers)).arrive(link, visit))
    refused(parts, "no lesson")
    assert visit.state.place == Place("lessons") and "grid" in parts


def test_a_link_leads_to_the_view_on_show_though_its_event_has_not_come(
    handlers: Handlers, visit: Visit
) -> None:
    views = Views(handlers)
    for view, expected in (("lessons", "lessons"), *((junk, "demo") for junk in JUNK)):
        visit.session.dispatch(Show(Place("demo")))
        link = from_link(views.share(view, visit)["link"], model="scenes-dit")
        assert link.place == Place(expected) and visit.state.place == Place("demo")


def test_presets_paint_and_resample(handlers: Handlers, visit: Visit) -> None:
    views = Views(handlers)
    assert len(presets()) == 4
    for one in presets():
        views.preset(one.name, visit)
        assert visit.state.schedule.actions.tolist() == one.schedule.actions.tolist()
        assert Lessons(handlers).look(visit)["preset"]["value"] == one.name
    handlers.strokes((stroke(1, 1, 3, to=1), stroke(2, 4, 3, to=0)), visit)
    assert Lessons(handlers).look(visit)["preset"]["value"] is None  # it is no preset any more
    handlers.resteps(11, visit)
    views.preset(presets()[0].name, visit)
    assert preset_of(visit) == presets()[0].name
    assert visit.state.schedule.steps == 11 and visit.state.schedule.actions.any()
    for junk in JUNK:
        refused(views.preset(junk, visit))


def test_another_picture_is_of_another_class_and_seed(handlers: Handlers, visit: Visit) -> None:
    names, before = visit.state.model.class_names, visit.state.settings
    for k in range(1, len(names) + 1):  # the last one is followed by the first
        parts = Views(handlers).another(visit)
        now = visit.state.settings
        assert (now.label, now.seed) == ((before.label + k) % len(names), before.seed + k)
        assert parts["label"]["value"] == now.label and parts["seed"]["value"] == now.seed


def test_the_demo_answers_in_words(visit: Visit) -> None:
    shown = demo_html(visit)
    figures = visit.result.figures["cached"]
    assert f"{1 - figures.work:.0%}" in shown and f"{figures.speedup:.2f}×" in shown
    assert f"{figures.psnr_db:.1f} dB" in shown and "recorded on" in shown
    assert 'data-view="demo"' in place_html(visit)


def test_terms_are_escaped_and_every_shipped_link_is_known() -> None:
    shown = glossary_html()
    assert all(f'data-name="{name}"' in shown for name in TERMS)
    with pytest.raises(KeyError):
        terms_html("nothing")


def test_the_first_screen_is_made_before_torch_is_imported() -> None:
    code = (
        "import sys, app\n"
        "from viz.live import Engine\n"
        "Engine.begin = lambda self, name: None\n"
        "app.build_app(Engine()).get_config_file()\n"
        "print(sorted({'torch', 'diffusers'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip().endswith("[]"), done.stdout + done.stderr
