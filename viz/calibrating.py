"""Predictions calibrated here, in the background: one for each model and setting, for everybody.

A calibration works in a thread of its own for as long as somebody watches it, and keeps what it has
measured, so that the next one goes on. It holds the engine's turn a few branches at a time.
"""

from __future__ import annotations

import datetime
import io
import logging
import os
import threading
import time
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from caching.errors import CachebrushError, RequestError
from caching.predict.effort import QUICK, runs_of
from caching.predict.kept import For, Kept, shipped
from viz.work import Asked

if TYPE_CHECKING:
    from caching.predict.calibration import Calibration, Runs
    from caching.predict.response import Response
    from viz.live import Loaded

ROUNDS = (24, 48, 96, 160)
"""Schedules measured before there is a prediction, and before each better one."""
BUDGET = "CACHEBRUSH_CALIBRATE"
MOST_BUDGET = 2000
AUTO_S = 180.0  # a calibration that takes longer waits to be asked for
TURN_S, LET_IN_S = 0.05, 0.002  # so that who waits for the turn gets it, after a few branches
POLL_S, SHOW_S = 0.1, 0.25
MOST_HELD, MOST_KEPT = 16, 40  # in memory, where a large model's takes 40 MB, and in the folder
log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of one setting; all of it can be gone on with.

    Attributes:
        kept: the newest prediction, None before the first round.
        response, runs: what it was made of.
        done: schedules measured.
    """

    kept: Kept | None = None
    response: Response | None = None
    runs: Runs | None = None
    done: int = 0


@dataclass(frozen=True, eq=False)
class Stand:
    """How far a calibration has come.

    Attributes:
        share: that is done, 0..1.
        words: what it does now.
        left_s: estimated, None at the beginning.
        kept: the newest prediction.
    """

    share: float = 0.0
    words: str = ""
    left_s: float | None = None
    kept: Kept | None = None


def budget_from(given: str | None) -> int | None:
    """How many schedules a calibration measures at most, from the environment; None: all rounds.

    Raises:
        RequestError: it is no whole number from 24 to 2000.
    """
    if not given:
        return None
    number = int(given[:9]) if given.isascii() and given.isdigit() else 0
    if not ROUNDS[0] <= number <= MOST_BUDGET:
        raise RequestError(
            f"{BUDGET} is {given!r:.40}, expected a whole number from {ROUNDS[0]} to {MOST_BUDGET}."
        )
    return number


def rounds_of(budget: int | None) -> tuple[int, ...]:
    """After how many schedules there is a prediction."""
    return ROUNDS if budget is None else (*(n for n in ROUNDS if n < budget), budget)


class Predictions:
    """The predictions of one process.

    Args:
        budget: schedules of a calibration at most; with one, none begins by itself.
        folder: where they are kept between starts; None: nowhere.
    """

    def __init__(self, *, budget: int | None = None, folder: Path | None = None) -> None:
        self.rounds, self.by_itself = rounds_of(budget), budget is None
        self.folder = folder
        self._known: OrderedDict[For, Known] = OrderedDict()
        self._jobs: dict[For, _Job] = {}
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # two at once would only slow each other down

    def find(self, of: For) -> Kept | None:
        """The prediction for a setting: what ships, else what was calibrated here."""
        return shipped(of) or self.known(of).kept

    def known(self, of: For) -> Known:
        """What has been calibrated here so far."""
        with self._lock:
            if of not in self._known:
                found = _stored(self.folder, of)
                if found.kept is None:  # nothing to hold, and a look at the folder is soon done
                    return found
                self._keep(of, found)
            return self._known[of]

    def left(self, of: For) -> int:
        """Schedules that are still to be measured."""
        return max(0, self.rounds[-1] - self.known(of).done)

    def estimate_s(self, of: For, loaded: Loaded) -> float:
        """How long that takes on this machine, by the times of the model's parts."""
        times, known = loaded.times, self.known(of)
        step = times.fixed_ms + times.busy_ms + float(np.sum(times.compute_ms))
        full_ms = times.start_ms + of.steps * step * (1.0 if of.cfg_scale > 1 else 0.5)
        size = QUICK if known.response is None else None
        return full_ms / 1000 * runs_of(size, self.left(of))

    def running(self, of: For) -> bool:
        """Whether somebody calibrates it now."""
        with self._lock:
            return of in self._jobs and not self._jobs[of].over

    def watch(
        self, loaded: Loaded, of: For, turn: threading.Lock, *, stopped: Asked
    ) -> Iterator[Stand]:
        """Calibrate, or join who does already; yields whatever is new until it is done.

        Ends early when stopped; the work itself ends when nobody watches any more. Raises what the
        calibration raises.

        Args:
            turn: the engine's.
        """
        with self._lock:
            job = self._jobs.get(of)
            if job is None or job.over:
                job = self._jobs[of] = _Job(self, loaded, of, turn)
                job.watchers = 1
                job.thread.start()
            else:
                job.watchers += 1
        shown: Stand | None = None
        try:
            while not stopped():
                ended = job.ended.wait(SHOW_S)
                if job.stand is not shown:
                    shown = job.stand
                    yield shown
                if ended:
                    break
        finally:
            with self._lock:
                job.watchers -= 1
        if job.failure is not None and not stopped():
            raise job.failure

    # -- of jobs ---------------------------------------------------------------------------

    def abandoned(self, job: _Job) -> bool:
        """Whether nobody watches a job, which then is over."""
        with self._lock:
            job.over = job.over or job.watchers <= 0
            return job.over

    def ended(self, job: _Job) -> None:
        """A job has ended, for whatever reason; who watches it holds it still."""
        with self._lock:
            job.over = True
            if self._jobs.get(job.of) is job:
                del self._jobs[job.of]
        job.ended.set()

    def note(self, of: For, known: Known) -> None:
        """Keep what a job has found."""
        with self._lock:
            self._keep(of, known)
        if self.folder is not None and known.kept is not None and known.runs is not None:
            _store(self.folder, of, known.kept, known.runs)

    def _keep(self, of: For, known: Known) -> None:
        self._known[of] = known
        self._known.move_to_end(of)
        while len(self._known) > MOST_HELD:
            self._known.popitem(last=False)


class _Job:
    """One calibration at work."""

    def __init__(
        self, predictions: Predictions, loaded: Loaded, of: For, turn: threading.Lock
    ) -> None:
        self.predictions, self.loaded, self.of, self.turn = predictions, loaded, of, turn
        self.watchers, self.over = 0, False
        self.stand = Stand(kept=predictions._known[of].kept if of in predictions._known else None)
        self.failure: Exception | None = None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self._held, self._since, self._worked = False, 0.0, 0.0
        self._first: tuple[float, float] | None = None  # share and time at the first report

    def _run(self) -> None:
        from caching.engine.executor import Stopped

        try:
            while not self.predictions._turn.acquire(timeout=POLL_S):
                if self.predictions.abandoned(self):
                    return
            try:
                self._calibrate()
            finally:
                self._release()
                self.predictions._turn.release()
        except Stopped:
            pass
        except Exception as error:
            if not isinstance(error, CachebrushError):
                log.exception("a calibration failed")
            self.failure = error
        finally:
            self.predictions.ended(self)

    def _calibrate(self) -> None:
        from caching.predict.calibration import NO_RUNS, calibrations

        of, before = self.of, self.predictions.known(self.of)
        rounds = self.predictions.rounds
        if before.done >= rounds[-1]:
            return
        self._take_turn()
        for got in calibrations(
            self.loaded.model,
            steps=of.steps,
            cfg_scale=of.cfg_scale,
            sampler=of.sampler,
            response=before.response,
            runs=before.runs or NO_RUNS,
            schedules=rounds[-1],
            size=QUICK,
            rounds=rounds,
            progress=self._tell,
            stopped=self._stopped,
        ):
            if got.schedules > before.done or before.response is None:
                self._found(got)

    def _found(self, got: Calibration) -> None:
        known = Known(None, got.response, got.runs, got.schedules)
        if got.estimator is not None:
            from caching.measure.timing import setting_of

            pictures = len(np.unique(got.runs.pictures))
            words = (
                f"{got.schedules} schedules on {pictures} pictures, calibrated here "
                f"{datetime.date.today():%Y-%m-%d} ({setting_of(self.loaded.model)}); left out in "
                f"turn, half of them were within {got.estimator.median_db:.1f} dB"
            )
            known = replace(known, kept=Kept(self.of, got.response, got.estimator, words))
        self.predictions.note(self.of, known)
        self.stand = replace(self.stand, kept=known.kept)

    def _tell(self, share: float, words: str) -> None:
        worked = self._worked + (time.monotonic() - self._since if self._held else 0.0)
        self._first = self._first or (share, worked)  # what was known before takes no time
        first, then = self._first
        did = share - first
        left = (worked - then) / did * (1 - share) if did > 0.02 else None
        self.stand = Stand(share, words, left, self.stand.kept)

    # -- the engine's turn -----------------------------------------------------------------

    def _stopped(self) -> bool:
        """Asked between branches; lets others have the turn now and then."""
        if self._held and time.monotonic() - self._since > TURN_S:
            self._release()
            time.sleep(LET_IN_S)
        if not self._held:
            self._take_turn()
        return self.predictions.abandoned(self)

    def _take_turn(self) -> None:
        while not self.predictions.abandoned(self):
            if self.turn.acquire(timeout=POLL_S):
                self._held, self._since = True, time.monotonic()
                return

    def _release(self) -> None:
        if self._held:
            self._held = False
            self._worked += time.monotonic() - self._since
            self.turn.release()


# -- between starts --------------------------------------------------------------------------


def folder_of() -> Path | None:
    """The user's own cache, None where it cannot be written."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "cachebrush" / "predictions"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return None
    return folder


def _path(folder: Path, of: For) -> Path:
    return folder / f"{sha256(repr(of).encode()).hexdigest()[:32]}.npz"


def _store(folder: Path, of: For, kept: Kept, runs: Runs) -> None:
    file = io.BytesIO()
    np.savez(
        file,
        kept=np.frombuffer(kept.to_bytes(), np.uint8),
        psnr_db=runs.psnr_db,
        pictures=runs.pictures,
    )
    path = _path(folder, of)
    try:
        path.with_suffix(".part").write_bytes(file.getvalue())
        path.with_suffix(".part").replace(path)
        old = sorted(folder.glob("*.npz"), key=lambda one: one.stat().st_mtime)
        for one in old[:-MOST_KEPT]:
            one.unlink(missing_ok=True)
    except OSError as error:
        log.warning("a calibration was not kept: %s", error)


def _stored(folder: Path | None, of: For) -> Known:
    """What was kept of a setting; nothing where it cannot be read, since it can be made again."""
    if folder is None or not (path := _path(folder, of)).is_file():
        return Known()
    from caching.predict.calibration import Runs

    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            kept = Kept.from_bytes(file["kept"].tobytes())
            runs = Runs(file["psnr_db"].astype(np.float64), file["pictures"].astype(np.int64))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        log.warning("a kept calibration was not read: %s", error)
        return Known()
    if kept.of != of or len(runs.psnr_db) * runs.psnr_db.shape[1] != kept.estimator.runs:
        return Known()
    return Known(kept, kept.response, runs, len(runs.psnr_db))
