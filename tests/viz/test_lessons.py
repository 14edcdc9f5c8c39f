"""Lessons: what files are refused, when each condition holds, and what a visit does with them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.viz.visits import JUNK, refused, stroke, turned
from viz.lessons import Facts, LessonError, Score, load_lesson
from viz.lessons.files import MAX_BYTES, lesson_of
from viz.lessons.panel import board_html, lesson_html, rich
from viz.lessons.values import Check, Region
from viz.lessons.vocabulary import KINDS, status_of
from viz.pages.handlers import Handlers
from viz.pages.lessons import Lessons, shipped
from viz.pages.visit import Visit
from viz.place import Place

PLAIN: dict[str, Any] = {
    "format": "cachebrush-lesson",
    "version": 1,
    "title": "A lesson",
    "steps": [{"text": "Paint.", "done": {"reused_at_least": 0.1}}],
}


def lesson(**changes: Any) -> Any:
    return lesson_of({**PLAIN, **changes}, name="mine")


def step(done: Any) -> dict[str, Any]:
    return {"steps": [{"text": "Do it.", "done": done}]}


# -- files ---------------------------------------------------------------------------------

HOSTILE = {
    "no object": [PLAIN],
    "another format": {**PLAIN, "format": "x"},
    "another version": {**PLAIN, "version": 2},
    "no title": {k: v for k, v in PLAIN.items() if k != "title"},
    "long title": {**PLAIN, "title": "x" * 81},
    "number for text": {**PLAIN, "intro": 7},
    "no steps": {**PLAIN, "steps": []},
    "many steps": {**PLAIN, "steps": PLAIN["steps"] * 13},
    "unknown word": {**PLAIN, "script": "alert(1)"},
    "unknown box": {**PLAIN, "show": ["kitchen"]},
    "no flag": {**PLAIN, "keeps_seed": "yes"},
    "unknown term": {**PLAIN, "intro": "See [[everything]]."},
    "unknown start": {**PLAIN, "start": {"load": "evil/model"}},
    "long link": {**PLAIN, "start": {"link": "1" * 20_000}},
    "half a grid": {**PLAIN, "start": {"grid": "half"}},
    "negative seed": {**PLAIN, "start": {"seed": -1}},
    "nested values": {**PLAIN, "start": {"method": "fora", "values": {"interval": [3]}}},
    "no condition": {**PLAIN, **step({})},
    "unknown condition": {**PLAIN, **step({"clicked": True})},
    "many conditions": {**PLAIN, **step([{"ran": True}] * 9)},
    "share beyond one": {**PLAIN, **step({"reused_at_least": 30})},
    "NaN": {**PLAIN, **step({"reused_at_least": math.nan})},
    "false": {**PLAIN, **step({"ran": False})},
    "region of nothing": {**PLAIN, **step({"ran": True, "branch": "attn"})},
    "span backwards": {**PLAIN, **step({"reused_at_least": 1, "steps": [6, 1]})},
    "span of words": {**PLAIN, **step({"reused_at_least": 1, "blocks": ["0", "1"]})},
    "huge number": {**PLAIN, **step({"psnr_at_least_db": 10**400})},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_words(name: str) -> None:
    with pytest.raises(LessonError) as caught:
        lesson_of(HOSTILE[name], name="mine")
    assert "expected" in str(caught.value) or "lacks" in str(caught.value) or "glossary" in str(
        caught.value
    ) or "no reused" in str(caught.value)  # fmt: skip
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("junk", JUNK, ids=repr)
@pytest.mark.parametrize("kind", KINDS)
def test_no_condition_takes_junk(kind: str, junk: Any) -> None:
    allowed = {"7", True, 1.5} if isinstance(junk, (str, bool, float, int)) else set()
    try:
        found = lesson_of({**PLAIN, **step({kind: junk})}, name="mine")
    except LessonError:
        return
    assert junk in allowed, f"{kind} took {junk!r}"
    assert found.steps[0].checks[0].value == junk


@pytest.mark.parametrize(
    "data", [b"\xff\xfe", b"[" * 60_000, b'{"a": NaN}', b" " * (MAX_BYTES + 1), b"", b"7"]
)
def test_bytes_that_are_no_lesson(data: bytes) -> None:
    with pytest.raises(LessonError):
        load_lesson(data, name="mine")


def test_every_condition_is_explained_to_teachers_and_in_the_code() -> None:
    import viz.lessons.vocabulary as vocabulary

    readme = Path(shipped.__wrapped__.__globals__["FOLDER"] / "README.md").read_text("utf-8")
    for kind in KINDS:
        assert f"`{kind}`" in readme and kind in str(vocabulary.__doc__), kind


def test_texts_are_escaped_and_terms_become_links() -> None:
    shown = rich('<img src=x onerror=alert(1)> **bold <i>** [[PSNR|"close"]] [[<b>]]')
    assert "<img" not in shown and "<i>" not in shown and "[[" not in shown
    assert "<b>bold &lt;i&gt;</b>" in shown and 'data-term="PSNR"' in shown
    assert "&lt;b&gt;" in shown
    evil = lesson(title="<script>", intro="<b>", ending='"><script>')
    panel = lesson_html(evil, 1, [])
    assert "<script" not in panel and "<b>" not in panel


# -- conditions ----------------------------------------------------------------------------

# Two steps, two blocks, attn and mlp: of eight cells two are reused and one is forecast.
CELLS = np.array([[[0, 0], [0, 0]], [[1, 0], [1, 2]]], np.uint8)
LAST = Score("mine", "", ("picture",), 0.5, 40.0)
FORA = Score("FORA", "fora", ("picture",), 0.5, 35.0)
FACTS = Facts(CELLS, ("reuse", "taylor"), ("attn", "mlp"), last=LAST, speedup=1.8,
              fewer_psnr_db=39.0, board=(FORA,))  # fmt: skip
CASES: list[tuple[str, Any, dict[str, Any], dict[str, Any], bool]] = [
    ("reused_at_least", 0.375, {}, {}, True),
    ("reused_at_least", 0.38, {}, {}, False),
    ("reused_at_least", 0.5, {"branch": "attn"}, {}, True),
    ("reused_at_least", 0.5, {"branch": "mlp"}, {}, False),
    ("reused_at_least", 0.75, {"steps": (1, 1)}, {}, True),
    ("reused_at_least", 0.5, {"steps": (1, 1), "brush": "reuse"}, {}, True),
    ("reused_at_least", 0.51, {"steps": (1, 1), "brush": "reuse"}, {}, False),
    ("reused_at_least", 0.5, {"blocks": (1, 1)}, {}, True),
    ("reused_at_least", 0.01, {"branch": "cross"}, {}, False),
    ("reused_at_least", 0.01, {"steps": (7, 9)}, {}, False),
    ("reused_at_most", 0.375, {}, {}, True),
    ("reused_at_most", 0.37, {}, {}, False),
    ("reused_at_most", 0, {"steps": (0, 0)}, {}, True),
    ("uses", "taylor", {}, {}, True),
    ("uses", "hermite", {}, {}, False),
    ("changed", True, {}, {}, False),
    ("changed", True, {}, {"changed": True}, True),
    ("method", "fora", {}, {}, False),
    ("method", "fora", {}, {"method": "fora"}, True),
    ("steps_at_least", 2, {}, {}, True),
    ("steps_at_least", 3, {}, {}, False),
    ("steps_at_most", 2, {}, {}, True),
    ("steps_at_most", 1, {}, {}, False),
    ("another_picture", True, {}, {"another_picture": True}, True),
    ("learned", "l2c", {}, {"learned": ("l2c",)}, True),
    ("learned", "l2c", {}, {"learned": ("dydit",)}, False),
    ("ran", True, {}, {}, False),
    ("ran", True, {}, {"ran": True}, True),
    ("psnr_at_least_db", 40, {}, {}, True),
    ("psnr_at_least_db", 40.1, {}, {}, False),
    ("psnr_at_least_db", 40, {}, {"last": None}, False),
    ("psnr_at_least_db", 200, {}, {"last": replace(LAST, psnr_db=math.inf)}, True),
    ("psnr_at_most_db", 40, {}, {}, True),
    ("psnr_at_most_db", 39, {}, {}, False),
    ("work_at_most", 0.5, {}, {}, True),
    ("work_at_most", 0.49, {}, {}, False),
    ("speedup_at_least", 1.8, {}, {}, True),
    ("speedup_at_least", 1.9, {}, {}, False),
    ("beats", "fora", {}, {}, True),
    ("beats", "fora", {}, {"last": None}, False),
    ("beats", "fora", {}, {"board": ()}, False),
    ("beats", "fora", {}, {"last": replace(LAST, psnr_db=34.9)}, False),
    ("beats", "fora", {}, {"last": replace(LAST, work=0.6)}, False),
    ("beats", "fora", {}, {"last": replace(LAST, picture=("other",))}, False),
    ("beats", "fora", {}, {"last": replace(LAST, method="fora")}, False),
    ("beats", "fewer", {}, {}, True),
    ("beats", "fewer", {}, {"fewer_psnr_db": 41.0}, False),
    ("beats", "fewer", {}, {"last": replace(LAST, work=1.0)}, False),
]


@pytest.mark.parametrize(("kind", "value", "region", "facts", "holds"), CASES)
def test_a_condition_holds_by_hand_worked_numbers(
    kind: str, value: Any, region: dict[str, Any], facts: dict[str, Any], holds: bool
) -> None:
    status = status_of(Check(kind, value, Region(**region)), replace(FACTS, **facts))
    assert status.holds is holds and status.words


@pytest.mark.parametrize(
    ("kind", "value", "brush", "words"),
    [
        ("reused_at_least", 1, None, "steps 1–6: nothing computed"),
        ("reused_at_least", 1, "reuse", "steps 1–6: all reused"),
        ("reused_at_least", 0.5, None, "steps 1–6: at least 50% not computed"),
        ("reused_at_most", 0, None, "steps 1–6: all computed"),
        ("reused_at_most", 0, "reuse", "steps 1–6: nothing reused"),
    ],
)
def test_all_and_nothing_are_said_in_words(
    kind: str, value: float, brush: str | None, words: str
) -> None:
    assert status_of(Check(kind, value, Region(steps=(1, 6), brush=brush)), FACTS).words == words


def test_every_condition_has_cases_of_both_kinds() -> None:
    assert {case[0] for case in CASES} == set(KINDS)


def test_the_board_is_of_one_picture_with_the_closest_first() -> None:
    far = replace(FORA, title="<far>", psnr_db=20.0)
    other = replace(FORA, title="elsewhere", picture=("other",))
    full = replace(FORA, title="full", work=1.0, psnr_db=math.inf)
    shown = board_html((far, LAST, other, full), ("picture",))
    assert shown.index("mine") < shown.index("&lt;far&gt;")
    assert "elsewhere" not in shown and "full<" not in shown and "<far>" not in shown


# -- the shipped ones, on a visit ----------------------------------------------------------


@pytest.fixture
def lessons(handlers: Handlers) -> Lessons:
    return Lessons(handlers)


def test_at_least_eight_lessons_ship_and_all_open(lessons: Lessons, visit: Visit) -> None:
    assert len(shipped()) >= 8 and len({one.name for one in shipped()}) == len(shipped())
    for one in shipped():
        parts = lessons.choose(one.name, visit)
        assert 'data-kind="ready"' in parts["notice"], parts["notice"]
        assert visit.course.lesson is one and visit.course.step == 0, one.name
        assert visit.state.place == Place("lessons", one.name, (), one.keeps_seed)
        assert one.intro and one.ending and one.summary, one.name
        assert (visit.state.settings.label, visit.state.settings.seed) == (9, 7)


def test_a_task_is_ticked_off_by_doing_it_and_only_then(lessons: Lessons, visit: Visit) -> None:
    lessons.choose("paint", visit)
    lessons.handlers.strokes((stroke(1, 1, 19, to=1),), visit)
    lessons.look(visit)
    assert visit.course.step == 0  # 19 of 480 cells
    rows = tuple((20 * row + 1, 19) for row in range(8))  # 152 of 480 cells: 32 %
    lessons.handlers.strokes((replace(stroke(2, to=1), runs=rows),), visit)
    parts = lessons.look(visit)
    assert visit.course.step == 1 and 'data-step="1"' in parts["lesson"]
    lessons.look(visit)
    assert visit.course.step == 1  # nothing has run
    lessons.again(visit)
    assert visit.course.step == 0 and visit.state.schedule.is_full


def test_a_run_of_the_same_paint_counts_once(
    handlers: Handlers, lessons: Lessons, small: Visit
) -> None:
    small.course = replace(
        small.course,
        lesson=lesson(**step({"ran": True}), start={}),
        at=small.result,
    )
    lessons.look(small)
    assert small.course.step == 0 and not small.course.board  # what was recorded is no run
    list(handlers.run((), small))
    lessons.look(small)
    assert small.course.step == 1 and len(small.course.board) == 1
    lessons.look(small)
    (score,) = small.course.board
    assert (score.method, score.title) == ("fora", "FORA") and 0 < score.work < 1
    assert score.psnr_db == small.result.figures["cached"].psnr_db
    turned(handlers, small, "fora", interval=3)
    lessons.look(small)
    assert len(small.course.board) == 1


def test_a_start_that_cannot_be_opens_nothing(
    lessons: Lessons, visit: Visit, tmp_path: Path
) -> None:
    before = visit.state
    for start in (
        {"class": "dragon"}, {"method": "fora", "values": {"interval": -3}}, {"steps": 4000},
        {"link": "1zrubbish"}, {"method": "nobody"}, {"sampler": "nothing"},
        {"method": "fora", "values": {"nothing": 1}},
    ):  # fmt: skip
        file = tmp_path / "lesson.json"
        file.write_text(json.dumps({**PLAIN, "start": start}))
        refused(lessons.upload(str(file), visit), "lesson was not opened")
        assert visit.state.schedule == before.schedule, start
        assert visit.course.lesson is None and not visit.course.own
    for junk in JUNK:
        refused(lessons.choose(junk, visit))


def test_a_file_of_ones_own_opens_and_its_start_holds(
    lessons: Lessons, visit: Visit, tmp_path: Path
) -> None:
    file = tmp_path / "lesson.json"
    start = {"method": "fora", "values": {"interval": 4}, "class": "ring", "seed": 3, "steps": 12}
    file.write_text(json.dumps({**PLAIN, "start": start, "keeps_seed": True}))
    parts = lessons.upload(str(file), visit)
    assert 'data-kind="ready"' in parts["notice"] and parts["seed"]["interactive"] is False
    state = visit.state
    assert (state.settings.seed, state.schedule.steps) == (3, 12)
    assert state.model.class_names[state.settings.label] == "ring"
    assert visit.course.lesson in visit.course.own
    refused(lessons.handlers.configure(2, 4, 2.0, "ddim", visit), "locked")
    assert visit.state.settings.seed == 3
    lessons.leave(visit)
    assert visit.course.lesson is None and not visit.state.place.keeps
