"""Coming back: what a browser remembers opens as it was left; what it invents is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from caching.errors import RequestError
from caching.schedule import Schedule
from tests.viz.visits import stroke, turned
from viz.grid.ops import Lock, Pin, Redo, Undo
from viz.link import Link, to_link
from viz.pages import studio
from viz.pages.arrival import Arrival
from viz.pages.backward import MAX_ALL, MOST_PAST
from viz.pages.edits import Parts
from viz.pages.handlers import Handlers
from viz.pages.lessons import Lessons
from viz.pages.remembered import MAX_TEXT, OWN, Remembered, remembered_of, text_of
from viz.pages.resume import Resume
from viz.pages.share import Share
from viz.pages.visit import Visit, start_visit
from viz.state import Settings

TASK = {"text": "Paint.", "done": {"reused_at_least": 0.99}}
OWN_FILE = {
    "format": "cachebrush-lesson", "version": 1, "title": "Mine", "steps": [
        {"text": "Change it.", "done": {"changed": True}}, TASK],
}  # fmt: skip


def arrived(handlers: Handlers, address: str = "", left: Any = "") -> tuple[Visit, Parts]:
    """A page that opens at an address in a browser that remembers something."""
    visit = start_visit()
    return visit, next(Arrival(Lessons(handlers)).arrive(address, visit, left))


def columns(handlers: Handlers, visit: Visit, *steps: int) -> None:
    """Fill whole steps."""
    for k, step in enumerate(steps, 1):
        handlers.strokes(tuple(stroke(100 * k + row, row * 20 + step, 1, 1) for row in range(24)),
                         visit)  # fmt: skip
    Lessons(handlers).look(visit)


@pytest.fixture
def left(handlers: Handlers) -> Visit:
    """A visit in the middle of the third lesson, the first done before."""
    visit, _ = arrived(handlers, "lesson-paint")
    columns(handlers, visit, 2, 4, 6, 10, 12, 14, 16)
    visit.course = visit.course.__class__(**{**vars(visit.course), "finished": ("one-picture",)})
    assert visit.course.step == 1
    return visit


def test_a_lesson_comes_back_with_its_ticks_its_grid_and_the_list(
    handlers: Handlers, left: Visit
) -> None:
    visit, parts = arrived(handlers, "", text_of(left, handlers))
    assert visit.state.place.view == "lessons" and visit.state.place.lesson == "paint"
    assert visit.course.step == 1 and visit.course.finished == ("one-picture",)
    assert studio.same_paint(visit.state.schedule, left.state.schedule)
    assert 'data-step="1"' in parts["lesson"] and "where you left off" in parts["notice"]
    assert parts["lessons"]["choices"][0][0].startswith("✓")
    # The lesson still begins where it begins: Start again takes the paint away.
    Lessons(handlers).again(visit)
    assert visit.state.schedule.is_full and visit.course.step == 0


def test_a_view_and_a_grid_come_back_and_undo_goes_on_from_there(handlers: Handlers) -> None:
    before, _ = arrived(handlers, "studio")
    first = before.state.schedule
    handlers.strokes((stroke(1, 3, 4, 1),), before)
    handlers.configure(2, 5, 3.0, "ddim", before)
    visit, parts = arrived(handlers, "", text_of(before, handlers))
    assert visit.state.place.view == "studio" and parts["view"]["value"] == "studio"
    assert studio.same_paint(visit.state.schedule, before.state.schedule)
    assert parts["seed"]["value"] == 5
    assert len(visit.state.past) == 2
    handlers.strokes((Undo(visit.state.ack + 1),), visit)  # the settings
    assert visit.state.settings.seed == 7
    assert studio.same_paint(visit.state.schedule, before.state.schedule)
    handlers.strokes((Undo(visit.state.ack + 1),), visit)  # the stroke
    assert studio.same_paint(visit.state.schedule, first)
    handlers.strokes((Redo(visit.state.ack + 1),), visit)
    assert studio.same_paint(visit.state.schedule, before.state.schedule)


def test_pins_and_what_was_undone_come_back(handlers: Handlers) -> None:
    before, _ = arrived(handlers, "studio")
    handlers.strokes(
        (Pin(1, "A", clear=False), stroke(2, 3, 4, 1), Pin(3, "B", clear=False)), before
    )
    handlers.strokes((Lock(4, True, ((40, 3),)), Undo(5)), before)
    visit, parts = arrived(handlers, "", text_of(before, handlers))
    now, then = visit.state, before.state
    for pin, was in ((now.pin_a, then.pin_a), (now.pin_b, then.pin_b)):
        assert pin is not None and was is not None and pin.what == was.what
        assert studio.same_paint(pin.schedule, was.schedule)
    assert now.redo_label == then.redo_label
    assert parts["grid"]["value"]["redo"] == then.redo_label
    handlers.strokes((Redo(now.ack + 1),), visit)
    assert visit.state.now.locks == then.future[-1].locks != ()


def test_only_the_last_steps_are_kept_and_they_are_short(handlers: Handlers) -> None:
    visit, _ = arrived(handlers, "studio")
    for k in range(40):
        handlers.strokes((stroke(k + 1, 21 + 7 * k, 3, k % 2),), visit)
    words = json.loads(text_of(visit, handlers))
    assert len(words["past"]) == MOST_PAST
    assert sum(len(link) for _, link in words["past"]) <= MAX_ALL
    assert words["past"][-1][0] == visit.state.past[-1].what  # the nearest, not the oldest


def test_a_history_of_another_shape_or_class_is_refused_and_the_grid_stays(
    handlers: Handlers,
) -> None:
    before, _ = arrived(handlers, "studio")
    handlers.strokes((stroke(1, 3, 4, 1),), before)
    words = json.loads(text_of(before, handlers))
    odd = Link("scenes-dit", before.state.settings, 20, Schedule.full(20, 3))
    unknown = Link("scenes-dit", Settings(999, 0, 2.0, "ddim"), 20, before.state.schedule)
    other = Link("another", before.state.settings, 20, before.state.schedule)
    for link in (odd, unknown, other):
        entry = ["x", to_link(link, model="scenes-dit")]
        for more in ({"past": [entry]}, {"future": [entry]}, {"pins": [None, entry]}):
            visit, parts = arrived(handlers, "", json.dumps({**words, **more}))
            assert 'data-kind="error"' in parts["notice"]
            assert studio.same_paint(visit.state.schedule, before.state.schedule)
            assert visit.state.pin_b is None and not visit.state.future


def test_a_method_comes_back_chosen_with_the_grid_it_painted(handlers: Handlers) -> None:
    before, _ = arrived(handlers)
    turned(handlers, before, "fora", interval=4)
    visit, parts = arrived(handlers, "", text_of(before, handlers))
    assert visit.state.schedule == before.state.schedule
    assert parts["method"]["value"] == "fora"


def test_a_method_that_makes_another_grid_by_now_gives_way_to_the_grid(handlers: Handlers) -> None:
    before, other = arrived(handlers)[0], arrived(handlers)[0]
    turned(handlers, before, "fora", interval=4)
    handlers.strokes((stroke(1, 3, 4, 1),), other)
    words = json.loads(text_of(before, handlers))
    words["grid"] = json.loads(text_of(other, handlers))["link"]
    visit, _ = arrived(handlers, "", json.dumps(words))
    assert studio.same_paint(visit.state.schedule, other.state.schedule)


def test_what_the_address_says_comes_first(handlers: Handlers, left: Visit) -> None:
    kept = text_of(left, handlers)
    visit, _ = arrived(handlers, "studio", kept)  # a view alone: the rest as it was left
    assert visit.state.place.view == "studio" and visit.course.step == 1
    visit, _ = arrived(handlers, "lesson-repair", kept)  # another lesson: from its beginning
    assert visit.state.place.lesson == "repair" and visit.course.step == 0
    assert visit.course.finished == ("one-picture",)
    assert not studio.same_paint(visit.state.schedule, left.state.schedule)
    visit, _ = arrived(handlers, "lesson-paint", kept)  # the same lesson: go on
    assert visit.course.step == 1


def test_a_teachers_page_stays_one_when_its_pupil_comes_back(handlers: Handlers) -> None:
    teacher, _ = arrived(handlers, "lesson-paint")
    place = teacher.state.place.__class__("lessons", "paint", ("views", "method"), keeps=True)
    link = handlers.copy_link(teacher, place)["link"]
    pupil, _ = arrived(handlers, link)
    columns(handlers, pupil, 2, 4, 6, 10, 12, 14, 16)
    again, parts = arrived(handlers, link, text_of(pupil, handlers))
    assert again.course.step == 1 and again.state.schedule == pupil.state.schedule
    assert again.state.place == pupil.state.place and parts["again"]["visible"]
    # What is put away is the link's alone: without it the page is whole.
    home, _ = arrived(handlers, "", text_of(pupil, handlers))
    assert home.state.place.hidden == () and home.course.step == 1


def test_a_lesson_of_a_file_comes_back(handlers: Handlers, tmp_path: Any) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(OWN_FILE))
    before, _ = arrived(handlers)
    Lessons(handlers).upload(file, before)
    columns(handlers, before, 3)
    assert before.course.step == 1
    visit, _ = arrived(handlers, "lessons", text_of(before, handlers))
    assert visit.course.lesson is not None and visit.course.lesson.name == OWN
    assert visit.course.lesson.title == "Mine" and visit.course.step == 1


def test_the_board_comes_back(handlers: Handlers, left: Visit) -> None:
    row = ["FORA", "fora", ["scenes-dit", 9, 7, 20, 2.0, "ddim"], 0.4, 31.5]
    words = {**json.loads(text_of(left, handlers)), "board": [row, [*row[:4], None]]}
    visit, _ = arrived(handlers, "", json.dumps(words))
    assert [one.psnr_db for one in visit.course.board] == [31.5, float("inf")]
    assert json.loads(text_of(visit, handlers))["board"] == words["board"]


GOOD = {"v": 1, "view": "studio"}
BAD = [
    3, [], "x", "{", "null", "NaN", "x" * (MAX_TEXT + 1), '{"v":1,"step":NaN}', "[" * 99_999,
    *(json.dumps(one) for one in (
        {}, {"v": 2}, {**GOOD, "more": 1}, {**GOOD, "view": "<i>"}, {**GOOD, "view": 3},
        {**GOOD, "step": -1}, {**GOOD, "step": True}, {**GOOD, "step": 10**30},
        {**GOOD, "lesson": ["paint"]}, {**GOOD, "lesson": "x" * 999},
        {**GOOD, "finished": "all"}, {**GOOD, "finished": [1]}, {**GOOD, "finished": ["x"] * 999},
        {**GOOD, "board": [1]}, {**GOOD, "board": [["a", "b", [], 1, 2]]},
        {**GOOD, "board": [["a", "b", ["m", 0, 0, 20, 2, "ddim"], -1, 2]]},
        {**GOOD, "past": 3}, {**GOOD, "past": [["a", "b"]] * 99}, {**GOOD, "past": [["a"]]},
        {**GOOD, "future": [["a", "b"]] * 9}, {**GOOD, "future": [["x" * 999, "b"]]},
        {**GOOD, "pins": []}, {**GOOD, "pins": [1, None]},
        {**GOOD, "pins": [["a", "b" * 9999], None]},
        {**GOOD, "own": "{}"}, {**GOOD, "own": "\ud800"}, {**GOOD, "link": 7},
    )),
]  # fmt: skip


@pytest.mark.parametrize("given", BAD, ids=range(len(BAD)))
def test_what_nobody_has_written_is_refused_and_the_page_opens_as_new(
    handlers: Handlers, given: Any
) -> None:
    with pytest.raises(RequestError, match="cannot be read"):
        remembered_of(given)
    visit, parts = arrived(handlers, "", given)
    assert 'data-kind="error"' in parts["notice"] and len(parts["notice"]) < 900
    assert visit.state.schedule == start_visit().state.schedule


def test_a_refusal_stays_when_the_model_is_live(handlers: Handlers) -> None:
    visit = start_visit()
    first, *later = Arrival(Lessons(handlers)).arrive("", visit, '{"page": 3}')
    assert "what this browser remembers cannot be read" in first["notice"]
    notices = [parts["notice"] for parts in later if "notice" in parts]
    assert not any(isinstance(notice, str) for notice in notices), notices


@pytest.mark.parametrize("nothing", ["", None])
def test_nothing_remembered_is_no_error(handlers: Handlers, nothing: Any) -> None:
    assert remembered_of(nothing) is None
    assert 'data-kind="busy"' in arrived(handlers, "", nothing)[1]["notice"]


@pytest.mark.parametrize(
    "words",
    [
        {"link": "1zbroken"},
        {"lesson": "gone"},
        {"lesson": OWN},
        {"step": 10_000, "lesson": "paint"},
    ],
)
def test_what_is_no_longer_there_leaves_a_page_that_works(
    handlers: Handlers, words: dict[str, Any]
) -> None:
    visit, parts = arrived(handlers, "", json.dumps({**GOOD, **words}))
    assert visit.state.place.view == "studio"
    assert ('data-kind="error"' in parts["notice"]) == ("link" in words)
    lesson = visit.course.lesson
    assert visit.course.step == (len(lesson.steps) if lesson else 0)
    handlers.strokes((stroke(1, 3, 4, 1),), visit)


def test_a_page_is_kept_from_its_first_change_on(handlers: Handlers) -> None:
    visit, _ = arrived(handlers)
    share, resume = Share(handlers), Resume(Lessons(handlers))
    assert share.draft(visit) == "" and resume.keep(start_visit()) == ""
    handlers.strokes((stroke(1, 3, 4, 1),), visit)
    assert json.loads(json.loads(share.draft(visit))["page"])["link"]
    handlers.strokes((stroke(2, 3, 4, 0),), visit)  # as it was at first: that, too
    assert remembered_of(resume.keep(visit)) != Remembered()
