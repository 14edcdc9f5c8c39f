"""One visitor's page: what they decided, the result on show, and what each part shows for both."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from caching.learn.store import Learned
from caching.measure.result import Result, load_result
from caching.methods import Method
from caching.predict.kept import For, shipped
from caching.predict.kept import Kept as Prediction
from caching.predict.packed import Packed, pack
from caching.predict.picture import Level
from caching.predict.proxy import Tables
from viz import text
from viz.calibrating import Predictions
from viz.causes import Found
from viz.figures.curves import similarity_curves
from viz.front import NOTHING
from viz.grid.encode import Expected, Here
from viz.grid.line import Line
from viz.grid.show import value_of
from viz.methods import alpha_of
from viz.numbers import numbers_html
from viz.pages import studio
from viz.pages.course import Course
from viz.pages.kept import Kept
from viz.ran import History, is_known
from viz.session import Session
from viz.state import ViewState

if TYPE_CHECKING:
    from caching.measure.focus import Focus
    from caching.models.family import Family

LATER = ("expected", "history")  # of the painter's value
RECORDED = Path(__file__).resolve().parents[2] / "presets" / "runs" / "first"


class Visit:
    """One visitor: state, the result on show, the tables predictions use. Values are immutable."""

    def __init__(self, state: ViewState, result: Result, tables: Tables) -> None:
        self.session = Session(state)
        self.result, self.tables = result, tables
        self.kept = Kept()  # results of this visit, for going back to them
        self.kept.keep(result)
        self.history = History()  # all runs of this visit made small, for the Pareto plot
        self.history.note(result, state)
        self.improved = 0  # searches begun
        self.front = NOTHING  # predicted, of the budget's schedules
        self.provisional: Method | None = None  # painted for now, until its best is worked out
        self.rev = 1
        self.rest: dict[str, Any] = {}  # of the last edit: what the page is still to be told
        self.choosing = Lock()  # held while a choice of a method is answered
        self.chose: tuple[object, ...] = ()  # the last one, with what it left behind
        self.drawn: tuple[object, ...] = ()  # what the threshold was last drawn for
        self.line: Line | None = None  # of the painter
        self.behind: ViewState | None = None  # what the page still shows besides the painter
        self.course = Course()  # what has been done with lessons
        self.arrived: str | None = None  # what the browser would remember of the page as it opened
        self.greeting = ""  # what the page says first of its state, until the model is live too
        self.said = ""  # of the last edit, to be read after the run that follows it
        self.refused = False  # whether the last edit was not taken
        self.loading: object | None = None  # the newest request for another model
        self.family: Family | None = None  # of the loaded model, which knows what brushes compute
        self.weights_hash = ""  # likewise, which of its predictions are for
        self.predictions: Predictions | None = None  # what was calibrated here, once it is live
        self.calibrating: object | None = None  # the calibration of predictions in progress
        self.method: Method | None = None  # the chosen one, with its controls
        self.left: dict[str, Method] = {}  # every method as its controls were left
        self.learned: list[Learned] = []  # by this visitor, oldest first
        self.running: tuple[object, ...] | None = None  # what the run in progress is of
        self.busy: object | None = None  # the calibration or training in progress
        self.enough: object | None = None  # the training that should end with what there is
        self.why: Found | None = None  # what causes the error of a region of the result on show
        self.focus: tuple[object, Focus] | None = None  # what attention was measured of, and found
        self.judging: object | None = None  # the evaluation in progress

    def __deepcopy__(self, memo: dict[int, object]) -> Visit:
        return Visit(self.session.state, self.result, self.tables)

    def note_choice(self, name: str) -> None:
        """The method of that name has been chosen, and this is what it left behind."""
        self.chose = (name, self.method, self.state, self.tables, self.known)

    @property
    def state(self) -> ViewState:
        return self.session.state

    @property
    def before(self) -> ViewState:
        """The state that the page shows: strokes on the painter's line may be ahead of it."""
        return self.behind or self.state

    @property
    def aside(self) -> Result | None:
        """The result of the schedule that is looked at for a moment, if there is one."""
        state = self.state
        entry = None if state.peek is None else state.entry(state.peek)
        return None if entry is None else self.kept.find(state, entry)

    @property
    def shown(self) -> Result:
        """The result on show: the page's own or, for a moment, that of another schedule."""
        return self.aside or self.result

    @property
    def _fitted(self) -> Tables:
        return studio.tables_for(self.tables, self.state.schedule.steps)

    def numbers(self) -> str:
        """The table of measured numbers."""
        shown = self.shown
        # What a policy decided was never painted, so other paint does not make it old; and what is
        # looked at for a moment is that of its own schedule.
        old = studio.is_of_other_request if shown.policy else studio.is_stale
        return numbers_html(
            shown,
            stale=self.aside is None and old(shown, self.state),
            other_model=studio.is_of_other_model(shown, self.state),
        )

    def expected(self) -> Expected | None:
        """PSNR to expect of the grid, where a calibration is known for this model and setting."""
        # In the page's own numbers, so that releasing the pointer changes nothing.
        schedule, kept = self.state.schedule, self.prediction
        if kept is None or not is_known(schedule):
            return None
        here = self.level
        mine = Here(here.db, here.sd_db, here.runs)
        if schedule.is_full:
            return Expected(None, None, None, kept.source, mine)
        found = kept.predict(schedule)
        return Expected(found.db, found.low_db, found.high_db, kept.source, mine)

    @property
    def level(self) -> Level:
        """How far the page's picture lies from the mean over pictures, by the runs of it here."""
        kept = self.prediction
        return Level() if kept is None else self.history.level(self.state, kept)

    @property
    def setting(self) -> For:
        """What a calibration of predictions is for."""
        s = self.state.settings
        return For(self.weights_hash, self.state.schedule.steps, float(s.cfg_scale), s.sampler)

    @property
    def known(self) -> Prediction | None:
        """What predicts PSNR for this model and setting: shipped, else calibrated here."""
        known = self.predictions
        return shipped(self.setting) if known is None else known.find(self.setting)

    @property
    def known_as(self) -> str:
        """Another word for every other setting, and for every better prediction of one."""
        packed = self._packed
        return f"{self.setting} {'' if packed is None else packed.data['key']}"

    @property
    def _packed(self) -> Packed | None:
        """What predicts PSNR, as the page has it."""
        kept = self.known
        return None if kept is None else pack(kept)

    @property
    def prediction(self) -> Prediction | None:
        """What predicts PSNR, in exactly the page's numbers."""
        packed = self._packed
        return None if packed is None else packed.kept

    def quality(self) -> dict[str, Any] | None:
        """What the painter predicts PSNR with, under half a megabyte; None: nothing is known."""
        packed = self._packed
        return None if packed is None else packed.data

    def value(self) -> dict[str, Any]:
        """What the painter is told of the state."""
        state = self.state
        words, name = lambda e: self.kept.words(state, e), self.session.name
        return value_of(state, self.expected(), words, name)

    def told(self) -> dict[str, Any]:
        """The same at once, without what takes long to find out: the event that follows has it."""
        value = value_of(self.state, of=self.session.name)
        return {name: value[name] for name in value if name not in LATER}

    def spec(self) -> dict[str, Any]:
        """What the painter must know besides the schedule."""
        times = studio.timesteps_of(self.result, self.state)
        return studio.spec_of(self.state, self.tables, times, self.family)

    def layer(self) -> dict[str, Any] | None:
        """The painter's colours, None before the first run of a model."""
        return studio.layer_of(self._fitted)

    def curves(self) -> Any:
        """The figure of changes with the threshold of the chosen method, if it has one."""
        tables, branches = self._fitted, self.state.model.branches
        change = tables.change.astype(np.float32) if studio.changes_known(tables) else None
        alpha = alpha_of(self.method, change, branches)
        return similarity_curves(
            studio.last_change(tables),
            branches=branches,
            timesteps=studio.timesteps_of(self.result, self.state),
            threshold=alpha.value if alpha is not None and alpha.on else None,
            alpha=alpha,
        )

    def words(self) -> str:
        """The figure in words, and whether it is of another setting than the page's."""
        words = studio.curves_words(self._fitted, self.state.model.branches)
        now, had, steps = self.state.settings, self.result, len(self.tables.change)
        if not studio.changes_known(self.tables):
            return text.figure_words(words)
        if steps != self.state.schedule.steps:
            words = f"{text.CURVES_CARRIED.format(steps=steps)} {words}"
        elif (now.cfg_scale, now.sampler) != (had.cfg_scale, had.sampler):
            sampler = studio.SAMPLER_NAMES.get(had.sampler, had.sampler)
            other = text.CURVES_OTHER.format(cfg=f"{had.cfg_scale:g}", sampler=sampler)
            words = f"{other} {words}"
        return text.figure_words(words)


def start_visit() -> Visit:
    """A visit as every page begins: on the recorded comparison."""
    result = load_result(RECORDED)
    return Visit(studio.start_state(result), result, result.tables)
