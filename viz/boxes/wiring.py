"""Wiring: the components of a page by name, and how their events reach the handlers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from viz.grid.grid import light
from viz.pages.edits import SETTINGS, Parts
from viz.pages.handlers import Handlers
from viz.pages.method_box import BUTTONS, NUMBERS, WORDS

# Nothing shows Gradio's own progress. Without the empty list it would keep one for every component
# that ever was an output, and clone all props of each of them, twice per event.
UNSEEN: dict[str, Any] = {"show_progress": "hidden", "show_progress_on": []}
# Strokes answer at once and are never recorded or offered as an endpoint.
FAST: dict[str, Any] = {
    **UNSEEN,
    "queue": False,
    "api_visibility": "private",
    "trigger_mode": "always_last",
}
SLOW: dict[str, Any] = {
    **UNSEEN,
    "api_visibility": "private",
    "concurrency_limit": 8,
    "concurrency_id": "run",
}
# What asks for a run while the one before it goes on or ends must not get lost: Gradio drops events
# of one that has not ended yet. The newer one takes over.
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
        shown = (
            "grid", "compare", "numbers", "notice", "steps", "curves", "words", "calibrating",
            "known",
        )  # fmt: skip
        return self.of(*shown, *SETTINGS)

    @property
    def live(self) -> list[Any]:
        """What a run may change."""
        shown = (
            "grid", "compare", "numbers", "notice", "curves", "words", "calibrating", "known",
        )  # fmt: skip
        return self.of(*shown, *self._box)

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
        return lambda *args: self.updates(fn(*args))

    def updates(self, found: Parts) -> dict[Any, Any]:
        """Updates by part name as updates by component."""
        return {self.parts[k]: light(v) if k == "grid" else v for k, v in found.items()}

    def stream(self, fn: Callable[..., Iterator[Parts]]) -> Callable[..., Iterator[dict[Any, Any]]]:
        """A generator of parts by name as one of updates by component."""

        def each(*args: Any) -> Iterator[dict[Any, Any]]:
            # Gradio empties every output of a generator that ends without having yielded.
            yield {self.parts["notice"]: gr.skip()}
            for found in fn(*args):
                yield self.updates(found)

        return each

    def grid_first(
        self,
        listen: Callable[..., Any],
        fn: Callable[..., Parts],
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        js: str | None = None,
    ) -> Any:
        """An edit whose grid is on the screen before the boxes, which take longer to draw.

        Args:
            listen: of an event of a component.
            fn: a handler of all of it; its last argument is the visit.
            inputs: of `fn`.
            outputs: what `fn` may change.
            js: what the page does with the inputs before.

        Returns:
            The event that brings the boxes.
        """

        def first(*args: Any) -> Parts:
            found, visit = fn(*args), args[-1]
            # With an edit whose boxes are still to come, and one that came on the painter's line.
            visit.rest = {**visit.rest, **found}
            return {"grid": visit.rest.pop("grid", gr.skip())}

        def rest(visit: Any) -> Parts:
            parts, visit.rest = visit.rest, {}
            return parts or {"notice": gr.skip()}

        event = listen(self.named(first), inputs, self.of("grid"), js=js, **FAST)
        return event.then(self.named(rest), self.visit, list(outputs), **FAST)

    def then_run(self, event: Any) -> None:
        """After an edit: run at once, where that is asked for."""
        inputs = [*self.of("auto", "grid"), self.visit]
        event.then(self.stream(self.handlers.run_if_wanted), inputs, self.live, **AGAIN)
