"""One visitor's state and the run in progress: who may write, one at a time."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import replace

from viz.reducer import update
from viz.state import Event, Strokes, ViewState


class Refused(ValueError):
    """Raised when the state has changed, but for operations of the painter that were not taken."""


class Session:
    """Holds one visitor's state; `dispatch` is the only way to change it, one event at a time.

    Gradio copies the initial value for every visitor and then hands the same object to every
    handler, which may run at the same time.
    """

    def __init__(self, state: ViewState) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._run = 0
        self._rest = True
        self.name = secrets.token_hex(4)  # so that no page takes another one's for an older one

    def __deepcopy__(self, memo: dict[int, object]) -> Session:
        return Session(self._state)

    @property
    def state(self) -> ViewState:
        return self._state

    def dispatch(self, event: Event) -> ViewState:
        """Apply one event and return the new state; raises what `update` raises.

        Raises:
            Refused: operations of the painter were not taken; the others were, and the state holds.
        """
        with self._lock:
            before, after = self._state, update(self._state, event)
            if after is not before:
                self._state = replace(after, age=before.age + 1)
            refused = self._state.refused
            if isinstance(event, Strokes) and refused and refused is not before.refused:
                raise Refused(refused.words)
            return self._state

    def begin_run(self) -> Callable[[], bool]:
        """Take over from any run in progress; the answer says when this one is out of date."""
        with self._lock:
            self._run += 1
            self._rest = False
            mine = self._run
        return lambda: self._run != mine

    def end_runs(self) -> None:
        """Ask the run in progress, if any, to stop; nothing takes over."""
        with self._lock:
            self._run += 1
            self._rest = True

    @property
    def at_rest(self) -> bool:
        """Whether nothing has begun since `end_runs`."""
        return self._rest
