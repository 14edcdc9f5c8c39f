"""The schedule: for every step, block and branch, whether it is computed or what stands in."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caching import edits
from caching.actions.base import StepAction
from caching.checks import (
    MAX_BLOCKS,
    MAX_STEPS,
    as_array,
    check_actions,
    check_branches,
    check_count,
    check_legend,
    check_step_actions,
    check_step_legend,
)
from caching.context import Context
from caching.edits import ScheduleDiff
from caching.errors import ScheduleError
from caching.formats import rows as row_text
from caching.predictors import Predictor
from caching.predictors.reuse import Reuse

__all__ = ["COMPUTE", "MAX_BLOCKS", "MAX_STEPS", "Context", "Schedule", "ScheduleDiff"]

COMPUTE = 0

BRANCHES = ("attn", "mlp")


@dataclass(frozen=True, eq=False, repr=False)
class Schedule:
    """An immutable grid of actions with its legend, its branch names and its context.

    Attributes:
        actions: uint8 (S, L, R), truly read-only; 0 = compute, k > 0 = `legend[k - 1]` stands in.
            S counts in execution order, step 0 is the noisiest and is always computed.
        legend: the predictors the grid uses, in the order of their numbers.
        branches: R names.
        context: the run it was made for, or None when that is not known.
        step_actions: uint8 (S,), truly read-only; 0 = the step runs its blocks by the grid, k > 0 =
            `step_legend[k - 1]` decides what runs. None: all 0.
        step_legend: the whole-step actions in use, in the order of their numbers.

    Cells of a step that its action covers are not run, whatever the grid says there. Two schedules
    are equal when all six are. Raises ScheduleError on anything else than the above, naming the
    cell where there is one.
    """

    actions: NDArray[np.uint8]
    legend: tuple[Predictor, ...] = (Reuse(),)
    branches: tuple[str, ...] = BRANCHES
    context: Context | None = None
    step_actions: NDArray[np.uint8] = None  # type: ignore[assignment]
    step_legend: tuple[StepAction, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "branches", check_branches(self.branches))
        object.__setattr__(self, "legend", check_legend(self.legend))
        object.__setattr__(self, "actions", check_actions(self.actions, self.legend, self.branches))
        object.__setattr__(
            self, "step_legend", check_step_legend(self.step_legend, self.actions.shape[1])
        )
        given = np.zeros(self.steps, np.uint8) if self.step_actions is None else self.step_actions
        object.__setattr__(
            self, "step_actions", check_step_actions(given, self.step_legend, self.steps)
        )
        if self.context is not None and not isinstance(self.context, Context):
            raise ScheduleError(f"context is {self.context!r:.60}: expected a Context or None")
        if self.context is not None and self.context.steps != self.steps:
            raise ScheduleError(
                f"the context says {self.context.steps} steps and the grid has {self.steps}: "
                "expected the same; correct one, or use resample()"
            )

    # -- constructors ----------------------------------------------------------------------

    @classmethod
    def full(
        cls,
        steps: int,
        blocks: int,
        *,
        branches: Sequence[str] = BRANCHES,
        context: Context | None = None,
    ) -> Schedule:
        """Every cell computed: the run that all others are judged against."""
        steps = check_count("steps", steps, MAX_STEPS)
        return cls.from_steps(np.ones(steps, bool), blocks, branches=branches, context=context)

    @classmethod
    def every(
        cls,
        steps: int,
        blocks: int,
        n: int,
        *,
        align: Literal["end", "start"] = "end",
        branches: Sequence[str] = BRANCHES,
        context: Context | None = None,
    ) -> Schedule:
        """One step in `n` computed, the rest reused; see `caching.policies.interval`."""
        # Imported here because the policies are built on this class.
        from caching.policies.interval import every

        return every(steps, blocks, n, align=align, branches=branches, context=context)

    @classmethod
    def from_steps(
        cls,
        computed: ArrayLike,
        blocks: int,
        *,
        branches: Sequence[str] = BRANCHES,
        context: Context | None = None,
    ) -> Schedule:
        """Whole steps: bool (S,), True = all cells of the step computed, False = all reused."""
        flags = as_array("steps", computed)
        if flags.ndim != 1 or flags.dtype != np.bool_:
            raise ScheduleError(
                f"steps given as {flags.dtype} {flags.shape}: expected bool (S,), True = computed"
            )
        blocks = check_count("blocks", blocks, MAX_BLOCKS)
        names = check_branches(branches)
        shape = (len(flags), blocks, len(names))
        actions = np.broadcast_to(~flags[:, None, None], shape).astype(np.uint8)
        return cls(actions, branches=names, context=context)

    @classmethod
    def from_rows(
        cls,
        rows: Mapping[str, str] | Sequence[str],
        *,
        legend: Sequence[Predictor] = (Reuse(),),
        branches: Sequence[str] = BRANCHES,
        context: Context | None = None,
        step_row: str | None = None,
        step_legend: Sequence[StepAction] = (),
    ) -> Schedule:
        """Row strings such as "CRRC", one per block and branch: block-major, or by name.

        The letters are those of `letters`: "C" and the one of each predictor in the legend. The
        step row has those of `step_letters`: "C" for running the blocks, and one per step action.
        """
        names = check_branches(branches)
        if isinstance(rows, Mapping):
            rows = row_text.ordered(rows, names)
        legend = check_legend(legend)
        actions = row_text.decode(rows, row_text.letters_of(legend), names)
        step_legend = check_step_legend(step_legend, actions.shape[1])
        step_actions = (
            None
            if step_row is None
            else row_text.decode_steps(step_row, row_text.letters_of(step_legend), len(actions))
        )
        return cls(actions, legend, names, context, step_actions, step_legend)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Schedule:
        """Reads a native JSON file; see `caching.formats.native`."""
        from caching.formats.native import load_schedule_file

        return load_schedule_file(path)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a native JSON file; see `caching.formats.native`."""
        from caching.formats.native import save_schedule_file

        save_schedule_file(self, path)

    # -- what it says ----------------------------------------------------------------------

    @property
    def steps(self) -> int:
        """S, the number of sampling steps."""
        return int(self.actions.shape[0])

    @property
    def blocks(self) -> int:
        """L, the number of transformer blocks."""
        return int(self.actions.shape[1])

    @property
    def covered(self) -> NDArray[np.bool_]:
        """Bool (S, L, R): True where a whole-step action leaves the cell out."""
        covered = np.zeros(self.actions.shape, bool)
        for number, action in enumerate(self.step_legend, 1):
            blocks = action.covers(self.blocks)
            covered[self.step_actions == number, blocks.start : blocks.stop] = True
        return covered

    @property
    def computed(self) -> NDArray[np.bool_]:
        """Bool (S, L, R): True where the branch is computed."""
        computed: NDArray[np.bool_] = (self.actions == COMPUTE) & ~self.covered
        return computed

    @property
    def renewed(self) -> NDArray[np.bool_]:
        """Bool (S, L, R): True where later steps find an output of this step for a computed one.

        The branch is computed, or its predictor `renews` it.
        """
        numbers = [n for n, p in enumerate(self.legend, 1) if p.renews]
        renewed: NDArray[np.bool_] = np.isin(self.actions, [COMPUTE, *numbers]) & ~self.covered
        return renewed

    @property
    def is_full(self) -> bool:
        """Whether everything is computed as the model itself would."""
        return not self.actions.any() and not self.step_actions.any()

    @property
    def letters(self) -> str:
        """The letter of each action number in row strings, for instance "CR"."""
        return row_text.letters_of(self.legend)

    @property
    def step_letters(self) -> str:
        """The letter of each step action number in the step row, for instance "CS"."""
        return row_text.letters_of(self.step_legend)

    def step_row(self) -> str:
        """What each step does, as a string of S letters."""
        return row_text.encode_steps(self.step_actions, self.step_letters)

    def rows(self) -> dict[str, str]:
        """Row name → string of S letters, in block-major order."""
        names = row_text.row_names(self.blocks, self.branches)
        return dict(zip(names, row_text.encode(self.actions, self.letters), strict=True))

    def age(self) -> NDArray[np.int16]:
        """Int16 (S, L, R): steps since the cell was last computed or renewed, 0 where it is."""
        return edits.age(self.renewed)

    def diff(self, other: Schedule) -> ScheduleDiff:
        """Which cells differ from those of `other`, which has the same shape and branches."""
        return edits.diff(self, _schedule("other", other))

    # -- edits, each a new schedule --------------------------------------------------------

    def paint(
        self, cells: ArrayLike, action: int | Predictor, *, keep_first_step: bool = False
    ) -> Schedule:
        """The cells, a bool (S, L, R) mask or int (n, 3) indices, set to `action`.

        With `keep_first_step` cells of step 0 stay computed; without it, painting them with a
        predictor is refused. A predictor that is not in the legend is added to it.
        """
        return edits.paint(self, cells, action, keep_first_step=keep_first_step)

    def paint_steps(self, steps: ArrayLike, action: int | StepAction) -> Schedule:
        """The steps, a bool (S,) mask or numbers, set to a whole-step action; 0 runs the blocks."""
        return edits.paint_steps(self, steps, action)

    def keep(self, old: Schedule, cells: ArrayLike) -> Schedule:
        """This schedule with the cells given as they are in `old`."""
        return edits.keep(self, _schedule("old", old), cells)

    def compact(self) -> Schedule:
        """The same schedule without legend entries that no cell or step uses."""
        return edits.compact(self)

    def resample(self, steps: int, *, timesteps: Sequence[float] | None = None) -> Schedule:
        """The schedule carried over to another step count, and noted as not judged there."""
        return edits.resample(self, steps, timesteps=timesteps)

    # -- does it fit -----------------------------------------------------------------------

    def check_fits(
        self,
        *,
        steps: int | None = None,
        blocks: int | None = None,
        branches: Sequence[str] | None = None,
    ) -> None:
        """Raises ScheduleError when a run with these numbers cannot execute the schedule."""
        if steps is not None and check_count("steps", steps, MAX_STEPS) != self.steps:
            raise ScheduleError(
                f"the schedule has {self.steps} steps and the run {steps}: expected the same; run "
                f"{self.steps} steps, or carry it over with resample({steps})"
            )
        if blocks is not None and check_count("blocks", blocks, MAX_BLOCKS) != self.blocks:
            raise ScheduleError(
                f"the schedule has {self.blocks} blocks and the model {blocks}: expected the "
                "same; use a schedule made for this model"
            )
        if branches is not None and check_branches(branches) != self.branches:
            theirs = ", ".join(branches)
            raise ScheduleError(
                f"the schedule has the branches {', '.join(self.branches)} and the model "
                f"{theirs}: expected the same, in the same order"
            )

    def mismatches(self, context: Context) -> tuple[str, ...]:
        """Plain-words warnings where a run differs from the one the schedule was made for."""
        return () if self.context is None else self.context.mismatches(context)

    # -- value behaviour -------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schedule):
            return NotImplemented
        return self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())

    def __repr__(self) -> str:
        computed = int(self.computed.sum())
        others = int((self.step_actions != 0).sum())
        extra = f", {others} steps with an action of their own" if others else ""
        return (
            f"<Schedule {self.steps} steps × {self.blocks} blocks × ({', '.join(self.branches)}), "
            f"{computed} of {self.actions.size} cells computed{extra}>"
        )

    def __copy__(self) -> Schedule:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Schedule:
        # A deep copy of the array would be writable.
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        fields = (self.actions, self.legend, self.branches, self.context)
        return (Schedule, (*fields, self.step_actions, self.step_legend))

    def _content(self) -> tuple[Any, ...]:
        shape, cells, steps = (
            self.actions.shape,
            self.actions.tobytes(),
            self.step_actions.tobytes(),
        )
        return (shape, cells, steps, self.legend, self.step_legend, self.branches, self.context)


def _schedule(name: str, given: Any) -> Schedule:
    """`given`, where it is a schedule."""
    if not isinstance(given, Schedule):
        raise ScheduleError(
            f"{name} is {given!r:.40}, a {type(given).__name__}: expected a Schedule; "
            "load_schedule reads one from a file"
        )
    return given
