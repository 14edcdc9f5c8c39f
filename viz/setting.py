"""What a page's methods are told: by the loaded model, or before that by what was recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from caching.learn.store import Learned, shipped
from caching.methods.base import Setting, Tell, Unready
from viz import text
from viz.state import ViewState

if TYPE_CHECKING:
    from caching.models.model import Model
    from caching.predict.kept import Kept

T = TypeVar("T")
Missing = Literal["", "model", "calibration", "training"]


class RecordedSetting(Setting):
    """A page whose live model is not loaded: the changes that were recorded are all that is known.

    Args:
        state: of the page.
        change: (S, L, R, K) of a full run, None if there has been none.
    """

    def __init__(self, state: ViewState, change: np.ndarray | None) -> None:
        self.steps, self.blocks = state.schedule.steps, state.model.blocks
        self.branches = state.model.branches
        self.cfg_scale, self.sampler = state.settings.cfg_scale, state.settings.sampler
        self.name = state.model.name
        self._change = change

    @property
    def model(self) -> Model:
        raise Unready(text.STILL_LOADING)

    def change(self) -> np.ndarray:
        if self._change is None:
            raise Unready(text.STILL_LOADING)
        return self._change

    def table(self, kind: str, make: Callable[[Model, Tell, Callable[[], bool] | None], T]) -> T:
        raise Unready(text.STILL_LOADING)

    def learned(self, method: str) -> Learned:
        # By name only: what a model of that name weighs is known once it is loaded.
        for one in shipped():
            if (one.method, one.model, one.steps) == (method, self.name, self.steps):
                return one
        raise Unready(text.STILL_LOADING)


class Watched(Setting):
    """A setting that remembers what it could not give, so that the page offers to get it.

    Attributes:
        missing: what was asked for last and not there.
    """

    def __init__(self, inner: Setting) -> None:
        self.inner = inner
        self.steps, self.blocks, self.branches = inner.steps, inner.blocks, inner.branches
        self.cfg_scale, self.sampler = inner.cfg_scale, inner.sampler
        self.patient = inner.patient
        self.missing: Missing = ""

    def _ask(self, what: Missing, give: Callable[[], T]) -> T:
        try:
            return give()
        except Unready:
            self.missing = "model" if isinstance(self.inner, RecordedSetting) else what
            raise

    @property
    def model(self) -> Model:
        return self._ask("model", lambda: self.inner.model)

    def change(self) -> np.ndarray:
        return self._ask("calibration", self.inner.change)

    def table(self, kind: str, make: Callable[[Model, Tell, Callable[[], bool] | None], T]) -> T:
        return self._ask("calibration", lambda: self.inner.table(kind, make))

    def prediction(self) -> Kept | None:
        return self.inner.prediction()

    def learned(self, method: str) -> Learned:
        return self._ask("training", lambda: self.inner.learned(method))
