"""The live side of the page: models loaded in the background, and full runs computed once.

One process serves all visitors. Tensors stay here; what a page gets is plain data.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from caching.errors import CachebrushError, ModelError, RequestError
from caching.methods import Method, Plan
from caching.methods.base import Tell
from caching.methods.setting import ModelSetting, Shelf, nobody
from caching.predict.kept import For
from viz.calibrating import Predictions
from viz.learning import Learning, train
from viz.state import ModelFacts, ViewState
from viz.work import Asked, Made, Pace, Told, in_turn

if TYPE_CHECKING:
    import numpy as np

    from caching.dynamic import Policy
    from caching.engine.record import StepEvent
    from caching.learn.base import Trainer
    from caching.learn.store import Learned
    from caching.measure.comparison import Progress
    from caching.measure.decoded import Decoded
    from caching.measure.known import Known
    from caching.measure.result import Result
    from caching.measure.timing import BranchTimes

MAX_MODELS = 2
MAX_ERRORS = 100
THREADS = "CACHEBRUSH_THREADS"
REPEATS, MOST_REPEATS = "CACHEBRUSH_REPEATS", 20
log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model ready to run, and what its parts take on this device."""

    model: Any
    times: BranchTimes
    device: str
    known: Known  # full runs, snapshots and fits, for as long as the model stays loaded
    decoded: Decoded  # pictures of the last runs
    shelf: Shelf = field(default_factory=Shelf)  # calibrations, likewise

    @property
    def facts(self) -> ModelFacts:
        m = self.model
        return ModelFacts(m.name, m.blocks, m.branches, m.class_names)


def repeats_from(given: str | None) -> int:
    """How often each run is timed, from the environment; 3 where it says nothing.

    0: not at all, the times are those of the runs that were shown.

    Raises:
        RequestError: it is no whole number from 0 to 20.
    """
    if not given:
        return 3
    if not (given.isascii() and given.isdigit() and 0 <= int(given[:9]) <= MOST_REPEATS):
        raise RequestError(
            f"{REPEATS} is {given!r:.40}, expected a whole number from 0 to {MOST_REPEATS}."
        )
    return int(given)


class Engine:
    """Loads models on request, in a thread of its own, and runs comparisons one at a time."""

    def __init__(self, *, repeats: int = 3, predictions: Predictions | None = None) -> None:
        self.repeats = repeats
        self.predictions = predictions or Predictions()
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._errors: dict[str, str] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()
        # Two runs at once would only slow each other down and spoil each other's times.
        self.turn = threading.Lock()

    def begin(self, name: str) -> None:
        """Start loading `name` unless it is loaded or on its way."""
        with self._lock:
            if name in self._loaded or name in self._threads:
                return
            self._errors.pop(name, None)
            thread = threading.Thread(target=self._load, args=(name,), daemon=True)
            self._threads[name] = thread
            thread.start()  # inside the lock: nobody may join a thread that has not begun

    def get(self, name: str) -> Loaded | None:
        """The model if it is loaded; using one keeps it from being the next to go."""
        with self._lock:
            found = self._loaded.get(name)
            if found is not None:
                self._loaded.move_to_end(name)
            return found

    def error(self, name: str) -> str | None:
        """Why `name` could not be loaded, in words for the page."""
        return self._errors.get(name)

    def wait(self, name: str) -> Loaded:
        """The loaded model, loading it first when needed; raises ModelError when that fails."""
        found = self.wait_unless(name, lambda: False)
        assert found is not None  # nothing stops this wait
        return found

    def wait_unless(self, name: str, stopped: Callable[[], bool]) -> Loaded | None:
        """As `wait`, but None as soon as `stopped` says so; the loading itself goes on."""
        self.begin(name)
        while (thread := self._threads.get(name)) is not None:
            if stopped():
                return None
            thread.join(0.1)
        found = self.get(name)
        if found is None:
            raise ModelError(self._errors.get(name, f"{name} could not be loaded; try again."))
        return found

    def _load(self, name: str) -> None:
        try:
            from caching.measure.decoded import Decoded
            from caching.measure.known import Known
            from caching.measure.timing import device_name, measure_branches
            from caching.models import load_model
            from caching.models.device import best_device, use_threads

            use_threads(os.environ.get(THREADS))
            device, dtype = best_device()
            model = load_model(name, device=device, dtype=dtype)
            with self.turn:
                times = measure_branches(model)
            with self._lock:
                known = Known(offload=model.device.type != "cpu")
                device = device_name(model.device)
                self._loaded[name] = Loaded(model, times, device, known, Decoded(model))
                while len(self._loaded) > MAX_MODELS:
                    self._loaded.popitem(last=False)
        except CachebrushError as error:
            self._fail(name, str(error))
        except Exception as error:
            # A thread's exception would be lost, and the page would wait for ever.
            log.exception("loading %s failed", name)
            kind = type(error).__name__
            self._fail(name, f"{name} could not be loaded ({kind}: {error!s:.300}).")
        finally:
            with self._lock:
                self._threads.pop(name, None)

    def _fail(self, name: str, words: str) -> None:
        """Remember why, for those who wait; visitors can name any number of models."""
        with self._lock:
            self._errors[name] = words
            while len(self._errors) > MAX_ERRORS:
                del self._errors[next(iter(self._errors))]

    def preview(self, name: str, event: StepEvent) -> np.ndarray | None:
        """The clean picture predicted at a step, uint8 (H, W, 3); None for a resumed step."""
        loaded = self.get(name)
        if loaded is None or event.resumed:
            return None
        return loaded.decoded.picture(event.clean)

    def setting(
        self,
        state: ViewState,
        *,
        change: np.ndarray | None = None,
        learned: Sequence[Learned] = (),
        tell: Tell | None = None,
        stopped: Asked | None = None,
        may_run: bool = False,
        patient: bool = False,
    ) -> ModelSetting | None:
        """What a method is told of the loaded model and a page's wishes; None before it is loaded.

        Args:
            state: of the page.
            change: (S, L, R, K) of a full run, when there has been one.
            learned: what this visitor trained; it concerns nobody else.
            tell, stopped: of a calibration.
            may_run: whether the model may be run for one; never where somebody waits for an answer.
            patient: whether to wait for what takes seconds of thought; likewise.
        """
        loaded = self.get(state.model.name)
        if loaded is None:
            return None
        shelf = Shelf()
        shelf.tables, shelf.lock = loaded.shelf.tables, loaded.shelf.lock
        shelf.learned = list(learned)
        s, steps = state.settings, state.schedule.steps
        of = For(loaded.model.weights_hash, steps, float(s.cfg_scale), s.sampler)
        return ModelSetting(
            loaded.model,
            steps=steps,
            cfg_scale=s.cfg_scale,
            sampler=s.sampler,
            shelf=shelf,
            change=change,
            tell=tell or nobody,
            stopped=stopped,
            may_run=may_run,
            kept=self.predictions.find(of),
            patient=patient,
        )

    def plan(
        self,
        state: ViewState,
        method: Method,
        *,
        change: np.ndarray | None,
        learned: Sequence[Learned],
        stopped: Asked,
    ) -> Iterator[Told | Made[Plan]]:
        """Make a method's plan, running the model for whatever calibration it still needs.

        Yields how far it is, then the plan; ends early when stopped. Raises what the method raises.
        """
        if self.wait_unless(state.model.name, stopped) is None:
            return

        pace = Pace()

        def make(report: Callable[[Told], None], halt: Asked) -> Plan:
            def tell(what: str, done: int, total: int) -> None:
                report(pace.told(what, done, total))

            setting = self.setting(
                state,
                change=change,
                learned=learned,
                tell=tell,
                stopped=halt,
                may_run=True,
                patient=True,
            )
            if setting is None:  # two others were loaded meanwhile
                raise ModelError(f"{state.model.name} is no longer loaded; load it again.")
            return method.plan(setting)

        yield from in_turn(make, self.turn, stopped)

    def learn(
        self, state: ViewState, trainer: Trainer, *, stopped: Asked, enough: Asked
    ) -> Iterator[Learning | Made[Learned]]:
        """Train something for the page's model and number of steps.

        Yields Learning on the way, then what was learned; ends early when stopped. `enough` ends
        the training too, with what there is by then.
        """
        loaded = self.wait_unless(state.model.name, stopped)
        if loaded is None:
            return

        def work(report: Callable[[Learning], None], halt: Asked) -> Learned:
            kept = loaded.shelf.tables
            return train(trainer, loaded.model, state, report, lambda: halt() or enough(), kept)

        yield from in_turn(work, self.turn, stopped)

    def compare(
        self,
        state: ViewState,
        *,
        policy: Policy | None = None,
        stopped: Callable[[], bool] | None = None,
    ) -> Iterator[Progress | Result]:
        """Run the state's schedule, or a policy, against the full run and the fewer-steps rival.

        Yields Progress, then the Result; ends early when `stopped` says so. The full run of a
        request is computed once and kept. Raises what the engine raises, before anything runs;
        whatever happens, the next run gets its turn.
        """
        from caching.measure.comparison import Comparison, iter_compare
        from caching.measure.result import result_of

        stopped = stopped or (lambda: False)
        loaded = self.wait_unless(state.model.name, stopped)
        if loaded is None:
            return
        model = loaded.model
        # The folder may hold another model now than when the page was told of it.
        state.schedule.check_fits(blocks=model.blocks, branches=model.branches)
        settings, steps = state.settings, state.schedule.steps
        while not self.turn.acquire(timeout=0.1):  # another visitor's run
            if stopped():
                return
        try:
            for item in iter_compare(
                loaded.model,
                state.schedule,
                label=settings.label,
                seed=settings.seed,
                cfg_scale=settings.cfg_scale,
                sampler=settings.sampler,
                policy=policy,
                known=loaded.known,
                preview_every=0,  # decoded by `preview` when somebody is about to see it
                repeats=min(
                    self.repeats, MOST_REPEATS if steps * loaded.model.blocks <= 1200 else 1
                ),
                stopped=stopped,
            ):
                if not isinstance(item, Comparison):
                    yield item
                    continue
                yield result_of(loaded.model, item, loaded.times, loaded.decoded)
        finally:
            self.turn.release()
