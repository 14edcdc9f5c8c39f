"""A setting on a loaded model: traces, calibrations and learned parts, made when asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable
from functools import cache
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from caching.learn.store import Learned, shipped
from caching.methods.base import Setting, Tell, Unready

if TYPE_CHECKING:
    from caching.models.model import Model
    from caching.predict.kept import Kept

T = TypeVar("T")
LAGS = 8
MAX_TABLES = 64


@cache
def _shipped() -> tuple[Learned, ...]:
    return tuple(shipped())


class Shelf:
    """What settings of one model keep: tables by what they depend on, and what was learned."""

    def __init__(self) -> None:
        self.tables: dict[Hashable, object] = {}
        self.learned: list[Learned] = []
        self.lock = threading.RLock()


def nobody(what: str, done: int, total: int) -> None:
    """Tells nobody of progress."""


class ModelSetting(Setting):
    """One way to run a loaded model.

    Args:
        model: what runs.
        steps, cfg_scale, sampler: of the runs.
        shelf: where costly things are kept, shared by settings of the same model.
        change: (S, L, R, K) of a full run, when there is one already.
        tell, stopped: told of progress of a calibration; asked whether to stop.
        may_run: whether the model may be run for a calibration; else Unready.
        kept: the prediction of this setting that was calibrated here, used where none ships.
        patient: whether to wait for what takes seconds of thought.
    """

    def __init__(
        self,
        model: Model,
        *,
        steps: int,
        cfg_scale: float,
        sampler: str,
        shelf: Shelf | None = None,
        change: np.ndarray | None = None,
        tell: Tell = nobody,
        stopped: Callable[[], bool] | None = None,
        may_run: bool = True,
        kept: Kept | None = None,
        patient: bool = True,
    ) -> None:
        self._model = model
        self.steps, self.cfg_scale, self.sampler = steps, cfg_scale, sampler
        self.blocks, self.branches = model.blocks, model.branches
        self.shelf = shelf or Shelf()
        self._change = change
        self.tell, self.stopped, self.may_run = tell, stopped, may_run
        self._kept, self.patient = kept, patient

    @property
    def model(self) -> Model:
        return self._model

    def prediction(self) -> Kept | None:
        from caching.predict.kept import For, shipped

        of = For(self.model.weights_hash, self.steps, float(self.cfg_scale), self.sampler)
        return shipped(of) or self._kept

    def change(self) -> np.ndarray:
        if self._change is None:
            self._change = self.table("change", self._traced)
        return self._change

    def _traced(self, model: Model, tell: Tell, stopped: Callable[[], bool] | None) -> np.ndarray:
        """Over full runs of four pictures that no seed gives."""
        from caching.measure.changes import mean_change

        return mean_change(
            model,
            steps=self.steps,
            cfg_scale=self.cfg_scale,
            sampler=self.sampler,
            lags=min(LAGS, max(1, self.steps - 1)),
            tell=tell,
            stopped=stopped,
        )

    def table(self, kind: str, make: Callable[[Model, Tell, Callable[[], bool] | None], T]) -> T:
        key = (kind, self.model.weights_hash, self.steps, self.cfg_scale, self.sampler)
        # Without the lock, which whoever calibrates holds for as long as that takes.
        if not self.may_run and key not in self.shelf.tables:
            raise Unready(
                f"this needs a calibration ({kind}) on full runs of {self.model.name}: "
                "press Calibrate."
            )
        if key in self.shelf.tables:
            return cast(T, self.shelf.tables[key])
        with self.shelf.lock:
            if key not in self.shelf.tables:
                self.shelf.tables[key] = make(self.model, self.tell, self.stopped)
                while len(self.shelf.tables) > MAX_TABLES:  # the oldest go first
                    del self.shelf.tables[next(iter(self.shelf.tables))]
            return cast(T, self.shelf.tables[key])

    def learned(self, method: str) -> Learned:
        kept: Iterable[Learned] = (*reversed(self.shelf.learned), *_shipped())
        mine = [x for x in kept if (x.method, x.weights_hash) == (method, self.model.weights_hash)]
        for one in mine:
            if one.steps == self.steps:
                return one
        there = ", ".join(str(n) for n in sorted({x.steps for x in mine}))
        raise Unready(
            f"{method} is trained for one number of steps, and nothing was trained for "
            f"{self.model.name} at {self.steps} steps"
            + (f"; there is {there}: use that many steps, or learn it." if there else ": learn it.")
        )
