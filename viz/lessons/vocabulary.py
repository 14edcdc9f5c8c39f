"""The vocabulary of lessons: what a step may ask for, and whether that has been done.

The conditions of a step, all of which must hold ("done": one object, or a list of objects):

    reused_at_least, reused_at_most   share of cells, 0 to 1, that are not computed; "branch",
                                      "steps": [first, last], "blocks": [first, last] and "brush"
                                      narrow which cells are counted
    uses                              a brush stands somewhere on the grid: "reuse", "taylor" …
    changed                           true: the grid is another than at the start
    method                            the grid is what this method painted: "fora", "l2c" …
    steps_at_least, steps_at_most     the number of steps of the page
    another_picture                   true: class or seed are others than at the start
    learned                           a training of this method has ended in this visit
    ran                               true: a run has ended since the step began, of what is shown
    psnr_at_least_db, psnr_at_most_db, work_at_most, speedup_at_least
                                      of the last run, if it is of what is shown
    beats                             the last run is closer to the full picture than an earlier
                                      run of this method at no less work, same picture; or "fewer",
                                      the rival with fewer steps
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from viz.lessons.values import Check, Facts, LessonError, Region, Score, Status, db_words, shown


@dataclass(frozen=True)
class Kind:
    """One word of the vocabulary: what values it takes, and how it is judged."""

    parse: Callable[[Any, str], Any]
    status: Callable[[Check, Facts], Status]
    regional: bool = False


def number(low: float, high: float) -> Callable[[Any, str], float]:
    """A reader of numbers within bounds."""

    def parse(value: Any, where: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise LessonError(f"{where} is {shown(value)}, expected a number.")
        if not low <= value <= high:
            raise LessonError(f"{where} is {shown(value)}, expected {low:g} to {high:g}.")
        return float(value)

    return parse


def name_of(value: Any, where: str) -> str:
    """A name, whatever it names."""
    if not isinstance(value, str) or not 0 < len(value) <= 40 or not value.isprintable():
        raise LessonError(f"{where} is {shown(value)}, expected a name of at most 40 letters.")
    return value


def _true(value: Any, where: str) -> bool:
    if value is not True:
        raise LessonError(f"{where} is {shown(value)}, expected true.")
    return True


def _reused(*, at_least: bool) -> Callable[[Check, Facts], Status]:
    def status(check: Check, facts: Facts) -> Status:
        share = check.region.share(facts)
        good = share >= check.value - 1e-9 if at_least else share <= check.value + 1e-9
        done = {"reuse": "reused", None: "not computed"}.get(
            check.region.brush, f"{check.region.brush}"
        )
        where = check.region.words or "the grid"
        amount = f"{'at least' if at_least else 'at most'} {check.value:.0%}"
        if at_least and check.value == 1:
            amount, done = ("nothing", "computed") if done == "not computed" else ("all", done)
        if not at_least and check.value == 0:
            amount, done = ("all", "computed") if check.region.brush is None else ("nothing", done)
        return Status(f"{where}: {amount} {done}", good, f"{share:.0%}")

    return status


def _of_last(
    words: Callable[[Any], str],
    read: Callable[[Facts, Score], float],
    good: Callable[[float, float], bool],
    shown: Callable[[float], str],
) -> Callable[[Check, Facts], Status]:
    """A condition on the last run, which must be of what the page shows."""

    def status(check: Check, facts: Facts) -> Status:
        if facts.last is None:
            return Status(words(check.value), False, "not run yet")
        now = read(facts, facts.last)
        return Status(words(check.value), good(now, check.value), shown(now))

    return status


def _beats(check: Check, facts: Facts) -> Status:
    last = facts.last
    if check.value == "fewer":
        words = "closer to the full picture than fewer plain steps"
        if last is None:
            return Status(words, False, "not run yet")
        rival = facts.fewer_psnr_db
        now = f"{db_words(last.psnr_db)} against {db_words(rival)}"
        return Status(words, last.psnr_db > rival and last.work < 1, now)
    words = f"closer to the full picture than {facts.title(check.value)}, at no more work"
    if last is None:
        return Status(words, False, "not run yet")
    same = [s for s in facts.board if s.method == check.value and s.picture == last.picture]
    if not same:
        return Status(words, False, f"{facts.title(check.value)} has not run on this picture yet")
    # A hair of tolerance: shares of work are quotients.
    fair = [s for s in same if last.work <= s.work * 1.005]
    if not fair:
        return Status(
            words,
            False,
            f"{last.work:.0%} of the work, {facts.title(check.value)} {same[-1].work:.0%}",
        )
    best = min(s.psnr_db for s in fair)
    now = f"{db_words(last.psnr_db)} against {db_words(best)}"
    return Status(words, last.psnr_db > best and last.method != check.value, now)


def _flag(words: str, read: Callable[[Facts], bool]) -> Callable[[Check, Facts], Status]:
    return lambda check, facts: Status(words, read(facts))


KINDS: Mapping[str, Kind] = {
    "reused_at_least": Kind(number(0, 1), _reused(at_least=True), regional=True),
    "reused_at_most": Kind(number(0, 1), _reused(at_least=False), regional=True),
    "uses": Kind(
        name_of, lambda c, f: Status(f"a {c.value} brush on the grid",
                                   Region(brush=c.value).share(f) > 0)
    ),
    "changed": Kind(_true, _flag("the grid is changed", lambda f: f.changed)),
    "method": Kind(
        name_of,
        lambda c, f: Status(f"the grid is painted by {f.title(c.value)}", f.method == c.value),
    ),
    "steps_at_least": Kind(
        number(1, 1000),
        lambda c, f: Status(f"at least {c.value:g} steps", len(f.cells) >= c.value,
                            f"{len(f.cells)}"),
    ),
    "steps_at_most": Kind(
        number(1, 1000),
        lambda c, f: Status(f"at most {c.value:g} steps", len(f.cells) <= c.value,
                            f"{len(f.cells)}"),
    ),
    "another_picture": Kind(
        _true, _flag("another class or seed", lambda f: f.another_picture)
    ),
    "learned": Kind(
        name_of, lambda c, f: Status(f"{f.title(c.value)} is learned", c.value in f.learned)
    ),
    "ran": Kind(_true, _flag("run since this task began", lambda f: f.ran)),
    "psnr_at_least_db": Kind(
        number(0, 200),
        _of_last(lambda v: f"PSNR at least {v:g} dB", lambda f, s: s.psnr_db,
                 lambda now, v: now >= v, db_words),
    ),
    "psnr_at_most_db": Kind(
        number(0, 200),
        _of_last(lambda v: f"PSNR at most {v:g} dB", lambda f, s: s.psnr_db,
                 lambda now, v: now <= v, db_words),
    ),
    "work_at_most": Kind(
        number(0, 1),
        _of_last(lambda v: f"at most {v:.0%} of the work", lambda f, s: s.work,
                 lambda now, v: now <= v + 5e-4, lambda now: f"{now:.1%}"),
    ),
    "speedup_at_least": Kind(
        number(1, 100),
        _of_last(lambda v: f"at least {v:g}× as fast", lambda f, s: f.speedup,
                 lambda now, v: now >= v, lambda now: f"{now:.2f}×"),
    ),
    "beats": Kind(name_of, _beats),
}  # fmt: skip


def status_of(check: Check, facts: Facts) -> Status:
    """How a condition stands."""
    return KINDS[check.kind].status(check, facts)
