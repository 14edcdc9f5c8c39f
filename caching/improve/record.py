"""The record of a search: an Optuna study in a journal of JSON lines, read without trust.

A trial is one measured schedule: its parameters say which move made it, its value how many dB it
gained on the best one before it. Whoever opens the same file for the same task goes on there.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import Trial, TrialState

from caching.errors import CachebrushError, RequestError
from caching.formats.native import dumps, load_schedule_file
from caching.improve.moves import DEPTHS, SIZES
from caching.schedule import Schedule

VERSION = 1
STARTUP = 24  # trials before Optuna has an opinion on moves
SCHEDULE, SCORES = "schedule", "db"


@dataclass(frozen=True, eq=False)
class Entry:
    """A schedule that was measured on all pictures: (K,) dB each."""

    number: int
    schedule: Schedule
    scores: NDArray[np.float64]

    @property
    def db(self) -> float:
        return float(self.scores.mean())


class Record:
    """One study: trials are begun, then ended with what they measured.

    Args:
        storage: a file, made where it is missing; None keeps the study in memory.
        task: what the search is of, as plain values; a file may hold several.
        seed: of the draws of moves.
        kinds: moves there are.
        shape, pictures: of grids and scores, for what is read.
    """

    def __init__(
        self,
        storage: Path | None,
        task: Mapping[str, Any],
        *,
        seed: int,
        kinds: tuple[str, ...],
        shape: tuple[int, ...],
        pictures: int,
    ) -> None:
        self.seed, self.shape, self.pictures = seed, shape, pictures
        self.distributions: dict[str, BaseDistribution] = {
            "kind": CategoricalDistribution(kinds),
            "size": CategoricalDistribution(SIZES),
            "depth": CategoricalDistribution(DEPTHS),
        }
        text = json.dumps({"version": VERSION, **task}, sort_keys=True)
        name = "improve-" + hashlib.sha256(text.encode()).hexdigest()[:24]
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            self.study = optuna.create_study(
                study_name=name,
                storage=_opened(storage),
                direction="maximize",
                load_if_exists=True,
            )
            self.before = len(self.study.get_trials(deepcopy=False))
        except (KeyError, TypeError, ValueError, AssertionError, OSError) as error:
            raise RequestError(
                f"{storage} cannot be used as the record of a search ({type(error).__name__}: "
                f"{error!s:.200}); expected a file that `improve` wrote, or a new one."
            ) from error

    def begin(self) -> tuple[Trial, np.random.Generator]:
        """The next trial with its move drawn, and its own random numbers.

        Both follow from seed, number and what was measured before, so a search that was stopped
        goes on as it would have.
        """
        number = len(self.study.get_trials(deepcopy=False))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self.study.sampler = optuna.samplers.TPESampler(
                seed=(self.seed * 1_000_003 + number) % 2**32,
                n_startup_trials=STARTUP,
                multivariate=True,
            )
        trial = self.study.ask(self.distributions)
        return trial, np.random.default_rng((self.seed, trial.number))

    def end(
        self, trial: Trial, schedule: Schedule, scores: NDArray[np.float64], gain: float
    ) -> None:
        """A schedule was measured on all pictures."""
        trial.set_user_attr(SCHEDULE, dumps(schedule))
        trial.set_user_attr(SCORES, [float(v) for v in scores])
        self.study.tell(trial, gain)

    def prune(self, trial: Trial, gain: float) -> None:
        """A schedule lost on the first pictures, and was not run on the others."""
        trial.report(gain, 0)
        self.study.tell(trial, state=TrialState.PRUNED)

    def drop(self, trial: Trial) -> None:
        """The trial was not measured: stopped on its way."""
        self.study.tell(trial, state=TrialState.FAIL)

    def entries(self) -> list[Entry]:
        """What was measured on all pictures, oldest first; what cannot be read is left out."""
        done = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        found = [self._entry(t.number, t.user_attrs) for t in done]
        return [entry for entry in found if entry is not None]

    def _entry(self, number: int, values: Mapping[str, Any]) -> Entry | None:
        try:
            schedule = load_schedule_file(str(values[SCHEDULE]).encode())
            scores = np.array(values[SCORES], np.float64)
        except (CachebrushError, KeyError, TypeError, ValueError):
            return None
        good = schedule.actions.shape == self.shape and scores.shape == (self.pictures,)
        return Entry(number, schedule, scores) if good and np.isfinite(scores).all() else None


def _opened(storage: Path | None) -> BaseStorage:
    if storage is None:
        return InMemoryStorage()
    storage.parent.mkdir(parents=True, exist_ok=True)
    # Lines of JSON. Optuna unpickles snapshots of other kinds of journals only.
    return JournalStorage(JournalFileBackend(str(storage)))
