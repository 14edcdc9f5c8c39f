"""What a run carries from one step to the next, and what a predictor sees of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from caching.actions.base import Key
from caching.predictors.base import Entry, Predictor


@dataclass
class State:
    """Everything a run carries from step to step; tensors in it are never written to."""

    cache: dict[tuple[int, int], tuple[Entry, ...]] = field(default_factory=dict)
    memos: dict[tuple[int, int, Predictor], tuple[int, Any]] = field(default_factory=dict)
    memory: dict[Key, tuple[tuple[int, Any], ...]] = field(default_factory=dict)
    shared: dict[Predictor, dict[Any, Any]] = field(default_factory=dict)

    def copy(self) -> State:
        """A snapshot: new mappings over the same tensors."""
        shared = {n: dict(notes) for n, notes in self.shared.items()}
        return State(dict(self.cache), dict(self.memos), dict(self.memory), shared)

    def mapped(self, change: Callable[[Tensor], Tensor]) -> State:
        """A copy in which every tensor has gone through `change`."""
        parts = (self.cache, self.memos, self.memory, self.shared)
        return State(*(_mapped(part, change) for part in parts))

    def tensors(self, *others: Any) -> dict[int, Tensor]:
        """Every tensor held, once, by the address of its storage; with those in `others`."""
        found: dict[int, Tensor] = {}
        _collect([self.cache, self.memos, self.memory, self.shared, *others], found)
        return found


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, Entry):
        return Entry(value.step, change(value.output), value.computed)
    if isinstance(value, tuple | list):
        return type(value)(_mapped(item, change) for item in value)
    return value


def _collect(value: Any, found: dict[int, Tensor]) -> None:
    if isinstance(value, Tensor):
        found[value.untyped_storage().data_ptr()] = value
    elif isinstance(value, Mapping):
        _collect(list(value.values()), found)
    elif isinstance(value, tuple | list):
        for item in value:
            _collect(item, found)


def first_rows(value: Any, rows: int) -> Any:
    """The first rows of every tensor in a memo."""
    if isinstance(value, Tensor):
        return value[:rows]
    if isinstance(value, Mapping):
        return {key: first_rows(item, rows) for key, item in value.items()}
    return tuple(first_rows(i, rows) for i in value) if isinstance(value, tuple | list) else value


def looked_at(p: Predictor, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """What a predictor reads of all that a cell has stored, newest first."""
    if p.looks_at == "stored":
        return entries[: p.keeps]
    computed = tuple(e for e in entries if e.computed)[: p.keeps]
    if p.looks_at == "computed":
        return computed
    steps = {e.step for e in computed}
    return tuple(e for i, e in enumerate(entries) if i < p.keeps or e.step in steps)


def ends_steps(p: Predictor) -> bool:
    """Whether the predictor wants to be told that a step has ended."""
    return type(p).end_step is not Predictor.end_step
