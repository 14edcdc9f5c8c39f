"""Long work told step by step: what blocks runs in a thread of its own, and reports on its way."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

Asked = Callable[[], bool]
POLL_S = 0.05


@dataclass(frozen=True)
class Told:
    """How far a calibration has come.

    Attributes:
        what: is being done now.
        done, total: steps of it; a total of 0 if nobody knows.
        left_s: estimated for these steps, None at their beginning.
    """

    what: str
    done: int
    total: int
    left_s: float | None = None

    @property
    def words(self) -> str:
        """For people."""
        counted = f", {self.done} of {self.total}" if self.total else ""
        left = "" if self.left_s is None else f", about {time_words(self.left_s)} left"
        return f"{self.what}{counted}{left}"


@dataclass(frozen=True, eq=False)
class Made(Generic[T]):
    """What the work gave."""

    value: T


def time_words(seconds: float) -> str:
    """A stretch of time for people: seconds below a minute, then minutes."""
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 3570 else f"{seconds / 3600:.1f} h"


class Pace:
    """Estimates the time left from how long the steps of the same name have taken so far."""

    def __init__(self) -> None:
        self.what, self.began, self.first = "", 0.0, 0

    def told(self, what: str, done: int, total: int) -> Told:
        """A report that knows how long the rest will take."""
        now = time.monotonic()
        if what != self.what or done < self.first:
            self.what, self.began, self.first = what, now, done
        did = done - self.first
        left = (now - self.began) / did * (total - done) if did and total > done else None
        return Told(what, done, total, left)


def in_turn(
    do: Callable[[Callable[[R], None], Asked], T], turn: threading.Lock, stopped: Asked
) -> Iterator[R | Made[T]]:
    """Do some work once it has its turn; yields the newest report now and then, and Made at last.

    Ends without Made when it was stopped, or when nobody reads on. Raises what `do` raises, unless
    it was stopped. The turn is given back when the work has really ended, whoever is still there.

    Args:
        do: the work; called with whom to report to, and with what says that it should stop.
        turn: held while it works.
        stopped: says that nobody wants it any more.
    """
    while not turn.acquire(timeout=0.1):
        if stopped():
            return
    left = threading.Event()
    reports: queue.SimpleQueue[R] = queue.SimpleQueue()
    outcome: list[T] = []
    failure: list[Exception] = []

    def run() -> None:
        try:
            outcome.append(do(reports.put, lambda: left.is_set() or stopped()))
        except Exception as error:
            failure.append(error)
        finally:
            turn.release()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(POLL_S)
            newest = None
            while not reports.empty():
                newest = reports.get()
            if newest is not None:
                yield newest
    finally:
        left.set()
    if stopped():
        return
    if failure:
        raise failure[0]
    yield Made(outcome[0])
