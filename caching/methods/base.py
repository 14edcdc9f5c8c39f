"""The base of all methods: a way to fill the grid, its controls, source and faithfulness."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import numpy as np

from caching.errors import RequestError
from caching.fields import choice_field, number_field, whole_field
from caching.schedule import Schedule

if TYPE_CHECKING:
    from caching.dynamic.base import Policy
    from caching.learn.store import Learned
    from caching.models.model import Model
    from caching.predict.kept import Kept

T = TypeVar("T")

Faithfulness = Literal[
    "as published", "recalibrated here", "analogue", "of no paper", "does not apply"
]
"""How near to its paper a method is here; `Method.because` says it in one sentence."""

Needs = Literal["nothing", "trace", "calibration", "training"]
"""What has to be known before the grid can be filled: nothing; the changes of one full run; other
runs of the model, seconds to minutes; something that was trained for it."""

Tell = Callable[[str, int, int], None]
"""Told of progress: what is being done, how much is done, of how much."""


class Unready(RequestError):
    """A method needs what is not known yet: a loaded model, a full run, a calibration, training."""


@dataclass(frozen=True)
class Source:
    """Where a method is from.

    Attributes:
        paper: its title.
        year: of the first version.
        arxiv: its arXiv id, None where there is none.
        repository: the authors' code, "owner/name" on GitHub, None where none is known.
        licence: of that code, None where there is no licence file (or no code).
    """

    paper: str
    year: int
    arxiv: str | None = None
    repository: str | None = None
    licence: str | None = None


@dataclass(frozen=True)
class Control:
    """One field of a method, as a page draws it: a slider, or a list of words.

    Attributes:
        name: of the field.
        label: what a person reads.
        default: the paper's value, or one that does something on small models.
        least, most, step: of a number; `whole` for whole numbers.
        choices: words instead of a number, else empty.
        about: one sentence for a tooltip.
    """

    name: str
    label: str
    default: Any
    least: float = 0.0
    most: float = 1.0
    step: float = 0.01
    whole: bool = False
    choices: tuple[str, ...] = ()
    about: str = ""

    @property
    def values(self) -> tuple[Any, ...]:
        """What tuning tries, from least to most: whole numbers, or 41 evenly spaced numbers."""
        if self.choices:
            return self.choices
        if self.whole:
            return tuple(range(int(self.least), int(self.most) + 1))
        return tuple(float(v) for v in np.linspace(self.least, self.most, 41))


def whole(default: int, least: int, most: int, label: str, about: str = "") -> Any:
    """A field of a method: a whole number."""
    found = Control("", label, default, least, most, 1, whole=True, about=about)
    return field(default=default, metadata={"control": found})


def number(
    default: float, least: float, most: float, label: str, about: str = "", *, step: float = 0.01
) -> Any:
    """A field of a method: a number."""
    found = Control("", label, default, least, most, step, about=about)
    return field(default=default, metadata={"control": found})


def choice(default: str, choices: tuple[str, ...], label: str, about: str = "") -> Any:
    """A field of a method: one of a few words."""
    found = Control("", label, default, choices=choices, about=about)
    return field(default=default, metadata={"control": found})


@dataclass(frozen=True)
class Plan:
    """What a method makes of a setting.

    Attributes:
        schedule: the grid to run; all computed where a policy decides.
        policy: decides while the run goes on, or None.
        notes: sentences on what was found on the way, for people.
        provisional: whether it stands in for one that takes seconds, which a setting that is not
            patient did not wait for.
        improvable: whether a calibration, which this setting may not make, would better it.
    """

    schedule: Schedule
    policy: Policy | None = None
    notes: tuple[str, ...] = ()
    provisional: bool = False
    improvable: bool = False


class Setting(ABC):
    """What a method is told and may ask for. Everything costly is made once, and kept.

    Attributes:
        patient: whether to wait for what takes seconds of thought; else the best that is at hand.
    """

    patient: bool = True

    steps: int  # S
    blocks: int  # L
    branches: tuple[str, ...]
    cfg_scale: float
    sampler: str

    @property
    @abstractmethod
    def model(self) -> Model:
        """The loaded model; Unready before it is."""

    @abstractmethod
    def change(self) -> np.ndarray:
        """Relative L1 change (S, L, R, K) of branch outputs over lags 1..K in a full run, NaN
        where a lag reaches before step 0; Unready before there is one."""

    @abstractmethod
    def table(self, kind: str, make: Callable[[Model, Tell, Callable[[], bool] | None], T]) -> T:
        """What calibration `kind` found for this model and run setting.

        Args:
            kind: names the calibration, with everything its result depends on besides the model,
                steps, guidance and sampler.
            make: does it; called with the model, whom to tell of progress, and what says that it
                was stopped.

        Raises:
            Unready: it has not been done, and this setting may not run the model to do it.
            Stopped: somebody asked it to stop.
        """

    def measured(self, kind: str, measure: Callable[..., T]) -> T:
        """`table` of what measures a model in runs like this setting's.

        Args:
            kind: as there.
            measure: called with the model and the keywords steps, cfg_scale, sampler, tell and
                stopped.
        """

        def make(model: Model, tell: Tell, stopped: Callable[[], bool] | None) -> T:
            return measure(
                model,
                steps=self.steps,
                cfg_scale=self.cfg_scale,
                sampler=self.sampler,
                tell=tell,
                stopped=stopped,
            )

        return self.table(kind, make)

    @abstractmethod
    def learned(self, method: str) -> Learned:
        """What was trained for this model and number of steps; Unready says what there is."""

    def prediction(self) -> Kept | None:
        """What predicts PSNR under this setting, shipped or calibrated; None where nothing does."""
        return None

    def full(self) -> Schedule:
        """Every cell computed."""
        return Schedule.full(self.steps, self.blocks, branches=self.branches)


@dataclass(frozen=True)
class Method(ABC):
    """Base of all methods: a frozen dataclass whose fields are its controls.

    To add one, add one module to this folder. Make fields with `whole`, `number` and `choice`.

    Attributes:
        name: the word used on the shell and in files, unique over all methods.
        title: as its paper names it.
        about: what it does, one or two sentences for people.
        source: where it is from; None for our own.
        faithfulness, because: how near to the paper, and why in one sentence.
        needs: what has to be known before.
        tunes: the field that trades work for closeness, None where nothing does.
        eager: whether a larger value of that field means less work.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[str]
    source: ClassVar[Source | None] = None
    faithfulness: ClassVar[Faithfulness]
    because: ClassVar[str]
    needs: ClassVar[Needs] = "nothing"
    tunes: ClassVar[str | None] = None
    eager: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for one in controls(type(self)):
            if one.choices:
                choice_field(self, one.name, one.choices)
            elif one.whole:
                whole_field(self, one.name, int(one.least), int(one.most))
            else:
                number_field(self, one.name, one.least, one.most)

    @property
    def words(self) -> str:
        """The title with its controls, for people."""
        values = [f"{c.label} {_short(getattr(self, c.name))}" for c in controls(type(self))]
        return f"{self.title}, {', '.join(values)}" if values else self.title

    @abstractmethod
    def plan(self, setting: Setting) -> Plan:
        """The grid, or the policy, for a setting.

        Raises:
            Unready: something it needs is not known yet; the message says what to do.
            RequestError, ScheduleError: it cannot be done for this model or number of steps.
        """

    def ladder(self, setting: Setting) -> Sequence[Method]:
        """Itself with other values of the field it tunes, from most work to least; at least one."""
        if self.tunes is None:
            return (self,)
        control = next(c for c in controls(type(self)) if c.name == self.tunes)
        values = control.values if self.eager else tuple(reversed(control.values))
        return tuple(dataclasses.replace(self, **{self.tunes: value}) for value in values)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and math.isfinite(value) else str(value)


def controls(kind: type[Method]) -> tuple[Control, ...]:
    """The controls of a method, in order."""
    found = [(f.name, f.metadata.get("control")) for f in fields(kind)]
    return tuple(dataclasses.replace(c, name=name) for name, c in found if c is not None)


def settings_of(method: Method) -> Mapping[str, Any]:
    """Control name -> value."""
    return MappingProxyType({f.name: getattr(method, f.name) for f in fields(method)})
