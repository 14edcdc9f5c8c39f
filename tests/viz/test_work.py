"""Long work in a thread of its own: its reports, its end, and that it gives its turn back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from viz.work import Made, Pace, Told, in_turn, time_words

WAIT_S = 60


def never() -> bool:
    return False


def free(turn: threading.Lock) -> bool:
    """Whether the turn has been given back, now or soon."""
    if not turn.acquire(timeout=WAIT_S):
        return False
    turn.release()
    return True


def test_reports_come_and_then_what_was_made() -> None:
    turn, seen = threading.Lock(), threading.Event()

    def do(report: Callable[[str], None], halt: Callable[[], bool]) -> int:
        assert turn.locked() and not halt()
        report("half")
        assert seen.wait(WAIT_S)
        return 7

    events: Any = in_turn(do, turn, never)
    assert next(events) == "half"
    seen.set()
    *_, made = events
    assert isinstance(made, Made) and made.value == 7 and free(turn)


def test_what_breaks_is_raised_where_it_is_read() -> None:
    turn = threading.Lock()
    with pytest.raises(ZeroDivisionError):
        list(in_turn(lambda report, halt: 1 / 0, turn, never))
    assert free(turn)


@pytest.mark.parametrize("how", ["stopped", "closed"])
def test_work_that_nobody_wants_is_told_to_halt_and_gives_nothing(how: str) -> None:
    turn, stopped, halted = threading.Lock(), threading.Event(), threading.Event()

    def do(report: Callable[[str], None], halt: Callable[[], bool]) -> None:
        report("begun")
        while not halt():
            pass
        halted.set()
        raise RuntimeError("stopped in the middle")

    events: Any = in_turn(do, turn, stopped.is_set)
    assert next(events) == "begun"
    if how == "stopped":
        stopped.set()
        assert list(events) == []
    else:
        events.close()
    assert halted.wait(WAIT_S) and free(turn)


def test_waiting_for_the_turn_of_another_ends_when_stopped() -> None:
    turn = threading.Lock()
    with turn:
        assert list(in_turn(lambda report, halt: 1, turn, lambda: True)) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.1, "1 s"), (12.4, "12 s"), (59.4, "59 s"), (60, "1 min"), (150, "2 min"), (7200, "2.0 h")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert time_words(seconds) == words


def test_the_time_left_is_the_pace_so_far_times_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr("viz.work.time.monotonic", lambda: now[0])
    pace = Pace()
    assert pace.told("full runs", 1, 11).left_s is None
    now[0] = 106.0
    told = pace.told("full runs", 3, 11)  # 2 in 6 s, so the other 8 take 24
    assert told == Told("full runs", 3, 11, 24.0)
    assert told.words == "full runs, 3 of 11, about 24 s left"
    assert pace.told("fits", 1, 4).left_s is None
    assert pace.told("fits", 4, 4).left_s is None
    assert Told("thinking", 0, 0).words == "thinking"
