"""A lesson as a page shows it: the tasks with how each condition stands, the board, the ending."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from viz import text
from viz.glossary import TERMS, term_html
from viz.lessons.values import Lesson, Score, Status, db_words

MOST_SHOWN = 8


def rich(words: str) -> str:
    """A text of a lesson as safe HTML: **bold**, and [[term]] or [[term|words]] as links."""
    parts = re.split(r"\[\[(.+?)\]\]", words)
    made = []
    for k, part in enumerate(parts):
        if k % 2 == 0:
            made.append(re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", html.escape(part)))
            continue
        name, _, shown = part.partition("|")
        made.append(term_html(name, shown or name) if name in TERMS else html.escape(shown or name))
    return "".join(made)


def list_html(lessons: Sequence[Lesson], finished: Sequence[str]) -> str:
    """What stands above the list of lessons."""
    done = sum(lesson.name in finished for lesson in lessons)
    words = text.LESSONS_INTRO
    if done:
        words += " " + text.LESSONS_DONE.format(done=done, count=len(lessons))
    return f'<div class="cb-lesson cb-lessons-intro"><p>{html.escape(words)}</p></div>'


def lesson_html(
    lesson: Lesson, step: int, statuses: Sequence[Status], *, board: str = "", number: str = ""
) -> str:
    """The open lesson.

    Args:
        lesson: to show.
        step: the first task that is not done; all are where it is their number.
        statuses: of the conditions of that task.
        board: the leaderboard, where the lesson has one.
        number: "lesson 3 of 8", "" for a file of one's own.
    """
    ended = step >= len(lesson.steps)
    tasks = []
    for k, task in enumerate(lesson.steps):
        state = "done" if k < step else "now" if k == step else "later"
        mark = {"done": "✓", "now": "→", "later": ""}[state]
        said = {"done": "Done: ", "now": "Now: ", "later": "Later: "}[state]
        body = f'<p><span class="cb-hide">{said}</span>{rich(task.text)}</p>'
        if state == "now":
            body += checks_html(statuses) + _hint_html(task.hint)
        current = ' aria-current="step"' if state == "now" else ""
        tasks.append(
            f'<li class="cb-task cb-task-{state}"{current}>'
            f'<i class="cb-task-mark" aria-hidden="true">{mark or k + 1}</i><div>{body}</div></li>'
        )
    ending = ""
    if ended:
        ending = (
            f'<div class="cb-ending"><h3>{html.escape(text.LESSON_ENDED)}</h3>'
            f"<p>{rich(lesson.ending)}</p><p>{html.escape(text.LESSON_SHARE)}</p></div>"
        )
    said = (
        text.LESSON_ENDED if ended else text.LESSON_AT.format(step=step + 1, of=len(lesson.steps))
    )
    over = f'<p class="cb-lesson-number">{html.escape(number)}</p>' if number else ""
    return (
        f'<div class="cb-lesson" data-lesson="{html.escape(lesson.name)}" data-step="{step}" '
        f'data-ended="{"true" if ended else "false"}" data-say="{html.escape(said)}">{over}'
        f"<h2>{html.escape(lesson.title)}</h2><p>{rich(lesson.intro)}</p>"
        f"<ol>{''.join(tasks)}</ol>{ending}{board}</div>"
    )


def checks_html(statuses: Sequence[Status]) -> str:
    """Each condition with whether it holds and what it is at."""
    items = "".join(
        f'<li data-holds="{"true" if s.holds else "false"}">'
        f'<span aria-hidden="true">{"✓" if s.holds else "○"}</span> '
        f'<span class="cb-hide">{"holds: " if s.holds else "not yet: "}</span>'
        f"{html.escape(s.words)}" + (f" · <b>{html.escape(s.now)}</b>" if s.now else "") + "</li>"
        for s in statuses
    )
    return f'<ul class="cb-checks">{items}</ul>'


def _hint_html(hint: str) -> str:
    if not hint:
        return ""
    return f"<details><summary>{html.escape(text.HINT)}</summary><p>{rich(hint)}</p></details>"


def board_html(board: Sequence[Score], picture: tuple[object, ...] | None) -> str:
    """The leaderboard of a visit: the runs of one picture, the closest to the full one first."""
    same = [score for score in board if score.picture == picture and score.work < 1]
    if not same:
        return f'<p class="cb-figure-words">{html.escape(text.BOARD_EMPTY)}</p>'
    rows = "".join(
        f'<tr><td>{k}</td><th scope="row">{html.escape(s.title)}</th>'
        f"<td>{s.work:.0%}</td><td>{html.escape(db_words(s.psnr_db))}</td></tr>"
        for k, s in enumerate(sorted(same, key=lambda s: -s.psnr_db)[:MOST_SHOWN], 1)
    )
    heads = (
        f'<th scope="col">{html.escape(text.BOARD_PLACE)}</th>'
        f'<th scope="col">{html.escape(text.BOARD_WHAT)}</th>'
        f'<th scope="col">{term_html("work")}</th><th scope="col">{term_html("PSNR")}</th>'
    )
    return (
        f'<table class="cb-board"><caption>{html.escape(text.BOARD)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    )
