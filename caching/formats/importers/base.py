"""The base of importers: a class per format, and the report of what was understood."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from caching.checks import MAX_BLOCKS, MAX_STEPS, check_branches, check_count
from caching.context import MAX_TEXT, Context
from caching.errors import ScheduleError
from caching.formats.importers.source import Source
from caching.formats.words import counted
from caching.readonly import read_only
from caching.schedule import COMPUTE, Schedule

EXECUTION = "the file counts in execution order, as here"
ASCENDING = "the file counts upwards with the timestep, the last executed step first: turned round"

# What other projects call the branches of a block.
ALIASES = {"attn": ("attn", "attn1"), "mlp": ("mlp", "ff")}


@dataclass(frozen=True)
class Shape:
    """What the importer is told of the model: names of R branches, and L if it is known."""

    blocks: int | None
    branches: tuple[str, ...]

    def settle(self, found: int | None, what: str) -> int:
        """L from the file or from the model; raises ScheduleError if unknown or different."""
        if found is None and self.blocks is None:
            raise ScheduleError(
                f"{what} does not say how many blocks its model has: give blocks (--blocks in a "
                "shell), for instance 28 for DiT-XL/2"
            )
        if found is not None and self.blocks is not None and found != self.blocks:
            raise ScheduleError(
                f"{what} is for {found} blocks and the model has {self.blocks}: expected the same; "
                "load the model it was made for"
            )
        return check_count("blocks", self.blocks if found is None else found, MAX_BLOCKS)

    def pair(self, what: str) -> tuple[int, int]:
        """Index of the attention and of the feed-forward branch, when there are just these two."""
        found = [
            next((i for i, name in enumerate(self.branches) if name in ALIASES[kind]), None)
            for kind in ("attn", "mlp")
        ]
        if len(self.branches) != 2 or None in found:
            raise ScheduleError(
                f"{what} has an attention and a feed-forward branch in every block, and the model "
                f"has {', '.join(self.branches)}: expected attn and mlp"
            )
        return found[0], found[1]  # type: ignore[return-value]


@dataclass(frozen=True)
class Reading:
    """What an importer made of a file.

    Attributes:
        schedule: in execution order.
        order: the step order of the file, and what was done about it.
        understood: further facts, one sentence each.
        forced: cells of step 0 that the file reuses and that are computed.
        lost: what the file says and the schedule does not, one sentence each.
        request: how a picture was asked for, from files that say so.
        locks: bool (S, L, R), cells that their owner has locked; None where a file knows no locks.
    """

    schedule: Schedule
    order: str
    understood: tuple[str, ...] = ()
    forced: int = 0
    lost: tuple[str, ...] = ()
    request: Mapping[str, Any] | None = None
    locks: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Importer(ABC):
    """Base of all importers; the fields are options, each with the published default.

    Attributes:
        name: the word by which the format is chosen.
        label: what a person reads.
        source: the project and paper the format is from.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    source: ClassVar[str]

    @classmethod
    @abstractmethod
    def sniff(cls, source: Source) -> bool:
        """Whether the file is of this format; says so for broken ones too, `read` then tells why.

        At most one importer may say so for any file.
        """

    @abstractmethod
    def read(self, source: Source, shape: Shape) -> Reading:
        """The schedule in the file; raises ScheduleError for anything that is not one."""

    def with_options(self, options: Mapping[str, Any]) -> Importer:
        """A copy with some options set; raises ScheduleError for one it does not have."""
        known = [field.name for field in dataclasses.fields(self)]
        unknown = [name for name in options if name not in known]
        if unknown:
            raise ScheduleError(
                f"option {unknown[0]!r:.40} is not known for {self.label}: expected "
                f"{', '.join(known) if known else 'none'}"
            )
        return dataclasses.replace(self, **options)


@dataclass(frozen=True)
class Report:
    """What was understood of a file, in words and numbers."""

    format: str
    label: str
    steps: int
    blocks: int
    computed: int
    cells: int
    by_branch: tuple[tuple[str, int, int], ...]  # name, computed, of
    pattern: str  # a letter for each step: 1 all cells computed, 0 none, + some
    order: str
    understood: tuple[str, ...]
    forced: int
    lost: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """The report for a person, one fact per line."""
        branches = ", ".join(f"{name} {n} of {of}" for name, n, of in self.by_branch)
        lines = [
            f"{self.label}: {self.steps} steps, {self.blocks} blocks.",
            f"{self.computed} of {self.cells} cells computed ({branches}).",
            f"Steps: {self.pattern} (1 all computed, 0 none, + some).",
            f"Order: {self.order}.",
            *self.understood,
        ]
        if self.forced:
            lines.append(
                f"Forced: {counted(self.forced, 'cell')} that the file reuses at step 0, where "
                "nothing is stored yet, computed."
            )
        return (*lines, *(f"Not expressed: {line}" for line in self.lost))

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {**dataclasses.asdict(self), "sentences": list(self.sentences)}


@dataclass(frozen=True)
class Imported:
    """A schedule from a file, the report, and request and locks if the file says any."""

    schedule: Schedule
    report: Report
    request: Mapping[str, Any] | None = None
    locks: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        read_only(self)


def report_of(importer: Importer, reading: Reading) -> Report:
    """The report on what an importer has read."""
    schedule = reading.schedule
    computed = schedule.computed
    each = computed[:, :, 0].size
    return Report(
        format=importer.name,
        label=importer.label,
        steps=schedule.steps,
        blocks=schedule.blocks,
        computed=int(computed.sum()),
        cells=computed.size,
        by_branch=tuple(
            (name, int(computed[:, :, r].sum()), each) for r, name in enumerate(schedule.branches)
        ),
        pattern=pattern_of(computed),
        order=reading.order,
        understood=reading.understood,
        forced=reading.forced,
        lost=reading.lost,
    )


def pattern_of(computed: NDArray[np.bool_]) -> str:
    """One letter per step of bool (S, L, R): 1 all computed, 0 none, + some."""
    return "".join("1" if step.all() else "+" if step.any() else "0" for step in computed)


def grid_of(
    computed: NDArray[np.bool_], branches: Sequence[str], *, note: str, reuse: str = "before gate"
) -> tuple[Schedule, int]:
    """The schedule that computes where bool (S, L, R) says so, and how many cells were forced.

    `note` goes into the context, which knows nothing else of a foreign file.
    """
    steps = check_count("steps", len(computed), MAX_STEPS)
    forced = int((~computed[0]).sum())
    actions = (~computed).astype(np.uint8)
    actions[0] = COMPUTE
    context = Context(steps, note=note[:MAX_TEXT], reuse=reuse)
    return Schedule(actions, branches=check_branches(tuple(branches)), context=context), forced


def flags(value: Any, where: str, *, per: str = "step") -> NDArray[np.bool_]:
    """A list of 0 and 1, or of booleans, as bool (S,); raises ScheduleError naming the entry."""
    most = MAX_STEPS if per == "step" else MAX_BLOCKS
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        given = f"{len(value)} entries" if isinstance(value, list) else repr(value)[:40]
        raise ScheduleError(
            f"{where} has {given}: expected a list with a 0 or 1 for each {per}, 1 to {most} of "
            "them"
        )
    for index, item in enumerate(value):
        # 1.0 equals 1 to Python, and is no flag.
        if not isinstance(item, int) or item not in (0, 1):
            raise ScheduleError(f"{where}, {per} {index} is {item!r:.40}: expected 0 or 1")
    return np.array(value, bool)


def chance(owner: Importer, name: str) -> None:
    """Raises ScheduleError unless the option is a number between 0 and 1."""
    value = getattr(owner, name)
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    if not fits or not 0 < value < 1:
        raise ScheduleError(
            f"{owner.name}: {name} is {value!r:.40}: expected a number between 0 and 1"
        )
