"""How far a visitor has come in a lesson: the facts its conditions are judged by, and the board."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from caching.measure.result import Result
from caching.methods import METHODS
from caching.schedule import Schedule
from viz.lessons.values import Facts, Lesson, Score, Status
from viz.lessons.vocabulary import status_of
from viz.pages import studio
from viz.state import Settings

if TYPE_CHECKING:
    from viz.pages.visit import Visit

MAX_BOARD = 60
MAX_OWN = 8


@dataclass(frozen=True, eq=False)
class Course:
    """What a visitor has done with lessons so far.

    Attributes:
        lesson: the open one.
        step: its first task that is not done.
        at: the result on show when that task began; a run since then is another.
        schedule, settings: what the lesson began with.
        finished: names of lessons done to the end.
        own: lessons from files of the visitor's.
        seen: the newest result looked at.
        board: finished runs of this visit, oldest first.
    """

    lesson: Lesson | None = None
    step: int = 0
    at: object = None
    schedule: Schedule | None = None
    settings: Settings | None = None
    finished: tuple[str, ...] = ()
    own: tuple[Lesson, ...] = ()
    seen: object = None
    board: tuple[Score, ...] = ()


def begun(course: Course, lesson: Lesson | None, visit: Visit) -> Course:
    """The course with a lesson opened on the page as it stands, or none."""
    return replace(
        course,
        lesson=lesson,
        step=0,
        at=visit.result,
        schedule=visit.state.schedule,
        settings=visit.state.settings,
    )


def advanced(course: Course, visit: Visit) -> Course:
    """The course after whatever has happened: runs scored, tasks that are done ticked off."""
    result = visit.result
    if result is not course.seen:
        board = course.board if result.recorded else (*course.board, score_of(visit))
        course = replace(course, seen=result, board=board[-MAX_BOARD:])
    lesson = course.lesson
    while lesson and course.step < len(lesson.steps):
        if not all(status.holds for status in statuses(course, visit)):
            break
        course = replace(course, step=course.step + 1, at=result)
        if course.step == len(lesson.steps) and lesson.name not in course.finished:
            course = replace(course, finished=(*course.finished, lesson.name))
    return course


def statuses(course: Course, visit: Visit) -> list[Status]:
    """How the conditions of the present task stand; none when all is done."""
    lesson = course.lesson
    if lesson is None or course.step >= len(lesson.steps):
        return []
    facts = facts_of(course, visit)
    return [status_of(check, facts) for check in lesson.steps[course.step].checks]


def facts_of(course: Course, visit: Visit) -> Facts:
    """The page as it stands and its last run."""
    state, result = visit.state, visit.result
    schedule, now, began = state.schedule, state.settings, course.settings
    fresh = not studio.is_stale(result, state)
    figures = result.figures
    fewer = figures["fewer"].psnr_db
    return Facts(
        cells=cells_of(schedule),
        brushes=(*(p.name for p in schedule.legend), *(a.name for a in schedule.step_legend)),
        branches=schedule.branches,
        changed=schedule != course.schedule,
        another_picture=began is not None and (now.label, now.seed) != (began.label, began.seed),
        method=painted_by(visit),
        learned=tuple(one.method for one in visit.learned),
        ran=fresh and result is not course.at and result.recorded is None,
        last=score_of(visit) if fresh else None,
        speedup=figures["cached"].speedup,
        fewer_psnr_db=float("nan") if fewer is None else fewer,
        board=course.board,
        titles={name: kind.title for name, kind in METHODS.items()},
    )


def cells_of(schedule: Schedule) -> np.ndarray:
    """Uint8 (S, L, R): what stands in for each cell, brushes of whole steps after the others."""
    steps = schedule.step_actions[:, None, None] + len(schedule.legend)
    cells: np.ndarray = np.where(schedule.covered, steps, schedule.actions).astype(np.uint8)
    return cells


def painted_by(visit: Visit) -> str:
    """The method that painted the grid as it is, "" if a hand has been at it."""
    from viz.pages.methods import GROUP

    group = visit.state.now.painted_by[1] or ""
    return group.removeprefix(GROUP) if group.startswith(GROUP) else ""


def picture_of(result: Result) -> tuple[Any, ...]:
    """What must be equal for two results to be compared."""
    r = result
    return r.model, r.label, r.seed, len(r.timesteps), r.cfg_scale, r.sampler


def score_of(visit: Visit) -> Score:
    """The result on show as a line of the board."""
    result, cached = visit.result, visit.result.figures["cached"]
    name = "" if studio.is_stale(result, visit.state) else painted_by(visit)
    title = result.policy or (visit.state.now.painted_by[0] if name else "painted by hand")
    if name and visit.method is not None and visit.method.name == name:
        title = visit.method.title
    psnr_db = float("inf") if cached.psnr_db is None else cached.psnr_db
    return Score(title, name, picture_of(result), cached.work, psnr_db)
