"""One visitor's page: what they decided, the result on show, and what each part shows for both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from caching.learn.store import Learned
from caching.measure.result import Result, load_result
from caching.methods import Method
from caching.predict.kept import For, shipped
from caching.predict.proxy import Tables
from caching.predictors.reuse import Reuse
from caching.predictors.taylor import Taylor
from viz import text
from viz.figures.curves import similarity_curves
from viz.grid.encode import Expected
from viz.grid.show import value_of
from viz.numbers import numbers_html
from viz.pages import studio
from viz.state import Session, ViewState

if TYPE_CHECKING:
    from caching.models.family import Family

RECORDED = Path(__file__).resolve().parents[2] / "presets" / "runs" / "first"


class Visit:
    """One visitor: state, the result on show, the tables predictions use. Values are immutable."""

    def __init__(self, state: ViewState, result: Result, tables: Tables) -> None:
        self.session = Session(state)
        self.result, self.tables = result, tables
        self.rev = 1
        self.refused = False  # whether the last edit was not taken
        self.loading: object | None = None  # the newest request for another model
        self.family: Family | None = None  # of the loaded model, which knows what brushes compute
        self.weights_hash = ""  # likewise, which of its predictions are for
        self.method: Method | None = None  # the chosen one, with its controls
        self.left: dict[str, Method] = {}  # every method as its controls were left
        self.learned: list[Learned] = []  # by this visitor, oldest first
        self.running: tuple[object, ...] | None = None  # what the run in progress is of
        self.busy: object | None = None  # the calibration or training in progress
        self.enough: object | None = None  # the training that should end with what there is

    def __deepcopy__(self, memo: dict[int, object]) -> Visit:
        return Visit(self.session.state, self.result, self.tables)

    @property
    def state(self) -> ViewState:
        return self.session.state

    @property
    def _fitted(self) -> Tables:
        return studio.tables_for(self.tables, self.state.schedule.steps)

    def numbers(self) -> str:
        """The table of measured numbers."""
        return numbers_html(
            self.result,
            # What a policy decided was never painted, so other paint does not make it old.
            stale=studio.is_stale(self.result, self.state)
            if self.result.policy is None
            else studio.is_of_other_request(self.result, self.state),
            other_model=studio.is_of_other_model(self.result, self.state),
        )

    def expected(self) -> Expected | None:
        """PSNR to expect of the grid, where a calibration is known for this model and setting."""
        schedule, s = self.state.schedule, self.state.settings
        kept = shipped(For(self.weights_hash, schedule.steps, s.cfg_scale, s.sampler))
        used = schedule.compact()
        # It was learned from reuse and Taylor forecasts alone, and knows nothing of the others.
        strange = any(type(p) not in (Reuse, Taylor) for p in used.legend) or used.step_legend
        if kept is None or strange:
            return None
        if schedule.is_full:
            return Expected(None, None, None, kept.source)
        found = kept.predict(schedule)
        return Expected(found.db, found.low_db, found.high_db, kept.source)

    def value(self) -> dict[str, Any]:
        """What the painter is told of the state."""
        return value_of(self.state, self.expected())

    def spec(self) -> dict[str, Any]:
        """What the painter must know besides the schedule."""
        times = studio.timesteps_of(self.result, self.state)
        return studio.spec_of(self.state, self.tables, times, self.family)

    def layer(self) -> dict[str, Any] | None:
        """The painter's colours, None before the first run of a model."""
        return studio.layer_of(self._fitted)

    def curves(self, threshold: float | None = None) -> Any:
        """The figure of changes, with a threshold drawn in or without."""
        return similarity_curves(
            studio.last_change(self._fitted),
            branches=self.state.model.branches,
            timesteps=studio.timesteps_of(self.result, self.state),
            threshold=threshold,
        )

    def words(self) -> str:
        """The figure in words."""
        return text.figure_words(studio.curves_words(self._fitted, self.state.model.branches))


def start_visit() -> Visit:
    """A visit as every page begins: on the recorded comparison."""
    result = load_result(RECORDED)
    return Visit(studio.start_state(result), result, result.tables)
