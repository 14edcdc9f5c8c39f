"""The base of all predictors: a frozen value that says what stands in for a branch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from torch import Tensor

    from caching.models.family import Conditioning, Family

Output = TypeVar("Output")
"""A branch output (N, T, D): a tensor or an array, only ever used through its arithmetic."""

Kind = Literal["reuse", "forecast", "calibrated", "partial", "skip"]
"""How the painter shows a predictor, and what a prediction may assume of it."""


class Entry(NamedTuple):
    """One stored output of one cell; its tensor is never written to."""

    step: int
    output: Any  # (N, T, D)
    computed: bool  # False: an estimate, kept for predictors that look at what was stored


@dataclass(frozen=True)
class Cell:
    """Everything a predictor may look at where it stands in.

    Attributes:
        family: the transformer; `given` is its conditioning for this run.
        x: (N, T, D) the hidden state that the branch would have been computed from.
        s, block, r: the cell.
        past: stored outputs, newest first, at most `keeps` of them.
        memo: what the predictor's `compute` left at the newest computed step, or None.
        fitted: part -> what was fitted for it before the run, or None where nothing is.
        shared: one run's notes of this predictor, over all cells; values are replaced, never
            written to, so that a copy of the mapping is a snapshot. At a step that runs half of the
            batch its tensors still have all rows, and what is noted is forgotten.
        seeds: (N,) for predictors that draw; both passes of a picture have the picture's.
    """

    family: Family
    given: Conditioning
    x: Tensor
    s: int
    block: int
    r: int
    past: Sequence[Entry] = ()
    memo: Any = None
    fitted: Any = None
    shared: MutableMapping[Any, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()


class Fitter(ABC):
    """Finds the parts a calibrated predictor or step action needs, from full runs going by."""

    def see(  # noqa: B027
        self, s: int, block: int, r: int, x: Tensor, out: Tensor, given: Conditioning
    ) -> None:
        """One computed branch of a full run: hidden state before it and output, (N, T, D)."""

    def see_step(self, s: int, before: Tensor, after: Tensor) -> None:  # noqa: B027
        """One step of a full run: hidden state (N, T, D) before the first and after all blocks."""

    def next_run(self) -> None:  # noqa: B027
        """A run has ended and another one may begin."""

    @abstractmethod
    def solve(self, part: Hashable) -> Any:
        """The fit of one part after all runs, its tensors on the family's device and dtype."""


@dataclass(frozen=True)
class Predictor(ABC):
    """Base of all predictors: a frozen dataclass whose fields are plain JSON scalars.

    A predictor that works from stored outputs alone implements `estimate`. One that looks at the
    hidden state or computes a part of the branch overrides `stand_in`; one that must note more than
    the output where the branch is computed overrides `compute`.

    Attributes:
        name: the word used in files, unique over all predictors.
        letter: the ASCII letter a row string prefers for it; "C" is taken by compute.
        label: what a person reads on the palette, without parameters; `title` has them.
        kind: the group it belongs to.
        looks_at: whether it reads only computed outputs, or also estimates that were stored; "both"
            gives it the newest `keeps` of all and the newest `keeps` computed ones.
        computes: whether it overrides `compute`; its memo is then kept besides the output.
        refreshes: whether what it makes takes the place of the newest computed output, at that
            one's step, for whatever stands in later.
        renews: whether what it makes counts as a computed output of its own step, for whatever
            stands in later.
    """

    name: ClassVar[str]
    letter: ClassVar[str]
    label: ClassVar[str]
    kind: ClassVar[Kind] = "forecast"
    looks_at: ClassVar[Literal["computed", "stored", "both"]] = "computed"
    computes: ClassVar[bool] = False
    refreshes: ClassVar[bool] = False
    renews: ClassVar[bool] = False

    @property
    def keeps(self) -> int:
        """How many stored outputs it looks back on."""
        return 1

    @property
    def needs(self) -> int:
        """With fewer stored outputs than this it runs at a lower order, and the run says so."""
        return self.keeps

    @property
    def watches(self) -> bool:
        """Whether `watch` wants to see computed cells."""
        return False

    @property
    def title(self) -> str:
        """The label with its parameters, for people."""
        values = [
            f"{value:g}" if isinstance(value, float) else str(value)
            for value in parameters(self).values()
        ]
        return f"{self.label} ({', '.join(values)})" if values else self.label

    @abstractmethod
    def estimate(self, past: Sequence[tuple[int, Output]], step: int) -> Output:
        """What stands in for the branch at `step`, made from outputs stored before.

        Args:
            past: (step it was stored at, output), newest first, 1 to `keeps` of them; the
                outputs are never written to.
            step: the step that is running.
        """

    def stand_in(self, cell: Cell) -> Any:
        """The output (N, T, D) that stands in at `cell`."""
        return self.estimate([(e.step, e.output) for e in cell.past], cell.s)

    def compute(self, cell: Cell) -> tuple[Any, Any]:
        """With `computes`: the branch, exactly computed, and a memo for later stand-ins."""
        raise NotImplementedError

    def watch(self, cell: Cell, out: Any) -> None:  # noqa: B027
        """With `watches`: `cell` has been computed in a block where this predictor is used, and it
        may stand in there before the cell is computed anew."""

    def end_step(  # noqa: B027
        self,
        shared: MutableMapping[Any, Any],
        x: Any,
        s: int,
        *,
        full: bool,
        seeds: tuple[int, ...],
    ) -> None:
        """Step `s` ended with tokens x (N, T, D); `full` if all of its cells were computed.

        Called up to the last step that uses the predictor, but for steps that run half of the batch
        or whose last block did not run.
        """

    def macs(self, family: Family, block: int, r: int) -> int:
        """Multiply-accumulates of one stand-in, for one image and one pass."""
        return 0

    def memo_elements(self, family: Family, block: int, r: int) -> int:
        """With `computes`: numbers its memo holds for one image and one pass."""
        return 0

    def memo_macs(self, family: Family, block: int, r: int) -> int:
        """With `computes`: multiply-accumulates that the memo costs on top of the branch."""
        return 0

    def stores_output(self) -> bool:
        """Whether it needs the stored output itself, besides a memo."""
        return True

    def hands_on(self, branch: str, held: int) -> bool:
        """Whether it gives the very tensor of the newest output it looks at, for memory's count.

        Args:
            branch: the name of the cell's branch.
            held: how many stored outputs it has, 0 to `keeps`.
        """
        return self.kind == "reuse"

    def watch_macs(self, family: Family, block: int, r: int) -> int:
        """With `watches`: multiply-accumulates of one `watch`, for one image and one pass."""
        return 0

    def note_bytes(self, family: Family, cells: Any, computed: Any, watched: Any) -> Any:
        """Bytes its notes hold of each cell after the cell's turn, for one image and one pass.

        Int64 (S, L, R), or None where it notes nothing; after the last step that uses it they are
        dropped.

        Args:
            cells: bool (S, L, R) where it stands in, on the whole batch.
            computed: likewise, where the cell is computed.
            watched: likewise, where it is shown the computed cell.
        """
        return None

    @property
    def calibrates(self) -> bool:
        """Whether its parts are fitted on full runs; False: in the weights alone."""
        return True

    def parts(self, cells: Any, number: int) -> Collection[Hashable]:
        """Names of all that has to be fitted for a schedule; none where nothing has.

        A name holds everything its fit depends on apart from the predictor, the model and the run
        setting: two schedules share the fits they have in common, and a run that goes on from an
        earlier one finds the fits of a run from the start.

        Args:
            cells: uint8 (S, L, R), `number` where this predictor stands in, 0 where the cell is
                computed on the whole batch or another predictor `renews` it, and something else
                everywhere else. Under a policy, which chooses the cells while the run goes on,
                `number` everywhere.
            number: of this predictor.
        """
        return ()

    def fitter(self, family: Family, parts: Collection[Hashable]) -> Fitter:
        """What fits some of its `parts`."""
        raise NotImplementedError

    def ready(self, model: Any, request: Any) -> Mapping[Hashable, Any]:
        """Parts that were trained ahead for such runs of the model and need no fit; most have none.

        Args:
            model: a `caching.models.model.Model`.
            request: a `caching.engine.request.Request`.
        """
        return {}


def _is_one(total: float) -> bool:
    return abs(total - 1.0) < 1e-12


def combine(weights: Sequence[float], outputs: Sequence[Output]) -> Output:
    """The weighted sum of outputs, with as few passes over memory as tensors allow.

    Works on tensors and on arrays; a weight of zero costs nothing, a single 1 gives the output
    itself.
    """
    terms: list[tuple[float, Any]] = [
        (float(w), o) for w, o in zip(weights, outputs, strict=True) if w
    ]
    total: Any
    if not terms:
        total = cast(Any, outputs[0]) * 0.0
    elif len(terms) == 1 and terms[0][0] == 1.0:
        total = terms[0][1]
    elif len(terms) == 2 and hasattr(terms[0][1], "lerp") and _is_one(terms[0][0] + terms[1][0]):
        # On the line through both, as a forecast of order 1 is: one pass instead of two.
        total = terms[1][1].lerp(terms[0][1], terms[0][0])
    else:
        total = terms[0][1] * terms[0][0]
        for weight, output in terms[1:]:
            # add_ on a tensor of our own: one pass instead of a product and a sum.
            total = (
                total.add_(output, alpha=weight)
                if hasattr(total, "add_")
                else total + weight * output
            )
    return cast(Output, total)


@dataclass(frozen=True)
class Combination(Predictor):
    """A predictor that is a weighted sum of stored outputs, the weights depending on steps only."""

    @abstractmethod
    def weights(self, steps: tuple[int, ...], step: int) -> Sequence[float]:
        """One weight for each stored output.

        Args:
            steps: when the outputs were stored, newest first, 1 to `keeps` of them.
            step: the step that is running.
        """

    def estimate(self, past: Sequence[tuple[int, Output]], step: int) -> Output:
        """The weighted sum."""
        past = past[: self.keeps]
        weights = self.weights(tuple(s for s, _ in past), step)
        return combine(weights, [output for _, output in past])

    def hands_on(self, branch: str, held: int) -> bool:
        """With one output its weight decides, which is 1 for all that lower their order."""
        return held == 1 and tuple(self.weights((0,), 1)) == (1.0,)


def parameters(predictor: Predictor) -> Mapping[str, Any]:
    """Field name -> value."""
    return {field.name: getattr(predictor, field.name) for field in fields(predictor)}
