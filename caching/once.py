"""What takes seconds, made once: whoever asks while it is being made waits for the same one."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(eq=False)
class _Place(Generic[T]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    found: list[T] = field(default_factory=list)  # one, once it is made


class Once(Generic[T]):
    """Values by their keys; the ones used longest ago go first.

    Args:
        most: that are kept.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._places: OrderedDict[Hashable, _Place[T]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: Hashable) -> T | None:
        """The value if it is made, without waiting for anything."""
        with self._lock:
            place = self._places.get(key)
            if place is None or not place.found:
                return None
            self._places.move_to_end(key)
            return place.found[0]

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value, made here unless somebody else makes it; raises what `make` raises."""
        with self._lock:
            place = self._places.setdefault(key, _Place())
            self._places.move_to_end(key)
            while len(self._places) > self.most:
                self._places.popitem(last=False)
        with place.lock:
            if not place.found:
                place.found.append(make())
            return place.found[0]
