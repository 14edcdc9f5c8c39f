"""Judging the painted schedule against the data beside everybody's runs, batch by batch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from caching.errors import ModelError, RequestError
from caching.quality.record import Report
from viz.live import Engine
from viz.state import ViewState
from viz.work import Asked, Made, in_turn

if TYPE_CHECKING:
    from caching.quality.evaluate import Kept

CHOICES = (64, 256, 1000)
BATCH = 4  # so that whoever waits for a turn waits for seconds
LEAST = 16  # pictures before there is a table
SHOW_EVERY_S = 4.0
DRAWS_ON_THE_WAY = 100
LET_IN_S = 0.05  # between two batches, so that whoever waits for a turn gets it
YOURS = "your grid"
HOME = "scenes-dit"
NOT_HERE = (
    "Only the shipped model has a reference here. For {model}: python -m caching evaluate --model "
    "… --reference FOLDER --features inception."
)


@dataclass(frozen=True)
class Judging:
    """An evaluation as it stands.

    Attributes:
        done, total: pictures.
        left_s: estimated, None at the beginning.
        report: the newest table, None before there is one.
    """

    done: int
    total: int
    left_s: float | None = None
    report: Report | None = None


class Turns:
    """A turn with the engine for every batch; other visitors' runs come in between."""

    def __init__(self, lock: threading.Lock, stopped: Asked) -> None:
        self.lock, self.stopped, self.held = lock, stopped, False

    def __enter__(self) -> Turns:
        while not self.held and not self.stopped():
            self.held = self.lock.acquire(timeout=0.1)
        return self

    def __exit__(self, *error: object) -> None:
        if self.held:
            self.held = False
            self.lock.release()
            time.sleep(LET_IN_S)


class Judges:
    """The evaluations of one page's engine, one at a time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.turn = threading.Lock()
        self._kept: Kept | None = None
        self._against: Any = None

    def judge(
        self, state: ViewState, samples: int, *, stopped: Asked
    ) -> Iterator[Judging | Made[Report]]:
        """Judge the state's schedule beside the full model, on the same noises.

        Yields Judging on the way, then the finished table; ends early when stopped.

        Raises:
            RequestError: the model has no reference here, or a run went wrong.
        """
        name = state.model.name
        if name != HOME:
            raise RequestError(NOT_HERE.format(model=name))
        loaded = self.engine.wait_unless(name, stopped)
        if loaded is None:
            return
        # The folder may hold another model now than when the page was told of it.
        state.schedule.check_fits(blocks=loaded.model.blocks, branches=loaded.model.branches)

        def work(report: Callable[[Judging], None], halt: Asked) -> Report:
            return self._judge(loaded.model, state, samples, report, halt)

        yield from in_turn(work, self.turn, stopped)

    def _judge(
        self,
        model: Any,
        state: ViewState,
        samples: int,
        report: Callable[[Judging], None],
        halt: Asked,
    ) -> Report:
        from caching.quality.evaluate import Kept, conditions_of, iter_evaluate
        from caching.quality.judged import Arm
        from caching.quality.report import DRAWS, report_of

        net, reference = self._reference()
        self._kept = self._kept or Kept()
        settings = state.settings
        conditions = conditions_of(
            model,
            net,
            steps=state.schedule.steps,
            cfg_scale=settings.cfg_scale,
            sampler=settings.sampler,
        )
        arms = () if state.schedule.is_full else (Arm(YOURS, state.schedule),)
        known = {"classes": len(model.class_names), "net": net.name}
        shown, table, last = 0.0, None, None
        for last in iter_evaluate(
            model,
            arms,
            net,
            conditions,
            samples=samples,
            batch=BATCH,
            kept=self._kept,
            turn=Turns(self.engine.turn, halt),
            stopped=halt,
        ):
            now = time.monotonic()
            if LEAST <= last.done < last.total and now - shown >= SHOW_EVERY_S:
                table = report_of(
                    last.saved, reference, **known, draws=DRAWS_ON_THE_WAY, stopped=halt
                )
                shown = time.monotonic()
            report(Judging(last.done, last.total, last.left_s, table))
        if last is None or halt():
            raise RequestError("the evaluation was stopped.")
        found = report_of(last.saved, reference, **known, draws=DRAWS, stopped=halt)
        if found is None:
            raise RequestError("the evaluation was stopped.")
        return found

    def _reference(self) -> tuple[Any, Any]:
        """The shipped classifier and what it sees in fresh renders, read once."""
        if self._against is None:
            from caching.models.loading import SHIPPED_FOLDER
            from caching.quality.features import ClassifierNet
            from caching.quality.reference import SHIPPED, load_reference

            if not SHIPPED.is_file():
                raise ModelError(
                    f"{SHIPPED} is missing: make it with python -m presets.judge reference."
                )
            net = ClassifierNet.load(SHIPPED_FOLDER / "classifier")
            reference = load_reference(SHIPPED)
            reference.check(net)
            self._against = net, reference
        found: tuple[Any, Any] = self._against
        return found
