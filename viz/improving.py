"""Improve on the page: the search run in turns with everybody else's runs, and its words."""

from __future__ import annotations

import html
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caching.errors import RequestError
from caching.predict.kept import For
from viz import text
from viz.live import Engine
from viz.locks import mask_of
from viz.state import ViewState
from viz.work import Asked, time_words

if TYPE_CHECKING:
    from caching.improve import Step

OBJECTIVES = {"PSNR of the picture": "psnr", "Error of the final latent": "latent"}
MOST_MINUTES = 30.0
PICTURES = (8, 16, 32, 64)
TOGETHER = 4  # of them run at once; losers run no further
YIELD_S = 0.002  # so that who waits for the turn gets it; a lock alone would be taken again
MOST_KEPT = 40  # searches in the user's cache
CACHE = "XDG_CACHE_HOME"


@dataclass(frozen=True)
class Wish:
    """What the box asks for."""

    minutes: float
    objective: str
    pictures: int


def wish_of(minutes: Any, objective: Any, pictures: Any) -> Wish:
    """The controls, checked: anybody may send anything.

    Raises:
        RequestError: a value that the box does not offer.
    """
    number = isinstance(minutes, int | float) and not isinstance(minutes, bool)
    if not number or not 0 < minutes <= MOST_MINUTES:
        raise RequestError(f"the minutes given are not from 0 to {MOST_MINUTES:g}.")
    if not isinstance(objective, str) or objective not in OBJECTIVES.values():
        raise RequestError("that objective is not known; choose one of the list.")
    if pictures not in PICTURES or isinstance(pictures, bool):
        raise RequestError(f"the number of pictures is none of {PICTURES}.")
    return Wish(float(minutes), objective, int(pictures))


def improve_on(engine: Engine, state: ViewState, wish: Wish, *, stopped: Asked) -> Iterator[Step]:
    """Search from the page's grid, one measured schedule per turn of the engine.

    Ends after the minutes wished for, counted from its first turn, or when stopped. Raises what
    the search raises.
    """
    loaded = engine.wait_unless(state.model.name, stopped)
    if loaded is None:
        return
    from caching.improve import Task, improve
    from caching.improve.score import Conditions

    s, schedule = state.settings, state.schedule
    locked = mask_of(state.now.locks, schedule) if state.now.locks else None
    conditions = Conditions(
        schedule.steps, s.cfg_scale, s.sampler, wish.objective, wish.pictures,  # type: ignore[arg-type]
        wish.pictures // TOGETHER,
    )  # fmt: skip
    task = Task(schedule, conditions, locked=locked, brushes=schedule.legend)
    began: list[float] = []

    def over() -> bool:
        return stopped() or bool(began and time.monotonic() - began[0] > 60 * wish.minutes)

    def let_others() -> None:
        engine.turn.release()
        time.sleep(YIELD_S)
        engine.turn.acquire()

    of = For(loaded.model.weights_hash, schedule.steps, float(s.cfg_scale), s.sampler)
    search = improve(
        loaded.model,
        task,
        storage=storage_of(loaded.model),
        stopped=over,
        between=let_others,
        known=lambda: engine.predictions.find(of),
    )
    while True:
        while not engine.turn.acquire(timeout=0.1):
            if stopped():
                return
        began = began or [time.monotonic()]
        try:
            step = next(search, None)
        finally:
            engine.turn.release()
        if step is None:
            return
        yield step
        time.sleep(YIELD_S)


def storage_of(model: Any) -> Path | None:
    """Where searches of a model are kept: the user's own cache, None where it cannot be written."""
    base = Path(os.environ.get(CACHE) or Path.home() / ".cache") / "cachebrush" / "improve"
    try:
        base.mkdir(parents=True, exist_ok=True, mode=0o700)
        old = sorted(base.glob("*.journal"), key=lambda path: path.stat().st_mtime)
        for path in old[:-MOST_KEPT]:
            path.unlink(missing_ok=True)
    except OSError:
        return None
    return base / f"{model.weights_hash}.journal"


def panel_html(step: Step | None, wish: Wish, left_s: float | None, *, ended: bool = False) -> str:
    """How far the search is, in words and as a bar."""
    if step is None:
        return ""
    total = 60 * wish.minutes
    done = total if left_s is None or ended else total - left_s
    left = "" if left_s is None or ended else f", about {time_words(max(1, left_s))} left"
    again = f", {step.resumed} of them earlier" if step.resumed else ""
    words = text.IMPROVING.format(
        trials=step.number + 1, again=again, start=step.start_db, best=step.best_db,
        gain=step.gain_db, pictures=wish.pictures, left=left, by=step.ranked_by,
    )  # fmt: skip
    return (
        f'<div class="cb-improve" data-testid="improve" data-done="{str(ended).lower()}" '
        f'data-trials="{step.number + 1}"><progress max="{total:.0f}" value="{done:.0f}" '
        f'aria-label="time used"></progress><p>{html.escape(words)}</p></div>'
    )
