"""Wiring: the components of a page by name, and how their events reach the handlers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from viz.pages.edits import SETTINGS, Parts
from viz.pages.handlers import Handlers
from viz.pages.methods import BUTTONS, NUMBERS, WORDS

# Strokes answer at once and are never recorded or offered as an endpoint.
FAST: dict[str, Any] = {
    "show_progress": "hidden",
    "queue": False,
    "api_visibility": "private",
    "trigger_mode": "always_last",
}
SLOW: dict[str, Any] = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "concurrency_limit": 8,
    "concurrency_id": "run",
}
# A click while the run before it still ends must not get lost: the newer one takes over.
AGAIN: dict[str, Any] = {**SLOW, "trigger_mode": "multiple"}
# Waiting for a download must not take the place of somebody's run.
LOAD: dict[str, Any] = {**SLOW, "concurrency_id": "load", "concurrency_limit": 4}


@dataclass(frozen=True)
class Wiring:
    """What a box needs to connect its events.

    Attributes:
        handlers: of the page.
        parts: every component by its part name; handlers answer with updates by these names.
    """

    handlers: Handlers
    parts: dict[str, Any]

    def of(self, *names: str) -> list[Any]:
        """Components by part name."""
        return [self.parts[name] for name in names]

    @property
    def visit(self) -> Any:
        return self.parts["visit"]

    @property
    def edit(self) -> list[Any]:
        """What an edit may change."""
        shown = ("grid", "compare", "numbers", "notice", "steps", "curves", "words")
        return self.of(*shown, *SETTINGS)

    @property
    def live(self) -> list[Any]:
        """What a run may change."""
        return self.of("grid", "compare", "numbers", "notice", "curves", "words", *self._box)

    @property
    def box(self) -> list[Any]:
        """What the Method box says of the chosen method."""
        return self.of(*self._box)

    @property
    def _box(self) -> Sequence[str]:
        return ("about", *BUTTONS)

    @property
    def slots(self) -> list[Any]:
        """The controls of the chosen method."""
        return self.of(*NUMBERS, *WORDS)

    def named(self, fn: Callable[..., Parts]) -> Callable[..., dict[Any, Any]]:
        """A handler of parts by name as one of updates by component."""
        return lambda *args: {self.parts[k]: v for k, v in fn(*args).items()}

    def stream(self, fn: Callable[..., Iterator[Parts]]) -> Callable[..., Iterator[dict[Any, Any]]]:
        """A generator of parts by name as one of updates by component."""

        def each(*args: Any) -> Iterator[dict[Any, Any]]:
            # Gradio empties every output of a generator that ends without having yielded.
            yield {self.parts["notice"]: gr.skip()}
            for found in fn(*args):
                yield {self.parts[k]: v for k, v in found.items()}

        return each

    def then_run(self, event: Any) -> None:
        """After an edit: run at once, where that is asked for."""
        inputs = [*self.of("auto", "grid"), self.visit]
        event.then(self.stream(self.handlers.run_if_wanted), inputs, self.live, **SLOW)
